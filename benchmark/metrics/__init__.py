"""Metrics: one file per family of printed quantities. What a quantity means, its unit, how it is read from a run, how far an obtained
value may lie from a printed one, and its column in tables stand there and nowhere else. Loads no torch.

A file declares METRICS, a tuple of `Metric`; it is found by being there (names with a leading underscore are not).
"""

import importlib
from functools import cache
from pathlib import Path

from benchmark.metrics._metric import Metric
from benchmark.shared.errors import UserError, unknown

FOLDER = Path(__file__).parent


@cache
def offered() -> dict[str, Metric]:
    """Every metric by its name. UserError for a name that two files give; a file that cannot be read is left to whoever asks for it."""
    found: dict[str, Metric] = {}
    for name in families():
        for metric in family(name) or ():
            if metric.name in found:
                raise UserError(f"metrics/{name}.py: metric '{metric.name}' exists already")
            found[metric.name] = metric
    return found


def families() -> list[str]:
    """Names of the files."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def family(name: str) -> tuple[Metric, ...] | None:
    """The metrics of one file, None if it cannot be imported."""
    try:
        return importlib.import_module(f"{__name__}.{name}").METRICS
    except Exception:  # whatever is wrong with it, tables of other metrics go on
        return None


def metric(name: str) -> Metric:
    """One metric by its name. UserError for an unknown one, naming files that cannot be read."""
    if name not in offered():
        broken = [f"metrics/{one}.py" for one in families() if family(one) is None]
        raise UserError(f"{unknown('metric', name, offered())}{f' (cannot be read: {chr(44).join(broken)})' if broken else ''}")
    return offered()[name]


def pinned(kind: str) -> dict[str, str]:
    """name -> meaning of what pins of this kind (table or figure) may print."""
    return {name: metric.meaning for name, metric in offered().items() if kind in metric.pinned}


def columns() -> list[Metric]:
    """The metrics that every table has a column of, in the order in which they stand there."""
    return sorted((metric for metric in offered().values() if metric.column), key=lambda metric: metric.place)
