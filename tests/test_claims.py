"""The papers' claims: which pairs there are, what paired runs say about them, how it is written."""

import csv
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch

from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.reports import claimed, claims
from benchmark.reports.audit.sentences import ahead
from benchmark.runs import lines
from benchmark.shared.errors import UserError
from benchmark.training.predictions import write
from benchmark.workflow.command import main
from tests import made

THREE = settings({"seeds": 3})
FOUND = claimed.claims(THREE)


def of(table, other=None):
    """The claims between rows of a table, or of two."""
    return [claim for claim in FOUND if (claim.a.first.name, claim.b.first.name) == (table, other or table)]


def pick(table, a, b, dataset=None, options=None):
    """The only claim of a table about these rows."""
    (hit,) = (
        claim
        for claim in of(table)
        if (claim.a.first.row, claim.b.first.row) == (a, b)
        and dataset in (None, claim.a.first.dataset)
        and options in (None, claim.b.first.options)
    )
    return hit


# ---- what relations say


@pytest.mark.parametrize(
    ("relation", "pairs"),
    [
        ("0.62 == [t1 r8 T4] - [t1 r1 T4]", [(8, 1, "0.62")]),
        ("4.10 == [t1 r8 T4] - [t1 r1 T4] and 8.6 == [t1 r8 T4] - [t1 r3]", [(8, 1, "4.10"), (8, 3, "8.6")]),
        ("[t1 r9] > [t1 r8 T4]", [(9, 8, "")]),
        ("[t1 r8 T4] < [t1 r9]", [(9, 8, "")]),
        ("[t1 r8 T4] > max([t1 r1 T4], [t1 r4])", [(8, 1, ""), (8, 4, "")]),
        ("min([t1 r9], [t1 r8 T4]) > [t1 r5]", [(9, 5, ""), (8, 5, "")]),
        ("min([t1 r9] - [t1 r5], [t1 r8 T4] - [t1 r4]) > exact(0)", [(9, 5, ""), (8, 4, "")]),
        ("0.56 == [t1 r9] - max([t1 r5], [t1 r4])", [(9, 5, ""), (9, 4, "0.56")]),  # over the better of 92.92 and 93.66
        ("[t1 r9] > min([t1 r5], [t1 r4])", []),  # above the lower one: it does not say which
        ("[t1 r9] - [t1 r5] > [t1 r8 T4] - [t1 r4]", []),  # one gain above another
        ("94.22 == [t1 r9] or 1 == [t1 r9] - [t1 r5]", []),  # readings, none of them asserted
        ("94.22 == [t1 r9]", []),
        ("[t1 r9] >= [t1 r8 T4]", []),
        ("steps([t1 r8 T4]) < steps([t1 r9])", []),
        ('named([t2 r1], "[31]")', []),
        ("14 == [t4 r1 plain epoch] / [t4 r3 plain epoch]", []),
    ],
)
def test_what_a_relation_puts_ahead(relation, pairs):
    assert [(a.row, b.row, said) for a, b, said in ahead(relation, "idsnn")] == pairs


def test_a_relation_that_names_no_pin_is_one_line():
    with pytest.raises(UserError, match=r"names 0 values"):
        ahead("[t1 r99] > [t1 r1 T4]", "idsnn")


# ---- which claims there are


@pytest.mark.parametrize(
    ("table", "count"),
    [
        ("table1_ldd", 9),  # with and without, three students on three data sets
        ("table2_ldd", 12),  # three other projections, two students, two data sets; one of them above ours, and claimed by line 290
        ("table3_ldd", 2),  # 8 blocks above 12, 12 above 24 (line 296); the 24 twice are one cell
        ("table1_tser", 62),  # R-18 4 x (GLIF + 3), V-16 4 x (MPBN + 3), R-19 2 x (6 + 3), V-11 4 x 3: where both have a number
        ("table2_tser", 8),  # two depths against SEW ResNet, LaSNN, KDSNN, BKDSNN
        ("table3_tser", 7),  # the full method above four, and lines 2 to 4 above line 1 by the prose
        ("table4_tser", 0),  # no accuracy
        ("table1_idsnn", 7),  # two of the same student and T, four more and T = 6 above T = 4 by the prose
        ("table2_idsnn", 5),
        ("table3_idsnn", 6),  # three ablations on two data sets
        ("table4_idsnn", 12),  # two others under three schedules; the slow schedule above two quick ones, three methods
        ("table1_spikformer_v2", 11),  # four other attentions on three data sets, without softmax on CIFAR100, which is printed above
        ("table2_ecmt", 11),
    ],
)
def test_claims_per_table(table, count):
    assert len(of(table)) == count
    assert len({claim.key for claim in FOUND}) == len(FOUND)


