"""What a table derives from several rows: gains over the first one, and the epoch at which it is passed. Runs are made up."""

import json

import pytest

from benchmark.pins.settings import settings
from benchmark.reports import tables
from benchmark.runs import lines as ledger

PAPER = settings({"scale": "paper", "seeds": 2})


def pretend(root, table, curves):
    """Finished runs: `curves` gives the accuracies by epoch of (method, options) and seed; others stay missing."""
    syops = {"ops": 1.0, "acs": 1.0, "macs": 1.0, "energy_mJ": 1.0}
    for line in ledger.lines(table, PAPER):
        for run in line.runs:
            curve = curves.get((line.first.method, line.first.options, line.first.dataset), {}).get(run.seed)
            if curve is None:
                continue
            (root / run.folder).mkdir(parents=True, exist_ok=True)
            best = max(curve)
            found = {"accuracy": curve[-1], "accuracy_best": best, "epoch_best": curve.index(best) + 1, "accuracy_by_epoch": curve}
            sizes = dict.fromkeys(
                ("parameters", "macs_dense", "acs", "sops", "energy_mJ", "energy_formula_mJ", "firing_rate", "seconds"), 1.0
            )
            found |= {
                **sizes,
                "images_per_second": 1.0,
                "conventions": {"syops": syops},
                "structure": {**sizes, "ops_syops": 1.0, "macs_syops": 1.0},
            }
            (root / run.folder / "metrics.json").write_text(json.dumps(found))


def rows(root, table):
    return {(row["method"], row["options"], row["dataset"]): row for row in tables.build(table, PAPER, root)}


def test_gains_are_points_above_the_first_row_of_the_data_set(tmp_path):
    names = {"baseline": "", "+ initialization": "kd=0", "IDSNN": ""}
    ends = {"baseline": (70.0, 72.0), "+ initialization": (74.0, 74.3), "IDSNN": (60.0, 60.0)}
    curves = {(name, options, "CIFAR100"): dict(enumerate([end] for end in ends[name])) for name, options in names.items()}
    pretend(tmp_path, "table3_idsnn", curves)
    found = rows(tmp_path, "table3_idsnn")
    assert found["+ initialization", "kd=0", "CIFAR100"]["accuracy_gain"] == pytest.approx(3.15)
    assert found["+ initialization", "kd=0", "CIFAR100"]["accuracy_gain_verdict"] == "match"  # 3.16 is printed
    assert found["IDSNN", "", "CIFAR100"]["accuracy_gain_verdict"] == "worse"
    assert found["IDSNN", "", "CIFAR10"]["accuracy_gain"] is None and found["IDSNN", "", "CIFAR10"]["accuracy_gain_verdict"] == "not run"


@pytest.mark.parametrize(
    ("quick", "epoch", "verdict"),
    [
        (([1, 80, 71, 71], [1, 1, 80, 71]), 2.5, "worse"),  # an epoch has no good side; the baseline's best over both seeds is 75
        (([1, 1, 1, 80], [1, 1, 1, 74]), 4, "worse"),  # one seed never passes it
        (([1, 2, 3, 4], [75, 75, 75, 75]), None, "missing"),
    ],
)
def test_the_epoch_at_which_the_first_row_is_passed(quick, epoch, verdict, tmp_path):
    schedule = "schedule=10-20-30"
    pretend(
        tmp_path,
        "table4_idsnn",
        {("baseline", "", "CIFAR100"): {0: [70, 76, 74], 1: [74, 73]}, ("IDSNN", schedule, "CIFAR100"): dict(enumerate(quick))},
    )
    row = rows(tmp_path, "table4_idsnn")["IDSNN", f"{schedule} at_epoch=14", "CIFAR100"]
    assert row["epoch"] == epoch and row["epoch_verdict"] == verdict
    assert row["epoch_published"] == "14" and row["accuracy"] is None and row["accuracy_verdict"] == "missing"
