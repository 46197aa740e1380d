"""Which configs are significantly worse than the best, after the leaders were trained again with new seeds.

Rule 1: seeds and images are both chance. A difference counts only if other seeds on other images would show it again,
        so a pair is compared by a two-way analysis with random seeds and random images.
Rule 2: the best config was chosen with the same data that judges it, so Holm's adjustment covers all pairs, not only
        those with the best.
Rule 3: a config that cannot be tested is not called worse.
Rule 4: test scores are averaged, but decide nothing.

numpy and scipy are imported inside functions: a report must start fast, and most sweeps have no confirmation.
docs/statistics.md says how often this errs; `python -m benchmarks.winners` measures it.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

ALPHA = 0.05
"""The usual 5 %: the chance that any of several equal configs is found worse than another."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """One config's confirmation runs. Fields that are tuples have one entry for each run, in the same order."""

    key: int
    """Number of the trial that is confirmed."""
    seeds: tuple[int, ...]
    val: tuple[float, ...]
    """Validation metric over the whole data set."""
    test: tuple[float | None, ...]
    """`test_iou` over the whole data set; None: not scored."""
    per_image: tuple[Mapping[str, float], ...]
    """Metric of each validation image by its name: IoU or loss."""
    open: int = 0
    """Number of other runs that have not ended."""
    lost: int = 0
    """Number of other runs that ended without a result: failed, diverged or cancelled."""


@dataclass(frozen=True, slots=True)
class Contender:
    """How one config compares with the best."""

    key: int
    runs: int
    """Number of runs with a finite validation metric. The fields below use only these."""
    val_mean: float
    """NaN if there is no such run."""
    val_sd: float | None
    """Standard deviation over seeds, with n - 1. None for fewer than two runs; so is `test_sd`."""
    test_mean: float | None
    """None if no run has a test score."""
    test_sd: float | None
    gap: float | None
    """`val_mean - test_mean`; None without test scores, and if the metric has no gap."""
    behind: float | None
    """Mean difference to the best over their common seeds and images; positive if this config is worse. 0 for the best;
    None if they have no seed or image in common. It may be slightly negative, because the best is the config with the
    best metric over the whole data set."""
    p: float | None
    """p value of that difference, adjusted by Holm. None for the best, and if it cannot be tested: with fewer than two
    common seeds, or fewer than two common images (or groups, if groups are given)."""
    open: int
    lost: int
    """As in `Repeats`, plus the runs without a finite validation metric."""
    in_best: bool
    """Whether it is the best, or not significantly worse than the best."""


def contenders(
    repeats: Sequence[Repeats],
    *,
    minimize: bool = False,
    with_gap: bool = True,
    alpha: float = ALPHA,
    groups: Mapping[str, str] | None = None,
) -> tuple[Contender, ...]:
    """Every config compared with the best: ordered by the mean metric, then by key; configs without a score come last.

    `minimize`: less is better. `with_gap`: the difference of validation and test has a meaning. `alpha`: the chance
    that any of several equal configs is found worse than another.
    `groups`: the group of each image by its name (the same eye). The images of a group are averaged first, because
    their errors are not independent: four copies of an eye count as one. Raises ValueError if the tuples of a config
    differ in length.
    """
    sign = 1.0 if minimize else -1.0
    usable = [_finite_runs(each) for each in repeats]
    order = sorted(usable, key=lambda each: (sign * _mean(each.val) if each.val else math.inf, each.key))
    raw: dict[tuple[int, int], float] = {}
    behind: dict[int, float] = {}
    for (one, first), (other, second) in combinations(enumerate(order), 2):
        table = _differences(first, second, sign, groups)
        if table and one == 0:
            behind[other] = _mean([value for row in table for value in row])
        if len(table) >= 2 and len(table[0]) >= 2:
            raw[one, other] = p_value(table)
    adjusted = dict(zip(raw, holm(list(raw.values()), len(order)), strict=True))
    return tuple(
        _contender(each, rank, behind.get(rank), adjusted.get((0, rank)), with_gap=with_gap, alpha=alpha)
        for rank, each in enumerate(order)
    )


