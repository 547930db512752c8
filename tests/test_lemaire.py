"""`lemaire` by hand: a convolution and a linear layer, spiking and artificial, from the equations; without torch.

The convolution is 3x3, stride 2, padding 1, from 2 channels of 5 x 5 to 4 of 3 x 3, with a bias; all of two images and two steps."""

import statistics

import pytest

from benchmark.conventions import Record, count, lemaire
from benchmark.shared.errors import UserError

CONV = {"kind": "conv", "layer": "Conv2d", "weights": [4, 2, 3, 3], "stride": [2, 2], "bias": True}
AMOUNTS = {"steps": 2, "images": 2, "dense": 2592, "outputs": 144, "inputs": 200}  # an image and step: 36 outputs of 18 weights, 50 inputs
LINEAR = {"kind": "linear", "layer": "Linear", "weights": [5, 12], "steps": 2, "images": 2, "dense": 240, "outputs": 20, "inputs": 48}
NEURONS = Record("fire", "neuron", 2, "LIF", images=2, neurons=144, spikes=24, leaks=True)
QUEUE = 10 * 4000 / 8192  # pJ of an access to 1,000 spikes of 4 bytes, on the way from 0 to 10 pJ at 8 KiB


def conv(**changes):
    return Record("conv", **{**CONV, **AMOUNTS, "nonzero": 20, "total": 20.0, **changes})


def linear(**changes):
    return Record("linear", **{**LINEAR, "nonzero": 12, "total": 12.0, **changes})


def small(numbers):
    """pJ of an access to a memory of so many numbers, below 8 KiB."""
    return 10 * 4 * numbers / 8192


def split(records):
    """Picojoules of operations, memory and addressing, which the energy is the sum of."""
    found = count("lemaire", records)
    parts = [found[f"{part}_mJ"] for part in ("operations", "memory", "addressing")]
    assert found["energy_mJ"] == pytest.approx(sum(parts), rel=1e-12) and found["convention"] == "lemaire, 45nm_int32"
    return [part * 1e9 for part in parts]


IDLE = Record("idle", "neuron", 2, "IF", images=2, leaks=False)  # makes a network a spiking one
LEFT = ["scaling of products and means over time (no layers)"]


def test_a_convolution_that_receives_spikes():
    """Ten spikes an image, each meets 4 x 2 x 2 of its 4 x 9 weights at this stride."""
    found = split([conv(), IDLE])
    operations = 0.1 * (10 * 16 + 72)
    memory = 10 * QUEUE + 360 * small(72) + 72 * small(4) + 720 * small(36)
    assert found == pytest.approx([operations, memory, 0.1 * 360 + 3.2 * 20], rel=1e-12)
    assert (count("lemaire", [conv(), IDLE])["acs"], count("lemaire", [conv(), IDLE])["macs"]) == (232, 0)


def test_neurons_read_and_write_their_membranes():
    """72 an image over both steps, 12 spikes."""
    memory = 144 * small(36) + 12 * QUEUE
    assert split([NEURONS]) == pytest.approx([0.1 * 12 + 3.2 * 72, memory, 0], rel=1e-12)
    still = Record(**{**vars(NEURONS), "leaks": False})
    assert split([still]) == pytest.approx([0.1 * 12, memory, 0], rel=1e-12)


def test_a_linear_layer_that_receives_spikes():
    """Six an image; no bias, whose additions are there all the same (equation 2.4)."""
    memory = 6 * QUEUE + 30 * small(60) + 60 * small(5)
    assert split([linear(), IDLE]) == pytest.approx([0.1 * (30 + 10), memory, 0.1 * 30], rel=1e-12)


def test_a_convolution_of_an_artificial_network():
    record = conv(steps=1, images=1, dense=648, outputs=36, inputs=50, nonzero=50, total=50.0, input_kind="real", first=True)
    memory = 648 * small(50) + 648 * small(72) + 36 * small(4) + 36 * small(36)
    assert split([record]) == pytest.approx([3.2 * 648 + 0.1 * 36, memory, 0.1 * (50 + 36 + 36)], rel=1e-12)
    assert (count("lemaire", [record])["acs"], count("lemaire", [record])["macs"]) == (36, 648)


def test_a_linear_layer_of_an_artificial_network():
    record = linear(steps=1, images=1, dense=60, outputs=5, inputs=12, input_kind="real", bias=True)
    memory = 12 * small(12) + 60 * small(60) + 5 * small(5) + 5 * small(5)
    assert split([record]) == pytest.approx([3.2 * 60 + 0.1 * 5, memory, 0.1 * 60], rel=1e-12)


