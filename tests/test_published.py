"""The pins: 779 printed numbers, their schema, and that nobody edits them without a review."""

import hashlib
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml

from benchmark.pins import published
from benchmark.shared.errors import UserError

NUMBERS = {
    "table1_ecmt": 64,
    "table2_ecmt": 43,
    "table3_ecmt": 10,
    "table1_idsnn": 13,
    "table2_idsnn": 10,
    "table3_idsnn": 14,
    "table4_idsnn": 20,
    "table1_ldd": 18,
    "table2_ldd": 16,
    "table3_ldd": 5,
    "table1_spikformer_v2": 45,
    "table2_spikformer_v2": 108,
    "table3_spikformer_v2": 97,
    "table4_spikformer_v2": 36,
    "table5_spikformer_v2": 20,
    "table6_spikformer_v2": 23,
    "table7_spikformer_v2": 24,
    "table1_tser": 126,
    "table2_tser": 22,
    "table3_tser": 5,
    "table4_tser": 60,
}
ROWS = {
    "table1_ecmt": 8,
    "table2_ecmt": 17,
    "table3_ecmt": 10,
    "table1_idsnn": 9,
    "table2_idsnn": 8,
    "table3_idsnn": 4,
    "table4_idsnn": 3,
    "table1_ldd": 18,
    "table2_ldd": 4,
    "table3_ldd": 5,
    "table1_spikformer_v2": 5,
    "table2_spikformer_v2": 31,
    "table3_spikformer_v2": 18,
    "table4_spikformer_v2": 13,
    "table5_spikformer_v2": 12,
    "table6_spikformer_v2": 20,
    "table7_spikformer_v2": 6,
    "table1_tser": 19,
    "table2_tser": 20,
    "table3_tser": 5,
    "table4_tser": 10,
}
UNITS = {
    "accuracy": "%",
    "accuracy_std": "%",
    "accuracy_ann": "%",
    "accuracy_gain": "%",
    "firing_rate_pct": "%",
    "mask_ratio_pct": "%",
    "params_M": "M",
    "ops_M": "M",
    "macs_M": "M",
    "acs_M": "M",
    "complexity_M": "M",
    "ops_G": "G",
    "power_mJ": "mJ",
    "energy_mJ": "mJ",
    "energy_uJ": "uJ",
    "energy_ratio": "x",
    "speedup": "x",
    "training_time_s": "s",
    "training_time_h": "h",
    "epoch": "epochs",
    "epoch_pretrain": "epochs",
    "epoch_finetune": "epochs",
}
EMPTY_ROWS = {"table6_spikformer_v2": {7, 8, 9}}  # printed without a number; the note of row 10 says so
ALL = published.numbers()


def each(pins, good) -> None:
    """Every pin is good, or the message names those that are not."""
    assert [f"{pin.name} row {pin.row} {pin.metric} {pin.value}" for pin in pins if not good(pin)] == []


def test_number_of_printed_numbers():
    """Of the five papers' 21 tables; a table that somebody adds has its own."""
    counted = Counter(pin.name for pin in ALL if pin.name in NUMBERS)
    assert sum(NUMBERS.values()) == 779 and counted == NUMBERS
    assert [name for name in published.tables() if name in NUMBERS] == list(NUMBERS)  # in the order of papers and table numbers


def test_rows_are_the_printed_order_from_one():
    for table, count in ROWS.items():
        rows = [pin.row for pin in published.read(table)]
        assert rows == sorted(rows), table
        assert set(rows) == set(range(1, count + 1)) - EMPTY_ROWS.get(table, set()), table


def test_a_skipped_row_is_said():
    note = next(pin.note for pin in published.read("table6_spikformer_v2") if pin.row == 10)
    assert "Rows 7 to 9" in note and "without a number" in note


def test_values_are_printed_digits():
    each(ALL, lambda pin: re.fullmatch(r"\d+(\.\d+)?", pin.value))
    assert {"79.40", "0.30", "0.990", "15.40"} <= {pin.value for pin in ALL}  # printed zeros are kept


def test_units_belong_to_metrics():
    assert set(UNITS) <= set(published.METRICS)
    each([pin for pin in ALL if pin.metric in UNITS], lambda pin: pin.unit == UNITS[pin.metric])


