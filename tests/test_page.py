"""The page: every printed number on it, the words of the tables, one file without a link out, readable; in a browser where there is one."""

import base64
import json
import re
import resource
import subprocess
import sys
import zipfile
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from PIL import Image

from benchmark.pins import published
from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.reports import audit, claims, page, tables
from benchmark.reports import figures as of_papers
from benchmark.reports.audit.finding import DISPUTING
from benchmark.reports.page import across, behind, gathered, of_figures, of_tables, pictures, rendered
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
    assert [(float(point["a"]), float(point["b"]), point["loss"]) for point in points[:2]] == [(-1, -1, 9.5), (-1, 0, 1.5)]
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
    first = [point for point in across.of_lines([table], across.sizes) if point["line"] == f"{TABLE}-1-line"]
    assert [(point["what"], point["accuracy"], point["cost"]) for point in first] == [("printed", 93.5, 9.32), ("obtained", 90.5, 9.32)]
    energy = [point for point in across.of_lines([table], across.energies) if point["line"] == f"{TABLE}-1-line"]
    assert [(point["what"], point["accuracy"]) for point in energy] == [("obtained", 90.5)]  # none is printed


def test_the_forest_has_the_differences_of_the_claims(root):
    rows = claims.rows(TWO, root)
    points = {point["claim"]: point for point in across.forest_points(rows)}
    point = points["ldd T1 CIFAR10 T=2: row 2 over 1"]
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
def test_the_workflow_makes_it_once_and_reports_it(tmp_path):
    """A target without a run; up to date afterwards; in the archive of `snakemake --report`, with its caption."""
    words = [str(Path(sys.executable).parent / "snakemake"), "-s", str(ROOT / "Snakefile"), "--cores", "1", "-d", str(tmp_path)]
    done = subprocess.run([*words, "results/report.html"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "figures" / "accuracy_size.svg").exists()
    again = subprocess.run([*words, "-n", "results/report.html"], cwd=ROOT, capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout + again.stderr
    reported = subprocess.run(
        [*words, "results/report.html", "--report", str(tmp_path / "x.zip")], cwd=ROOT, capture_output=True, text=True
    )
    assert reported.returncode == 0, reported.stderr
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert any(name.endswith("report.html") for name in archive.namelist())
        assert any(b"on one page, from the runs that existed" in archive.read(name) for name in archive.namelist())


# ---- in a browser

BROWSER = """
import json, os, sys
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = f"--no-sandbox --disable-gpu --blink-settings=preferredColorScheme={sys.argv[2]}"
from PySide6.QtCore import QTimer, QUrl
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile, QWebEngineUrlRequestInterceptor
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

app, said, asked = QApplication(sys.argv[:1]), [], []

class Watch(QWebEngineUrlRequestInterceptor):
    def interceptRequest(self, info):
        asked.append(info.requestUrl().toString())

class Page(QWebEnginePage):
    def javaScriptConsoleMessage(self, level, message, line, source):
        said.append(message)

profile, watch = QWebEngineProfile(), Watch()
profile.setUrlRequestInterceptor(watch)
view, page = QWebEngineView(), Page(profile)
view.setPage(page)
view.resize(375, 800)
view.show()

def done(value):
    print(json.dumps({"value": json.loads(value), "said": said, "asked": asked}))
    app.quit()

page.loadFinished.connect(lambda ok: QTimer.singleShot(500, lambda: page.runJavaScript(sys.argv[3], 0, done)))
QTimer.singleShot(60000, app.quit)
page.load(QUrl.fromLocalFile(sys.argv[1]))
app.exec()
"""
TRY = r"""
const choose = (name, value) => { const field = document.querySelector(`[name=${name}]`); field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true })); };
const visible = (query) => [...document.querySelectorAll(query)].filter((item) => item.offsetParent !== null || getComputedStyle(item).position === "fixed");
const found = { wide: document.documentElement.scrollWidth - document.documentElement.clientWidth, ground: getComputedStyle(document.body).backgroundColor };
found.panels = visible(".panel").length;
choose("paper", "ldd"); choose("dataset", "CIFAR10"); choose("method", "LDD (Ours)"); choose("verdict", "not comparable");
found.filtered = visible(".square").map((item) => item.getAttribute("href"));
document.querySelector("button[type=reset]").click();
document.querySelector("a.square[href='#table1_ldd-3']").click();
found.opened = visible(".panel").map((item) => item.id);
document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
found.closed = visible(".panel").length;
const button = document.querySelector("#table1_ldd th[data-column=accuracy_published] button");
const column = () => [...document.querySelectorAll("#table1_ldd td[data-column=accuracy_published]")].map((item) => +item.dataset.value);
button.click(); found.up = column(); button.click(); found.down = column();
const parts = (colour) => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = (colour) => { const [r, g, b] = parts(colour).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = (item) => { for (; item; item = item.parentElement) { const colour = getComputedStyle(item).backgroundColor;
  if ((parts(colour)[3] ?? 1) > 0) return colour; } return "rgb(255, 255, 255)"; };
const dim = (item) => { const style = getComputedStyle(item), over = light(ground(item));
  const [low, high] = [light(item instanceof SVGElement ? style.fill : style.color), over].sort((a, b) => a - b); return (high + 0.05) / (low + 0.05) < 4.5; };
const says = (item) => [...item.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
const parts_of = ["header", "#glance", "#table1_ldd", "#disputed", "#claims", "#figure-rates_table1_ldd", "#table1_ldd-1-line"];
const texts = parts_of.flatMap((part) => [...document.querySelectorAll(`${part} :not(title)`)]).filter(says);
found.texts = texts.length; found.dim = texts.filter(dim).map((item) => item.outerHTML.slice(0, 120)).slice(0, 5);
const reached = "a[href], button, select, input, summary, [tabindex='0']";
const named = (item) => item.textContent.trim() || item.getAttribute("aria-label") || item.labels?.length;
found.mute = [...document.querySelectorAll(reached)].filter((item) => !named(item)).length;
document.querySelector("li > a.square:not([hidden])").focus();
found.ring = getComputedStyle(document.activeElement).outlineStyle; found.focus = document.activeElement.className;
JSON.stringify(found);
"""


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "ground"), [(1, "rgb(255, 255, 255)"), (0, "rgb(18, 22, 28)")], ids=["light", "dark"])
def test_in_a_browser(root, written, scheme, ground):
    """At 375 pixels: nothing said, nothing fetched, no scrolling sideways; filter, square, Escape and sorting do what they should."""
    pytest.importorskip("PySide6.QtWebEngineWidgets", reason="no browser: uv run --with pyside6==6.8.3 pytest tests/test_page.py")
    file = root / "page.html"
    file.write_text(written[0], encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", BROWSER, str(file), str(scheme), TRY], capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["said"] == [] and {address.partition("#")[0].partition(":")[0] for address in found["asked"]} <= {"file", "data"}
    assert len([address for address in found["asked"] if address.startswith("file")]) == 1
    value = found["value"]
    assert value["wide"] <= 0 and value["ground"] == ground
    assert value["panels"] == 0 and value["opened"] == ["table1_ldd-3-line"] and value["closed"] == 0
    assert value["filtered"] == ["#table1_ldd-2", "#table1_ldd-4", "#table1_ldd-6"]
    assert (
        value["texts"] > 500 and value["dim"] == [] and value["mute"] == 0
    )  # 4.5 : 1 as drawn, and whatever the keyboard reaches has a name
    assert value["focus"].startswith("square") and value["ring"] != "none"
    assert value["up"] == sorted(value["up"]) and value["down"] == value["up"][::-1] != value["up"]