def test_a_claim_keeps_all_that_says_so():
    line = claims.described(pick("table1_ldd", 16, 15))
    assert (line["printed_a"], line["printed_b"], line["printed_difference"], line["said_difference"]) == ("79.4", "74.6", "4.8", "4.8")
    assert line["source"] == "ldd.txt:260 ldd.txt:259 ldd.txt:274 ldd.txt:272"


def test_what_the_prose_says_stands_beside_what_the_table_prints():
    """tser.txt:181 leads by 0.57 over the best earlier result; 96.72 - 96.47 (MPBN) is 0.25."""
    line = claims.described(pick("table1_tser", 19, 5, "CIFAR10"))
    assert (line["printed_difference"], line["said_difference"]) == ("0.25", "0.57")
    assert claims.described(pick("table2_ldd", 1, 1, options="projection=mean"))["printed_difference"] == "-0.2"


def test_a_claim_across_tables_has_both_places():
    (claim,) = of("table2_idsnn", "table3_idsnn")  # idsnn.txt:41: 75.41 at T = 6 above the baseline's 71.31
    line = claims.described(claim)
    assert (line["table"], line["time_steps"], line["dataset"], line["said_difference"]) == ("2 / 3", "6 / -", "CIFAR100", "4.10")


def test_schedules_are_compared_like_with_like():
    pairs = [(claim.a.first, claim.b.first) for claim in of("table4_idsnn")]
    assert all(claimed.options(a)[1] == claimed.options(b)[1] for a, b in pairs if a.row != b.row)
    assert not any("at_epoch" in side.options for pair in pairs for side in pair)


@pytest.mark.parametrize("stated", ["tserr", {1: "tserr"}])
def test_a_misspelt_proposed_method_is_one_line(monkeypatch, stated, capsys):
    monkeypatch.setattr(claimed.published, "sheet", lambda paper: {"proposed": stated} if paper == "tser" else {})
    assert main(["claims"]) == 2
    assert "table 1: unknown proposed method 'tserr': did you mean tser" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "tables"), [("kdsnn", {1}), ("glif", set())])  # what is quoted is another paper's claim
def test_another_method_can_be_proposed(monkeypatch, method, tables):
    monkeypatch.setattr(claimed.published, "sheet", lambda paper: {"proposed": {1: method}} if paper == "tser" else {})
    shown = [claim.a.first for claim in claimed.claims(THREE) if claim.a.first.paper == "tser" and not claim.where]
    assert {number.table for number in shown} == tables and {number.cell.partition(":")[0] for number in shown} <= {method}


def test_two_lines_of_one_cell_are_no_claim(monkeypatch):
    """The full method of IDSNN's ablation and of its plain schedule is one run."""
    lines = [pick("table3_idsnn", 4, 1, "CIFAR100").a, pick("table4_idsnn", 3, 1, options="").a]
    assert claimed.identity(lines[0]) == claimed.identity(lines[1])
    monkeypatch.setattr(claimed, "from_sentences", lambda _: [claimed.Claim(*lines)])
    assert not [claim for claim in claimed.claims(THREE) if (claim.a, claim.b) == tuple(lines)]


def test_two_readings_of_one_run_are_two_things_to_claim():
    line = pick("table1_ldd", 16, 15).a
    first, second = (replace(line, numbers=(replace(line.first, options=f"up_to_step={step}"),)) for step in (1, 2))
    assert len({claimed.identity(one) for one in (line, first, second)}) == 3 and not claimed.is_result(first)


# ---- what runs say


