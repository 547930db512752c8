"""`lemaire`: operations, memory and addressing of every convolution, linear layer and neuron (Lemaire et al., arXiv 2210.13107).

32-bit integers at 45 nm: an addition 0.1 pJ, a multiplication 3.1, so 3.2 a multiply-accumulate, and one access to an SRAM of 8 KiB, 32 KiB
or 1 MiB 10, 20 or 100 pJ (Horowitz, ISSCC 2014). Each layer has memories of its own, as large as what they hold: inputs, weights, biases,
membranes, outputs; spikes go through queues of 1,000. With s spikes coming in over all T steps, an integer one as many, N outputs of all
steps, F weights that belong to one input away from the borders, and F' of them that a stride leaves (kernel / stride, rounded up):

                          spikes come in                    other inputs of a spiking network      artificial network
    operations            s F' + N additions                MACs of nonzero inputs, N additions    dense MACs, N additions
    inputs read           s                                 nonzero inputs                         dense MACs; of a linear layer each once
    weights, biases read  s F, N                            nonzero inputs x F, N                  dense MACs, N
    membranes             s F read, s F written             the same                               -
    outputs written       by its neurons                    by its neurons                         N
    addressing            s F additions, 2 s MACs           of its nonzero inputs                  inputs + N + weights of one input channel
      of a linear layer   s F additions                     of its nonzero inputs                  dense additions

A neuron reads and writes its membrane at every step, and every spike is an addition for its reset and one written output; one that leaks
makes a multiply-accumulate at every step. Inputs of the first layer that are no spikes are taken in once, for an image stays (its membranes
are written at every step); later ones at every step. Padding counts as fan-out: a spike at the border reaches F weights too.

`energy_mJ` has the price of a memory by straight lines between those three sizes, as spikingjelly 2.0.0 reads the paper
(op_counter/analytical_energy.py): from 0 pJ at 0 bytes, and 100 pJ from 1 MiB on. The authors' own code has one line, fitted to the three
with kB as 1,000 bytes, at every size: 1.09e-5 pJ a bit + 13.2. That is `energy_line_mJ`: more for small memories, many times as much for
large ones (836 pJ for the weights of a 3x3 convolution of 512 to 512 channels, 100 by the straight lines).

Source: LEAT-EDGE/qualia-plugin-snn@15165fe, src/qualia_plugin_snn/postprocessing/EnergyEstimationMetric.py, which names the paper's
equations; the paper's own text was not to be had.
Parity: with that code's methods, a 3x3 convolution (3 to 8 channels, stride 2) and a linear layer (12 to 5), artificial, spiking with and
without leak, and on a static real input: memory, operations and addressing by the line equal to 1e-12 but for what follows. With
spikingjelly 2.0.0's estimator on binary inputs: memory and addressing equal, operations but for N (tests/test_operations.py).
Deviations: the equations where that code is not what it says of itself: it addresses a spike's convolution with F / output channels for
eq. 16.3's F, and a linear layer's spikes by their rate for eq. 17.2's number; it reads groups as if there were none; the leak behind a real
input is one step's multiplication without its addition. Its equation of a linear layer's operations corrects the paper's (2.4), which has
s x inputs x outputs, and so does this. It updates membranes for a last layer that has no neurons. spikingjelly adds no N without a bias,
holds weights and biases in one memory, and addresses an artificial linear layer with inputs + N.
Guessed: spikes of one height other than 1 are spikes, the height folding into the weights (there: no spikes), negative ones count as
positive; later inputs that are no spikes, which that code takes in once as well, whatever changes.
"""

from math import ceil, prod
from typing import NamedTuple

from benchmark.conventions._energy import uncounted
from benchmark.conventions._result import with_energy
from benchmark.shared.errors import unknown

PRICES = "45nm_int32"
ADD, MULTIPLY = 0.1, 3.1  # pJ; Horowitz, ISSCC 2014, figure 1.1.9: 32-bit integers
SRAM = ((0, 0.0), (8 * 1024, 10.0), (32 * 1024, 20.0), (1024 * 1024, 100.0))  # bytes, pJ an access; the same figure but for the first
SLOPE, BASE = 1.09e-5, 13.2  # pJ a bit, pJ: the authors' line
WORD = 4  # bytes of a number
QUEUE = 1000  # spikes that a queue holds: the authors' configurations


class Work(NamedTuple):
    """Of one layer and inference: additions and multiply-accumulates, those of addressing, and (accesses, numbers in that memory)."""

    acs: float = 0.0
    macs: float = 0.0
    address_acs: float = 0.0
    address_macs: float = 0.0
    accesses: tuple = ()


