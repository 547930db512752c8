"""The page: every printed number on it, the words of the tables, one file without a link out, readable; in a browser where there is one."""

import base64
import json
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from benchmark.pins import published
from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.reports import audit, claims, page, tables
from benchmark.reports import figures as of_papers
from benchmark.reports.audit.finding import DISPUTING
from benchmark.reports.page import across, behind, drawing, gathered, of_figures, of_tables, pictures, rendered
from benchmark.runs import lines, structures
from benchmark.shared.errors import UserError
from benchmark.workflow.command import main
from tests import made

TABLE = "table1_ldd"
TWO = settings({"seeds": 2})
VOID = {"meta", "input", "br", "link", "img", "hr"}


class Element(dict):
    """The attributes of an element; tag, what it stands in, and its text."""

    def __init__(self, tag: str, attributes: list, above: tuple, pieces: list):
        super().__init__(attributes)
        assert len(self) == len(attributes), f"an attribute twice: {attributes}"
        self.tag, self.above, self.pieces, self.start, self.end = tag, above, pieces, len(pieces), None

    @property
    def text(self) -> str:
        """All text inside, single blanks between words."""
        return " ".join("".join(self.pieces[self.start : self.end]).split())


class Read(HTMLParser):
    """A page as a list of elements; strict about what is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.elements, self.pieces = (), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        element = Element(tag, attributes, self.open, self.pieces)
        self.elements.append(element)
        if tag not in VOID:
            self.open += (element,)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        *above, last = self.open
        assert last.tag == tag, f"</{tag}> closes <{last.tag}>"
        self.open, last.end = tuple(above), len(self.pieces)

    def handle_data(self, data):
        self.pieces.append(data)

    def of(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def having(self, name: str) -> list[Element]:
        """Elements of a class."""
        return [element for element in self.elements if name in (element.get("class") or "").split()]

    def at(self, place: str) -> Element:
        """The element with this id."""
        (found,) = [element for element in self.elements if element.get("id") == place]
        return found


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A working directory with two seeds of LDD's Table 1, the rest not run; the networks of its first line counted."""
    folder = tmp_path_factory.mktemp("page")
    for line in lines.of_table(TABLE, TWO)[:6]:
        for run in line.runs:
            made.accuracy(folder, run, 90.0 + run.seed + (line.first.row % 2 == 0))
    made.structure(folder, structures.path("spikformer-4-384", "CIFAR10"))
    return folder


@pytest.fixture(scope="module")
def written(root) -> tuple[str, list]:
    return page.html(TWO, root)


@pytest.fixture(scope="module")
def read(written) -> Read:
    return Read(written[0])


# ---- one sound file


def test_everything_is_closed_and_every_place_is_there_once(read):
    assert not read.open
    places = Counter(element["id"] for element in read.elements if element.get("id"))
    assert {place: count for place, count in places.items() if count > 1} == {}
    links = {element["href"] for element in read.elements if element.get("href")}
    assert {link for link in links if link.startswith("#") and link[1:] not in places} == set()


def test_no_link_leads_out(written, read):
    for element in read.elements:
        for key in ("src", "href", "xlink:href", "action", "poster", "data", "srcset"):
            assert re.match(r"#|data:text/csv", element.get(key) or "#"), element
    assert "@import" not in written[0]
    assert set(re.findall(r"url\(([^)]{0,3})", written[0])) <= {"#cl", "#ac", "#cu", "#ra"}  # figures' own clips and gradients
    assert not {element.tag for element in read.elements} & {"iframe", "object", "embed", "base", "link"}


def test_small_and_soon(root):
    """Made in a process of its own, as a user does: under ten seconds of processor, one gigabyte, ten megabytes; nothing that trains.

    scipy only for the claims of several seeds.
    """
    code = (
        "import sys\nfrom benchmark.workflow.command import main\n"
        f"assert main(['report', '--directory', {str(root)!r}, '--config', 'seeds=2']) == 0\n"
        "heavy = {'torch', 'pandas', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy\n"
        "peak = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')] if sys.platform == 'linux' else ['0']\n"
        "print(int(peak[0]) / 1e3)"  # what getrusage says of a child begins with its parent's
    )
    before = children()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 1000
    assert children() - before < 10
    assert (root / "results" / "report.html").stat().st_size < 10e6