def measured(root, line, accuracies, **changes):
    """Metrics of the line's runs: accuracy by seed; text is an error."""
    for seed, accuracy in accuracies.items():
        folder = root / line.runs[seed].folder
        if isinstance(accuracy, str):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text(accuracy)
        else:
            made.accuracy(root, line.runs[seed], accuracy, **changes)


def row(root, a, b, claim=None):
    """The line of a claim (4.8 printed) whose sides have these accuracies by seed."""
    claim = claim or pick("table1_ldd", 16, 15)
    measured(root, claim.a, a)
    measured(root, claim.b, b)
    return claims.row(claim, "any", root)


def test_three_seeds_by_hand(tmp_path):
    """Differences 2, 2.5, 3: mean 2.5, deviation 0.5, t(0.975, 2) = 4.30265, so 2.5 +- 4.30265 x 0.5 / sqrt(3) = 2.5 +- 1.24207."""
    line = row(tmp_path, {0: 82.0, 1: 81.5, 2: 84.0}, {0: 80.0, 1: 79.0, 2: 81.0})
    assert (line["n_seeds"], line["a"], line["b"], line["difference"]) == (3, 82.5, 80.0, 2.5)
    assert (line["low"], line["high"]) == (pytest.approx(1.25793, abs=1e-5), pytest.approx(3.74207, abs=1e-5))
    assert (line["verdict"], line["amount"], line["data"]) == ("supported", "not comparable", "large-digits")
    assert re.match(r"twin; large-digits for ImageNet; 3 of \d+ epochs; .*; A: teacher: ", line["differs"])  # B has no teacher


@pytest.mark.parametrize(
    ("a", "b", "verdict", "seeds"),
    [
        ({0: 80.0, 1: 79.0, 2: 81.0}, {0: 82.0, 1: 81.5, 2: 84.0}, "contradicted", 3),
        ({0: 81.0, 1: 82.0, 2: 83.0}, {0: 80.0, 1: 80.0, 2: 80.0}, "undecided", 3),  # 2 +- 4.30265 / sqrt(3) = 2 +- 2.484
        ({0: 10.0, 1: 10.0}, {0: 10.0, 1: 10.0}, "undecided", 2),
        ({0: 81.0}, {0: 80.0}, "undecided (one seed)", 1),
        ({0: 81.0, 1: 99.0}, {0: 80.0, 2: 1.0}, "undecided (one seed)", 1),  # seeds on one side only are left out
        ({0: 81.0}, {1: 80.0}, "not run", 0),
        ({}, {}, "not run", 0),
        ({0: 81.0}, {0: "out of memory"}, "failed", 0),
        ({0: 81.0, 1: 82.0}, {0: 80.0, 1: "out of memory"}, "undecided (one seed)", 1),
    ],
)
def test_verdicts(tmp_path, a, b, verdict, seeds):
    line = row(tmp_path, a, b)
    assert (line["verdict"], line["n_seeds"]) == (verdict, seeds)
    assert (line["low"] is None) == (seeds < 2) and (line["difference"] is None) == (seeds == 0)
    if seeds == 1:
        assert (line["a"], line["b"], line["difference"]) == (81.0, 80.0, 1.0)


def test_a_side_without_a_file_is_not_implemented(tmp_path):
    claim = next(claim for claim in FOUND if claim.b.lacking and claim.a.runs)
    line = row(tmp_path, {0: 81.0}, {}, claim)
    assert (line["verdict"], line["n_seeds"], line["a"]) == ("not implemented", 0, None)
    assert not claim.b.runs and line["why"] == claim.b.lacking


def test_a_damaged_run_decides_nothing(tmp_path):
    claim = pick("table1_ldd", 16, 15)
    row(tmp_path, {0: 82.0, 1: 82.0, 2: 82.0}, {0: 80.0, 1: 80.0, 2: 80.0})
    assert claims.row(claim, "any", tmp_path)["verdict"] == "supported"
    path = tmp_path / claim.b.runs[1].folder / "metrics.json"
    path.write_text(path.read_text().replace("80.0", "70.0"))
    line = claims.row(claim, "any", tmp_path)
    assert line["verdict"] == "damaged" and line["why"].startswith(f"{claim.b.runs[1].folder}/metrics.json: its checksum")


