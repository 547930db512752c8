"""Figures that are pictures: masked images as a pre-training fills them in, frames of event recordings."""

from contextlib import suppress
from pathlib import Path

from benchmark.pins import published
from benchmark.pins.settings import Settings
from benchmark.reports import figures as of_papers
from benchmark.reports.page.drawing import Figure, embedded
from benchmark.shared.errors import UserError

FILLED = (
    "Test images of the data that ran, what the encoder sees of them, and what its decoder makes of the rest; each hidden patch has the mean "
    "and the contrast of the image itself, as the papers that predict normalised patches draw it."
)
FRAMES = (
    "The first recording of each class, a frame for each of ten time steps: on red, off blue. A stand-in, made of handwritten digits that "
    "move, in the place of real recordings."
)


def pictures(settings: Settings, root: Path) -> list[Figure]:
    """What has been drawn so far."""
    return [*filled_in(settings, root), *frames(root)]


def filled_in(settings: Settings, root: Path) -> list[Figure]:
    """What a pre-training makes of test images, of the papers' figures that show it."""
    found = []
    for name in published.figures():
        with suppress(UserError):  # a broken figure is told to who asks for it
            path = of_papers.picture(name, settings)
            if path and (root / path).exists():
                paper, number = published.read(name)[0].paper, published.read(name)[0].table
                title = f"{paper} Figure {number}: masked images filled in"
                found.append(Figure(name, title, FILLED, embedded((root / path).read_bytes(), title)))
    return found


def frames(root: Path) -> list[Figure]:
    """Frames of the stand-ins for event recordings, as `draw` left them in results/frames."""
    found = []
    for path in sorted((root / "results" / "frames").glob("*.png")):
        title = f"Event recordings: {path.stem}"
        found.append(Figure(f"frames_{path.stem}", title, FRAMES, embedded(path.read_bytes(), title)))
    return found
