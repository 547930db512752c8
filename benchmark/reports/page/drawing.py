"""How a figure of the page is drawn: by Altair as SVG without a network; its points are plain dictionaries, computed apart from it.

Text and axes are of the colour of the text around them (currentColor), so that one drawing fits a light and a dark page.
"""

import base64
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from html import escape

import altair as alt

COLOURS = ["#3b82c4", "#d9822b", "#2e9e6b", "#b86bb8", "#c9504a", "#8a8f98", "#9a8420", "#2aa1a8"]  # seen on white and on near black
AXIS = dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor", "gridColor"), "currentColor") | {"gridOpacity": 0.15}
CONFIG = {
    "background": "transparent",
    "padding": {"left": 70, "right": 70, "top": 5, "bottom": 5},  # a reader's font may be wider than the one that was measured
    "view": {"stroke": "currentColor", "strokeOpacity": 0.2},
    "axis": AXIS,
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "header": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "range": {"category": COLOURS},
}
POINTS = alt.NamedData(name="points")  # filled in when drawn: Altair would check every one of them
LABELS = alt.Axis(labelLimit=320)  # pixels: a line's name is longer than Altair would show


@dataclass(frozen=True)
class Figure:
    """svg: empty where there is nothing to draw yet."""

    name: str
    title: str
    caption: str
    svg: str


def figure(name: str, title: str, caption: str, points: list[dict], draw: Callable) -> Figure:
    """A figure of these points, without a drawing if there are none."""
    return Figure(name, title, caption, drawn(described(draw), points, name, title) if points else "")


@cache  # Altair checks every word of a chart: of one that many tables share, once
def described(draw: Callable) -> dict:
    return draw().to_dict()


def drawn(chart: dict, points: list[dict], name: str, title: str) -> str:
    """The chart of these points as SVG that can stand in a page beside others."""
    import vl_convert  # a quarter of a second, and only who draws needs it

    spec = {**chart, "description": title, "config": CONFIG, "datasets": {"points": points}}
    svg = vl_convert.vegalite_to_svg(spec, vl_version=".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2]))
    return lighter(re.sub(r'(\bid="|url\(#)', rf"\g<1>{name}-", svg))  # names of clips and gradients hold for the whole page


def lighter(svg: str) -> str:
    """The same drawing in fewer letters, of thousands of marks: places to a hundredth of a pixel, colours as #rrggbb. Text stays as it is."""
    svg = re.sub(r' (?:d|transform)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), svg)
    return re.sub(r'"rgb\((\d+), (\d+), (\d+)\)"', lambda found: '"#{:02x}{:02x}{:02x}"'.format(*map(int, found.groups())), svg)


def embedded(png: bytes, title: str) -> str:
    """A PNG as an SVG that holds it."""
    width, height = struct.unpack(">II", png[16:24])
    content = base64.b64encode(png).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}"><image width="{width}" height="{height}" href="data:image/png;base64,{content}"/></svg>'
    )