# ---- amounts, of runs that are as printed

PRINTED = settings({"scale": "paper", "seeds": 3})


def as_printed(root, a, b, chosen=PRINTED, **changes):
    """The line of the claim of row 16 over row 15 (4.8 printed) for runs under these settings."""
    (claim,) = (
        claim for claim in claimed.from_table(lines.of_table("table1_ldd", chosen)) if (claim.a.first.row, claim.b.first.row) == (16, 15)
    )
    measured(root, claim.a, a, **changes)
    measured(root, claim.b, b)
    return claims.row(claim, chosen.scale, root)


@pytest.mark.parametrize(
    ("gains", "amount"),
    [
        ([4.7, 4.8, 4.9], "match"),
        ([5.0, 5.0, 5.0], "larger"),
        ([4.71, 4.71, 4.71], "match"),
        ([4.9, 4.9, 4.9], "match"),  # 79.4 - 74.6 is anything from 4.7 to 4.9
        ([4.91, 4.91, 4.91], "larger"),
        ([4.69, 4.69, 4.69], "smaller"),
        ([1.0, 2.0, 3.0], "smaller"),  # up to 4.484
        ([0.0, 5.0, 10.0], "match"),
    ],
)
def test_amounts(tmp_path, gains, amount):
    above = {seed: 50.0 + gain for seed, gain in enumerate(gains)}
    line = as_printed(tmp_path, above, dict.fromkeys(range(3), 50.0))
    assert (line["amount"], line["differs"]) == (amount, "")


def test_one_seed_has_no_amount(tmp_path):
    line = as_printed(tmp_path, {0: 79.0}, {0: 75.0})
    assert (line["verdict"], line["amount"]) == ("undecided (one seed)", "")


def test_amounts_hang_on_what_ran_and_not_on_the_name_of_a_scale(tmp_path):
    chosen = settings({"scale": "paper", "seeds": 3, "recipe": {"epochs": 30}})
    sides = ({0: 54.7, 1: 54.8, 2: 54.9}, dict.fromkeys(range(3), 50.0))
    assert as_printed(tmp_path, *sides, chosen)["amount"] == "not comparable"
    assert re.match(r"30 of \d+ epochs; ", as_printed(tmp_path, *sides, chosen)["differs"])
    assert as_printed(tmp_path, *sides, replace(PRINTED, scale="smoke"))["amount"] == "match"


def test_one_side_is_enough_to_be_not_comparable(tmp_path):
    line = as_printed(tmp_path, {0: 54.8, 1: 54.8}, {0: 50.0, 1: 50.0}, images={"train": 1_281_167, "test": 100})
    assert (line["amount"], line["differs"]) == ("not comparable", "A: 100 of 50000 test images")


def test_only_what_can_be_decided_has_to_run():
    needed = claims.runs(THREE)
    decided = [claim for claim in FOUND if claim.a.runs and claim.b.runs]
    assert needed.keys() == {run.folder for claim in decided for line in (claim.a, claim.b) for run in line.runs}
    assert len(of("table1_ldd")) * 2 * 3 == len(
        {run.folder for claim in of("table1_ldd") for line in (claim.a, claim.b) for run in line.runs}
    )


# ---- how it is written


def answering(root, claim, letter, seed, right):
    """A run of one side that kept its answers: whether each of ten test images of one class was answered right."""
    run = getattr(claim, letter).runs[seed]
    folder = (root / run.folder / "metrics.json").parent
    kept = write(folder, torch.nn.functional.one_hot(1 - torch.tensor(right), 2).float(), torch.zeros(len(right), dtype=torch.int64))
    made.accuracy(root, run, 10.0 * sum(right), predictions=kept)
    return folder / "predictions.npz"


