"""What the paper-size network of a printed row is, counted from its layers alone: files that a rule of their own makes, read here.

`structures/<backbone>/<data set>.json`: parameters, and for one time step layers_macs, products_macs, syops_ops, syops_macs; ann.
"""

import json
from pathlib import Path

from benchmark.pins import cells, code, kinds, published
from benchmark.shared.errors import UserError

KEYS = ("parameters", "layers_macs", "products_macs", "syops_ops", "syops_macs", "ann")
COUNTING = code.ROOT / "benchmark" / "measuring" / "structure.py"


def path(backbone: str, dataset: str) -> Path:
    """Its file, relative to the scale's working directory."""
    return Path("structures") / backbone / f"{dataset}.json"


def behind(table: str) -> list[Path]:
    """The files of the networks that a table shows, each once."""
    found = []
    for number in published.read(table):
        try:
            cell = cells.cell_of(number)
        except cells.Lacking:
            continue
        found += [path(cell.backbone, cell.dataset)] if cell else []
    return list(dict.fromkeys(found))


def of_all_pins() -> list[Path]:
    """The files of every network that a printed number names, students and what lies above them; those that cannot be built left out."""
    named = {(backbone, number.dataset): None for number in published.numbers() for backbone in number.cell.split(":")[1:]}
    return [path(*one) for one in named if can_be_counted(*one)]


def can_be_counted(backbone: str, dataset: str) -> bool:
    """True for a network and a data set with files, that go together."""
    try:
        described(backbone, dataset)
    except UserError:
        return False
    return True


def described(backbone: str, dataset: str) -> tuple[dict, dict]:
    """The network at paper size and the data set as printed, as specifications have them."""
    found, (entry, data) = kinds.backbone(backbone), kinds.dataset(dataset)
    network = {"name": backbone, "file": found.family.file, "size": found.size, "layout": found.layout(entry["layout"])}
    network |= {"neuron": found.family.table("NEURON"), "twin": False}
    return network, {"name": dataset, "file": data.file, **entry}


def key(backbone: str, dataset: str) -> str:
    """A text that changes when the network has to be counted again: what it is, or the code that builds or counts it."""
    network, data = described(backbone, dataset)
    files = [kinds.backbone(backbone).family.path, COUNTING]
    files += [kinds.named("neuron", network["neuron"]["name"]).path] if network["neuron"] else []
    return cells.canonical({"network": network, "data": data, "code": [code.of_closure(file) for file in files]})


def read(root: Path, backbone: str, dataset: str) -> dict | None:
    """What is known of the network, None if it has not been counted. UserError for a broken file."""
    file = root / path(backbone, dataset)
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}): delete it, the workflow makes it again") from None
    wrong = [key for key in KEYS if not (isinstance(found, dict) and isinstance(found.get(key), (int, float)))]
    if wrong:
        raise UserError(f"{file} is damaged (no {', '.join(wrong)}): delete it, the workflow makes it again")
    return found


def macs(found: dict | None) -> float | None:
    """Multiply-accumulates of one image and step of what `read` gives."""
    return found and found["layers_macs"] + found["products_macs"]