def p_value(table: Sequence[Sequence[float]]) -> float:
    """Two-sided p value of "the mean difference is 0", from a table of seeds x images with at least 2 of each.

    With the mean squares MS_s of seeds, MS_i of images and MS_r of the residual, for S seeds and I images:

        V = MS_s + max(MS_i - MS_r, 0);  t = mean / sqrt(V / (S I))
        df = V^2 / (MS_s^2 / (S - 1) + MS_i^2 / (I - 1) + MS_r^2 / ((S - 1) (I - 1))),  or S - 1 if MS_i <= MS_r

    and at least the p value of a t-test over the means of the seeds, (mean / sqrt(MS_s / (S I)), S - 1).

    Sources: the analysis of several readers and cases (here: seeds and images) with two modalities by Dorfman, Berbaum
    and Metz (1992, Investigative Radiology 27:723-731), with Satterthwaite's df (1946, Biometrics Bulletin 2:110-114),
    and without the image term if it is negative (Hillis, 2007, Statistics in Medicine 26:596-619). Hillis's own df,
    V^2 / (MS_s^2 / (S - 1)), assume that MS_i is known exactly, which needs many images: with 4 or 5 images they err up
    to three times as often as they should. The bound by the seeds is our addition: with 2 or 3 seeds Satterthwaite's df
    are too large.
    """
    from scipy.special import stdtr

    mean, spreads = _mean_and_spreads(table)
    if abs(mean) < _ROUNDING:
        return 1.0
    # no error: the difference is the same everywhere
    return max(2 * float(stdtr(df, -abs(mean) / error)) if error > 0 else 0.0 for error, df in spreads)


def difference_intervals(
    repeats: Sequence[Repeats],
    *,
    minimize: bool = False,
    groups: Mapping[str, str] | None = None,
    alpha: float = ALPHA,
) -> dict[int, tuple[float, float]]:
    """The interval of each config's mean difference to the best, by its key; positive if the config is worse.

    It belongs to `p_value`: without an adjustment, it has 0 in it exactly if p is `alpha` or more. Configs that cannot
    be tested have none, and neither has the best. The arguments are those of `contenders`.
    """
    from scipy.special import stdtrit

    sign = 1.0 if minimize else -1.0
    usable = [each for each in map(_finite_runs, repeats) if each.val]
    order = sorted(usable, key=lambda each: (sign * _mean(each.val), each.key))
    found = {}
    for each in order[1:]:
        table = _differences(order[0], each, sign, groups)
        if len(table) >= 2 and len(table[0]) >= 2:
            mean, spreads = _mean_and_spreads(table)
            half = max(float(stdtrit(df, 1 - alpha / 2)) * error for error, df in spreads)
            found[each.key] = (mean - half, mean + half)
    return found


def _mean_and_spreads(table: Sequence[Sequence[float]]) -> tuple[float, list[tuple[float, float]]]:
    """The mean of a table, and its standard error with its degrees of freedom: over the seeds, and over both."""
    import numpy as np

    d = np.asarray(table, dtype=float)
    seeds, images = d.shape
    mean = float(d.mean())
    by_seed, by_image = d.mean(axis=1, keepdims=True), d.mean(axis=0, keepdims=True)
    ms_s = images * float(((by_seed - mean) ** 2).sum()) / (seeds - 1)
    ms_i = seeds * float(((by_image - mean) ** 2).sum()) / (images - 1)
    ms_r = float(((d - by_seed - by_image + mean) ** 2).sum()) / ((seeds - 1) * (images - 1))

    def error(variance: float) -> float:
        return math.sqrt(variance / (seeds * images)) if variance > _ROUNDING**2 else 0.0

    over_seeds = (error(ms_s), float(seeds - 1))
    if ms_i <= ms_r:
        return mean, [over_seeds]
    parts = ms_s**2 / (seeds - 1) + ms_i**2 / (images - 1) + ms_r**2 / ((seeds - 1) * (images - 1))
    variance = ms_s + ms_i - ms_r
    return mean, [over_seeds, (error(variance), variance**2 / parts if parts else 1.0)]


_ROUNDING = 1e-12
"""Smaller differences are rounding errors: scores are below 1 and have 16 digits."""


