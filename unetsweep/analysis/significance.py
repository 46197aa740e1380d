"""Which configs cannot be told from the best, once the leading ones have been trained again with new seeds.

Rule 1: seeds and images are both chance: a difference counts only if it would be found again with other seeds on other
        images. So a pair is compared by a two-way analysis with random seeds and random images.
Rule 2: the best was chosen by the data that judge it, so Holm goes over all pairs: then no choice can make a winner.
Rule 3: what cannot be tested is not told from the best.
Rule 4: test scores are averaged and judge nothing.

numpy and scipy are imported within functions: a report starts fast, and most sweeps have no confirmation.
docs/statistics.md says how often this errs; `python -m benchmarks.winners` measures it.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

ALPHA = 0.05
"""The chance that any of several equal configs is found worse than another, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """One config's confirmation runs. The fields that are tuples have an entry a run, in one order."""

    key: int
    """The trial that it confirms."""
    seeds: tuple[int, ...]
    val: tuple[float, ...]
    """The validation metric over the data set."""
    test: tuple[float | None, ...]
    """`test_iou` over the data set; None: not scored."""
    per_image: tuple[Mapping[str, float], ...]
    """Image name -> the metric of that validation image: IoU, or the loss where the sweep minimises `val_loss`."""
    open: int = 0
    """Further runs that have not ended."""
    lost: int = 0
    """Further runs that came to nothing: failed, diverged, cancelled."""


@dataclass(frozen=True, slots=True)
class Contender:
    """How one config stands."""

    key: int
    runs: int
    """Those with a finite validation metric; only these count below."""
    val_mean: float
    """NaN where no run counts."""
    val_sd: float | None
    """Over seeds, with n - 1; None for fewer than two runs, as all sd here."""
    test_mean: float | None
    """None: no run has a test score."""
    test_sd: float | None
    gap: float | None
    """`val_mean - test_mean`; None without test scores, and where the metric is a loss."""
    behind: float | None
    """Mean difference to the best over their common seeds x images, above 0 where it is worse; 0 for the best, None
    where there are none. It may be slightly below 0: the best has the best metric over the data set."""
    p: float | None
    """Holm's p of that difference; None for the best, and where it cannot be tested: fewer than two common seeds,
    or fewer than two common images (groups of them, where groups are given)."""
    open: int
    lost: int
    """As of its `Repeats`; a run whose validation metric is not finite is lost too."""
    in_best: bool
    """Cannot be told from the best: the best itself, and all that are not significantly worse."""


def contenders(
    repeats: Sequence[Repeats],
    *,
    minimize: bool = False,
    alpha: float = ALPHA,
    groups: Mapping[str, str] | None = None,
) -> tuple[Contender, ...]:
    """How the configs stand, best first: by the mean metric, then by key. One without a finite score is last, and out.

    `minimize`: less is better. `alpha`: the chance that any of several equal configs is found worse than another.
    `groups`: image name -> what it shows (the eye). Images of one group are averaged first, since they err together:
    four copies of an eye are one eye. Raises ValueError where a config's tuples differ in length.
    """
    sign = 1.0 if minimize else -1.0
    counted = [_counted(each) for each in repeats]
    order = sorted(counted, key=lambda each: (sign * _mean(each.val) if each.val else math.inf, each.key))
    raw: dict[tuple[int, int], float] = {}
    behind: dict[int, float] = {}
    for (one, first), (other, second) in combinations(enumerate(order), 2):
        table = _differences(first, second, sign, groups)
        if table and one == 0:
            behind[other] = _mean([value for row in table for value in row])
        if len(table) >= 2 and len(table[0]) >= 2:
            raw[one, other] = p_of(table)
    adjusted = dict(zip(raw, holm(list(raw.values()), len(order)), strict=True))
    return tuple(
        _contender(each, place, behind.get(place), adjusted.get((0, place)), minimize=minimize, alpha=alpha)
        for place, each in enumerate(order)
    )


