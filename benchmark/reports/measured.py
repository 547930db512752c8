"""What the runs of a table's line came to so far: their values, what stands in the way of them, what keeps them from being compared."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmark.metrics import Metric
from benchmark.pins.published import Number
from benchmark.reports import comparison
from benchmark.reports.comparison import Verdict
from benchmark.runs import structures
from benchmark.runs.lines import Line
from benchmark.runs.run import Run, planned


@dataclass(frozen=True)
class Measured:
    """A line with what lies in its runs' folders. states: of each run; runs: seed -> metrics of those that are believed; why: what is
    wrong, if anything; structure: of the paper-size network, None if it has not been counted; before: seed -> role -> what ran before, its
    metrics (its specification alone while it has none) and its own `before`; scratch: seed -> metrics of the table's line that trains the
    same network from scratch."""

    line: Line
    states: tuple[str, ...]
    runs: dict[int, dict]
    why: str
    structure: dict | None
    before: dict[int, dict]
    scratch: dict = field(default_factory=dict)

    @classmethod
    def of(cls, line: Line, root: Path) -> "Measured":
        """Looks into the folders below `root`, the scale's working directory."""
        found = {run.seed: run.metrics(root) for run in line.runs}
        said = dict.fromkeys(filter(None, (line.lacking, *(reason(run, root) for run in line.runs))))
        structure = None
        if line.resolved:
            structure = structures.read(root, line.resolved.spec["network"]["name"], line.first.dataset)
        done = {seed: metrics for seed, metrics in found.items() if metrics is not None}
        return cls(
            line,
            tuple(run.state(root) for run in line.runs),
            done,
            "; ".join(said),
            structure,
            {run.seed: before(run, root) for run in line.runs},
        )

    def values(self, metric: Metric, first: "Measured | None" = None) -> dict[int, float]:
        """seed -> value, of the seeds that measure it; what layers decide has one, and needs no run. first: the table's first row."""
        runs = {seed: {**run, "before": self.before[seed], "scratch": self.scratch.get(seed)} for seed, run in self.runs.items()}
        if metric.of == "structure" and self.line.resolved:
            runs = {0: {"spec": self.line.resolved.spec}}
        base = first and first.runs
        found = {seed: metric.read(run, self.structure, self.line.reading, base) for seed, run in runs.items()}
        return {seed: value for seed, value in found.items() if value is not None}

    def verdict(self, number: Number, values: dict[int, float], first: "Measured | None" = None) -> Verdict:
        """A printed number against these values, the state of the runs taken in."""
        metric = comparison.metric_of(number)
        if not number.value:  # one's own: nothing is printed
            return Verdict("")
        if waiting := self.waiting(metric, values):
            return Verdict(waiting)
        shares = ()
        if metric.shares and len(values) == 1:
            (seed,) = values
            shares = metric.shares(self.runs[seed], self.structure, self.line.reading, first and first.runs)
        return comparison.verdict(number, list(values.values()), self.differences, shares, self.images)

    def waiting(self, metric: Metric, values: dict[int, float]) -> str:
        """Why there is no value of this metric to compare, as a verdict; empty if there may be one."""
        if metric.of == "run":
            return self.unfinished
        uncounted = metric.reader and self.line.resolved and self.structure is None
        return "" if values else self.unfinished or ("not run" if uncounted else "")

    @property
    def unfinished(self) -> str:
        """Why there is no value to compare, as a verdict; empty if there may be one."""
        if self.line.lacking:
            return "not implemented"
        if self.line.left_out:
            return "not run"
        if not self.states:
            return "missing"
        if "damaged" in self.states:
            return "damaged"
        return "" if self.runs else "failed" if "failed" in self.states else "not run"

    @property
    def images(self) -> int | None:
        """Test images behind each accuracy."""
        return next((run["images"]["test"] for run in self.runs.values()), None)

    @cached_property
    def differences(self) -> list[str]:
        """What was run otherwise than printed, in short phrases: by the specification, and by what the runs say of themselves."""
        if not self.line.resolved:
            return []
        spec = self.line.resolved.spec
        shown = [phrase for run in self.runs.values() for phrase in fewer(run, spec)]
        return list(dict.fromkeys([*self.line.resolved.differences, *shown]))

    @property
    def failed_checks(self) -> list[str]:
        """Names of the checks that some run's network failed."""
        return sorted({name for run in self.runs.values() for name in run["checks"]["failed"]})


def reason(run: Run, root: Path) -> str:
    """Why a run has no metrics: what is wrong with it, or with what it learns from."""
    if run.metrics(root) is not None:
        return ""
    if why := run.why(root):
        return why
    above = ((role, reason(above, root)) for role, above in run.upstream)
    return "; ".join(f"its {role}: {why}" for role, why in above if why)


def before(run: Run, root: Path) -> dict:
    """See Measured: what runs before a run, by role."""
    return {
        role: {"spec": above.resolved.spec, **(above.metrics(root) or {}), "before": before(above, root)} for role, above in run.upstream
    }


def fewer(run: dict, spec: dict) -> list[str]:
    """What a run did less of than its specification says."""
    pairs = [(run["images"][split], spec["data"][split], what) for split, what in (("train", "training images"), ("test", "test images"))]
    pairs.append((run["epochs"], planned(spec["recipe"]), "epochs"))
    return [f"{done} of {whole} {what}" for done, whole, what in pairs if done < whole]


def shortened(differences: list[str]) -> str:
    """The first three differences, and how many more there are."""
    more = len(differences) - 3
    return ", ".join(differences[:3]) + (f" and {more} more" if more > 0 else "")