def children() -> float:
    """Processor seconds of the processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# ---- what is on it


def test_every_printed_number_has_its_square_and_its_panel(read):
    squares = {square["href"]: square for square in read.having("square")}
    numbers = {f"#{table}-{place}": number for table in published.tables() for place, number in enumerate(published.read(table), 1)}
    assert len(read.having("square")) == len(numbers) and set(squares) == set(numbers)
    rows = {f"#{element['id']}": element for element in read.of("tr") if element.get("id")}
    for place, number in numbers.items():
        label = squares[place]["aria-label"]
        assert f"row {number.row}:" in label and f" {number.metric} {number.value} {number.unit}" in label
        assert f"{number.metric}{number.value} {number.unit}" in rows[place].text and number.source in rows[place].text
        assert any(above.get("class") == "panel" for above in rows[place].above)


def test_the_words_are_those_of_the_tables(read, root):
    squares = {square["href"].removeprefix("#"): square for square in read.having("square")}
    for table in published.tables():
        for line, row in zip(lines.of_table(table, TWO), tables.build(table, TWO, root), strict=True):
            for number in line.numbers:
                word = row.get(f"{number.metric}_verdict", gathered.SPREAD)
                square = squares[f"{table}-{published.read(table).index(number) + 1}"]
                assert square["data-verdicts"].split("|")[0] == word and square["aria-label"].split("; ")[0].endswith(word)
                assert square.text == gathered.MARKS[word] and gathered.slug(word) in square["class"].split()


def test_a_table_stands_as_it_is_printed(read, root):
    rows = [row for row in read.of("tr") if row.get("data-method") and any(above.get("id") == TABLE for above in row.above)]
    values = [{cell["data-column"]: cell["data-value"] for cell in read.of("td") if cell.above[-1] is row} for row in rows]
    for line, row in zip(tables.build(TABLE, TWO, root), values, strict=True):
        assert row["accuracy_published"] == line["accuracy_published"] and row["accuracy_verdict"] == line["accuracy_verdict"]
        assert row["accuracy"] == ("" if line["accuracy"] is None else f"{line['accuracy']:.2f}")
        assert all(row[key] == str(line[key]) for key in ("row", "group", "method", "backbone", "dataset", "time_steps"))
    assert "± 0.71" in rows[0].text and "±" not in rows[7].text  # of 90 and 91; not run


def test_disputed_numbers_are_marked_and_lead_to_their_fact(read):
    disputing = {f"fact-{place}" for place, fact in enumerate(audit.facts(), 1) if fact.kind in DISPUTING}
    marked = {square["href"][1:] for square in read.having("square") if "disputed" in square["class"].split()}
    led = {}
    for link in (link for link in read.of("a") if link["href"].startswith("#fact-")):
        row = next(above for above in link.above if above.tag == "tr")
        led.setdefault(row["id"], set()).add(link["href"][1:])
    assert set(led) == marked and set().union(*led.values()) <= disputing
    pins = {pin for fact in audit.facts() if fact.kind in DISPUTING for item in fact.findings for pin in item.pins}
    assert len(marked) == len(pins & set(published.numbers())) > 20
    facts = [row for row in read.of("tr") if (row.get("id") or "").startswith("fact-")]
    assert [row["id"] for row in facts] == [f"fact-{place}" for place in range(1, len(audit.facts()) + 1)]
    assert all(" ".join(fact.sentence.split()) in row.text for fact, row in zip(audit.facts(), facts, strict=True))


def test_a_panel_says_what_lies_behind(read, root):
    line = lines.of_table(TABLE, TWO)[0]
    text = read.at(f"{TABLE}-1-line").text
    for key in line.resolved.spec["recipe"]:
        assert key in text and " ".join(line.resolved.sources[key].split()) in text
    assert "0done90.0090.0017200.0100 1done91.00" in text
    assert f"--force -- {line.runs[0].folder}/metrics.json" in text and "trainedtmeasuredm" in text
    for convention in ("events", "papers", "single_attention", "spikingformer", "syops"):
        assert f"{convention}, 45nm_32bit" in text, convention
    assert "fire25.0020.030.0" in text  # 250 of 1000; 100 and 150 of 500 each


def test_the_csv_is_the_table(read, root):
    tables.write(TABLE, TWO, root)
    (link,) = [link for link in read.of("a") if link.get("download") == f"{TABLE}.csv"]
    assert unquote(link["href"]).partition(",")[2] == (root / "results" / f"{TABLE}.csv").read_text()


def test_a_broken_table_leaves_the_others(monkeypatch, tmp_path):
    real = published.read

    def read_(name):
        if name == "table2_ldd":
            raise UserError("the header must be right")
        return real(name)

    monkeypatch.setattr(published, "read", read_)
    monkeypatch.setattr(gathered, "disputes", dict)
    found, broken = gathered.every_table(TWO, tmp_path)
    assert broken == {"table2_ldd": "the header must be right"} and len(found) == len(published.tables()) - 1


# ---- figures


def test_a_pre_trainings_picture_is_on_the_page_once_it_is_drawn(tmp_path):
    chosen = settings({})
    assert pictures.pictures(chosen, tmp_path) == []
    path = tmp_path / of_papers.picture("figure8_spikformer_v2", chosen)
    path.parent.mkdir(parents=True)
    Image.new("RGB", (30, 20), (1, 2, 3)).save(path)
    (figure,) = pictures.pictures(chosen, tmp_path)
    svg = ElementTree.fromstring(figure.svg)
    (image,) = svg
    assert (svg.get("width"), svg.get("height"), svg.get("aria-label")) == ("30", "20", "spikformer_v2 Figure 8: masked images filled in")
    kind, _, content = image.get("href").partition(",")
    assert kind == "data:image/png;base64" and base64.b64decode(content) == path.read_bytes()
    text, drawn = rendered.html(chosen, tmp_path)
    assert "figure8_spikformer_v2" in {each.name for each in drawn} and text.count(content) == 1


def test_the_papers_figures_are_drawn_of_what_ran(tmp_path):
    """A loss surface of the line whose surface.csv is there; a conversion's accuracy over T; nothing of figures without a run."""
    chosen = settings({})
    (line, other), conversion = lines.of_table("figure4_ldd", chosen), lines.of_table("figure5_ecmt", chosen)[0]
    for each in (line, other, conversion):
        made.accuracy(tmp_path, each.runs[0], 50.0)
    grid = [f"{a},{b},{(a + 2 * b) ** 2 + 0.5}" for a in (-1, 0, 1) for b in (-1, 0, 1)]
    (tmp_path / line.runs[0].folder / "surface.csv").write_text("\n".join(["a,b,loss", *grid]) + "\n")
    drawn = {figure.name: figure for figure in of_figures.drawings(chosen, tmp_path)}
    assert "figure4_ldd" in drawn and "figure5_ecmt" in drawn and "figure2_tser" not in drawn
    kind = of_figures.KINDS["loss_surface"]
    points = of_figures.points("figure4_ldd", kind, chosen, tmp_path)
    assert [(point["a"], point["b"], point["loss"]) for point in points[:2]] == [(-1, -1, 9.5), (-1, 0, 1.5)]
    assert all(isinstance(point[key], float) for point in points for key in "ab"), (
        "text would stand in the order of its letters: -0.2, -1, 0"
    )
    assert len(points) == 9 and {point["line"] for point in points} == {"1: Spikformer Spikformer-4-384 CIFAR10"}


