"""The pins: every number that the papers print, one line each, read and checked. Never loads torch or pandas.

`benchmark/papers/<paper>/table<k>.csv` holds the lines of one printed table; the table's name is `table<k>_<paper>`. A figure that is
a table in disguise has `figure<k>.csv` with the same columns: `metric` is what is drawn, `value` empty where the text prints none of it.
"""

import csv
import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from benchmark.shared.errors import UserError, unknown

PAPERS = Path(__file__).parent.parent / "papers"
DATASETS = ("CIFAR10", "CIFAR100", "ImageNet", "CIFAR10-DVS", "DVS128", "-")
ORIGINS = ("measured", "quoted", "reconstructed", "unstated")  # unstated: the paper does not say whether it ran the row itself
WORDED = {  # how a column is written, and how that is said
    "time_steps": (r"-|[1-9]\d*(\(\d+\)|/\d+)?", "as printed, from 1 on, or - where none is printed"),
    "options": (r"(\w+=\S+( \w+=\S+)*)?", "empty or name=value, parted by one blank"),
}
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
DRAWN = {  # what a figure shows of its runs
    "accuracy": "top-1 test accuracy by the value of an option, %",
    "accuracy_step_mean": "top-1 test accuracy of each time step alone; printed: its mean over the steps, %",
    "accuracy_step_spread": "the same; printed: best step less worst, percentage points",
    "curve": "accuracy and loss by epoch",
    "loss_surface": "loss around the trained weights in two random directions",
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


@dataclass(frozen=True)
class Drawn(Number):
    """One line of a figure; `table` is the figure's number."""

    @property
    def name(self) -> str:
        return f"figure{self.table}_{self.paper}"


COLUMNS = tuple(field.name for field in fields(Number))[2:]


@cache
def tables() -> dict[str, Path]:
    """Every pinned table by name, in the order of papers and table numbers: {'table1_ldd': path, ...}."""
    return _files("table")


@cache
def figures() -> dict[str, Path]:
    """Every figure that runs can fill, by name: {'figure2_tser': path, ...}."""
    return _files("figure")


def _files(kind: str) -> dict[str, Path]:
    files = sorted(PAPERS.glob(f"*/{kind}*.csv"), key=lambda path: (path.parent.name, int(path.stem.removeprefix(kind))))
    return {f"{path.stem}_{path.parent.name}": path for path in files}


@cache
def read(name: str) -> tuple[Number, ...]:
    """The numbers of one table, or the lines of one figure, in printed order. UserError: unknown, or a file that breaks the schema."""
    kind, known = ("figure", figures()) if name.startswith("figure") else ("table", tables())
    if name not in known:
        raise unknown(kind, name, known)
    path = known[name]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise UserError(f"{path}: the header must be {','.join(COLUMNS)}")
        return tuple(_number(path, reader.line_num, kind, line) for line in reader)


def _number(path: Path, line_number: int, kind: str, line: dict) -> Number:
    made, metrics = {"table": (Number, METRICS), "figure": (Drawn, DRAWN)}[kind]
    try:
        number = made(paper=path.parent.name, table=int(path.stem.removeprefix(kind)), **{**line, "row": int(line["row"])})
        if number.value or kind == "table":
            number.number  # noqa: B018  (a value that is no number fails here)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}:{line_number}: not a pin line ({error})") from None
    for what, known in (("dataset", DATASETS), ("origin", ORIGINS), ("metric", metrics)):
        if getattr(number, what) not in known:
            raise UserError(f"{path}:{line_number}: {unknown(what, getattr(number, what), known)}")
    for what, (pattern, said) in WORDED.items():
        if not re.fullmatch(pattern, getattr(number, what)):
            raise UserError(f"{path}:{line_number}: {what} must be {said}, not '{getattr(number, what)}'")
    return number


def numbers() -> list[Number]:
    """All pinned numbers of all papers."""
    return [number for table in tables() for number in read(table)]