def test_an_artificial_network_goes_through_its_steps_one_by_one():
    """Its memories hold one step: two cost twice as much as one."""
    for two in (conv(), linear(bias=True)):
        one = Record(**{**vars(two), "steps": 1, **{amount: getattr(two, amount) // 2 for amount in ("dense", "outputs", "inputs")}})
        assert split([two]) == pytest.approx([2 * part for part in split([one])], rel=1e-12)


def test_an_image_is_taken_in_once_and_later_real_inputs_at_every_step():
    """A tenth of the inputs are not 0: ten an image over both steps, five of them taken in from an image that stays."""
    first = split([conv(first=True, input_kind="real"), IDLE])
    memory = 5 * QUEUE + 180 * small(72) + 72 * small(4) + 720 * small(36)
    assert first == pytest.approx([3.2 * 64.8 + 0.1 * 36, memory, 0.1 * 180 + 3.2 * 10], rel=1e-12)
    later = split([conv(input_kind="fraction", total=4.0), IDLE])
    memory = 10 * QUEUE + 360 * small(72) + 72 * small(4) + 720 * small(36)
    assert later == pytest.approx([3.2 * 129.6 + 0.1 * 72, memory, 0.1 * 360 + 3.2 * 20], rel=1e-12)


@pytest.mark.parametrize(("kind", "total", "spikes"), [("binary", 20.0, 10), ("integer", 50.0, 25), ("unit", 7.0, 10)])
def test_an_integer_spike_is_as_many_and_a_height_folds_into_the_weights(kind, total, spikes):
    found = count("lemaire", [conv(input_kind=kind, total=total), IDLE])
    assert (found["acs"], found["macs"]) == (spikes * 16 + 72, 0)
    assert count("lemaire", [conv(input_kind=kind, total=total, first=True), IDLE]) == found  # frames of events do not stay


def test_a_group_has_its_own_outputs():
    alone, grouped = conv(weights=[4, 1, 3, 3], groups=2), conv(weights=[4, 1, 3, 3], groups=1)
    assert lemaire.fan_out(alone) == (18, 8) and lemaire.fan_out(grouped) == (36, 16) and lemaire.fan_out(linear()) == (5, 5)


# ---- what a memory costs


@pytest.mark.parametrize(("kib", "pj"), [(0, 0), (4, 5), (8, 10), (20, 15), (32, 20), (528, 60), (1024, 100), (1025, 100), (8192, 100)])
def test_an_access_between_the_sizes_that_are_known(kib, pj):
    assert lemaire.between(1024 * kib) == pytest.approx(pj, rel=1e-12)


def test_the_authors_line_is_the_one_of_least_squares():
    """With kB as 1,000 bytes; its slope and base are rounded to three digits there."""
    slope, base = statistics.linear_regression([8 * 8e3, 8 * 32e3, 8 * 1e6], [10.0, 20.0, 100.0])
    assert (float(f"{slope:.3g}"), float(f"{base:.3g}")) == (lemaire.SLOPE, lemaire.BASE)
    assert lemaire.on_the_line(1e6) == pytest.approx(1.09e-5 * 8e6 + 13.2, rel=1e-12)


def test_the_other_price_is_of_memory_alone():
    found = count("lemaire", [conv(), NEURONS])
    accesses = {1000: 10 + 12, 72: 360, 4: 72, 36: 720 + 144}  # numbers in a memory -> how often it is read or written
    line = sum(often * (1.09e-5 * 32 * numbers + 13.2) for numbers, often in accesses.items())
    rest = found["operations_mJ"] + found["addressing_mJ"]
    assert found["energy_line_mJ"] == pytest.approx(rest + line * 1e-9, rel=1e-12) and found["energy_line_mJ"] > 5 * found["energy_mJ"]


# ---- what is left out


def test_what_is_left_out_is_named():
    norm = Record("norm", "norm", 2, "BatchNorm2d", images=2, inputs=144, outputs=144)
    product = Record("mix", "product", 2, "MatMul", images=2, dense=100, events=10)
    assert count("lemaire", [conv(), norm, product, NEURONS])["uncounted"] == ["norm (BatchNorm2d)", "mix (MatMul)", *LEFT]


def test_records_of_earlier_runs_are_read_and_what_they_do_not_say_is_named():
    """As they lie in metrics.json: no shape of weights, no leak."""
    later = ("weights", "stride", "groups", "leaks")
    old = [{key: value for key, value in record.to_dict().items() if key not in later} for record in (conv(), NEURONS, linear())]
    found = count("lemaire", [Record.from_dict(values) for values in old])
    assert found["uncounted"] == [*LEFT, "conv (Conv2d, no shape kept)", "linear (Linear, no shape kept)", "fire (leak)"]
    assert found["acs"] == 12 and found["macs"] == 0


def test_it_has_its_own_prices():
    assert count("lemaire", [conv()], "45nm_int32") == count("lemaire", [conv()])
    with pytest.raises(UserError, match="unknown energy preset of lemaire '45nm_8bit': did you mean 45nm_int32"):
        count("lemaire", [conv()], "45nm_8bit")
