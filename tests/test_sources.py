"""Where the papers' data come from: every cited line holds what it is cited for, every printed recipe value names its line."""

import csv
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from benchmark.pins import published
from benchmark.reports.audit import lines, sentences
from benchmark.reports.audit.lines import Cited, Line, Need

PAPERS = sorted({path.parent.name for path in published.tables().values()})
CITED = lines.citations()
TEXTS = os.environ.get("SPIKELEDGER_PAPERS")
needs_texts = pytest.mark.skipif(not TEXTS, reason="SPIKELEDGER_PAPERS names no folder with the papers' texts")


def recipes():
    """(file, key, value, source) of every recipe value, whatever the files' form."""

    def pairs(node, where, key=""):
        if isinstance(node, dict):
            for name, value in node.items():
                yield from pairs(value, where, name)
        elif isinstance(node, list) and len(node) == 2 and isinstance(node[1], str) and key and not isinstance(node[0], dict):
            yield where, key, *node
        elif isinstance(node, list):
            for item in node:
                yield from pairs(item, where)

    for path in sorted(published.PAPERS.glob("**/recipes.yaml")):
        yield from pairs(yaml.safe_load(path.read_text(encoding="utf-8")), path.relative_to(published.PAPERS).as_posix())


# ---- the papers


@pytest.mark.parametrize("paper", PAPERS)
def test_every_cited_line_holds_what_it_is_cited_for(paper):
    cited = [item for item in CITED if item.paper == paper]
    assert len(cited) > 50 and lines.problems(cited, {paper: lines.read(paper)}) == []


def test_all_kinds_of_citation_are_there():
    """Each pin and claim, and of each paper its sheet; every recipe source that says where a value is printed."""
    where = [item.where for item in CITED]
    pins = [pin for name in (*published.tables(), *published.figures()) for pin in published.read(name)]
    assert len(pins) == sum(" note" not in item and item.startswith(("table", "figure")) for item in where)
    assert sum(item.startswith("claim: ") for item in where) == sum(len(sentences.read(paper)) for paper in PAPERS)
    assert {item.partition("/")[0] for item in where if "paper.yaml hyperparameters" in item} == set(PAPERS)
    printed = [source for *_, source in recipes() if lines.CITATION.search(source)]
    assert len(printed) > 20 and sum("recipes.yaml" in item for item in where) >= len(printed)


def test_a_citation_asks_for_something():
    """Pins, claims, hyperparameters and recipes say what stands on the line; notes and contradictions only that it is there."""
    for item in CITED:
        asks = not re.search(r" note$|contradictions|_note|paper.yaml$", item.where) and not item.where.endswith(
            "paper.yaml reports source"
        )
        assert bool(item.needs) or not asks, item


@pytest.mark.parametrize(("file", "key", "value", "source"), [entry for entry in recipes() if entry[3].startswith("printed")])
def test_a_printed_value_names_its_line(file, key, value, source):
    assert lines.CITATION.search(source), f"{file} {key}: {source}"


def test_recipes_cite_in_one_form():
    """No 'line 234', which nothing checks."""
    assert [source for *_, source in recipes() if re.search(r"\blines? \d", source)] == []


def test_ldd_trains_as_long_as_printed():
    """ldd.txt:236: 200 for all; 270: 300 for CIFAR100; 242: 350 for ImageNet."""
    from benchmark.pins.recipes import recipe

    epochs = {
        dataset: recipe("ldd", ("training",), {"dataset": dataset, "method": "ldd", "backbone": "spikformer-4-384", "table": "table1_ldd"})[
            "epochs"
        ]
        for dataset in ("CIFAR10", "CIFAR100", "ImageNet")
    }
    assert {dataset: value for dataset, (value, _) in epochs.items()} == {"CIFAR10": 200, "CIFAR100": 300, "ImageNet": 350}


@pytest.mark.parametrize("paper", PAPERS)
def test_lines_files_hold_facts_in_order(paper):
    """Sorted, one line each, nothing that no citation asks for, no sentences."""
    with (published.PAPERS / paper / "lines.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = [int(row["line"]) for row in rows]
    assert tuple(rows[0]) == lines.COLUMNS and numbers == sorted(set(numbers))
    assert set(numbers) == {number for item in CITED if item.paper == paper for number in item.lines}
    asked = {need.text for item in CITED if item.paper == paper for need in item.needs if need.kind == "words"}
    assert {word for line in lines.read(paper).values() for word in line.words} <= asked
    assert all(re.fullmatch(r"[0-9a-f]{64}", row["sha256"]) and len(row["words"]) < 400 for row in rows)


@needs_texts
def test_lines_files_are_those_of_the_texts():
    fresh = lines.from_texts(CITED, Path(TEXTS))
    assert fresh == {paper: lines.read(paper) for paper in PAPERS}
    assert lines.problems(CITED, fresh) == []


# ---- how it works, on a made-up paper


def needs(*pairs):
    return tuple(Need(*pair) for pair in pairs)


def test_what_a_line_holds():
    text = "Trained for 300 epochs at 1e-3 with AdamW, 9,000 images of 16161616 patches; accuracy 79.40 (35%)."
    found = lines.seen(
        text,
        needs(
            ("number", "300"),
            ("number", "0.001"),
            ("number", "9000"),
            ("number", "16"),
            ("digits", "79.40"),
            ("digits", "79.4"),
            ("number", "79.4"),
            ("number", "3"),
            ("number", "0.35"),
            ("words", "with  adamw"),
            ("words", "SGD"),
        ),
    )
    assert found.numbers == ("1e-3", "16", "79.40", "300", "9000") and found.words == ("with  adamw",)
    assert len(found.sha256) == 64 and found.sha256 != lines.seen(text + " ", ()).sha256


def test_numbers_of_a_text():
    assert lines.numbers_in("93.51/74.36, 2.23G and 71.31(e192)") == ["93.51", "74.36", "2.23", "71.31", "192"]
    assert lines.numbers_in("1111") == ["1111", "1"] and lines.numbers_in("224224224") == ["224224224"]


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("printed, clean.txt:3", [((3,), needs(("number", "7")))]),
        ("printed, clean.txt:3, 4 and 9", [((3, 4, 9), needs(("number", "7")))]),
        ('clean.txt:3 "from scratch" (clean.txt:5)', [((3,), needs(("words", "from scratch"))), ((5,), needs(("number", "7")))]),
        ("line 3", []),
    ],
)
def test_the_form_of_a_citation(text, cited):
    found = lines._cited("here", text, needs(("number", "7")))
    assert [(item.lines, item.needs) for item in found] == cited