def test_accuracies_are_percentages():
    each([pin for pin in ALL if pin.metric in ("accuracy", "accuracy_ann")], lambda pin: 0 < pin.number < 100)


def test_data_sets_origins_and_groups():
    each(ALL, lambda pin: pin.dataset in published.datasets() and pin.origin in published.ORIGINS and pin.group and pin.method)
    each([pin for pin in ALL if pin.dataset == "-"], lambda pin: pin.metric == "complexity_M")


def test_rows_that_a_paper_may_not_have_run():
    """ldd.txt:240 calls its baselines directly trained and original; tser.txt:181 says 'compared with previous approaches'."""
    unstated = Counter((pin.name, pin.method) for pin in ALL if pin.origin == "unstated")
    baselines = ("Spikformer", "Spike-driven Transformer", "Meta-SpikeFormer")
    expected = {("table1_ldd", method): 3 for method in baselines} | {("table3_ldd", "-"): 1}
    expected |= {("table1_tser", method): 14 for method in ("LaSNN", "KDSNN", "BKDSNN")}
    expected |= {("table2_tser", method): 2 for method in ("LaSNN", "KDSNN", "BKDSNN", "Teacher ANN")}
    assert unstated == expected


def test_time_steps_are_printed_forms():
    each(ALL, lambda pin: re.fullmatch(r"-|\d+|\d+\(\d+\)|\d+/\d+", pin.time_steps))
    # a pair of steps belongs to the numbers printed once for both; each accuracy of the pair has its own
    each([pin for pin in ALL if not pin.time_steps.isdigit() and pin.time_steps != "-"], lambda pin: pin.metric == "params_M")


def test_cells_and_options_are_words():
    word = r"[a-z0-9]+(-[a-z0-9]+)*"
    each(ALL, lambda pin: re.fullmatch(rf"{word}:{word}(:{word})?", pin.cell) or (not pin.cell and pin.metric == "complexity_M"))
    each(ALL, lambda pin: re.fullmatch(r"([a-z_]+=[a-z0-9.-]+( [a-z_]+=[a-z0-9.-]+)*)?", pin.options))


def test_sources_name_a_line_of_their_paper():
    each(ALL, lambda pin: re.fullmatch(rf"{pin.paper}\.txt:\d+", pin.source))
    for table in NUMBERS:
        lines = [int(pin.source.partition(":")[2]) for pin in published.read(table)]
        assert lines == sorted(lines), table


def test_nothing_is_pinned_twice():
    """The same line may repeat only where the paper prints a number once per column block (teachers of tser Table 1)."""
    seen = Counter((p.name, p.row, p.method, p.backbone, p.dataset, p.time_steps, p.metric, p.options, p.value) for p in ALL)
    assert {key[:3] for key, count in seen.items() if count > 1} == {("table1_tser", 10, "Teacher ANN"), ("table1_tser", 11, "Teacher ANN")}