def count(records: list, preset: str = PRICES) -> dict:
    """operations_mJ, memory_mJ, addressing_mJ: what energy_mJ is the sum of; energy_line_mJ: see above. acs, macs: of operations alone.

    UserError for other prices. A layer whose record does not have the shape of its weights (an earlier version's) is named and not counted.
    """
    if preset != PRICES:
        raise unknown("energy preset of lemaire", preset, [PRICES])
    neurons = [record for record in records if record.kind == "neuron"]
    layers = [record for record in records if record.weights]
    work = [spiking(record) if neurons else artificial(record) for record in layers] + [fires(record) for record in neurons]
    acs, macs = sum(each.acs for each in work), sum(each.macs for each in work)
    operations = picojoule(acs, macs)
    addressing = picojoule(sum(each.address_acs for each in work), sum(each.address_macs for each in work))
    memory, line = (sum(n * price(WORD * size) for each in work for n, size in each.accesses) for price in (between, on_the_line))
    split = {"operations_mJ": operations * 1e-9, "memory_mJ": memory * 1e-9, "addressing_mJ": addressing * 1e-9}
    lost = [record for record in records if record.kind in ("conv", "linear") and record not in layers]
    left = uncounted([record for record in records if record not in layers + neurons + lost], (), biases=True)
    left += [f"{record.name} ({record.layer}, no shape kept)" for record in lost]
    left += [f"{record.name} (leak)" for record in neurons if record.leaks is None]
    by_line = (operations + line + addressing) * 1e-9
    return with_energy("lemaire", acs, macs, sum(split.values()), left, PRICES, **split, energy_line_mJ=by_line)


def picojoule(acs: float, macs: float) -> float:
    """Energy of so many additions and multiply-accumulates."""
    return ADD * acs + (MULTIPLY + ADD) * macs


def between(size: float) -> float:
    """pJ of one access to a memory of so many bytes, by straight lines between the sizes of SRAM."""
    for (low, least), (high, most) in zip(SRAM, SRAM[1:], strict=False):
        if size <= high:
            return least + (most - least) * (size - low) / (high - low)
    return SRAM[-1][1]


def on_the_line(size: float) -> float:
    """pJ of one access to a memory of so many bytes, as the authors' code has it."""
    return SLOPE * 8 * size + BASE


# ---- what one layer does


def spiking(record) -> Work:
    """A layer of a spiking network: each input that is not 0 goes on to its outputs' membranes."""
    spikes = record.each("total" if record.input_kind in ("binary", "integer") else "nonzero")
    fan, reached = fan_out(record)
    outputs = record.each("outputs")
    once = record.steps if record.first and not record.spiking else 1  # an image is taken in for all steps
    seen = spikes / once
    membranes = (2 * spikes * fan, outputs / record.steps)
    accesses = ((seen, QUEUE), (seen * fan, prod(record.weights)), biases(record), membranes)
    located = (seen * fan, 2 * seen if record.kind == "conv" else 0.0)
    if record.spiking:
        return Work(spikes * reached + outputs, 0.0, *located, accesses)
    share = record.nonzero / record.inputs if record.inputs else 0.0
    return Work(outputs / once, record.each("dense") / once * share, *located, accesses)


def artificial(record) -> Work:
    """A layer of an artificial network: everything is read, multiplied and written."""
    dense, inputs, outputs = (record.each(amount) for amount in ("dense", "inputs", "outputs"))
    channel = prod(record.weights) / record.weights[1]
    read = (dense if record.kind == "conv" else inputs, inputs / record.steps)
    accesses = (read, (dense, prod(record.weights)), biases(record), (outputs, outputs / record.steps))
    return Work(outputs, dense, inputs + outputs + record.steps * channel if record.kind == "conv" else dense, 0.0, accesses)


def fires(record) -> Work:
    """Neurons: membranes read and written at each step, a reset and a write for every spike, the leak."""
    neurons, spikes = record.each("neurons"), record.each("spikes")
    return Work(spikes, neurons if record.leaks else 0.0, accesses=((2 * neurons, neurons / record.steps), (spikes, QUEUE)))


def biases(record) -> tuple:
    """(accesses, numbers in the memory) of one read for each output; none without biases."""
    return (record.each("outputs") if record.bias else 0.0, record.weights[0])


def fan_out(record) -> tuple[int, int]:
    """Weights that belong to one input away from the borders, and how many of them it meets at this stride."""
    outputs, _, *kernel = record.weights
    strides = zip(kernel, record.stride, strict=True)
    return outputs // record.groups * prod(kernel), outputs // record.groups * prod(ceil(side / stride) for side, stride in strides)
