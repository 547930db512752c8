"""What files and arguments may say, as JSON Schemas (schemas/*.yaml, config/schema.yaml), and what breaks one in one line with its place.

Beyond JSON Schema's own words, a schema may have `rising`, of a list; `alike`, of lists that must be equally long; `known: <kind>`, a name
of that kind, or with `like: true` a shell pattern that fits one; and `form`, what to write instead, in words. What is known of a kind, the
module that knows it says in KNOWN. Numbers are finite, and true is none.
"""

import math
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator, ValidationError, validators

from benchmark.pins import texts
from benchmark.shared.errors import UserError, unknown

FOLDER = Path(__file__).parent / "schemas"
KNOWN: dict[str, Callable[[], Iterable[str]]] = {}  # kind -> names
ANY = object()  # among names: whatever is asked for may be in a file that cannot be read, and is left to whoever asks for that one
PASSED = ("rules", "recipe", "for", "set")  # on the way to a rule's values
WORDS = {
    "integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false", "object": "a mapping",
    "array": "a list", "null": "null",
}  # fmt: skip


@cache
def read(path: Path) -> dict:
    """A schema."""
    return texts.mapping(path)


def named(name: str) -> dict:
    """The schema schemas/<name>.yaml."""
    return read(FOLDER / f"{name}.yaml")


def check(values, schema: dict, where: str, path: Path | None = None) -> None:
    """UserError for the first mistake; of a YAML file, `path`, with its line."""
    for error in VALIDATOR(schema).iter_errors(values):
        place = [*error.absolute_path, *([extra(error)] if error.validator == "additionalProperties" else [])]
        raise UserError(f"{where}{f':{texts.line_of(path, place)}' if path else ''}: {sentence(error)}")


def sentence(error: ValidationError) -> str:
    """What is wrong, and what it must be."""
    schema, value, wanted = error.schema, error.instance, error.validator_value
    parts = [part for part in error.absolute_path if isinstance(part, str)]
    name = ".".join([part for part in parts if part not in PASSED] or parts)
    title = schema.get("title", "key")
    if "form" in schema:
        return f"{title} '{name}' must be {schema['form']}, not {value!r}" if name else f"must be {schema['form']}, not {value!r}"
    if error.validator == "required":
        return f"{repr(name) if name else 'it'} lacks {title} '{next(key for key in wanted if key not in value)}'"
    if error.validator == "additionalProperties":
        return str(unknown(title, str(extra(error)), schema.get("properties", {})))
    if error.validator == "enum":
        return str(unknown(f"value of {title} {name}", str(value), map(str, wanted)))
    if error.validator == "known":
        return f"{f'{title} {name!r}: ' if name else ''}{unknown(wanted, str(value), KNOWN[wanted]())}"
    about = f" ({schema['description']})" if "description" in schema else ""
    return f"{title} '{name}'{about} must be {MUST.get(error.validator, plainly)(wanted, schema)}, not {value!r}{hint(value)}"


def hint(value) -> str:
    """Of a number that YAML takes for a text, how it is written."""
    number = re.fullmatch(r"([-+]?\d+)(e[-+]?\d+)", value) if isinstance(value, str) else None
    return f" (YAML takes it for a text: write {number[1]}.0{number[2]})" if number else ""


def extra(error: ValidationError):
    """The key that nobody knows."""
    return next(key for key in error.instance if key not in error.schema.get("properties", {}))


def kinds(wanted, _) -> str:
    return " or ".join(WORDS[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted))


def span(_, schema: dict) -> str:
    """A range in words."""
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    above = "minimum" not in schema and "exclusiveMinimum" in schema
    if high is None:
        return f"above {low:g}" if above else f"{low:g} or more"
    return f"{'above' if above else 'from'} {low:g} to {high:g}"


def plainly(wanted, _) -> str:
    """Of a word of JSON Schema for which there is no sentence here."""
    return str(wanted)


MUST = {
    "type": kinds,
    "minimum": span,
    "maximum": span,
    "exclusiveMinimum": span,
    "minItems": lambda least, _: f"a list of {least} or more",
    "maxItems": lambda most, _: f"a list of at most {most}",
    "minLength": lambda *_: "a text that is not empty",
    "minProperties": lambda *_: "a mapping that is not empty",
    "pattern": lambda wanted, _: f"written so, or as the pattern {wanted}",
    "rising": lambda *_: "in rising order",
    "alike": lambda *_: "lists of the same length",
}


def rising(validator, wanted, value, schema):
    numbers = isinstance(value, list) and all(isinstance(one, (int, float)) for one in value)
    if numbers and value != sorted(value):
        yield ValidationError("falls")


def alike(validator, wanted, value, schema):
    if isinstance(value, list) and all(isinstance(one, list) for one in value) and len({len(one) for one in value}) > 1:
        yield ValidationError("differ in length")


def known(validator, wanted, value, schema):
    fits = fnmatchcase if schema.get("like") else str.__eq__
    if isinstance(value, str) and not any(name is ANY or fits(name, value) for name in KNOWN[wanted]()):
        yield ValidationError("unknown")


def whole(_, value) -> bool:
    return type(value) is int


def number(_, value) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def array(_, value) -> bool:
    return isinstance(value, (list, tuple))


VALIDATOR = validators.extend(
    Draft202012Validator,
    {"rising": rising, "alike": alike, "known": known},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": whole, "number": number, "array": array}),
)
