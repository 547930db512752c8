"""Which lines of the papers are cited for what, and that they hold it.

A citation is written `ldd.txt:236`, or `ldd.txt:236 and 266` for several lines, and says that the line holds the value it is the source
of: the digits of a pin, the number of a recipe. `ldd.txt:236 "from scratch"` says that it holds these words instead. A claim's lines hold
the numbers of its relation and its `says`. Of several lines each holds a part, and together they hold all.

The papers' texts are not part of this repository. What was found in them is: `papers/<paper>/lines.csv` has, for each cited line, the hash
of its text and which of the cited numbers and words stand in it. It is written anew, from a folder with <paper>.txt, by

    python -m benchmark.reports.audit.lines FOLDER
"""

import csv
import hashlib
import re
import sys
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import yaml

from benchmark.pins import published
from benchmark.reports.audit import sentences

COLUMNS = ("line", "sha256", "numbers", "words")
CITATION = re.compile(r'\b(\w+)\.txt:(\d+(?:(?:, | and )\d+)*)(?: "([^"]*)")?')
NUMBER = re.compile(r"(?<![\d.])\d+(?:,\d{3})+(?![\d,])|\d+(?:\.\d+)?(?:e-?\d+)?")
BETWEEN = " | "  # between the words of one line
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Need:
    """What a line has to hold: "digits" exactly as printed, a "number" of this value, or "words" in either case of their letters."""

    kind: str
    text: str


@dataclass(frozen=True)
class Cited:
    """One citation: each need stands on at least one of the lines, and each line has at least one of them (none if there are none)."""

    where: str
    paper: str
    lines: tuple[int, ...]
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True)
class Line:
    """What is kept of a cited line."""

    sha256: str
    numbers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


# ---- what is cited


def citations() -> list[Cited]:
    """Every citation of the pins, the claims, the papers' sheets, the recipes and the test sets."""
    return [*_of_pins(), *_of_claims(), *_of_sheets(), *_of_test_sets()]


def _of_pins():
    for name in (*published.tables(), *published.figures()):
        for pin in published.read(name):
            needs = (Need("digits", pin.value),) if pin.value else (Need("digits", str(pin.table)),)  # "Figure 3" where none is printed
            yield from _cited(f"{name} row {pin.row} {pin.metric}", pin.source, needs)
            yield from _cited(f"{name} row {pin.row} note", pin.note, ())


def _of_claims():
    for path in sorted(published.PAPERS.glob("*/claims.csv")):
        for claim in sentences.read(path.parent.name):
            needs = [Need("number", text) for text in sentences.said(claim.relation)]
            needs += [Need("words", text) for text in claim.says.split(BETWEEN) if text]
            yield Cited(f"claim: {claim.claim}", claim.paper, tuple(map(int, claim.line.split())), tuple(needs))


def _of_sheets():
    for path in sorted(published.PAPERS.glob("**/*.yaml")):
        where = path.relative_to(published.PAPERS).as_posix()
        yield from _in(yaml.load(path.read_text(encoding="utf-8"), LOADER), where, path.parent.name)


