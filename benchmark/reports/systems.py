"""docs/systems.md: of every method, neuron and backbone what its file says of its source, of what it was held against, and what differs."""

import re
from pathlib import Path

from benchmark.pins import kinds
from benchmark.pins.code import ROOT

TARGET = ROOT / "docs" / "systems.md"
FIELDS = ("Source", "Parity", "Deviations", "Guessed")
KINDS = ("method", "neuron", "backbone")
HEAD = """# Which sources were read, and how near this project is to them

Made by `python -m benchmark.reports.systems` from the docstrings of the files, where each line can be read beside the code. *Parity* is
what was compared with the source and how equal it was; nothing there means that it was not compared. What is not built stands in
`benchmark/papers/not_built.csv`.
"""


def said(doc: str) -> dict[str, str]:
    """What a docstring says under each of FIELDS: the text behind `<Field>:` at the start of a line, up to a blank line or the next
    `<Word>:` at the start of one."""
    found = {}
    for name in FIELDS:
        match = re.search(rf"^{name}: *(.*?)(?=\n\s*\n|\n[A-Z][a-z]+:|\Z)", doc, re.MULTILINE | re.DOTALL)
        found[name] = " ".join(match[1].split()) if match else ""
    return found


def lines(kind: str) -> list[tuple[str, str, dict[str, str]]]:
    """(file, first line of its docstring, what it says) of each file of a kind, in order."""
    return [(of.file, of.doc.strip().split("\n")[0], said(of.doc)) for _, of in sorted(kinds.readable(kind))]


def text() -> str:
    """The whole page."""
    parts = [HEAD]
    for kind in KINDS:
        parts.append(f"## {kind.capitalize()}s\n")
        for file, title, found in lines(kind):
            parts.append(f"**{file}**: {title}\n")
            parts.append("".join(f"- {name}: {words}\n" for name, words in found.items() if words) or "- Source: not said in its file\n")
    return "\n".join(parts)


def write(target: Path = TARGET) -> None:
    target.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    write()
