"""A simulated event camera before a moving picture: events where the logarithm of a pixel's brightness crosses a threshold.

As cameras do it: a pixel remembers the level of its last event; each time the logarithm of its brightness is a threshold above or below
that, it sends an event, on or off, and remembers the new level. Between two views the logarithm runs straight. Thresholds differ a little
from pixel to pixel, and pixels send noise. Everything behind the picture is whole numbers, so that the events are the same everywhere.
"""

import numba
import numpy as np

from benchmark.datasets._events import EVENT

LEVELS = 1024  # of brightness
DARK = 0.08  # brightness of the paper, where ink is 1
UNIT = 4096  # of log brightness: parts of a factor e
LOGARITHM = np.round(UNIT * np.log(np.linspace(DARK, 1, LEVELS))).astype(np.int64)
THRESHOLD, SPREAD = 0.3, 0.03  # factor e that makes an event, and its deviation over pixels
NOISE = 0.5  # events per pixel and second that nothing caused


def thresholds(size: int) -> np.ndarray:
    """A camera of size x size pixels: how much less and how much more log brightness makes an event, int64 [2, size, size]."""
    return np.round(UNIT * np.random.default_rng(0).normal(THRESHOLD, SPREAD, (2, size, size))).astype(np.int64)


def record(picture: np.ndarray, poses: np.ndarray, times: np.ndarray, thresholds: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """EVENT [N] of a camera with these thresholds that looks at `picture` [h, w], ink 0..1, on dark paper.

    poses: [K, 4], where the picture is at times [K] (whole microseconds): its centre's x and y in pixels from the sensor's, the angle in
    radians, clockwise as seen, and how many pixels of the sensor one of the picture covers.
    """
    views = np.empty((len(poses), *thresholds.shape[1:]), np.int64)
    turns = [np.round(wave(poses[:, 2]), 9) for wave in (np.cos, np.sin)]  # no two machines agree on the last bit of a sine
    _look(np.pad(picture, 1), np.column_stack([poses, *turns]), LOGARITHM, views)
    caused = np.empty(_watch(views, times, thresholds, np.empty(0, EVENT)), EVENT)
    _watch(views, times, thresholds, caused)
    found = np.concatenate([caused, noise(views.shape[1], times, random)])
    return found[np.argsort(found["t"], kind="stable")]


def noise(size: int, times: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Events without a cause, anywhere at any time."""
    found = np.empty(random.poisson(NOISE * size * size * (times[-1] - times[0]) / 1e6), EVENT)
    for name, end in (("x", size), ("y", size), ("p", 2)):
        found[name] = random.integers(0, end, len(found))
    found["t"] = random.integers(times[0], times[-1], len(found))
    return found


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _look(paper, poses, logarithm, views):
    """Log brightness of each pixel at each pose, the picture drawn out between its pixels' centres; paper: the picture in a margin of 1."""
    height, width = paper.shape
    size, top_level = views.shape[1], len(logarithm) - 1
    for k in range(len(poses)):
        x, y, _, scale, cos, sin = poses[k]
        cos, sin = cos / scale, sin / scale
        for row in range(size):
            down = row - (size - 1) / 2 - y
            for column in range(size):
                right = column - (size - 1) / 2 - x
                u = min(max(cos * right + sin * down + (width - 1) / 2, 0.0), width - 1.001)
                v = min(max(cos * down - sin * right + (height - 1) / 2, 0.0), height - 1.001)
                left, top = int(u), int(v)
                u -= left
                v -= top
                upper = paper[top, left] * (1 - u) + paper[top, left + 1] * u
                lower = paper[top + 1, left] * (1 - u) + paper[top + 1, left + 1] * u
                views[k, row, column] = logarithm[int((upper * (1 - v) + lower * v) * top_level + 0.5)]


@numba.njit(nogil=True, cache=True)
def _watch(views, times, thresholds, found):
    """Write the events to `found`, pixel by pixel, and return how many there are; an empty `found` only counts them."""
    count = 0
    for row in range(views.shape[1]):
        for column in range(views.shape[2]):
            remembered = views[0, row, column]
            for k in range(1, len(times)):
                before, now = views[k - 1, row, column], views[k, row, column]
                on = now > before
                step = thresholds[1, row, column] if on else -thresholds[0, row, column]
                while (remembered + step <= now) if on else (remembered + step >= now):
                    remembered += step
                    if len(found):
                        passed = max(0, (remembered - before) * (times[k] - times[k - 1]) // (now - before)) if now != before else 0
                        found[count]["x"], found[count]["y"], found[count]["p"] = column, row, on
                        found[count]["t"] = times[k - 1] + passed
                    count += 1
    return count
