"""Check 2: the same thing printed with different values, across tables and papers, and the other way round."""

import re
from itertools import groupby

from benchmark.pins import published
from benchmark.reports.audit.finding import ACCURACIES, POINTS, SHARE, WORDS, is_ann, name, network, result, value

COMPARED = ("accuracy", "accuracy_ann", "params_M", "ops_G", "power_mJ")


def checks():
    yield from values()
    yield from other_teacher()


def identity(pin):
    """What has to be the same for two numbers to be the same number. Time steps are compared apart: they may be unprinted."""
    if pin.metric == "params_M":
        return ("params_M", network(pin), pin.dataset)
    if is_ann(pin):
        metric = "accuracy_ann" if pin.metric == "accuracy" else pin.metric
        return (metric, network(pin), pin.dataset)
    return (pin.metric, pin.cell, pin.options, pin.dataset)


def values():
    """Each number against the first one of the same identity; a table that prints no T must agree with one of the printed T."""
    pins = [pin for pin in published.numbers() if pin.metric in COMPARED and network(pin)]
    for _, group in groupby(sorted(pins, key=lambda pin: (identity(pin), _home(pin))), key=identity):
        group = list(group)
        for index, pin in enumerate(group):
            before = [other for other in group[:index] if _comparable(pin, other)]
            if before:
                yield _compare(pin, before)


def _home(pin):
    """Measured numbers before quoted ones, and those of other papers' networks (baselines) last."""
    return (pin.origin == "quoted", pin.group == "baseline", pin.time_steps == "-", pin.paper, pin.table, pin.row, pin.time_steps)


def _comparable(pin, other) -> bool:
    if pin.metric == "params_M" or is_ann(pin):
        return True
    return pin.time_steps == other.time_steps or "-" in (pin.time_steps, other.time_steps)


def _compare(pin, before):
    agreeing = [other for other in before if value(pin).meets(value(other))]
    other = agreeing[0] if agreeing else min(before, key=lambda candidate: abs(value(candidate).value - value(pin).value))
    severity, kind, fact = (None, "near values", _thing(pin, other)) if agreeing else _graded(pin, other)
    steps = "" if pin.metric == "params_M" or is_ann(pin) else f", T={pin.time_steps}" if pin.time_steps != "-" else ", T not printed"
    text = (
        f"{name(pin)} prints {pin.value} as the {WORDS[pin.metric]} on {pin.dataset}{steps}; "
        f"{name(other)} prints {other.value} for the same network{_method(pin)}"
    )
    if kind in ("quote", "baseline") and pin.metric != "params_M":
        text += " (another recipe or other weights may be the reason)"
    return result([pin, other], "same_value", pin.value, value(other), severity, f"{text}.", kind=kind, fact=fact)


def _method(pin) -> str:
    return "" if pin.metric == "params_M" or is_ann(pin) else " and method"


def _thing(pin, other) -> str:
    """What has two values: 'power_mJ of spikformer-8-512, T=4'."""
    if pin.metric == "params_M" or is_ann(pin):
        return f"{pin.metric} of {network(pin)}"
    steps = next((number.time_steps for number in (pin, other) if number.time_steps != "-"), "not printed")
    return f"{pin.metric} of {network(pin)}, T={steps}" + (f", {pin.dataset}" if pin.metric == "accuracy" else "")


def _graded(pin, other) -> tuple[str, str, str]:
    """(severity, kind, fact) of two values that differ. Within a paper it matters how far; between papers, whether one quotes the other."""
    if pin.paper == other.paper:
        far = abs(value(pin).value - value(other).value) >= (POINTS if pin.metric in ACCURACIES else SHARE * value(other).value)
        both = "-" not in (pin.time_steps, other.time_steps) or pin.metric == "params_M"
        return "error" if both and far else "inconsistency", "two values" if far else "near values", _thing(pin, other)
    family = re.sub(r"(-\d+)+$", "", network(pin))
    if pin.metric == "accuracy" and not is_ann(pin) and (pin.origin, other.origin) == ("quoted", "measured"):
        return "inconsistency", "quote", f"quotes {family} on {pin.dataset}"
    if pin.metric == "params_M":
        return "remark", "digits", f"params_M of {network(pin)}"
    return "remark", "baseline", f"{family} on {pin.dataset} as in {other.paper}"


def _student(pin):
    return (*pin.cell.split(":")[:2], pin.dataset, pin.time_steps)


def other_teacher():
    """Two papers, the same method and student, another teacher: not the same number, but worth a look when far apart."""
    pins = [pin for pin in published.numbers() if pin.metric == "accuracy" and pin.cell.count(":") == 2 and not pin.options]
    for _, group in groupby(sorted(pins, key=_student), key=_student):
        first, *rest = group
        for pin in rest:
            if pin.paper == first.paper or pin.cell == first.cell:
                continue
            severity = None if value(pin).meets(value(first)) else "remark"
            yield result(
                [pin, first],
                "other_teacher",
                pin.value,
                value(first),
                severity,
                f"{name(pin)} prints {pin.value} on {pin.dataset}, T={pin.time_steps}, {name(first)} prints {first.value}: "
                "the same method and student, with another teacher.",
                kind="baseline",
                fact=f"{pin.cell.split(':')[0]} on {pin.dataset} with another teacher",
            )