def _of_test_sets():
    with (published.PAPERS / "test_sets.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            yield from _cited(f"test_sets.csv {line['dataset']}", line["source"], _needs(line["test"]))


def _in(node, where: str, paper: str):
    """Citations inside a tree of YAML. A pair [value, source], or a mapping with `value` and `where`, says what its citation holds."""
    if isinstance(node, str):
        yield from _cited(where, node, ())
    elif isinstance(node, list):
        if len(node) == 2 and isinstance(node[1], str) and not _is_text(node[0]):
            yield from _cited(where, node[1], _needs(node[0]))
        else:
            for item in node:
                yield from _in(item, where, paper)
    elif isinstance(node, dict):
        yield from _in_mapping(node, where, paper)


def _in_mapping(node: dict, where: str, paper: str):
    if {"value", "where"} <= node.keys():
        yield from _cited(f"{where} {node.get('name', '')}", node["where"], _needs(node["value"]))
        node = {key: value for key, value in node.items() if key not in ("value", "where")}
    if "lines" in node:  # of a contradiction: they exist
        yield Cited(f"{where}: {node.get('what', '')}", paper, tuple(node["lines"]))
    for key, value in node.items():
        yield from _in(value, f"{where} {key}", paper)


def _is_text(value) -> bool:
    """A sentence rather than a recipe's value."""
    return isinstance(value, str) and bool(CITATION.search(value))


def _needs(value) -> tuple[Need, ...]:
    """The numbers of a value, or the text of one that has none."""
    items = value if isinstance(value, list) else [value]
    texts = [item if isinstance(item, str) else _plain(item) for item in items]
    numbers = [number for text in texts for number in numbers_in(text)]
    return tuple(Need("number", number) for number in numbers) or tuple(Need("words", text) for text in texts)


def _plain(value) -> str:
    """0.00001 for the float that prints itself as 1e-05."""
    return format(Decimal(str(value)), "f") if isinstance(value, float) else str(value)


def _cited(where: str, text: str, needs: tuple[Need, ...]):
    """Each citation in a text; words behind the lines are what they hold, else `needs`."""
    for paper, numbers, words in CITATION.findall(text):
        yield Cited(where, paper, tuple(map(int, re.findall(r"\d+", numbers))), (Need("words", words),) if words else needs)


# ---- what a line holds


def numbers_in(text: str) -> list[str]:
    """Numbers as printed. The HTML of one paper repeats each formula, so that 16 reads 16161616: that is a 16 too."""
    found = [token.replace(",", "") for token in NUMBER.findall(text)]
    return found + [token[: len(token) // 4] for token in found if len(token) % 4 == 0 and token == token[: len(token) // 4] * 4]


def held(need: Need, line: Line) -> bool:
    """Whether the line is known to hold it."""
    if need.kind == "words":
        return need.text in line.words
    return any(_is(need, number) for number in line.numbers)


def _is(need: Need, token: str) -> bool:
    return token == need.text if need.kind == "digits" else Fraction(token) == Fraction(need.text)


def seen(text: str, needs) -> Line:
    """What of `needs` stands in a line of text."""
    printed, plain = numbers_in(text), " ".join(text.split()).lower()
    numbers, words = [], []
    for need in needs:
        if need.kind == "words":
            words += [need.text] if " ".join(need.text.split()).lower() in plain else []
        else:
            numbers += [token for token in printed if _is(need, token)][:1]
    return Line(
        hashlib.sha256(text.encode()).hexdigest(),
        tuple(sorted(set(numbers), key=lambda number: (Fraction(number), number))),
        tuple(sorted(set(words))),
    )


def problems(cited: list[Cited], lines: dict[str, dict[int, Line]]) -> list[str]:
    """What the cited lines do not hold, in words; empty if all is well."""
    found = []
    for item in cited:
        known = {number: lines.get(item.paper, {}).get(number) for number in item.lines}
        place = " ".join(f"{item.paper}.txt:{number}" for number in item.lines)
        found += [f"{item.where}: {item.paper}.txt:{number} is not in lines.csv" for number, line in known.items() if line is None]
        if None in known.values():
            continue
        lacking = [need.text for need in item.needs if not any(held(need, line) for line in known.values())]
        found += [f"{item.where}: {place} has no '{text}'" for text in lacking]
        idle = [number for number, line in known.items() if item.needs and not any(held(need, line) for need in item.needs)]
        found += [f"{item.where}: {item.paper}.txt:{number} has nothing of it" for number in idle if not lacking]
    return found


# ---- the files


@cache
def read(paper: str) -> dict[int, Line]:
    """lines.csv of a paper: line number -> what it holds."""
    path = published.PAPERS / paper / "lines.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {int(row["line"]): Line(row["sha256"], tuple(row["numbers"].split()), _words(row["words"])) for row in rows}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(BETWEEN)) if text else ()


def from_texts(cited: list[Cited], folder: Path) -> dict[str, dict[int, Line]]:
    """The same from the papers' texts: paper -> line number -> what it holds. A line that is empty or not there is left out."""
    wanted: dict[str, dict[int, list[Need]]] = {}
    for item in cited:
        for number in item.lines:
            wanted.setdefault(item.paper, {}).setdefault(number, []).extend(item.needs)
    return {paper: _from_text(folder / f"{paper}.txt", needs) for paper, needs in sorted(wanted.items())}


def _from_text(path: Path, needs: dict[int, list[Need]]) -> dict[int, Line]:
    texts = path.read_text(encoding="utf-8").split("\n")
    return {
        number: seen(texts[number - 1], needs[number]) for number in sorted(needs) if number <= len(texts) and texts[number - 1].strip()
    }


def write(lines: dict[str, dict[int, Line]]) -> None:
    """lines.csv of each paper."""
    for paper, found in lines.items():
        with (published.PAPERS / paper / "lines.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((number, line.sha256, " ".join(line.numbers), BETWEEN.join(line.words)) for number, line in found.items())


def main(folder: str) -> int:
    """Write lines.csv from the texts in a folder; 1 if a line does not hold what it is cited for, which is printed."""
    cited = citations()
    lines = from_texts(cited, Path(folder))
    write(lines)
    found = problems(cited, lines)
    print("\n".join([*found, f"{sum(map(len, lines.values()))} cited lines, {len(found)} problems"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
