"""Check 1: numbers that follow from other numbers of the same table."""

from functools import cache

from benchmark.pins import published
from benchmark.reports.audit.finding import is_ann, name, network, one, result, rows, value
from benchmark.reports.audit.interval import decimals, exact, show
from benchmark.reports.audit.sheets import sheet

# Horowitz, ISSCC 2014 (45 nm), the values that ecmt.txt:603 names: pJ of one 32-bit multiply-accumulate and accumulate.
MAC_PJ, AC_PJ = exact("4.6"), exact("0.9")
# First convolution of every ResNet at 224x224 (He et al. 2016, Table 1: 7x7, 3 to 64 channels, stride 2), 1e9 MACs.
STEM_G = exact(7 * 7 * 3 * 64 * 112 * 112) / exact(10**9)
SMALL = exact("0.001")  # a relative difference below this is called a matter of digits


def checks():
    for pins in rows():
        yield from energy(pins)
        yield from attention(pins)
        yield from power(pins)
        yield from gains(pins)
        yield from speedups(pins)
        yield from complexity(pins)
        yield from reference(pins)


def energy(pins):
    """Energy in mJ = ACs at 0.9 pJ + MACs at 4.6 pJ (tser Table 4)."""
    acs, macs, total = (one(pins, metric=metric) for metric in ("acs_M", "macs_M", "energy_mJ"))
    if not (acs and macs and total):
        return
    expected = (value(acs) * AC_PJ + value(macs) * MAC_PJ) / exact(1000)
    severity = _cut_or_wrong(total, expected)
    why = "the last digit is cut instead of rounded" if severity == "remark" else "the rows of ResNet18 follow the rule"
    yield result(
        [total, acs, macs],
        "energy",
        total.value,
        expected,
        severity,
        f"{name(total)}: {acs.value} M ACs at 0.9 pJ and {macs.value} M MACs at 4.6 pJ make "
        f"{show(expected.value, decimals(total.value) + 1)} mJ" + (f", {total.value} is printed; {why}." if severity else "."),
        kind="digits" if severity == "remark" else "derived",
        fact=f"energy cut instead of rounded, {total.backbone}" if severity == "remark" else f"energies of {total.backbone}",
    )


def _cut_or_wrong(pin, expected) -> str | None:
    """None if the digits agree, 'remark' if the last one is off by less than one (cut instead of rounded), else 'error'."""
    if value(pin).meets(expected):
        return None
    return "remark" if abs(value(pin).value - expected.value) * 10 ** decimals(pin.value) < 1 else "error"


def attention(pins):
    """Energy in uJ = operations at 4.6 pJ, or at 0.9 pJ where they are spikes: the SSA row (caption, spikformer_v2.txt:118)."""
    for total in (pin for pin in pins if pin.metric == "energy_uJ"):
        ops = one(pins, metric="ops_M", dataset=total.dataset)
        expected = value(ops) * (MAC_PJ if total.options else AC_PJ)
        yield result(
            [total, ops],
            "attention_energy",
            total.value,
            expected,
            None if value(total).meets(expected) else "error",
            f"{name(total)}, {total.dataset}: {ops.value} M operations make {show(expected.value, 3)} uJ.",
            kind="derived",
            fact=f"attention energy, {total.method}, {total.dataset}",
        )


def power(pins):
    """Power in mJ = operations in 1e9 at 4.6 pJ for an ANN and at 0.9 pJ for a spiking network."""
    ops, total = one(pins, metric="ops_G"), one(pins, metric="power_mJ")
    if not (ops and total):
        return
    each = MAC_PJ if is_ann(total) else AC_PJ
    expected = value(ops) * each
    severity, kind, fact, why = _power_reason(value(total), expected, total)
    text = f"{name(total)}: {ops.value} G operations at {show(each.value, 1)} pJ make {show(expected.value, 3)} mJ"
    sentence = f"{text}, {total.value} is printed{why}." if severity else f"{text}."
    yield result([total, ops], "power", total.value, expected, severity, sentence, kind=kind, fact=fact)


def _power_reason(seen, expected, pin):
    """(severity, kind, fact, why)"""
    own = f"power_mJ of {network(pin)}, T={pin.time_steps}"
    if seen.meets(expected):
        return None, "derived", own, ""
    if abs(seen.value - expected.value) < SMALL.value * expected.value:
        return "remark", "digits", "power of more digits", "; the operations must have had more digits than are printed"
    if not is_ann(pin) and seen.meets(expected + STEM_G * MAC_PJ):
        why = "; a real-valued first ResNet layer at 4.6 pJ explains it, which this paper's own rows leave out"
        return "inconsistency", "convention", "power with a first layer", why
    if is_ann(pin):
        return "error", "yardstick", "power of the ANNs", "; other ANN rows of the table follow the rule to 0.1 %"
    if pin.origin == "measured":
        return "error", "derived", own, "; every other measured row of the paper follows the rule"
    gap = show(seen.value - expected.value, 3)
    return "inconsistency", "convention", f"power of {network(pin)}", f"; what the other {gap} mJ count is not said"


