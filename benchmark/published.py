"""The pins: every number that the papers print, one line each, read and checked. Never loads torch or pandas.

`benchmark/papers/<paper>/table<k>.csv` holds the lines of one printed table; the table's name is `table<k>_<paper>`.
"""

import csv
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from benchmark.errors import UserError, unknown

PAPERS = Path(__file__).parent / "papers"
DATASETS = ("CIFAR10", "CIFAR100", "ImageNet", "CIFAR10-DVS", "DVS128", "-")
ORIGINS = ("measured", "quoted", "reconstructed")
METRICS = {  # name: what one unit of it is
    "accuracy": "top-1 test accuracy, %",
    "accuracy_std": "spread of `accuracy` as printed behind +-, percentage points",
    "accuracy_ann": "top-1 test accuracy of the ANN that a spiking network starts from, %",
    "accuracy_gain": "difference of two accuracies as printed, percentage points",
    "params_M": "parameters, millions",
    "ops_G": "operations of one inference over all time steps, 1e9 (each paper's own convention)",
    "ops_M": "the same, 1e6",
    "macs_M": "multiply-accumulates of one inference, 1e6",
    "acs_M": "accumulates of one inference, 1e6",
    "power_mJ": "energy of one inference, mJ, where the paper says power",
    "energy_mJ": "energy of one inference, mJ",
    "energy_uJ": "energy of one inference, uJ",
    "energy_ratio": "energy divided by the ANN's",
    "firing_rate_pct": "spikes per neuron and time step, %",
    "training_time_s": "seconds, of what the row says",
    "training_time_h": "hours of training",
    "speedup": "times faster than the row the paper compares with",
    "epoch": "epoch at which the accuracy beside it was reached, or epochs trained",
    "epoch_pretrain": "epochs of pre-training",
    "epoch_finetune": "epochs of fine-tuning",
    "mask_ratio_pct": "share of masked patches, %",
    "complexity_M": "operations by the paper's formula, 1e6",
}


@dataclass(frozen=True)
class Number:
    """One printed number. All fields are text as in the pin file; `value` has the digits exactly as printed."""

    paper: str
    table: int
    row: int
    group: str
    method: str
    backbone: str
    dataset: str
    time_steps: str
    metric: str
    value: str
    unit: str
    origin: str
    source: str
    cell: str
    options: str
    note: str

    @property
    def number(self) -> float:
        return float(self.value)

    @property
    def name(self) -> str:
        return f"table{self.table}_{self.paper}"


COLUMNS = tuple(field.name for field in fields(Number))[2:]


@cache
def tables() -> dict[str, Path]:
    """Every pinned table by name, in the order of papers and table numbers: {'table1_ldd': path, ...}."""
    files = sorted(PAPERS.glob("*/table*.csv"), key=lambda path: (path.parent.name, int(path.stem[5:])))
    return {f"{path.stem}_{path.parent.name}": path for path in files}


@cache
def read(table: str) -> tuple[Number, ...]:
    """The numbers of one table in printed order. UserError: no such table, or a pin file that breaks the schema."""
    if table not in tables():
        raise unknown("table", table, tables())
    path = tables()[table]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise UserError(f"{path}: the header must be {','.join(COLUMNS)}")
        paper, number = path.parent.name, int(path.stem[5:])
        return tuple(_number(path, reader.line_num, paper, number, line) for line in reader)


def _number(path: Path, line_number: int, paper: str, table: int, line: dict) -> Number:
    try:
        number = Number(paper=paper, table=table, **{**line, "row": int(line["row"])})
        number.number  # noqa: B018  (a value that is no number fails here)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}:{line_number}: not a pin line ({error})") from None
    for what, known in (("dataset", DATASETS), ("origin", ORIGINS), ("metric", METRICS)):
        if getattr(number, what) not in known:
            raise UserError(f"{path}:{line_number}: {unknown(what, getattr(number, what), known)}")
    return number


def numbers() -> list[Number]:
    """All pinned numbers of all papers."""
    return [number for table in tables() for number in read(table)]
