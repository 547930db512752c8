"""What a network is by its layers alone: parameters, and dense operations of one time step.

The network is built without memory on torch's meta device and run once for its shapes. Which layers receive strictly binary inputs,
as the `syops` convention asks, comes from a narrow copy (the same layers, few channels) that runs on random images and whose neurons
send at random what their kind may send, so that no layer is silent by chance of its weights.
"""

import torch

from benchmark import conventions
from benchmark.measuring.counter import Counter
from benchmark.networks.build import build as built
from benchmark.networks.build import module_of
from benchmark.networks.layers import count_parameters
from benchmark.neurons._base import Neuron
from benchmark.shared.errors import UserError
from benchmark.shared.sizes import smaller

DEPTHS = ("depth", "depths", "convolutions", "pools")  # what a narrow copy keeps of the network's size
STEPS, IMAGES = 4, 2  # of what the narrow copy sees
SIDE = {"images": 64, "folder": 64, "events": 128}  # its largest side: networks for 128 x 128 events pool up to seven times


def structure(network: dict, classes: int, shape, form: str = "images") -> dict:
    """parameters; multiply-accumulates of one image and one step: layers_macs of convolutions and linear layers, products_macs of
    attention; syops_ops and syops_macs by the convention `syops`; ann: no neurons; block: see `attention_block`; code: the network's, as
    it was given.

    network: a specification's, with file, size, layout and neuron. shape: of one image or frame, without time.
    """
    model, records = shapes(network, classes, shape, form)
    ann = not network["neuron"]
    kinds = {} if ann else input_kinds(network, classes, shape, form, {record.name for record in records})
    for record in records:
        record.input_kind = kinds.get(record.name, "real")
    dense = {kind: sum(record.dense for record in records if record.kind == kind) for kind in ("conv", "linear", "product")}
    counted = conventions.count("syops", records)
    return {
        "parameters": count_parameters(model),
        "layers_macs": dense["conv"] + dense["linear"],
        "products_macs": dense["product"],
        "syops_ops": counted["ops"],
        "syops_macs": counted["macs"],
        "ann": ann,
        "block": attention_block(records),
        "code": network.get("code", ""),
    }


def shapes(network: dict, classes: int, shape, form: str = "images"):
    """The network and its records for one image and one step, without memory or values."""
    with torch.device("meta"):
        model = build(network, network["size"], classes, shape, 1).eval()
        return model, watched(model, torch.empty(1, 1, *shape) if form == "events" else torch.empty(1, *shape), 1, values=False)


def input_kinds(network: dict, classes: int, shape, form: str, layers: set[str]) -> dict[str, str]:
    """Layer -> kind of its inputs, seen in a narrow copy or, where narrowing changes which layers there are, in the network itself.

    UserError: neither has these layers.
    """
    size, shape = network["size"], (shape[0], *(min(side, SIDE[form]) for side in shape[1:]))
    narrow = {**smaller(size, module_of(network["file"]).TWIN), **{key: size[key] for key in DEPTHS if key in size}}
    for candidate in (narrow, size):
        records = live(network, candidate, classes, shape, form)
        if {record.name for record in records} == layers:
            return {record.name: record.input_kind for record in records}
    raise UserError(f"{network['name']}: another set of layers at {STEPS} time steps or on images of {' x '.join(map(str, shape))}")


def live(network: dict, size: dict, classes: int, shape: tuple, form: str) -> list[conventions.Record]:
    """Records of a copy with memory; weights, images and spikes from seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(network, size, classes, shape, STEPS).eval()
        for module in model.modules():
            if isinstance(module, Neuron):
                module.register_forward_hook(sending)
        events = form == "events"
        return watched(model, torch.randint(0, 4, (STEPS, IMAGES, *shape)).float() if events else torch.randn(IMAGES, *shape), STEPS)


def sending(neuron, inputs, output):
    """In place of a neuron's output: a tenth of what it may send, the rest silent, so that some passes a row of IAND shortcuts."""
    sent = {"binary": torch.ones_like, "signed": lambda x: torch.randn_like(x).sign(), "graded": torch.randn_like}[neuron.sends]
    return torch.where(torch.rand_like(output) < 0.1, sent(output), 0.0)


def build(network: dict, size: dict, classes: int, shape, steps: int):
    return built({**network, "size": size}, classes, shape, steps)


def watched(model, images, steps: int, values: bool = True) -> list[conventions.Record]:
    """Records of one forward pass."""
    counter = Counter(values)
    with torch.no_grad(), counter.watching(model, steps):
        model(images)
    counter.seen(images.shape[images.dim() - 4])
    return list(counter.records.values())


def attention_block(records: list) -> dict[str, float]:
    """Operations of the first block of a timm Transformer by its layers, as ECMT's Table 3 has them; empty for other networks."""
    block = {record.name.partition(".blocks.0.")[2]: record for record in records if ".blocks.0." in record.name}
    if "attn.softmax" not in block:
        return {}
    product = block["attn"]
    return {
        "norm1": block["norm1"].inputs,
        "qkv": block["attn.qkv"].dense,
        "scores": product.dense / 2,
        "softmax": block["attn.softmax"].inputs,
        "mix": product.dense / 2,
        "proj": block["attn.proj"].dense,
        "norm2": block["norm2"].inputs,
        "fc1": block["mlp.fc1"].dense,
        "act": block["mlp.act"].inputs,
        "fc2": block["mlp.fc2"].dense,
    }