def holm(p: Sequence[float], configs: int) -> list[float]:
    """The p values of pairs among `configs` configs, adjusted for their number. Same order as `p`, at most 1.

    The smallest p is multiplied by the number of pairs, and each larger one by the number of pairs that can still be
    equal if the pairs before it are not (Holm, 1979, Scandinavian Journal of Statistics 6:65-70). Shaffer (1986, JASA
    81:826-831) counts these: if one pair of three configs differs, at most one pair is equal. The error rate is as low
    as with Holm's own count.

    >>> holm([0.01, 0.25, 0.5], 3)
    [0.03, 0.25, 0.5]
    """
    adjusted, least = [0.0] * len(p), 0.0
    possible = _equal_pairs(configs)
    for passed, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        equal = max(count for count in possible if count <= math.comb(configs, 2) - passed)
        least = max(least, min(1.0, min(equal, len(p) - passed) * p[index]))
        adjusted[index] = least
    return adjusted


def _equal_pairs(configs: int) -> set[int]:
    """The possible numbers of equal pairs, for every way to split the configs into sets of equal ones.

    >>> sorted(_equal_pairs(3)), sorted(_equal_pairs(5))
    ([0, 1, 3], [0, 1, 2, 3, 4, 6, 10])
    """
    counts: list[set[int]] = [{0}]
    for number in range(1, configs + 1):
        counts.append({math.comb(one, 2) + rest for one in range(1, number + 1) for rest in counts[number - one]})
    return counts[configs]


def _finite_runs(repeats: Repeats) -> Repeats:
    """`repeats` without the runs that have no finite validation metric; these count as lost."""
    runs = zip(repeats.seeds, repeats.val, repeats.test, repeats.per_image, strict=True)
    kept = [run for run in runs if math.isfinite(run[1])]
    lost = repeats.lost + len(repeats.seeds) - len(kept)
    if not kept:
        return replace(repeats, seeds=(), val=(), test=(), per_image=(), lost=lost)
    seeds, val, test, per_image = zip(*kept, strict=True)
    return replace(repeats, seeds=seeds, val=val, test=test, per_image=per_image, lost=lost)


def _differences(first: Repeats, second: Repeats, sign: float, groups: Mapping[str, str] | None) -> list[list[float]]:
    """Table of common seeds x common images (or groups) of how much better `first` is; empty if nothing is common.

    A seed without any finite image is left out, and so is an image that is not finite for every common seed.
    """
    one, other = _finite_images(first), _finite_images(second)
    pairs = [(one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())]
    if not pairs:
        return []
    members: dict[str, list[str]] = {}
    for image in sorted(set.intersection(*(a.keys() & b.keys() for a, b in pairs))):
        members.setdefault(groups.get(image, image) if groups else image, []).append(image)
    if not members:
        return []
    return [[_mean([sign * (b[i] - a[i]) for i in images]) for images in members.values()] for a, b in pairs]


def _finite_images(repeats: Repeats) -> dict[int, dict[str, float]]:
    """The finite metrics by seed and image."""
    found = {
        seed: {image: value for image, value in images.items() if math.isfinite(value)}
        for seed, images in zip(repeats.seeds, repeats.per_image, strict=True)
    }
    return {seed: images for seed, images in found.items() if images}


def _contender(
    each: Repeats, rank: int, behind: float | None, p: float | None, *, with_gap: bool, alpha: float
) -> Contender:
    test = [value for value in each.test if value is not None and math.isfinite(value)]
    val_mean = _mean(each.val) if each.val else math.nan
    test_mean = _mean(test) if test else None
    is_worse = p is not None and behind is not None and p < alpha and behind > 0
    return Contender(
        key=each.key,
        runs=len(each.val),
        val_mean=val_mean,
        val_sd=_sd(each.val),
        test_mean=test_mean,
        test_sd=_sd(test),
        gap=val_mean - test_mean if with_gap and test_mean is not None and each.val else None,
        behind=0.0 if rank == 0 and each.val else behind,
        p=p,
        open=each.open,
        lost=each.lost,
        in_best=bool(each.val) and not is_worse,
    )


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _sd(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
