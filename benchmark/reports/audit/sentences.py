"""Check 3: what the prose says against what the tables print. The sentences are data: papers/<paper>/claims.csv.

A relation is an expression over pins, for example   0.62 == [t1 r8 CIFAR10 T4] - [t1 r1 CIFAR10 T4]
  [words]       one printed number: table, row, and as many of data set, T<steps>, metric (accuracy if none is given), backbone,
                method, options (all of them as k=v, or plain for none) and paper (the claim's own if none is given) as make it
                one value; blanks inside a name are written as _
  0.62          a number of the sentence: half of its last digit to both sides; word(0.1) for one that it spells ("one tenth")
  exact(2)      a count or a constant, without rounding
  + - * /  min(..) max(..)  steps([..]) the time steps of a pin  blocks([..]) the blocks in its network's name
  named([..], "text") whether its method or backbone cell has the text  counted("eva-g-14 imagenet") parameters as built, millions
  == < <= > >=  and  or        with "and" the first part that fails is reported
Equal means: can be equal within the rounding. An order fails only if no rounding can save it. An integer that one more digit would not
give (1 for 1.37) agrees only after rounding, which is a remark.
"""

import ast
import csv
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from benchmark.pins import published, texts
from benchmark.reports.audit.finding import KINDS, SEVERITIES, Finding
from benchmark.reports.audit.interval import Interval, decimals, exact, largest, printed, show, smallest
from benchmark.shared.errors import UserError, unknown

