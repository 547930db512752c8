"""An artificial network becomes a spiking one: neurons at its places, expectation compensation around what is not linear.

    network, places, images = surveyed(ann, ...)   timm's attentions as layers; where neurons can stand; the images to set thresholds by
    neurons = {place.name: neuron, ...}            a place without one passes its input on
    converted = convert(network, places, neurons, steps)

Any network whose layers `places.kind_of` knows: timm's vision Transformers, this project's artificial Transformers, ResNets and VGGs. A
conversion that fires in place of activations (ReLU and its quantised kin) gives those places neurons, and none to the layers.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.networks.converting.expectation import Clock, Expectation, Fires, Held, Product
from benchmark.networks.converting.explicit import copy_of, explicit
from benchmark.networks.converting.places import SIDES, Place, find_places, hooks, kind_of
from benchmark.shared.errors import UserError

ROOM = {"cpu": 2**24, "cuda": 2**30}  # bytes of the largest activation of what goes through at once; larger ones cost page faults
TOLERANCE = 1e-3  # relative, of an average output; what is not linear is off by much more


class Converted(nn.Module):
    """Images [B, C, H, W], or [T, B, C, H, W] that change, -> logits [T, B, classes]; the mean of the first t is the answer at t.

    For inference. Whatever T is, memory is that of `rows` steps x images: all steps of as many images as fit go through together, and a
    longer run window by window, with the same results. probing: steps that run first and answer nothing. together: steps that the first
    window has at least, for neurons that look ahead; a run of fewer computes so many for an image that stays. answers: neurons that the
    logits go through, [T, B, classes] -> the same.
    """

    def __init__(
        self,
        network: nn.Module,
        places: list[str],
        clock: Clock,
        steps: int,
        rows: int,
        probing=0,
        together=1,
        answers: nn.Module | None = None,
    ):
        super().__init__()
        self.network, self.places, self.clock, self.steps, self.rows = network, places, clock, steps, rows
        self.probing, self.together = probing, together
        self.answers = Fires(answers, clock) if answers else nn.Identity()

    @property
    def steps(self) -> int:
        return self._steps

    @steps.setter
    def steps(self, steps: int) -> None:
        if steps < 1:
            raise UserError(f"a converted network needs at least one time step, not {steps}")
        self._steps = steps

    def train(self, mode: bool = True):
        """Stays in inference: normalisations keep their statistics."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images):
        batch = images.dim() - 4
        if batch and len(images) != self.probing + self.steps:
            raise UserError(f"{len(images)} images a sample for {self.probing + self.steps} time steps")
        window = max(self.together, min(self.probing + self.steps, self.rows))
        parts = images.split(max(1, self.rows // window), batch)
        return torch.cat([self.run(part, window) for part in parts], 1)

    def run(self, images, window):
        """One part of a batch, `window` steps at a time."""
        functional.reset_net(self)  # an interrupted run leaves membranes
        logits, count = [], images.shape[-4]
        steps = self.probing + (max(self.steps, self.together) if images.dim() == 4 else self.steps)
        for before in range(0, steps, window):
            end = min(before + window, steps)
            self.clock.set(before, end - before, count, end == steps)
            answer = self.answers(self.network(images if images.dim() == 4 else images[before:end].flatten(0, 1)))
            logits.append(answer.reshape(end - before, count, answer.shape[-1]))
        return torch.cat(logits)[self.probing : self.probing + self.steps]

    # ---- what a converted network is

    def neurons(self) -> dict[str, nn.Module]:
        """Name of a place -> its neuron, from the image on."""
        found = {name.removesuffix(".fires"): module.neuron for name, module in self.network.named_modules() if isinstance(module, Fires)}
        return {place: found[place] for place in self.places}

    def thresholds(self) -> list[dict]:
        """One line for each place with a multi-threshold neuron: how many thresholds it has, the smallest and the largest ones."""
        lines = []
        for name, neuron in self.neurons().items():
            positive, negative = neuron.thresholds.chunk(2)
            sizes = {"theta1": positive[0], "theta2": -negative[0], "largest": positive[-1], "lowest": negative[-1]}
            lines.append({"place": name, "thresholds": 2 * neuron.n, **{key: value.item() for key, value in sizes.items()}})
        return lines

    def firing(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Place -> share of its neurons that fired at each step and threshold [T, 2n] in float64, over these images."""
        return {name: count[:, :-1] / count[:, -1:] for name, count in self.fired(images).items()}

    def firing_by_threshold(self, images: torch.Tensor) -> dict[str, list[float]]:
        """Place -> spikes of each threshold lambda_1 ... lambda_2n, then how many could have been, over these images and all steps; empty
        where a neuron has no ladder of thresholds."""
        if not all(hasattr(neuron, "thresholds") for neuron in self.neurons().values()):
            return {}
        return {name: count.sum(0).tolist() for name, count in self.fired(images).items()}

    def fired(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Place -> how many neurons fired at each step and threshold, and how many there are [T, 2n + 1] in float64, over these images."""
        counts = dict.fromkeys(self.places, 0)
        handles = []
        for name, neuron in self.neurons().items():

            def count(neuron, inputs, sent, name=name):
                now = torch.stack([(sent == threshold).flatten(1).sum(1) for threshold in neuron.thresholds], 1)
                whole = torch.zeros(self.steps, now.shape[1] + 1, dtype=torch.float64, device=now.device)
                window = slice(self.clock.before, self.clock.before + len(sent))
                whole[window, :-1], whole[window, -1] = now.double(), sent[0].numel()
                counts[name] = counts[name] + whole

            handles.append(neuron.register_forward_hook(count))
        try:
            self(images)
        finally:
            for handle in handles:
                handle.remove()
        return counts


def surveyed(ann: nn.Module, calibration: Iterable[torch.Tensor]) -> tuple[nn.Module, list[Place], Iterator[torch.Tensor]]:
    """A copy of an artificial network for inference, timm's attentions as layers, its places, and the training images from the first on.

    UserError: no image; what `survey` refuses.
    """
    network, images = explicit(ann), iter(calibration)
    batch = next(images, None)
    if batch is None:
        raise UserError("a conversion looks at training images, and got none")
    return network, survey(network, batch[:1]), chain([batch], images)


def survey(network: nn.Module, image: torch.Tensor) -> list[Place]:
    """Where neurons can stand in an artificial network that takes images like [1, C, H, W].

    UserError: it cannot be converted, for its layers or for what it computes between them.
    """
    places = find_places(network, image)
    if wrong := not_linear(network, places, image):
        raise UserError(f"{type(network).__name__} cannot be converted: {wrong} computes more between its layers than sums")
    return places


def convert(
    network, places: list[Place], neurons: dict[str, nn.Module], steps: int, probing=0, together=1, answers=None, compensated=True
) -> Converted:
    """A copy of an artificial network, its weights shared, that runs over time.

    neurons: name of a place -> its neuron. answers: a neuron behind the logits, if any. probing, together: see `Converted`.
    compensated: False leaves what is not linear, products too, as it is: it sees each step's spikes alone.
    """
    network, clock = copy_of(network).eval(), Clock()
    first = next(place.name for place in places if place.first)
    weight = next(network.parameters())
    for name, module in list(network.named_modules()):
        if new := converted(name, module, neurons, clock, name == first, compensated):
            network.set_submodule(name, new.eval())
    room = ROOM.get(weight.device.type, ROOM["cpu"]) // weight.element_size()
    rows = max(1, room // max(place.size for place in places))
    fires = [place.name for place in places if place.name in neurons]
    return Converted(network, fires, clock, steps, rows, probing, together, answers).to(weight.device)


def converted(name, module, neurons, clock, first, compensated=True) -> nn.Module | None:
    """What takes a module's place; None if it stays."""
    kind = kind_of(module)
    if kind in ("linear", "conv"):
        layer = Held(module, clock) if first else module
        return nn.Sequential(OrderedDict(fires=Fires(neurons[name], clock), layer=layer)) if name in neurons else layer
    if kind == "product" and compensated:
        sides = (neurons.get(name + side) for side in SIDES["product"])
        return SpikingProduct(*(Fires(neuron, clock) if neuron else nn.Identity() for neuron in sides), Product(clock))
    if kind == "activation" and name in neurons:
        return Fires(neurons[name], clock)
    return Expectation(module, clock) if compensated and kind in ("activation", "nonlinear") else None


class SpikingProduct(nn.Module):
    """The product of what two layers of neurons send."""

    def __init__(self, left: nn.Module, right: nn.Module, product: Product):
        super().__init__()
        self.left, self.right, self.product = left, right, product

    def forward(self, a, b):
        return self.product(self.left(a), self.right(b))


@torch.no_grad()
def not_linear(network, places, image) -> str:
    """The first module, by name and class, whose average over an image and its negative is not its value at their average; empty if none.

    Without neurons and with expectation compensation only what stands between the layers can be the reason.
    """
    exact, expected, wrong = convert(network, places, {}, 2), {}, []
    exact.rows = 2  # in one window, however large
    pair = torch.stack([image, -image.flip(-1)])

    def value(name, module, inputs, output):
        if kind_of(module) == "inside" and torch.is_tensor(output):
            expected[name] = output

    def compare(name, module, inputs, output):
        if name in expected and not wrong:
            found, wanted = exact.clock.by_step(output).mean(0), expected[name]
            if not (found - wanted.reshape(found.shape)).abs().max() <= TOLERANCE * wanted.abs().max():
                wrong.append(f"{name} ({type(network.get_submodule(name)).__name__})" if name else "it")

    with hooks(network, after=value):
        network(pair.mean(0))
    with hooks(exact.network, after=compare):
        exact(pair)
    return "".join(wrong)
