"""Files that people write, as text, as YAML mappings and as CSV lines: each mistake is one line with the file and its line.

A key that stands twice in a YAML mapping is refused: YAML itself would drop the first without a word.
"""

import csv
import io
from pathlib import Path

import yaml

from benchmark.shared.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Plain values alone, and every key once."""

    def construct_mapping(self, node, deep=False):
        first: dict = {}
        for key, _ in node.value:
            other = first.setdefault((key.tag, str(key.value)), key)
            if other is not key:
                said = f"key '{key.value}' stands twice, first in line {other.start_mark.line + 1}: YAML would drop one of them"
                raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
        return super().construct_mapping(node, deep)


def shown(path: Path) -> str:
    """A path as people know it: from the repository's root if it lies there."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def text(path: Path) -> str:
    """What a file says. UserError: it cannot be read, or is no UTF-8."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise UserError(f"{shown(path)}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(path)}: not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8") from None


def value(written: str, where: str):
    """The value of a YAML text. UserError: not valid YAML, a tag, a key that stands twice."""
    try:
        return yaml.load(written, Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None) if "\n" in written else None  # an argument has one line
        said = " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).split())
        raise UserError(f"{where}{f':{mark.line + 1}' if mark else ''}: not valid YAML ({said})") from None


def mapping(path: Path) -> dict:
    """A YAML file that holds a mapping. UserError in one line otherwise."""
    found = value(text(path), shown(path))
    if not isinstance(found, dict):
        raise UserError(f"{shown(path)}: must be a mapping (key: value), not {type(found).__name__ if found is not None else 'empty'}")
    return found


def line_of(path: Path, place) -> int:
    """The line of a YAML file in which a value stands, given by its keys and indices; of a key that is not there, its mapping's."""
    node = yaml.compose(text(path), Loader)
    line = node.start_mark.line
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key.start_mark.line, inside) for key, inside in node.value if key.value == str(step)), None)
        else:
            found = (node.value[step].start_mark.line, node.value[step]) if isinstance(node.value, list) else None
        if found is None:
            break
        line, node = found
    return line + 1


def table(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict]]:
    """(line number, line) of a CSV file with these columns. UserError: another header, not CSV, a line of more or fewer values."""
    reader = csv.DictReader(io.StringIO(text(path), newline=""), strict=True)
    lines = []
    try:
        if tuple(reader.fieldnames or ()) != columns:
            raise UserError(f"{shown(path)}: the header must be {','.join(columns)}")
        for line in reader:
            if None in line or None in line.values():
                raise UserError(f"{shown(path)}:{reader.line_num}: not a line of {len(columns)} values, as the header has them")
            lines.append((reader.line_num, line))
    except csv.Error as error:
        raise UserError(f"{shown(path)}:{reader.line_num}: not valid CSV ({error})") from None
    return lines
