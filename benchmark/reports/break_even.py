"""On which side of the printed break-even with a quantised artificial network a line's firing rate lies.

The source (Yan, Bai, Tang and Wong, arXiv 2409.08290; the abstracts of its versions, the text behind them was not to be had) holds a
spiking network that codes by rates in T steps against an artificial one of ceil(log2(T + 1)) bits, which can tell as many values apart,
with the movement of data counted. "Under typical neuromorphic hardware conditions" the spiking one needs less energy below a firing rate of
6.4 % in versions 2 and 3, for T from 5 to 10, and below 5.7 % in version 4 (May 2026), which says so of T = 5 alone.
Both lines are asked of 5 to 10 steps, so that nothing passes by a number that has been lowered since.
Nothing is said of other T, and of spikes other than 0 and 1. Nor is anything measured: networks here are not all coded by rates, their
weights have 32 bits, and no artificial network of so few bits runs beside them.
"""

from benchmark.metrics._layers import records, steps
from benchmark.reports.measured import Measured

LINES = (5.7, 6.4)  # % of neurons and steps; abstracts of version 4, of versions 2 and 3
STEPS = range(5, 11)
SIDES = ("below", "between", "above")
MEANING = (
    f"whether the firing rate is below, between or above {LINES[0]} and {LINES[1]} %, under which a spiking network of {STEPS[0]} to "
    f"{STEPS[-1]} steps is printed to need less energy than an artificial one of ceil(log2(T + 1)) bits on typical neuromorphic hardware "
    "(arXiv 2409.08290, see docs/counting.md), or what it is not stated for; empty without neurons or a run"
)


def of(measured: Measured, rate: float | None) -> str:
    """One of SIDES, or why the source says nothing of this line. rate: its firing rate in %, None without one."""
    if rate is None:
        return ""
    run = next(iter(measured.runs.values()))
    return side(rate, steps(run, measured.line.reading), {record.sends for record in records(run)})


def side(rate: float, time_steps: int, sends: set[str]) -> str:
    """The same for so many steps and what neurons are declared to send."""
    if time_steps not in STEPS:
        return f"not stated for T = {time_steps}"
    if others := sorted(sends & {"signed", "graded"}):
        return f"not stated for {' and '.join(others)} spikes"
    return SIDES[sum(rate >= line for line in LINES)]