COLUMNS = ("claim", "line", "says", "relation", "severity", "kind", "fact", "note")
TOKEN = re.compile(r'\[([^\]]*)\]|("[^"]*")|exact\(([\d.]+)\)|word\(([\d.]+)\)|(?<![\w.])(\d+(?:\.\d+)?)')
MATH = {ast.Add: Interval.__add__, ast.Sub: Interval.__sub__, ast.Mult: Interval.__mul__, ast.Div: Interval.__truediv__}
HOLDS = {  # whether the order is possible within the rounding
    ast.Eq: Interval.meets,
    ast.Lt: lambda a, b: a.low < b.high,
    ast.LtE: lambda a, b: a.low <= b.high,
    ast.Gt: lambda a, b: a.high > b.low,
    ast.GtE: lambda a, b: a.high >= b.low,
}
SIGNS = {ast.Eq: "", ast.Lt: "below ", ast.LtE: "at most ", ast.Gt: "above ", ast.GtE: "at least "}


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper. `claim` completes "The text says that"; `says` are words of its lines, parted by " | ".

    `severity` and `kind` ("text" if empty) count if the relation fails; claims with the same `fact` are told together.
    """

    paper: str
    claim: str
    line: str
    says: str
    relation: str
    severity: str
    kind: str
    fact: str
    note: str


@dataclass(frozen=True)
class Verdict:
    """Whether a relation holds, the two sides of the comparison that decided it, and whether only rounding makes them agree."""

    holds: bool
    left: str = ""
    right: str = ""
    difference: str = ""
    rounded: bool = False


class Value(NamedTuple):
    """What a name in a parsed relation stands for. `said`: a number of the sentence, in its digits."""

    interval: Interval
    places: int
    pin: published.Number | None = None
    said: bool = False


@cache
def read(paper: str) -> tuple[Claim, ...]:
    """The claims of one paper. UserError: a header, a severity or a kind that does not exist."""
    path = published.PAPERS / paper / "claims.csv"
    if not path.exists():
        return ()
    claims = tuple(Claim(paper, **line) for _, line in texts.table(path, COLUMNS))
    for claim in claims:
        for what, known in (("severity", SEVERITIES), ("kind", ("", *KINDS))):
            if getattr(claim, what) not in known:
                raise UserError(f"{path}: {unknown(what, getattr(claim, what), known)}")
    return claims


def checks():
    for paper in sorted(path.parent.name for path in published.PAPERS.glob("*/claims.csv")):
        yield from map(check, read(paper))


def check(claim: Claim) -> Finding:
    verdict, pins, numbers = evaluate(claim.relation, claim.paper)
    tables, found = (" ".join(dict.fromkeys(str(getattr(pin, field)) for pin in pins)) for field in ("table", "row"))
    says = f"{claim.paper}: the text says that {claim.claim}"
    holds = Finding(
        claim.paper,
        tables,
        found,
        "claim",
        "ok",
        claim.kind or "text",
        f"{claim.paper} {claim.fact or claim.claim}",
        verdict.left,
        verdict.right,
        verdict.difference,
        "",
        " ".join([f"{claim.paper}.txt:{line}" for line in claim.line.split()] + list(dict.fromkeys(pin.source for pin in pins))),
        f"{says}.",
        pins=tuple(numbers),
    )
    if not verdict.holds:
        gives = claim.note or f"the tables give {verdict.right}"
        return replace(holds, status="finding", severity=claim.severity, sentence=f"{says}; {gives}.")
    if verdict.rounded:
        sentence = f"{says}; the tables give {verdict.right}, which agrees only after rounding."
        return replace(holds, status="finding", severity="remark", kind="rounding", sentence=sentence)
    return holds


def find(words: str, paper: str):
    """The pin that the words between the brackets name. UserError: none, or pins of different values."""
    wanted = words.split()
    papers = {path.parent.name for path in published.tables().values()}
    paper = next((word for word in wanted if word in papers), paper)
    wanted = [word for word in wanted if word != paper]
    if not any(word in published.METRICS for word in wanted):
        wanted.append("accuracy")
    options = {word for word in wanted if "=" in word}
    wanted = [word for word in wanted if word not in options]
    table = next((word for word in wanted if re.fullmatch(r"t\d+", word)), "t?")
    row = next((word for word in wanted if re.fullmatch(r"r\d+", word)), "")
    hits = [
        pin
        for pin in published.read(f"table{table[1:]}_{paper}")
        if row in ("", f"r{pin.row}")  # the others need no closer look
        and all(_fits(pin, word) for word in wanted)
        and (not options or options == set(pin.options.split()))
    ]
    if len({pin.value for pin in hits}) != 1:
        raise UserError(f"[{words}] of {paper} names {len({pin.value for pin in hits})} values, it has to name one")
    return hits[0]


def _fits(pin, word: str) -> bool:
    if word == "plain":
        return not pin.options
    cells = (pin.dataset, pin.metric, pin.backbone, pin.method)
    return word in {f"t{pin.table}", f"r{pin.row}", f"T{pin.time_steps}", *(cell.replace(" ", "_") for cell in cells)}


def evaluate(relation: str, paper: str):
    """(Verdict, pins named, those whose numbers it compares). UserError: a relation outside the language above."""
    tree, values = parse(relation, paper)
    try:
        verdict = _verdict(tree, values)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"no relation: {relation} ({error})") from None
    pins = {name: item.pin for name, item in values.items() if isinstance(item, Value) and item.pin}
    asked = {arg.id for node in ast.walk(tree) if isinstance(node, ast.Call) and node.func.id in ASKING for arg in node.args[:1]}
    return verdict, list(pins.values()), [pin for name, pin in pins.items() if name not in asked]


def parse(relation: str, paper: str):
    """(syntax tree, name in it -> Value or text). UserError: no expression, no such pin."""
    values = {}

    def keep(match):
        words, text, count, word, digits = match.groups()
        if words is not None:
            pin = find(words, paper)
            item = Value((exact if pin.metric.startswith("epoch") else printed)(pin.value), decimals(pin.value), pin)  # epochs are counted
        elif text:
            item = text.strip('"')
        elif count:
            item = Value(exact(count), decimals(count))
        else:
            item = Value(printed(word or digits), decimals(word or digits), said=bool(digits))
        values[f"v{len(values)}"] = item
        return f" v{len(values) - 1} "

    code = TOKEN.sub(keep, relation)
    try:
        return ast.parse(code.strip(), mode="eval").body, values
    except SyntaxError as error:
        raise UserError(f"no relation: {relation} ({error})") from None


def said(relation: str) -> list[str]:
    """The numbers that the sentence prints."""
    return [match[5] for match in TOKEN.finditer(relation) if match[5]]


def equated(node, values) -> list[tuple]:
    """(digits, pin) for every printed number of which the relation says "0.62 == [A]", outside "or"."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return [pair for part in node.values for pair in equated(part, values)]
    if not (isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq)):
        return []
    stated, pin = values.get(getattr(node.left, "id", "")), _pin(node.comparators[0], values)
    return [(_digits(stated), pin)] if isinstance(stated, Value) and stated.said and pin else []


def _digits(value: Value) -> str:
    return f"{float(value.interval.value):.{value.places}f}"


def ahead(relation: str, paper: str) -> list[tuple]:
    """(A, B, x) for every two pins of which the relation says that A is above B; x is by how much in the sentence's digits, or empty.

    It says so by  x == [A] - [B]  [A] > [B]  [B] < [A]  [A] - [B] > exact(0)  with max(..) in the place of B, min(..) in that of the
    whole left side, and "and" between them. Under "or" stand readings of which one may be meant, so they say nothing here.
    """
    return _ahead(*parse(relation, paper))