def test_frames_of_event_recordings_are_on_the_page_once_they_are_drawn(tmp_path):
    assert pictures.frames(tmp_path) == []
    path = tmp_path / "results" / "frames" / "saccade-digits.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (30, 20), (1, 2, 3)).save(path)
    (figure,) = pictures.frames(tmp_path)
    assert figure.name == "frames_saccade-digits" and figure.title == "Event recordings: saccade-digits"
    assert base64.b64encode(path.read_bytes()).decode() in figure.svg


def test_a_long_run_is_drawn_in_stretches():
    """Means of stretches of steps in their order; of a short run every step; T on a logarithmic axis from the first to the last."""
    assert behind.binned([5.0, 7.0]) == [("1", 5.0), ("2", 7.0)]
    long = behind.binned([float(step) for step in range(1, 33)])
    assert long[0] == ("1-2", 1.5) and long[-1] == ("31-32", 31.5) and len(long) == behind.BINS
    assert across.spaced(5) == [1, 2, 3, 4, 5]
    many = across.spaced(4096)
    assert many[0] == 1 and many[-1] == 4096 and len(many) <= across.MOST and many == sorted(set(many))


def test_figures_are_svg_of_our_points(written, root):
    drawn = {figure.name: figure for figure in written[1]}
    assert {"claims", "accuracy_energy", "accuracy_size", "accuracy_steps", f"curves_{TABLE}", f"rates_{TABLE}"} <= set(drawn)
    for figure in drawn.values():
        assert ElementTree.fromstring(figure.svg).tag == "{http://www.w3.org/2000/svg}svg"
    found, _ = gathered.every_table(TWO, root)
    (table,) = [each for each in found if each.name == TABLE]
    rates = of_tables.rate_points(table)
    assert {(point["step"], point["rate"]) for point in rates if point["row"] == "row 1"} == {("000.01.1", 20.0), ("000.02.2", 30.0)}