def test_answers_to_each_image_say_how_sure_a_difference_is_over_images(tmp_path):
    """A is right on images 0 to 7, B on 0 to 4: three in ten, +- 1.96 x sqrt(0.3 x 0.7 / 10)."""
    claim = pick("table1_ldd", 16, 15)
    answering(tmp_path, claim, "a", 0, [1] * 8 + [0] * 2)
    path = answering(tmp_path, claim, "b", 0, [1] * 5 + [0] * 5)
    line = claims.row(claim, "any", tmp_path)
    assert (line["difference"], line["verdict"]) == (30.0, "undecided (one seed)")
    half = 1.959964 * 10 * 2.1**0.5
    assert (line["images_low"], line["images_high"]) == (pytest.approx(30 - half, abs=1e-3), pytest.approx(30 + half, abs=1e-3))
    path.write_bytes(path.read_bytes() + b"x")
    line = claims.row(claim, "any", tmp_path)
    assert "images_low" not in line and "predictions.npz is damaged: its checksum is" in line["why"]
    answering(tmp_path, claim, "b", 0, [1] * 5 + [0] * 6)
    assert claims.row(claim, "any", tmp_path)["why"] == "the two sides answered other test images"


def test_discoveries_are_controlled_within_a_paper(tmp_path):
    for place, gain in enumerate((2.0, 0.1)):
        claim = FOUND[[each.a.first.paper for each in FOUND].index("ldd") + place]
        measured(tmp_path, claim.a, {0: 60.0 + gain, 1: 60.5 + gain, 2: 61.0})
        measured(tmp_path, claim.b, {0: 60.0, 1: 60.0, 2: 59.0})
    found = [line for line in claims.rows(THREE, tmp_path) if line["p"] is not None]
    assert (
        len(found) == 2
        and all(line["q"] >= line["p"] for line in found)
        and max(line["q"] for line in found) == max(line["p"] for line in found)
    )


def test_files_from_part_of_the_runs(tmp_path):
    """By the command itself, which loads no torch."""
    row(tmp_path, {0: 82.0, 1: 81.5, 2: 84.0}, {0: 80.0, 1: 79.0, 2: 81.0})
    code = "import sys; from benchmark.__main__ import main; status = main(sys.argv[1:]); print('loaded', *sys.modules); sys.exit(status)"
    words = ["claims", "--config", "seeds=3", "--directory", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, _, loaded = done.stdout.partition("loaded")
    assert not {"torch", "numba", "pandas", "timm", "spikingjelly", "sklearn"} & set(loaded.split())

    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["claims.partial.csv", "claims.partial.md"]
    with (tmp_path / "results" / "claims.partial.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert tuple(written[0]) == claims.COLUMNS and len(written) == len(FOUND)
    counts = Counter(line["verdict"] for line in written)
    assert set(counts) <= set(claims.VERDICTS) and f"{len(written)} claims: 1 supported, {counts['not run']} not run, " in said
    (line,) = (line for line in written if line["verdict"] == "supported")
    assert (line["paper"], line["a_row"], line["b_row"]) == ("ldd", "16", "15")
    assert (line["difference"], line["low"], line["high"]) == ("2.5", "1.258", "3.742")
    text = (tmp_path / "results" / "claims.partial.md").read_text()
    assert re.search(r"\| r16 Spike-driven .* \| 4.8 +\| 4.8 +\| 3 +\| 2.50 +\| 1.26 to 3.74 +\|", text)
    assert text.splitlines()[2] == said.partition(". ")[0] + "."


def test_tiny_twins_say_what_they_are_worth():
    assert "nothing about the paper" in claims.about(replace(THREE, scale="paper"))
    assert "nothing about the paper" not in claims.about(replace(PRINTED, scale="smoke"))


def test_all_runs_done_make_the_whole(tmp_path):
    for run in claims.runs(settings()).values():
        made.write(tmp_path, run)
    assert main(["claims", "--directory", str(tmp_path)]) == 0
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["claims.csv", "claims.md"]


def test_the_workflow_runs_what_is_missing(tmp_path):
    words = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path), "--cores", "1", "--dry-run", "results/claims.csv"]
    done = subprocess.run([sys.executable, "-m", "snakemake", *words], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    stats = (done.stdout + done.stderr).partition("Job stats:")[2].partition("total")[0]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}
    needed = {above.id for run in claims.runs(settings()).values() for above in run.resolved.with_upstream()}
    assert jobs.pop("claims") == 1 and set(jobs) == {"train", "train_upstream", "train_pictured"} and sum(jobs.values()) == len(needed)
