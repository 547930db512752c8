"""How sure a difference is: over seeds, over images, over both, among many."""

import numpy as np
import pytest

from benchmark.reports import significance


def test_over_seeds_is_the_paired_t_test():
    """1, 2, 3: mean 2, deviation 1, t = 2 sqrt(3) on 2 degrees of freedom, p = 1 - t / sqrt(2 + t^2)."""
    t = 2 * 3**0.5
    assert significance.over_seeds([1.0, 2.0, 3.0]) == pytest.approx(1 - t / (2 + t * t) ** 0.5)
    assert significance.over_seeds([1.0]) is None and significance.over_seeds([]) is None
    assert significance.over_seeds([0.5, 0.5]) == 0.0 and significance.over_seeds([0.0, 0.0]) == 1.0


def test_over_images_is_mcnemar_of_one_seed():
    """Of 100 images 20 are right on side A alone, 10 on B alone: z = (20 - 10) / sqrt(30 - 10^2 / 100)."""
    a, b = np.zeros((1, 100), bool), np.zeros((1, 100), bool)
    a[0, :20], b[0, 20:30], a[0, 30:70], b[0, 30:70] = True, True, True, True
    low, high, p = significance.over_images(a, b)
    assert (low + high) / 2 == pytest.approx(10.0) and (high - low) / 2 == pytest.approx(1.959964 * 29**0.5, rel=1e-6)
    assert p == pytest.approx(0.0633, abs=1e-3)
    assert significance.over_images(b, a)[:2] == (pytest.approx(-high), pytest.approx(-low))
    assert significance.over_images(a, a) == (0.0, 0.0, 1.0)


def test_over_both_is_wider_than_over_images_alone_when_seeds_differ():
    draw = np.random.default_rng(1)
    b = draw.random((3, 400)) < 0.5
    a = np.stack([b[0] | (draw.random(400) < 0.4), b[1], b[2] & (draw.random(400) < 0.9)])
    low, high = significance.over_both(a, b)
    one, other, _ = significance.over_images(a, b)
    assert low < one and high > other and significance.over_both(a, b) == (low, high)


def test_false_discoveries_are_controlled_among_those_that_have_a_value():
    """Smallest of four times 4, the next times 4 / 2, ...; a claim without a run has none, and does not count."""
    assert significance.controlled([0.01, None, 0.04, 0.03, 0.9]) == pytest.approx([0.04, None, 0.16 / 3, 0.16 / 3, 0.9])
    assert significance.controlled([None]) == [None]