def test_a_twin_is_never_joined_to_a_printed_mark(root):
    """It stands in a plot of its own, by its own size; what ran as printed is joined."""
    found, _ = gathered.every_table(TWO, root)
    (table,) = [each for each in found if each.name == TABLE]

    def first(cost, tables) -> list[tuple]:
        points = [point for point in across.of_lines(tables, cost) if point["line"] == f"{TABLE}-1-line"]
        return [(point["what"], point["plot"], point["accuracy"], point["cost"]) for point in points]

    twin = ("obtained", "obtained, not comparable", 90.5)
    assert first(across.sizes, [table]) == [("printed", "printed, and obtained as printed", 93.5, 9.32), (*twin, 0.123456)]
    (alone,) = first(across.energies, [table])  # none is printed
    assert alone[:3] == twin
    alike = [replace(entry, row=entry.row | {"differs": ""}) for entry in table.entries]
    assert {point["plot"] for point in across.of_lines([replace(table, entries=tuple(alike))], across.sizes)} == {across.PLOTS[0]}
    drawn = across.pairs("energy (mJ)").to_dict()
    assert drawn["facet"]["column"]["field"] == "plot" and drawn["resolve"]["scale"] == {"x": "independent", "y": "independent"}


def test_accuracy_over_steps_has_the_same_lines_on_both_sides(tmp_path):
    """Rows that differ in T alone; of the longest run that is there, its curve."""
    chosen = settings({})
    groups = across.stepped(gathered.every_table(chosen, tmp_path)[0])
    group = next(group for group in groups if group[-1].measured.line.runs and group[0].measured.line.first.paper == "tser")
    assert [across.time_steps(entry) for entry in group] == [2, 4]
    run = group[0].measured.line.runs[0]
    made.accuracy(tmp_path, run, 50.0)
    points = across.step_points(gathered.every_table(chosen, tmp_path)[0])
    ours = [point for point in points if point["line"] == group[0].id]
    assert [(point["T"], point["accuracy"]) for point in ours if point["what"] == "obtained"] == [(1, 50.0), (2, 50.0)]
    printed = {point["T"]: point["accuracy"] for point in ours if point["what"] == "printed"}
    assert printed == {across.time_steps(entry): entry.of("accuracy")[0].number.number for entry in group}