def _ahead(node, values) -> list[tuple]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return [pair for part in node.values for pair in _ahead(part, values)]
    if not isinstance(node, ast.Compare):
        return []
    left, right, kind = node.left, node.comparators[0], type(node.ops[0])
    if kind is ast.Eq:
        return _lead(right, values, left)
    if kind not in (ast.Gt, ast.Lt):
        return []
    above, below = (left, right) if kind is ast.Gt else (right, left)
    named = isinstance(below, ast.Name) and not _pin(below, values)  # a number of the sentence
    return [pair for item in _items(above, "min") for pair in (_lead(item, values) if named else _pairs(item, below, values))]


def _lead(node, values, amount=None) -> list[tuple]:
    """The pairs of a difference [A] - [B] or [A] - max([B], [C]); `amount` is the lead over the largest."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)):
        return []
    stated = values.get(getattr(amount, "id", ""))
    pairs = _pairs(node.left, node.right, values)
    most = max((b.number for _, b, _ in pairs), default=None)
    return [(a, b, _digits(stated) if stated and b.number == most else "") for a, b, _ in pairs]


def _pairs(above, below, values) -> list[tuple]:
    """One pin with each pin below it; none where a side is no pin."""
    pins = [_pin(above, values), *(_pin(item, values) for item in _items(below, "max"))]
    return [(pins[0], pin, "") for pin in pins[1:]] if all(pins) else []


def _items(node, name: str) -> list:
    """What stands between the brackets of `name(..)`, or the node alone."""
    return node.args if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name else [node]


def _pin(node, values):
    item = values.get(getattr(node, "id", ""))
    return item.pin if isinstance(item, Value) else None


def _verdict(node, values) -> Verdict:
    if isinstance(node, ast.BoolOp):
        parts = [_verdict(part, values) for part in node.values]
        wanted = isinstance(node.op, ast.Or)  # "or": the first that holds decides; "and": the first that fails, or holds by rounding alone
        decides = [part for part in parts if part.holds is wanted] or [part for part in parts if part.rounded]
        return (decides or parts)[0]
    if isinstance(node, ast.Call) and node.func.id == "named":
        pin, text = values[node.args[0].id].pin, values[node.args[1].id]
        return Verdict(text in pin.method or text in pin.backbone, text, pin.method)
    left, right = _number(node.left, values), _number(node.comparators[0], values)
    kind = type(node.ops[0])
    places = max(left[1], right[1]) + 1
    gap = show(left[0].value - right[0].value, places)
    shown = show(left[0].value, places), SIGNS[kind] + show(right[0].value, places)
    holds = HOLDS[kind](left[0], right[0])
    whole = values.get(getattr(node.left, "id", ""))
    return Verdict(holds, *shown, gap, holds and kind is ast.Eq and _rounds(whole, right[0]))


def _rounds(whole, other: Interval) -> bool:
    """Whether a whole number of the sentence is another one in the next digit: 1 for 1.37, but not for 1.02."""
    return isinstance(whole, Value) and whole.said and whole.places == 0 and not printed(f"{int(whole.interval.value)}.0").meets(other)


def _number(node, values) -> tuple[Interval, int]:
    """(interval, digits behind the point worth showing)"""
    if isinstance(node, ast.Name):
        return values[node.id][:2]
    if isinstance(node, ast.BinOp):
        (left, first), (right, second) = _number(node.left, values), _number(node.right, values)
        return MATH[type(node.op)](left, right), max(first, second)
    if node.func.id in OF_ONE:
        return OF_ONE[node.func.id](values[node.args[0].id])
    items = [_number(part, values) for part in node.args]
    return {"max": largest, "min": smallest}[node.func.id](*(item[0] for item in items)), max(item[1] for item in items)


def _steps(item: Value) -> tuple[Interval, int]:
    return exact(item.pin.time_steps), 0


def _blocks(item: Value) -> tuple[Interval, int]:
    """The 16 of 'Spikformer V2-16-768'."""
    return exact(re.search(r"-(\d+)-\d{3}", item.pin.backbone)[1]), 0


def _counted(words: str) -> tuple[Interval, int]:
    """Parameters in millions as papers/parameters.csv counts them for a backbone and a layout."""
    backbone, layout = words.split()
    with (published.PAPERS / "parameters.csv").open(newline="", encoding="utf-8") as file:
        (found,) = {row["params"] for row in csv.DictReader(file) if (row["backbone"], row["layout"]) == (backbone, layout)}
    return exact(found) / exact(10**6), 2


OF_ONE = {"steps": _steps, "blocks": _blocks, "counted": _counted}
ASKING = ("named", "steps", "blocks")  # of a pin, but not for its number