@pytest.mark.parametrize(
    ("value", "asks"),
    [
        (0.00001, needs(("number", "0.00001"))),
        (1.0e-3, needs(("number", "0.001"))),
        ([60, 120], needs(("number", "60"), ("number", "120"))),
        ("64 patches of 4x4", needs(("number", "64"), ("number", "4"), ("number", "4"))),
        ("Poisson encoder", needs(("words", "Poisson encoder"))),
        (None, needs(("words", "None"))),
    ],
)
def test_what_a_value_asks_for(value, asks):
    assert lines._needs(value) == asks


KNOWN = {"clean": {3: Line("a", ("200", "0.05"), ("AdamW",)), 4: Line("b", ("300",)), 5: Line("c")}}


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (Cited("x", "clean", (3,), needs(("number", "200"))), []),
        (Cited("x", "clean", (3,), needs(("number", "0.050"))), []),
        (Cited("x", "clean", (3,), needs(("digits", "0.050"))), ["x: clean.txt:3 has no '0.050'"]),
        (Cited("x", "clean", (4,), needs(("number", "200"))), ["x: clean.txt:4 has no '200'"]),
        (Cited("x", "clean", (3, 4), needs(("number", "200"), ("number", "300"))), []),
        (Cited("x", "clean", (3, 4), needs(("number", "200"))), ["x: clean.txt:4 has nothing of it"]),
        (Cited("x", "clean", (3,), needs(("words", "SGD"))), ["x: clean.txt:3 has no 'SGD'"]),
        (Cited("x", "clean", (5,)), []),
        (Cited("x", "clean", (6,)), ["x: clean.txt:6 is not in lines.csv"]),
        (Cited("x", "other", (3,)), ["x: other.txt:3 is not in lines.csv"]),
    ],
)
def test_problems(item, says):
    assert lines.problems([item], KNOWN) == says


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A copy of the papers' data, and the folder for made-up texts."""
    shutil.copytree(published.PAPERS, tmp_path / "papers")
    monkeypatch.setattr(published, "PAPERS", tmp_path / "papers")
    lines.read.cache_clear()
    yield tmp_path
    lines.read.cache_clear()


def test_a_changed_value_is_found(house):
    """A recipe value that its line does not print, a hyperparameter's line moved by one."""
    recipe = house / "papers" / "ldd" / "recipes.yaml"
    recipe.write_text(recipe.read_text().replace('[350, "printed, ldd.txt:242"]', '[351, "printed, ldd.txt:242"]'))
    sheet = house / "papers" / "idsnn" / "paper.yaml"
    sheet.write_text(
        sheet.read_text().replace(
            '{name: batch_size, value: 64, where: "idsnn.txt:162"', '{name: batch_size, value: 64, where: "idsnn.txt:166"'
        )
    )
    found = lines.problems(list(lines._of_sheets()), {paper: lines.read(paper) for paper in PAPERS})
    assert found == [
        "idsnn/paper.yaml hyperparameters batch_size: idsnn.txt:166 has no '64'",
        "ldd/recipes.yaml rules set epochs: ldd.txt:242 has no '351'",
    ]


def test_the_command_writes_and_says_what_is_wrong(house, monkeypatch, capsys):
    """Lines of made-up texts: 'one 5' holds 5; an empty line is none."""
    (house / "ldd.txt").write_text("one 5\n\nthree\n")
    cited = [Cited("a", "ldd", (1,), needs(("number", "5"))), Cited("b", "ldd", (2,)), Cited("c", "ldd", (3,), needs(("number", "7")))]
    monkeypatch.setattr(lines, "citations", lambda: cited)
    assert lines.main(str(house)) == 1
    said = capsys.readouterr().out.splitlines()
    assert said == ["b: ldd.txt:2 is not in lines.csv", "c: ldd.txt:3 has no '7'", "2 cited lines, 2 problems"]
    assert [(number, line.numbers) for number, line in lines.read("ldd").items()] == [(1, ("5",)), (3, ())]
    monkeypatch.setattr(lines, "citations", lambda: cited[:1])
    assert lines.main(str(house)) == 0
