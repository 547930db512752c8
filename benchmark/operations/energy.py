"""Conventions: pure functions from records to operations and energy of one inference. Loads no torch.

`events`  exact. A layer whose inputs are spikes does one accumulate per arriving event (an integer spike counts as that many), a
          layer with real inputs one multiply-accumulate per nonzero input; both at the true borders, over all T steps. Softmax-free
          attention does one accumulate per coinciding pair (see the product's own docstring).
`papers`  the published formula SOPs = firing rate x T x FLOPs, rate the mean value of the layer's input, padding counted as if it
          fired; the first layer as MACs of a single step (Spikformer V2, eq. 20-22; Spike-driven Transformer, appendix).

Neither counts batch normalisation, pooling, residual additions or membrane updates: `uncounted` lists them by name.
"""

PICOJOULE = {"45nm_32bit": {"mac": 4.6, "ac": 0.9}}  # Horowitz, ISSCC 2014: 32-bit multiply 3.7 + add 0.9; add 0.9
SYNAPTIC = ("conv", "linear", "product")


def events(records: list) -> dict:
    """Exact accumulates and multiply-accumulates per inference, and their energy in mJ."""
    layers = [record for record in records if record.kind in SYNAPTIC]
    spiking = [record for record in layers if record.input_kind != "real"]
    real = [record for record in layers if record.input_kind == "real"]
    acs, macs = (sum(_each(record.values if group is spiking else record.events, record) for record in group) for group in (spiking, real))
    return {"acs": acs, "macs": macs, "energy_mJ": energy(macs, acs), "convention": "events, 45nm_32bit"}


def papers(records: list) -> dict:
    """SOPs by the published formula, and 4.6 pJ x first layer + 0.9 pJ x SOPs in mJ."""
    layers = [record for record in records if record.kind in SYNAPTIC]
    first = [record for record in layers if record.input_kind == "real"][:1]
    spiking = [record for record in layers if record not in first]
    sops = sum(_each(record.dense, record) * _rate(record) for record in spiking)
    macs = sum(_each(record.dense, record) / record.steps for record in first)
    return {"sops": sops, "macs": macs, "energy_mJ": energy(macs, sops), "convention": "papers, 45nm_32bit"}


def dense(records: list) -> float:
    """Multiply-accumulates of one inference if nothing were sparse: convolutions, linear layers, attention products, all steps."""
    return sum(_each(record.dense, record) for record in records if record.kind in SYNAPTIC)


def firing_rate(records: list) -> float | None:
    """Spikes per neuron and step in percent, over all neuron layers; None for an ANN."""
    neurons = sum(record.neurons for record in records)
    return 100 * sum(record.spikes for record in records) / neurons if neurons else None


def uncounted(records: list) -> list[str]:
    """Layers that no convention here counts, by name."""
    return [f"{record.name} ({record.kind})" for record in records if record.kind not in (*SYNAPTIC, "neuron")] + ["residual additions", "membrane updates"]


def energy(macs: float, acs: float, preset: str = "45nm_32bit") -> float:
    """Millijoules of so many operations."""
    return (PICOJOULE[preset]["mac"] * macs + PICOJOULE[preset]["ac"] * acs) * 1e-9


def _each(total: float, record) -> float:
    return total / max(1, record.images)


def _rate(record) -> float:
    """Mean input value of a layer with spike inputs; for a product, the share of its dense operations that happened."""
    if record.kind == "product":
        return record.events / record.dense if record.dense else 0.0
    if record.input_kind == "integer" and record.events:  # values carries the fan-out; undo it with the events' own
        return record.nonzero / record.inputs * record.values / record.events
    return record.nonzero / record.inputs if record.inputs else 0.0