def test_a_lighter_drawing_is_the_same_one():
    heavy = '<path d="M1.23456,-0.5h9.001Z" transform="translate(3.14159,2)" aria-label="T = 4: 61.23456" fill="rgb(45, 112, 142)"/>'
    light = '<path d="M1.23,-0.5h9.00Z" transform="translate(3.14,2)" aria-label="T = 4: 61.23456" fill="#2d708e"/>'
    assert drawing.lighter(heavy) == light


def test_the_forest_has_the_differences_of_the_claims(root):
    rows = claims.rows(TWO, root)
    points = {point["claim"]: point for point in across.forest_points(rows)}
    point = points["ldd T1 CIFAR10 on digits T=2: row 2 over 1"]
    assert point["printed"] == pytest.approx(1.1) and point["difference"] == point["low"] == point["high"] == 1.0
    assert point["verdict"] == "supported" and len(points) == sum(row["difference"] is not None for row in rows)


def test_what_a_convention_leaves_out_is_counted_by_kind():
    names = ["a.1 (BatchNorm2d)", "b.1 (BatchNorm2d)", "a (bias)", "scaling of products and means over time (no layers)"]
    assert behind.left_out(names) == "2 BatchNorm2d, 1 bias, no layers"


# ---- readable


def colours(scheme: int) -> dict[str, str]:
    """The colours of the light (0) or dark (1) scheme."""
    blocks = re.findall(r":root \{(.*?)\}", (ROOT / "benchmark/reports/page/style.css").read_text(), re.DOTALL)
    return dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out(scheme):
    """WCAG's AA: 4.5 to 1."""
    assert contrast("#ffffff", "#000000") == pytest.approx(21) and contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    found = colours(scheme)
    pairs = [(found[name], found[f"on-{name}"]) for name in found if f"on-{name}" in found]
    assert len(pairs) == 8
    pairs += [(found[ground], found[text]) for ground in ("ground", "raised") for text in ("text", "soft", "link")]
    assert [pair for pair in pairs if contrast(*pair) < 4.5] == []


def test_every_verdict_has_a_look_and_a_letter_of_its_own():
    style = (ROOT / "benchmark/reports/page/style.css").read_text()
    assert len(set(gathered.MARKS.values())) == len(gathered.WORDS) == len(gathered.MARKS)
    assert [word for word in gathered.WORDS if not re.search(rf"\.{gathered.slug(word)}\b[^{{}}]*\{{", style)] == []


def test_semantics(read):
    assert [element.tag for element in read.of("header", "main", "h1")] == ["header", "h1", "main"]
    assert all("label" in {above.tag for above in field.above} for field in read.of("select", "input"))
    assert {head.get("scope") for head in read.of("th")} == {"col", "row"}
    places = {element.get("id") for element in read.elements}
    assert {element["aria-labelledby"] for element in read.elements if element.get("aria-labelledby")} <= places
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in read.having("box"))


def test_the_command_writes_page_and_figures(root, capsys):
    old = root / "results" / "figures" / "curves_table9_gone.svg"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_text("<svg/>")
    assert main(["report", "--directory", str(root), "--config", "seeds=2"]) == 0
    assert not old.exists()
    assert re.search(r"report\.html: \d\.\d MB, \d+ figures", capsys.readouterr().out)
    assert (root / "results" / "figures" / "accuracy_size.svg").read_text().startswith("<svg")


