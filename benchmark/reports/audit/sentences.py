"""Check 3: what the prose says against what the tables print. The sentences are data: papers/<paper>/claims.csv.

A relation is an expression over pins, for example   0.62 == [t1 r8 CIFAR10 T4] - [t1 r1 CIFAR10 T4]
  [words]       one printed number: table, row, and as many of data set, T<steps>, metric (accuracy if none is given), backbone,
                method, options (all of them as k=v, or plain for none) and paper (the claim's own if none is given) as make it
                one value; blanks inside a name are written as _
  0.62          a number of the sentence: half of its last digit to both sides; exact(2) for a count
  + - * /  min(..) max(..)  steps([..]) the time steps of a pin  named([..], "text") whether its method or backbone cell has the text
  == < <= > >=  and  or        with "and" the first part that fails is reported
Equal means: can be equal within the rounding. An order fails only if no rounding can save it.
"""

import ast
import csv
import re
from dataclasses import dataclass
from functools import cache

from benchmark.pins import published
from benchmark.reports.audit.finding import SEVERITIES, Finding
from benchmark.reports.audit.interval import Interval, decimals, exact, largest, printed, show, smallest
from benchmark.shared.errors import UserError

COLUMNS = ("claim", "line", "relation", "severity", "note")
TOKEN = re.compile(r'\[([^\]]*)\]|("[^"]*")|(exact\(\d+\))|(?<![\w.])(\d+(?:\.\d+)?)')
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
    """One sentence of a paper. `claim` completes "The text says that"; `severity` counts if the relation fails."""

    paper: str
    claim: str
    line: str
    relation: str
    severity: str
    note: str


@dataclass(frozen=True)
class Verdict:
    """Whether a relation holds, and the two sides of the comparison that decided it."""

    holds: bool
    left: str = ""
    right: str = ""
    difference: str = ""


@cache
def read(paper: str) -> tuple[Claim, ...]:
    """The claims of one paper. UserError: a header or a severity that does not exist."""
    path = published.PAPERS / paper / "claims.csv"
    if not path.exists():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise UserError(f"{path}: the header must be {','.join(COLUMNS)}")
        claims = tuple(Claim(paper, **line) for line in reader)
    for claim in claims:
        if claim.severity not in SEVERITIES:
            raise UserError(f"{path}: '{claim.severity}' is no severity ({', '.join(SEVERITIES)})")
    return claims


def checks():
    for paper in sorted(path.parent.name for path in published.PAPERS.glob("*/claims.csv")):
        yield from map(check, read(paper))


def check(claim: Claim) -> Finding:
    verdict, pins = evaluate(claim.relation, claim.paper)
    tables, found = (" ".join(dict.fromkeys(str(getattr(pin, field)) for pin in pins)) for field in ("table", "row"))
    lines = " ".join([f"{claim.paper}.txt:{line}" for line in claim.line.split()] + list(dict.fromkeys(pin.source for pin in pins)))
    says = f"{claim.paper}: the text says that {claim.claim}"
    gives = f"the tables give {verdict.right}" if not claim.note else claim.note
    sentence = f"{says}." if verdict.holds else f"{says}; {gives}."
    return Finding(
        claim.paper,
        tables,
        found,
        "claim",
        "ok" if verdict.holds else "finding",
        verdict.left,
        verdict.right,
        verdict.difference,
        "" if verdict.holds else claim.severity,
        lines,
        sentence,
    )


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
    hits = [
        pin
        for pin in published.read(f"table{table[1:]}_{paper}")
        if all(_fits(pin, word) for word in wanted) and (not options or options == set(pin.options.split()))
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
    """(Verdict, pins used). UserError: a relation outside the language above."""
    tree, values = parse(relation, paper)
    try:
        verdict = _verdict(tree, values)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"no relation: {relation} ({error})") from None
    return verdict, [item[2] for item in values.values() if isinstance(item, tuple) and item[2]]


def parse(relation: str, paper: str):
    """(syntax tree, name in it -> (interval, digits behind the point, pin or None) or text). UserError: no expression, no such pin."""
    values = {}

    def keep(match):
        words, text, count, digits = match.groups()
        if words is not None:
            pin = find(words, paper)
            item = (printed(pin.value), decimals(pin.value), pin)
        elif text:
            item = text.strip('"')
        elif count:
            item = (exact(count[6:-1]), 0, None)
        else:
            item = (printed(digits), decimals(digits), None)
        values[f"v{len(values)}"] = item
        return f" v{len(values) - 1} "

    code = TOKEN.sub(keep, relation)
    try:
        return ast.parse(code.strip(), mode="eval").body, values
    except SyntaxError as error:
        raise UserError(f"no relation: {relation} ({error})") from None


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
    interval, places, _ = values.get(getattr(amount, "id", ""), (None, 0, None))
    pairs = _pairs(node.left, node.right, values)
    most = max((b.number for _, b, _ in pairs), default=None)
    return [(a, b, f"{float(interval.value):.{places}f}" if interval and b.number == most else "") for a, b, _ in pairs]


def _pairs(above, below, values) -> list[tuple]:
    """One pin with each pin below it; none where a side is no pin."""
    pins = [_pin(above, values), *(_pin(item, values) for item in _items(below, "max"))]
    return [(pins[0], pin, "") for pin in pins[1:]] if all(pins) else []


def _items(node, name: str) -> list:
    """What stands between the brackets of `name(..)`, or the node alone."""
    return node.args if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name else [node]


def _pin(node, values):
    item = values.get(getattr(node, "id", ""))
    return item[2] if isinstance(item, tuple) else None


def _verdict(node, values) -> Verdict:
    if isinstance(node, ast.BoolOp):
        parts = [_verdict(part, values) for part in node.values]
        wanted = isinstance(node.op, ast.Or)  # "or": the first that holds decides; "and": the first that fails
        return next((part for part in parts if part.holds is wanted), parts[0])
    if isinstance(node, ast.Call) and node.func.id == "named":
        pin, text = values[node.args[0].id][2], values[node.args[1].id]
        return Verdict(text in pin.method or text in pin.backbone, text, pin.method)
    left, right = _number(node.left, values), _number(node.comparators[0], values)
    kind = type(node.ops[0])
    places = max(left[1], right[1]) + 1
    gap = show(left[0].value - right[0].value, places)
    return Verdict(HOLDS[kind](left[0], right[0]), show(left[0].value, places), SIGNS[kind] + show(right[0].value, places), gap)


def _number(node, values) -> tuple[Interval, int]:
    """(interval, digits behind the point worth showing)"""
    if isinstance(node, ast.Name):
        return values[node.id][:2]
    if isinstance(node, ast.BinOp):
        (left, first), (right, second) = _number(node.left, values), _number(node.right, values)
        return MATH[type(node.op)](left, right), max(first, second)
    if node.func.id == "steps":
        return exact(values[node.args[0].id][2].time_steps), 0
    items = [_number(part, values) for part in node.args]
    return {"max": largest, "min": smallest}[node.func.id](*(item[0] for item in items)), max(item[1] for item in items)