def p_of(table: Sequence[Sequence[float]]) -> float:
    """Two-sided p that the mean of a seeds x images table of paired differences is 0: both at least 2.

    With mean squares MS_s of seeds, MS_i of images and MS_r of the rest, S seeds and I images:

        V = MS_s + max(MS_i - MS_r, 0);  t = mean / sqrt(V / (S I))
        df = V^2 / (MS_s^2 / (S - 1) + MS_i^2 / (I - 1) + MS_r^2 / ((S - 1) (I - 1))),  or S - 1 where MS_i <= MS_r

    and never less than the p of a t-test over the seeds' means, (mean / sqrt(MS_s / (S I)), S - 1).

    Sources: the analysis of several readers and cases, here seeds and images, of Dorfman, Berbaum and Metz (1992,
    Investigative Radiology 27:723-731), two modalities, with Satterthwaite's df (1946, Biometrics Bulletin 2:110-114)
    and without the image term where it would be negative (Hillis, 2007, Statistics in Medicine 26:596-619). Hillis's
    own df, V^2 / (MS_s^2 / (S - 1)), takes MS_i as known, so it wants many images: with 4 or 5 it errs up to three
    times as often as it says. The bound by the seeds is ours: with 2 or 3 seeds Satterthwaite's df are too many.
    """
    import numpy as np
    from scipy.special import stdtr

    d = np.asarray(table, dtype=float)
    seeds, images = d.shape
    mean = float(d.mean())
    by_seed, by_image = d.mean(axis=1, keepdims=True), d.mean(axis=0, keepdims=True)
    ms_s = images * float(((by_seed - mean) ** 2).sum()) / (seeds - 1)
    ms_i = seeds * float(((by_image - mean) ** 2).sum()) / (images - 1)
    ms_r = float(((d - by_seed - by_image + mean) ** 2).sum()) / ((seeds - 1) * (images - 1))
    if abs(mean) < _NOTHING:
        return 1.0

    def p(variance: float, df: float) -> float:
        t = abs(mean) / math.sqrt(variance / (seeds * images)) if variance > _NOTHING**2 else math.inf
        return 2 * float(stdtr(df, -t)) if math.isfinite(t) else 0.0  # the same everywhere: no chance is in it

    over_seeds = p(ms_s, seeds - 1)
    if ms_i <= ms_r:
        return over_seeds
    parts = ms_s**2 / (seeds - 1) + ms_i**2 / (images - 1) + ms_r**2 / ((seeds - 1) * (images - 1))
    variance = ms_s + ms_i - ms_r
    return max(over_seeds, p(variance, variance**2 / parts if parts else 1.0))


_NOTHING = 1e-12
"""A difference below it is rounding."""


def holm(p: Sequence[float], configs: int) -> list[float]:
    """The p values of pairs among `configs` configs, adjusted for their number, in their order; never above 1.

    The smallest p is multiplied by the number of pairs, the next ones by how many pairs can still be equal when those
    before are not (Holm, 1979, Scandinavian Journal of Statistics 6:65-70), as Shaffer (1986, JASA 81:826-831) counts
    it: of three configs, where one pair differs, at most one is equal. It errs as seldom as Holm's own count.

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
    """How many pairs may be equal: the configs fall into sets of equals, in any way.

    >>> sorted(_equal_pairs(3)), sorted(_equal_pairs(5))
    ([0, 1, 3], [0, 1, 2, 3, 4, 6, 10])
    """
    counts: list[set[int]] = [{0}]
    for number in range(1, configs + 1):
        counts.append({math.comb(one, 2) + rest for one in range(1, number + 1) for rest in counts[number - one]})
    return counts[configs]


def _counted(repeats: Repeats) -> Repeats:
    """Without the runs whose validation metric is not finite."""
    runs = zip(repeats.seeds, repeats.val, repeats.test, repeats.per_image, strict=True)
    kept = [run for run in runs if math.isfinite(run[1])]
    lost = repeats.lost + len(repeats.seeds) - len(kept)
    if not kept:
        return replace(repeats, seeds=(), val=(), test=(), per_image=(), lost=lost)
    seeds, val, test, per_image = zip(*kept, strict=True)
    return replace(repeats, seeds=seeds, val=val, test=test, per_image=per_image, lost=lost)


def _differences(first: Repeats, second: Repeats, sign: float, groups: Mapping[str, str] | None) -> list[list[float]]:
    """Common seeds x common images (or groups of them), above 0 where `first` is better; empty: none in common.

    A seed without any finite image counts as missing; an image counts that is finite in every common seed.
    """
    one, other = _finite(first), _finite(second)
    pairs = [(one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())]
    if not pairs:
        return []
    members: dict[str, list[str]] = {}
    for image in sorted(set.intersection(*(a.keys() & b.keys() for a, b in pairs))):
        members.setdefault(groups.get(image, image) if groups else image, []).append(image)
    if not members:
        return []
    return [[_mean([sign * (b[i] - a[i]) for i in images]) for images in members.values()] for a, b in pairs]


def _finite(repeats: Repeats) -> dict[int, dict[str, float]]:
    """Seed -> image -> metric, without what is not finite."""
    found = {
        seed: {image: value for image, value in images.items() if math.isfinite(value)}
        for seed, images in zip(repeats.seeds, repeats.per_image, strict=True)
    }
    return {seed: images for seed, images in found.items() if images}


def _contender(
    each: Repeats, place: int, behind: float | None, p: float | None, *, minimize: bool, alpha: float
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
        gap=None if test_mean is None or minimize or not each.val else val_mean - test_mean,
        behind=0.0 if place == 0 and each.val else behind,
        p=p,
        open=each.open,
        lost=each.lost,
        in_best=bool(each.val) and not is_worse,
    )


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _sd(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
