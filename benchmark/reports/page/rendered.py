"""The page as one file: template, style and script beside this module, nothing from elsewhere."""

import json
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.pins import published
from benchmark.pins.settings import Settings
from benchmark.reports import audit, comparison, tables
from benchmark.reports import claims as claiming
from benchmark.reports.audit.finding import KINDS
from benchmark.reports.export import csv_text
from benchmark.reports.page import behind, charts, gathered
from benchmark.reports.page.gathered import Table
from benchmark.shared.errors import UserError
from benchmark.shared.files import replacing

HERE = Path(__file__).parent


def write(settings: Settings, root: Path) -> str:
    """results/report.html and results/figures/*.svg under `root`; returns what was written, readable."""
    text, drawn = html(settings, root)
    target = root / "results" / "report.html"
    with replacing(target) as file:
        file.write(text)
    folder = target.with_name("figures")
    for old in {*folder.glob("*.svg")} - {folder / f"{figure.name}.svg" for figure in drawn}:
        old.unlink()  # of runs that have gone
    for figure in drawn:
        with replacing(folder / f"{figure.name}.svg") as file:
            file.write(figure.svg)
    return f"{target}: {len(text.encode()) / 1e6:.1f} MB, {len(drawn)} figures"


def html(settings: Settings, root: Path) -> tuple[str, list[charts.Figure]]:
    """The page from whatever runs lie under `root`, and its figures."""
    found, broken = gathered.every_table(settings, root)
    claims, wrong = claimed(settings, root, found)
    figures = charts.figures(found, claims, settings, root)
    places = {shown.number: shown.id for table in found for shown in table.numbers}
    text = environment().get_template("page.html.j2").render(
        settings=settings,
        papers=by_paper(found),
        broken=broken,
        counts=gathered.counted(found),
        datasets=sorted({shown.number.dataset for table in found for shown in table.numbers} - {"-"}),
        claims=claims,
        claims_said=wrong or claiming.tally(claims),
        claims_about=claiming.about(settings),
        facts=audit.facts(),
        audit_said=audit.summary(),
        kinds=KINDS,
        places=places,
        figures=figures,
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )  # fmt: skip
    return text, [figure for figure in figures if figure.svg]


def claimed(settings: Settings, root: Path, found: list[Table]) -> tuple[list[dict], str]:
    """The claims, or what is wrong with a table that they rest on."""
    try:
        return claiming.rows(settings, root, {table.name: [entry.measured.line for entry in table.entries] for table in found}), ""
    except UserError as error:
        return [], str(error)


def by_paper(found: list[Table]) -> list[dict]:
    """What paper.yaml says of each paper that has tables, with its tables."""
    names = dict.fromkeys(table.paper for table in found)
    return [{"title": name, **published.sheet(name), "id": name, "tables": [t for t in found if t.paper == name]} for name in names]


def environment() -> Environment:
    """Jinja2 with what the template calls; a name that is not given is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    made.globals |= {"behind": behind, "words": gathered.WORDS, "marks": gathered.MARKS, "tolerance": comparison.tolerance}
    made.globals |= {"side": claiming.side, "download": download}
    made.filters |= {"slug": gathered.slug, "plain": plain}
    made.tests |= {"number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)}
    made.globals["digits"] = gathered.digits
    return made


def download(table: Table) -> str:
    """The table as it stands in results/<table>.csv, as an address that holds the file itself."""
    lines = [{key: tables.rounded(key, value) for key, value in entry.row.items()} for entry in table.entries]
    return "data:text/csv;charset=utf-8," + quote(csv_text(lines))


def plain(value) -> str:
    """A recipe's value in one line."""
    return value if isinstance(value, str) else json.dumps(value)
