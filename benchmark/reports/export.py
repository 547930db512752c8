"""A table for one's own paper: printed beside obtained, as LaTeX (booktabs), Markdown or CSV; the papers' BibTeX entries; what was
obtained as Hugging Face's model index. No torch.

An obtained accuracy is bold where every claim that its line is the better side of, and that both sides ran for, is supported by its interval.
"""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

from benchmark import metrics
from benchmark.pins import published
from benchmark.pins.published import Number
from benchmark.pins.settings import Settings
from benchmark.reports import model_index, tables
from benchmark.reports.claimed import accuracy_of, claims
from benchmark.reports.claims import row as decided
from benchmark.reports.markdown import aligned
from benchmark.reports.measured import Measured
from benchmark.runs import lines
from benchmark.shared.errors import unknown

ABOUT = {"method": "Method", "options": "Options", "backbone": "Backbone", "dataset": "Data set", "time_steps": "T"}
ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"}}


def exported(table: str, form: str, settings: Settings, root: Path) -> str:
    """The table in one of FORMS, from whatever runs exist. UserError for an unknown form or table."""
    if form not in FORMS:
        raise unknown("format", form, FORMS)
    if table.partition(".")[0] not in published.tables():
        raise unknown("table", table, published.tables())
    return FORMS[form](table, settings, root)


def heads_and_body(table: str, settings: Settings, root: Path, strong: Callable[[str], str], sign: str) -> tuple[tuple, list[tuple]]:
    """Heads, and one tuple of texts per line: what was printed and obtained of every compared metric; options where any line has some.

    strong: how a text is made bold; sign: what stands between a mean and its spread.
    """
    measured = [Measured.of(line, root) for line in lines.of_table(table, settings)]
    found = tables.rows(measured, settings.scale)
    names = [key.removesuffix("_verdict") for key in found[0] if key.endswith("_verdict")]
    about = [key for key in ABOUT if key != "options" or any(line["options"] for line in found)]
    held = supported(table, settings, root)
    body = []
    for each, line in zip(measured, found, strict=True):
        cells = [line[key] for key in about]
        for name in names:
            ours = obtained(line, name, sign)
            cells += [printed(line, name, sign), strong(ours) if ours and name == "accuracy" and each.line.first in held else ours]
        body.append((*cells, f"{line['data']}, {line['model']}" if line["n_seeds"] else ""))
    heads = (*(ABOUT[key] for key in about), *(f"{name} {side}" for name in names for side in ("printed", "obtained")), "Obtained on")
    return heads, body


def printed(line: dict, name: str, sign: str) -> str:
    """The digits as the paper prints them, with its spread."""
    value, spread = line[f"{name}_published"], line.get(f"{metrics.metric(name).spread}_published")
    return f"{value}{sign}{spread}" if value and spread else value


def obtained(line: dict, name: str, sign: str) -> str:
    """Mean and, from two seeds on, standard deviation; empty without a run."""
    value, spread = line[name], line.get(metrics.metric(name).spread or "")
    return told(name, value) + (f"{sign}{told(name, spread)}" if spread is not None and value is not None else "")


def told(name: str, value: float | None) -> str:
    digits = metrics.metric(name).digits
    return "" if value is None else f"{value:.4g}" if digits is None else f"{value:.{digits}f}"


def supported(table: str, settings: Settings, root: Path) -> set[Number]:
    """First numbers of the table's lines of which every claim that has runs on both sides is supported."""
    found: dict[Number, set[str]] = {}
    for claim in claims(settings):
        if accuracy_of(claim.a).name == table and (line := decided(claim, settings.scale, root))["n_seeds"]:
            found.setdefault(claim.a.first, set()).add(line["verdict"])
    return {number for number, verdicts in found.items() if verdicts == {"supported"}}


# ---- forms


def latex(table: str, settings: Settings, root: Path) -> str:
    """A tabular with booktabs' rules; a rule more where the printed group changes."""
    heads, body = heads_and_body(table, settings, root, lambda text: f"\0{text}\0", "\1")
    groups = [line.first.group for line in lines.of_table(table, settings)]
    rows = []
    for place, cells in enumerate(body):
        rows += ["\\midrule"] if place and groups[place] != groups[place - 1] else []
        rows.append(" & ".join(set_in_latex(cell) for cell in cells) + r" \\")
    aligned_ = "".join("r" if re.search("printed|obtained", head) else "l" for head in heads)
    title = f"% {table} of SpikeLedger, scale {settings.scale}: printed beside obtained. Needs \\usepackage{{booktabs}}."
    top = " & ".join(escaped(head) for head in heads) + r" \\"
    return "\n".join(
        [title, f"\\begin{{tabular}}{{{aligned_}}}", "\\toprule", top, "\\midrule", *rows, "\\bottomrule", "\\end{tabular}", ""]
    )


def set_in_latex(text: str) -> str:
    """Escaped, with bold and plus-minus as commands."""
    text = escaped(text).replace("\1", r"\,$\pm$\,")
    return re.sub("\0(.*?)\0", r"\\textbf{\1}", text)


def escaped(text: str) -> str:
    """What LaTeX would read as commands, as signs."""
    return "".join(ESCAPED.get(sign, sign) for sign in text)


def markdown(table: str, settings: Settings, root: Path) -> str:
    return aligned(*heads_and_body(table, settings, root, lambda text: f"**{text}**", " ± "))


def as_csv(table: str, settings: Settings, root: Path) -> str:
    heads, body = heads_and_body(table, settings, root, str, " ± ")
    return csv_text([dict(zip(heads, line, strict=True)) for line in body])


def csv_text(found: list[dict]) -> str:
    """Lines with the same keys as the text of a CSV file."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return file.getvalue()


def bibtex(table: str, settings: Settings, root: Path) -> str:
    """The entries of all papers, whatever the table: who compares with one compares with what it quotes."""
    papers = dict.fromkeys(number.paper for number in published.numbers())
    return "\n".join(entry(paper, published.sheet(paper)) for paper in papers)


def entry(paper: str, sheet: dict) -> str:
    """One entry by what paper.yaml says."""
    fields = {
        "title": f"{{{escaped(sheet['title'])}}}",
        "author": " and ".join(escaped(name) for name in sheet["authors"]),
        "howpublished": escaped(sheet["venue"]),
        "year": str(sheet["year"]),
        "url": sheet["url"],
    }
    lines_ = [f"  {key} = {{{value}}}," for key, value in fields.items()]
    return "\n".join([f"@misc{{{paper},", *lines_, "}", ""])


FORMS = {"latex": latex, "markdown": markdown, "csv": as_csv, "bibtex": bibtex, "model-index": model_index.text}