def gains(pins):
    """A printed gain = accuracy of its row - accuracy of the row called baseline (idsnn Table 3)."""
    for gain in (pin for pin in pins if pin.metric == "accuracy_gain"):
        mine = one(pins, metric="accuracy", dataset=gain.dataset)
        base = one(published.read(gain.name), metric="accuracy", dataset=gain.dataset, method="baseline")
        expected = value(mine) - value(base)
        yield result(
            [gain, mine, base],
            "gain",
            gain.value,
            expected,
            None if value(gain).meets(expected) else "error",
            f"{name(gain)}, {gain.dataset}: {mine.value} - {base.value} = {show(expected.value, 3)}, {gain.value} is printed.",
            kind="derived",
            fact=f"gain of {gain.method}, {gain.dataset}",
        )


def speedups(pins):
    """Speed-up = supervised training time over this row's, same network and steps (caption, spikformer_v2.txt:230)."""
    speed, time = one(pins, metric="speedup"), one(pins, metric="training_time_h")
    if not (speed and time):
        return
    base = one(
        published.read(speed.name),
        metric="training_time_h",
        group="Supervised Learning",
        backbone=speed.backbone,
        time_steps=speed.time_steps,
    )
    expected = value(base) / value(time)
    yield result(
        [speed, time, base],
        "speedup",
        speed.value,
        expected,
        None if value(speed).meets(expected) else "error",
        f"{name(speed)}: {base.value} h / {time.value} h = {show(expected.value, 3)}, {speed.value} is printed.",
        kind="derived",
        fact=f"speed-up of {network(speed)}",
    )


def reference(pins):
    """The energy ratio of the ANN itself is 1 by definition (ecmt.txt:600)."""
    pin = one(pins, metric="energy_ratio", time_steps="-")
    if pin:
        severity = None if value(pin).meets(exact(1)) else "error"
        sentence = f"{name(pin)}: the ANN's own ratio is 1."
        yield result([pin], "reference", pin.value, exact(1), severity, sentence, kind="derived", fact=f"energy ratio of {network(pin)}")


FORMULAS = {  # as printed, ecmt.txt:587-596; n tokens, c channels, h heads, k hidden channels (ecmt.txt:583)
    "LayerNorm 1": lambda n, c, h, k: n * c,
    "Linear qkv": lambda n, c, h, k: n * c * 3 * c,
    "Matrix Product q, k": lambda n, c, h, k: h * n * (c // h) ** 2,
    "Softmax": lambda n, c, h, k: h * n * n,
    "Matrix Product s, v": lambda n, c, h, k: h * n * n * (c // h),
    "Linear out": lambda n, c, h, k: n * c * c,
    "LayerNorm 2": lambda n, c, h, k: n * c,
    "MLP Linear 1": lambda n, c, h, k: n * c * k,
    "GELU": lambda n, c, h, k: n * k,
    "MLP Linear 2": lambda n, c, h, k: n * k * c,
}


@cache
def sizes(paper: str) -> tuple[int, ...]:
    """Tokens, channels, heads, hidden channels of the counted model, from paper.yaml."""
    found = {entry["name"]: entry["value"] for entry in sheet(paper)["hyperparameters"]}
    return tuple(found[key] for key in ("tokens_N", "channels_C", "heads_Nh", "hidden_channels_Ch"))


def complexity(pins):
    """Operations of one module in 1e6 = its printed formula; and the formula itself has to fit the module."""
    pin = one(pins, metric="complexity_M")
    if not pin:
        return
    n, c, heads, hidden = sizes(pin.paper)
    expected = exact(FORMULAS[pin.method](n, c, heads, hidden)) / exact(10**6)
    severity = _cut_or_wrong(pin, expected)
    yield result(
        [pin],
        "complexity",
        pin.value,
        expected,
        severity,
        f"{name(pin)}: the printed formula gives {show(expected.value, 4)} M, {pin.value} is printed"
        + ("; the last digit is cut instead of rounded." if severity == "remark" else "."),
        kind="digits" if severity == "remark" else "derived",
        fact=f"operations of {pin.method} by their formula",
    )
    if pin.method == "Matrix Product q, k":
        # q (n x d) times k transposed (d x n) in each of h heads: n*n*d multiplications a head, as for s, v.
        needed = exact(heads * n * n * (c // heads)) / exact(10**6)
        severity = None if value(pin).meets(needed) else "error"
        yield result(
            [pin],
            "complexity_shape",
            pin.value,
            needed,
            severity,
            f"{name(pin)}: a product of q and k for {n} tokens needs Nh*N*N*(C/Nh), that is {show(needed.value, 2)} M "
            f"like the product of s and v two rows below; {pin.value} M, {show(needed.value / value(pin).value, 1)} times less, "
            "follows from a formula without the second N.",
            kind="formula",
            fact="product of q and k",
        )
