"""What a metric is. Loads nothing heavy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from benchmark.shared.errors import unknown

ELSEWHERE = "*"  # in a floor: data sets that have none of their own


@dataclass(frozen=True)
class Metric:
    """One kind of number that a paper prints or that a table shows.

    name: as in pins, and the column of tables. meaning: what one unit of it is. unit: as in pins.
    of: `structure` for what the network's layers decide, the same at every scale; `run` for what a run measures.
    reader: (run, structure, reading, first) -> value in `unit`, or None where it was not measured. run: a run's metrics.json; of a
        structure's metric, perhaps only its `spec`. structure: the paper-size network's file, or None. reading: pins/readings.py.
        first: metrics by seed of the table's first row of the same data set, or None.
    shares: instead of a reader, for shares of the test images in percent: the same arguments -> [a], or [a, b] for the difference
        a - b; None where not measured. With one seed their error is that of drawing so many test images.
    good: +1 if more is better, -1 if less is, 0 if neither is.
    floor: data set -> least tolerance in `unit` ("*": any other). relative: least tolerance as a share of the printed value.
    spread: the metric that holds the spread printed beside this one, of which the tolerance is twice.
    pinned: `table`, `figure`: whose pins may name it. column: its column in every table, at `place` from the left; empty for none.
    beside: metrics shown wherever this one is. digits: decimals in tables; None for six significant digits.
    conventions: a paper's convention (`conventions` in paper.yaml) -> fields that it changes.
    """

    name: str
    meaning: str
    unit: str
    of: str = "run"
    reader: Callable | None = None
    shares: Callable | None = None
    good: int = 0
    floor: Mapping = field(default_factory=dict)
    relative: float = 0.0
    spread: str = ""
    pinned: tuple[str, ...] = ("table",)
    column: str = ""
    place: int = 0
    beside: tuple[str, ...] = ()
    digits: int | None = None
    conventions: Mapping = field(default_factory=dict)

    def read(self, run: dict, structure: dict | None, reading, first: Mapping | None = None) -> float | None:
        """The value of one run, in `unit`; None where it is not measured."""
        if self.of == "structure" and structure is None:
            return None
        if self.shares:
            parts = self.shares(run, structure, reading, first)
            return parts and parts[0] - sum(parts[1:])
        return self.reader(run, structure, reading, first) if self.reader else None

    def by(self, convention: str | None) -> "Metric":
        """This metric as a paper with this convention counts it. UserError for one that the metric does not know."""
        if convention is None:
            return self
        if convention not in self.conventions:
            raise unknown(f"convention of {self.name}", convention, self.conventions)
        return replace(self, **self.conventions[convention])

    def least(self, dataset: str, value: float) -> float:
        """The floor of the tolerance of a printed value, in `unit`."""
        return max(self.floor.get(dataset, self.floor.get(ELSEWHERE, 0.0)), self.relative * abs(value))