@pytest.mark.slow
def test_the_workflow_makes_it_once(tmp_path):
    """A target without a run; up to date afterwards."""
    words = [str(Path(sys.executable).parent / "snakemake"), "-s", str(ROOT / "Snakefile"), "--cores", "1", "-d", str(tmp_path)]
    done = subprocess.run([*words, "results/report.html"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "figures" / "accuracy_size.svg").exists()
    again = subprocess.run([*words, "-n", "results/report.html"], cwd=ROOT, capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout + again.stderr


REPORTED = {  # category: what `snakemake --report` shows of it, if it is there
    "Tables": [TABLE + ".csv", "published.csv", "obtained.csv", "disagreements.csv"],
    "Figures": [
        *("figure4_ldd.csv", "figure8_spikformer_v2.csv", "figure8_spikformer_v2.png"),
        *("frames/motion-digits.png", "frames/saccade-digits.png"),
    ],
    "Reference": ["reference/n_mnist.csv", "reference/photographs.csv", "reference/photographs.png"],
    "Audit": ["audit.csv", "audit.md"],
    "Claims": ["claims.csv"],
    "Coverage": ["coverage.csv"],
    "Structure": ["structure.csv"],
    "Page": ["report.html", "figures/accuracy_size.svg"],
}


@pytest.mark.slow
def test_a_report_shows_whatever_is_there(tmp_path):
    """Without a target: each file in its category, with a caption; nothing that is not there is asked for."""
    for file in (tmp_path / "results" / name for names in REPORTED.values() for name in names):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a,b\n1,2\n")
    words = ["-s", str(ROOT / "Snakefile"), "-d", str(tmp_path), "--report", str(tmp_path / "x.zip")]
    done = subprocess.run([sys.executable, "-m", "snakemake", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        (text,) = [archive.read(name).decode() for name in archive.namelist() if name.endswith("x/report.html")]
    results, categories = (
        json.JSONDecoder().raw_decode(text, re.search(rf"var {name} = (?=\{{)", text).end())[0] for name in ("results", "categories")
    )
    shown_in = {
        category: sorted(path for paths in subcategories.values() for path in paths) for category, subcategories in categories.items()
    }
    assert shown_in == {category: sorted(f"results/{name}" for name in names) for category, names in REPORTED.items()}
    captions = {path: result["caption"] for path, result in results.items()}
    assert all(captions.values())
    assert (
        "counted from its layers" in captions["results/structure.csv"] and "hidden patches" in captions["results/reference/photographs.png"]
    )


# ---- in a browser

PHONE = {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
GROUNDS = {"light": "rgba(255, 255, 255, 1)", "dark": "rgba(18, 22, 28, 1)"}
ALONE = ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run", "disable-background-networking", "disable-sync")
DIM = r"""
const parts = (colour) => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = (colour) => { const [r, g, b] = parts(colour).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = (item) => { for (; item; item = item.parentElement) { const colour = getComputedStyle(item).backgroundColor;
  if ((parts(colour)[3] ?? 1) > 0) return colour; } return "rgb(255, 255, 255)"; };
const contrast = (item) => { const style = getComputedStyle(item);
  const [low, high] = [light(item instanceof SVGElement ? style.fill : style.color), light(ground(item))].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05); };
const says = (item) => [...item.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
const texts = arguments[0].flatMap((part) => [...document.querySelectorAll(`${part} :not(title)`)]).filter(says);
return [texts.length, texts.filter((item) => contrast(item) < 4.5).map((item) => item.outerHTML.slice(0, 120)).slice(0, 5)];
"""
MUTE = """
const named = (item) => item.textContent.trim() || item.getAttribute("aria-label") || item.labels?.length;
return [...document.querySelectorAll("a[href], button, select, input, summary, [tabindex='0']")].filter((item) => !named(item)).length;
"""


@pytest.fixture(scope="module")
def chromium():
    """A headless browser the size of a phone, with a log of what a page says and asks for."""
    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = program
    for word in ALONE:
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options, ChromeService(driver))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def address(root, written) -> str:
    file = root / "page.html"
    file.write_text(written[0], encoding="utf-8")
    return file.as_uri()


@pytest.fixture(params=GROUNDS)
def scheme(request, chromium) -> str:
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": request.param}]})
    return request.param


@pytest.fixture
def opened(chromium, address):
    """The page as one comes to it: what was said and asked for before is forgotten."""
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get(address)
    return chromium


def shown(browser, query: str) -> list:
    """The elements that are to be seen."""
    return browser.execute_script("return [...document.querySelectorAll(arguments[0])].filter((item) => item.checkVisibility())", query)


@pytest.mark.slow
def test_a_browser_says_nothing_and_fetches_nothing(opened, address):
    opened.find_element(By.CSS_SELECTOR, "a.square").click()
    assert opened.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [address]


@pytest.mark.slow
def test_it_is_soon_on_the_screen(chromium, address):
    """Under a second; the best of three, since other processes run beside it."""
    painted, paints = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime", []
    for _ in range(3):
        chromium.get("about:blank")
        chromium.get(address)
        paints.append(WebDriverWait(chromium, 20).until(lambda browser: browser.execute_script(painted)))
    assert 0 < min(paints) < 1000


@pytest.mark.slow
def test_both_schemes_are_readable_on_a_phone(scheme, opened):
    """No scrolling sideways, text as it is drawn stands out 4.5 to 1, and whatever the keyboard reaches has a name."""
    width, room = opened.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width <= room == PHONE["width"]
    assert opened.find_element(By.TAG_NAME, "body").value_of_css_property("background-color") == GROUNDS[scheme]
    parts = ["header", "#glance", f"#{TABLE}", "#disputed", "#claims", f"#figure-rates_{TABLE}", f"#{TABLE}-1-line"]
    count, dim = opened.execute_script(DIM, parts)
    assert count > 500 and dim == []
    assert opened.execute_script(MUTE) == 0


@pytest.mark.slow
def test_the_filter_filters(opened):
    everything = len(shown(opened, ".square"))
    for name, word in {"paper": "ldd", "dataset": "CIFAR10", "verdict": "not comparable"}.items():
        Select(opened.find_element(By.NAME, name)).select_by_visible_text(word)
    opened.find_element(By.NAME, "method").send_keys("LDD (Ours)")
    assert [square.get_attribute("href").partition("#")[2] for square in shown(opened, ".square")] == [
        f"{TABLE}-{row}" for row in (2, 4, 6)
    ]
    assert [section.get_attribute("id") for section in shown(opened, "section.table")] == [TABLE]
    assert opened.find_element(By.ID, "shown").text == f"3 of {everything} printed numbers"
    opened.find_element(By.CSS_SELECTOR, "button[type=reset]").click()  # the page fills in after the form's own reset
    WebDriverWait(opened, 10).until(lambda page: len(shown(page, ".square")) == everything == len(published.numbers()))


@pytest.mark.slow
def test_a_square_opens_its_number_and_escape_closes_it(opened):
    assert shown(opened, ".panel") == []
    opened.find_element(By.CSS_SELECTOR, f"a.square[href='#{TABLE}-3']").click()
    assert [panel.get_attribute("id") for panel in shown(opened, ".panel")] == [f"{TABLE}-3-line"]
    ActionChains(opened).send_keys(Keys.ESCAPE).perform()
    assert shown(opened, ".panel") == []


@pytest.mark.slow
def test_the_keyboard_comes_to_a_square_and_opens_it(opened):
    """From the filter's last field on; where one is, is seen."""
    opened.find_element(By.CSS_SELECTOR, "button[type=reset]").send_keys(Keys.TAB)
    for _ in range(20):
        at = opened.switch_to.active_element
        if "square" in at.get_property("className").split():
            break
        at.send_keys(Keys.TAB)
    assert "square" in at.get_property("className").split() and at.value_of_css_property("outline-style") == "solid"
    place = at.get_attribute("href").partition("#")[2]
    at.send_keys(Keys.ENTER)
    assert [panel.get_attribute("id") for panel in shown(opened, ".panel")] == [f"{place}-line"]


@pytest.mark.slow
def test_a_column_sorts_up_and_down(opened):
    def column() -> list[float]:
        cells = opened.find_elements(By.CSS_SELECTOR, f"#{TABLE} td[data-column=accuracy_published]")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    button = opened.find_element(By.CSS_SELECTOR, f"#{TABLE} th[data-column=accuracy_published] button")
    button.click()
    up = column()
    button.click()
    assert up == sorted(up) and column() == up[::-1] != up
