"""Names against numbers: the size in a printed network name, and the letters that a caption defines."""

import re

from benchmark.pins import published
from benchmark.reports.audit.finding import name, network, plain

LETTERS = {"R": "resnet", "SEW R": "sew-resnet", "V": "vgg", "S": "spikformer", "Sg": "spikingformer"}  # tser.txt:179, 206


def checks():
    seen = set()
    for pin in published.numbers():
        if (pin.name, pin.row, pin.backbone) not in seen and network(pin):
            seen.add((pin.name, pin.row, pin.backbone))
            yield from size(pin)
            yield from letters(pin)


def size(pin):
    """Blocks and width in the printed name ('4-384') against the network that its parameters and accuracy belong to."""
    shown, meant = (re.search(r"-(\d+-\d{3})(?:-|\*|$)", text) for text in (pin.backbone, network(pin)))
    if shown and meant:
        severity = None if shown[1] == meant[1] else "error"
        params = next((other.value for other in published.read(pin.name) if other.row == pin.row and other.metric == "params_M"), "")
        why = f" with the {params} M parameters and the accuracy that other tables print for the {meant[1]} network" if severity else ""
        sentence = f"{name(pin)} names a {shown[1]} network{why}."
        yield plain([pin], "size_in_name", shown[1], severity, sentence, kind="name", fact=f"name of {network(pin)}", expected=meant[1])


def letters(pin):
    """'Sg-8-384': the letters say Spikingformer."""
    found = re.fullmatch(r"(SEW R|R|V|Sg|S)-(\d.*)", pin.backbone) if pin.paper == "tser" else None
    if found:
        said = LETTERS[found[1]]
        # A directly trained SEW network is printed as R-18 under the method name SEW ResNet, which says it too.
        severity = None if network(pin).removeprefix("sew-").startswith(said.removeprefix("sew-")) else "remark"
        sentence = f"{name(pin)}: the caption defines {found[1]} as {said}" + (f", the row is {pin.method}." if severity else ".")
        fact = f"letters of {pin.cell.partition(':')[2]}"
        yield plain([pin], "letters", found[1], severity, sentence, kind="name", fact="letters" if severity else fact, expected=pin.method)
