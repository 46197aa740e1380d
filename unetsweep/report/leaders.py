"""Which configs cannot be told from the best, by their confirmation runs.

Rule 1: seeds and validation images are both drawn by chance, so both count as sources of error: a test over images
        alone calls a lucky seed a better config.
Rule 2: only seeds and images that all configs have are compared; what cannot be tested stays in the set.
Rule 3: the test set decides nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Repeats:
    """One config's confirmation runs, in the order of `seeds`."""

    key: int
    """The trial that it confirms."""
    seeds: tuple[int, ...]
    val: tuple[float, ...]
    """The metric over the validation set."""
    test: tuple[float | None, ...]
    """IoU over the test set."""
    per_image: tuple[Mapping[str, float], ...]
    """The metric of each validation image, by its name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a config stands."""

    key: int
    runs: int
    val_mean: float
    val_sd: float | None
    """Sample standard deviation over the seeds; None for one run. So for the test set."""
    test_mean: float | None
    test_sd: float | None
    gap: float | None
    """`val_mean` less `test_mean`."""
    behind: float | None
    """Mean over common seeds and images by which the best is better; 0 for the best, None: nothing in common."""
    p: float | None
    """Adjusted by Holm, of the difference to the best; None for the best, and where it cannot be tested."""
    in_best: bool
    """It cannot be told from the best."""


def standings(repeats: Sequence[Repeats], *, minimize: bool = False, alpha: float = ALPHA) -> tuple[Standing, ...]:
    """Every config with at least one run, the best by the mean of `val` first.

    The set of those that cannot be told from the best holds the best, and each whose difference to it has an
    adjusted two-sided p of at least `alpha`, or is in its own favour.
    """
    sign = -1.0 if minimize else 1.0
    order = sorted((each for each in repeats if each.val), key=lambda each: (-sign * fmean(each.val), each.key))
    if not order:
        return ()
    means, error, freedom = _compared(order)
    ahead = [sign * (means[0] - mean) for mean in means]
    p = holm({at: _p(ahead[at], error, freedom) for at in range(1, len(order))}) if error is not None else {}
    rows = [_standing(order[0], 0.0, None, in_best=True)]
    for at, other in enumerate(order[1:], 1):
        told_apart = at in p and p[at] < alpha and ahead[at] > 0
        behind = ahead[at] if math.isfinite(ahead[at]) else None
        rows.append(_standing(other, behind, p.get(at), in_best=not told_apart))
    return tuple(rows)


def _standing(of: Repeats, behind: float | None, p: float | None, *, in_best: bool) -> Standing:
    test = [value for value in of.test if value is not None and math.isfinite(value)]
    val, mean = fmean(of.val), fmean(test) if test else None
    gap = None if mean is None else val - mean
    return Standing(of.key, len(of.val), val, _sd(of.val), mean, _sd(test), gap, behind, p, in_best)


def _sd(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _compared(configs: Sequence[Repeats]) -> tuple[list[float], float | None, int]:
    """The mean of each config over common seeds and images, the variance of a difference of two of these means, and
    its degrees of freedom; the variance is None where it cannot be told.

    Configs x seeds x images without replication, seeds and images random: the analysis of several readers and several
    cases (Dorfman, Berbaum, Metz, Invest Radiol 27, 1992) with configs as modalities, seeds as readers and images as
    cases. The error is MS(config x seed) + max(MS(config x image) - MS(rest), 0), its degrees of freedom those of
    MS(config x seed) alone. Hillis (Stat Med 26, 2007) gives it more; simulated with few seeds that names a false
    winner too often.
    """
    import numpy as np

    table = common(configs)
    many, seeds, images = table.shape
    if seeds == 0 or images == 0:
        return [math.nan] * many, None, 0
    means: list[float] = table.mean((1, 2)).tolist()
    if min(many, seeds, images) < 2:
        return means, None, 0
    of_all, of_config = table.mean(), table.mean((1, 2))
    of_seed, of_image = table.mean((0, 2)), table.mean((0, 1))
    by_seed = table.mean(2) - of_config[:, None] - of_seed[None, :] + of_all
    by_image = table.mean(1) - of_config[:, None] - of_image[None, :] + of_all
    rest = table - table.mean(2)[:, :, None] - table.mean(1)[:, None, :] - table.mean(0)[None, :, :]
    rest += of_config[:, None, None] + of_seed[None, :, None] + of_image[None, None, :] - of_all
    freedom = (many - 1) * (seeds - 1)
    ms_seed = images * float(np.square(by_seed).sum()) / freedom
    ms_image = seeds * float(np.square(by_image).sum()) / ((many - 1) * (images - 1))
    ms_rest = float(np.square(rest).sum()) / (freedom * (images - 1))
    return means, 2 * (ms_seed + max(ms_image - ms_rest, 0.0)) / (seeds * images), freedom


def common(configs: Sequence[Repeats]) -> Any:
    """Configs x seeds x images, float64: the metric for seeds and images that all have, and finite for all."""
    import numpy as np

    of = [dict(zip(each.seeds, each.per_image, strict=True)) for each in configs]
    seeds = sorted(set.intersection(*(set(each) for each in of)))
    tables = [each[seed] for each in of for seed in seeds]
    names = set.intersection(*(set(table) for table in tables)) if tables else set()
    images = sorted(name for name in names if all(math.isfinite(table[name]) for table in tables))
    rows = [[[each[seed][name] for name in images] for seed in seeds] for each in of]
    return np.asarray(rows, np.float64).reshape(len(configs), len(seeds), len(images))


def _p(difference: float, variance: float, freedom: int) -> float:
    """Two-sided p by Student's t. Where nothing varies, only an equal mean is no difference."""
    from scipy.stats import t

    if abs(difference) <= 1e-12 or variance <= 1e-24:
        return 1.0 if abs(difference) <= 1e-12 else 0.0
    return float(2 * t.sf(abs(difference) / math.sqrt(variance), freedom))


def holm(p: Mapping[Any, float]) -> dict[Any, float]:
    """Adjusted p values (Holm, Scand J Statist 6, 1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted, least = {}, 0.0
    for at, (name, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, (len(p) - at) * value))
        adjusted[name] = least
    return adjusted