FILES = sorted([*published.tables().values(), *published.figures().values(), *published.PAPERS.glob("*/claims.csv")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_files_are_plain_ascii(path):
    data = path.read_bytes()
    assert data.isascii() and b"\r" not in data and data.endswith(b"\n") and not data.endswith(b"\n\n")


def test_no_silent_edit():
    """A printed number changes only after somebody has looked at the paper again."""
    listed = dict(reversed(line.split("  ")) for line in (published.PAPERS / "checksums.txt").read_text().splitlines())
    found = {path.relative_to(published.PAPERS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}
    changed = sorted(
        name for name in listed if found.get(name) != listed[name]
    )  # a new file is not reviewed yet, and says so by its absence
    assert not changed, (
        f"{', '.join(changed)}: not the reviewed content. Compare each changed line with the paper (source and line name the place), "
        "then update in the same commit: cd benchmark/papers && sha256sum */table*.csv */figure*.csv */claims.csv > checksums.txt"
    )


@pytest.mark.parametrize("paper", sorted({path.parent.name for path in published.tables().values()}))
def test_paper_sheet(paper):
    sheet = yaml.safe_load((published.PAPERS / paper / "paper.yaml").read_text(encoding="utf-8"))
    assert sheet["id"] == paper and sheet["url"].startswith("https://") and sheet["year"] in (2023, 2024, 2025)
    assert sheet["not_stated"] and all(entry["lines"] for entry in sheet["contradictions"])
    for entry in sheet["hyperparameters"]:
        assert set(entry) == {"name", "value", "where", "scope"}
        assert entry["where"].startswith(f"{paper}.txt:"), entry["name"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one,g,m,b,CIFAR10,4,accuracy,1,%,measured,s,c,,", "row must be a whole number, not 'one'"),
        ("1,g,m,b,CIFAR10,4,accuracy,high,%,measured,s,c,,", "value must be a number in plain digits, not 'high'"),
        ("1,g,m,b,CIFAR-10,4,accuracy,1,%,measured,s,c,,", "unknown dataset 'CIFAR-10'"),
        ("1,g,m,b,CIFAR10,4,acuracy,1,%,measured,s,c,,", "did you mean accuracy"),
        ("1,g,m,b,CIFAR10,4,accuracy,1,%,guessed,s,c,,", "unknown origin"),
        ("1,g,m,b,CIFAR10,4,accuracy,nan,%,measured,s,,,", "value must be a number in plain digits, not 'nan'"),
        ("1,g,m,b,CIFAR10,4,accuracy,inf,%,measured,s,,,", "value must be a number in plain digits, not 'inf'"),
        ("1,g,m,b,CIFAR10,4,accuracy,1_000,%,measured,s,,,", "value must be a number in plain digits, not '1_000'"),
        ("1,g,m,b,CIFAR10,4,accuracy,500,%,measured,s,,,", "500 % is no share of a whole"),
        ("1,g,m,b,CIFAR10,4,accuracy,-1,%,measured,s,,,", "-1 % is no share of a whole"),
        ("1,g,m,b,CIFAR10,4,accuracy,1,%,measured,s,direct,,", "cell must be empty or method:backbone"),
        ("1,g,m,b,CIFAR10,0,accuracy,1,%,measured,s,c,,", "time_steps must be as printed, from 1 on, or - where none is printed, not '0'"),
        ("1,g,m,b,CIFAR10,-4,accuracy,1,%,measured,s,c,,", "time_steps must be as printed, from 1 on"),
        ("1,g,m,b,CIFAR10,4,accuracy,1,%,measured,s,c,lam,", "options must be empty or name=value, parted by one blank, not 'lam'"),
    ],
)
def test_a_broken_line_is_refused_with_its_place(tmp_path, monkeypatch, line, message):
    path = tmp_path / "made_up" / "table1.csv"
    path.parent.mkdir()
    path.write_text(",".join(published.COLUMNS) + "\n" + line + "\n")
    monkeypatch.setattr(published, "tables", lambda: {"table1_made_up": path})
    published.read.cache_clear()
    with pytest.raises(UserError, match=message) as error:
        published.read("table1_made_up")
    assert f"{path}:2" in str(error.value)
    published.read.cache_clear()


@pytest.mark.parametrize(("value", "note", "refused"), [("1", "", True), ("2", "Printed twice.", True), ("1", "Printed twice.", False)])
def test_the_same_number_twice_has_to_say_so(tmp_path, monkeypatch, value, note, refused):
    path = tmp_path / "made_up" / "table1.csv"
    path.parent.mkdir()
    lines = ["1,g,m,b,CIFAR10,4,accuracy,1,%,measured,s,,,", f"1,g,m,b,CIFAR10,4,accuracy,{value},%,measured,s,,,{note}"]
    path.write_text("\n".join([",".join(published.COLUMNS), *lines]) + "\n")
    monkeypatch.setattr(published, "tables", lambda: {"table1_made_up": path})
    published.read.cache_clear()
    if refused:
        with pytest.raises(UserError, match=r"table1\.csv:3: the same number as in line 2, pinned twice"):
            published.read("table1_made_up")
    else:
        assert len(published.read("table1_made_up")) == 2
    published.read.cache_clear()


def test_unknown_table():
    with pytest.raises(UserError, match="did you mean table1_ldd"):
        published.read("table1_lddd")


def test_reading_pins_loads_no_heavy_module():
    code = (
        "import sys; from benchmark.pins import published; published.numbers(); "
        "print([name for name in ('torch', 'numpy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=published.PAPERS.parents[1], check=True)
    assert done.stdout.strip() == "[]"
