"""How sure a difference between two methods is: over seeds, over test images, over both, and among many claims that are asked at once.

Each says what it covers. Over seeds: another training of the same recipe, on the same test images. Over images: other test images, the
same trained networks. Over both: other trainings and other images. Differences are of accuracies, in points. What computes is loaded once it
is needed: scipy takes a second.
"""

import math
import statistics

DRAWS = 2000  # of the bootstrap
LEVEL = 0.95


def over_seeds(differences: list[float]) -> float | None:
    """Two-sided p of the paired t test; None below two seeds. Differences that are all alike: 0, or 1 of none at all."""
    if len(differences) < 2:
        return None
    if not statistics.stdev(differences):
        return 0.0 if differences[0] else 1.0
    from scipy import stats

    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def over_images(a, b) -> tuple[float, float, float]:
    """(low, high, two-sided p) of the mean difference. a, b: arrays [seeds, images], whether each image was answered right.

    McNemar's test without its correction, for one seed; for several, the same of each image's mean over them.
    """
    from scipy import stats

    each = 100 * (a.astype(float) - b).mean(0)
    mean, error = each.mean(), each.std() / math.sqrt(len(each))
    if not error:
        return mean, mean, 0.0 if mean else 1.0
    half = stats.norm.ppf((1 + LEVEL) / 2) * error
    return mean - half, mean + half, float(2 * stats.norm.sf(abs(mean) / error))


def over_both(a, b) -> tuple[float, float]:
    """(low, high) of the mean difference by a bootstrap that draws seeds, then images, the same for both sides; its draws are fixed."""
    import numpy as np

    draw = np.random.default_rng(0)
    each = 100 * (a.astype(np.float32) - b)
    seeds, images = each.shape
    means = [each[draw.integers(0, seeds, seeds)].mean(0)[draw.integers(0, images, images)].mean() for _ in range(DRAWS)]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def controlled(values: list[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's adjusted p of claims asked together, None where there is none: below 0.05, one in twenty of them is false."""
    known = [value for value in values if value is not None]
    if not known:
        return values
    from scipy import stats

    adjusted = iter(stats.false_discovery_control(known).tolist())
    return [None if value is None else next(adjusted) for value in values]
