"""Random confirmed sweeps, and other tests to compare with, for `test_significance.py` and `benchmarks.winners`.

Rule 1: `recorded` draws from real trainings (`record_scores.py`). The seeds of each config are drawn with replacement
        from the runs of one config, so the configs differ only by chance and by the planted gain. One of the 15 runs of
        `augmented` learned nothing (IoU 0.05), as happens in practice; all runs of `plain` learned.
Rule 2: `handmade` draws from a known model, in which a config may also be better on some images only.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.random import Generator
from scipy.special import stdtr

from unetsweep.analysis import significance
from unetsweep.analysis.significance import Contender, Repeats

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded_scores.json").read_text())
EYES: Mapping[str, str] = RECORDED["eyes"]
"""Image -> eye."""

Images = Literal["kept", "resampled", "eyes"]
"""The recorded images; as many, drawn with replacement; or as many whole eyes, drawn with replacement."""


def recorded(
    rng: Generator, configs: int, seeds: int, images: Images = "kept", planted: float = 0.0, of: str = "plain"
) -> list[Repeats]:
    """A sweep of equal configs, except that `planted` is added to each image's IoU of config 0 (at most 1)."""
    names = _names(rng, images)
    scores = np.array([[run["per_image"][name] for name in names] for run in RECORDED["configs"][of]])
    drawn = scores[rng.integers(len(scores), size=(configs, seeds))]
    drawn[0] = np.minimum(1.0, drawn[0] + planted)
    return repeats(drawn)


def _names(rng: Generator, images: Images) -> list[str]:
    if images == "kept":
        return list(EYES)
    if images == "resampled":
        return [str(name) for name in rng.choice(list(EYES), len(EYES))]
    eyes = sorted(set(EYES.values()))
    return [name for eye in rng.choice(eyes, len(eyes)) for name in EYES if EYES[name] == eye]


def handmade(
    rng: Generator,
    configs: int,
    seeds: int,
    eyes: int,
    duplicates: int = 1,
    planted: float = 0.0,
    by_eye: float = 0.01,
    by_seed: float = 0.01,
) -> list[Repeats]:
    """Scores of 0.65 + seed + eye (sd 0.025) + config by eye + rest (sd 0.01); each eye has `duplicates` images."""
    parts = (
        rng.normal(0, by_seed, (configs, seeds, 1, 1)),
        rng.normal(0, 0.025, (1, 1, eyes, 1)),
        rng.normal(0, by_eye, (configs, 1, eyes, 1)),
        rng.normal(0, 0.01, (configs, seeds, eyes, duplicates)),
    )
    scores = np.asarray(0.65 + sum(parts)).reshape(configs, seeds, eyes * duplicates)
    scores[0] += planted
    return repeats(scores)


def repeats(scores: np.ndarray[Any, Any]) -> list[Repeats]:
    """An array of configs x seeds x images as `Repeats`; the score of a run is the mean of its images."""
    return [
        Repeats(
            key=key,
            seeds=tuple(range(len(runs))),
            val=tuple(runs.mean(axis=1).tolist()),
            test=(None,) * len(runs),
            per_image=tuple({str(i): value for i, value in enumerate(run)} for run in runs.tolist()),
        )
        for key, runs in enumerate(scores)
    ]


def groups(eyes: int, duplicates: int) -> dict[str, str]:
    """The eye of each image of `handmade`."""
    return {str(image): str(image // duplicates) for image in range(eyes * duplicates)}


# ---- other tests

Judge = Callable[[Sequence[Sequence[float]]], float]
"""Returns the p-value of a table of differences, seeds x images."""


def over_images(table: Sequence[Sequence[float]]) -> float:
    """Paired t-test over images of the mean over seeds; it ignores that seeds vary."""
    return _t(np.asarray(table).mean(axis=0))


def over_seeds(table: Sequence[Sequence[float]]) -> float:
    """t-test over seeds of the mean over images; it ignores that images vary."""
    return _t(np.asarray(table).mean(axis=1))


@np.errstate(divide="ignore", invalid="ignore")
def hillis(table: Sequence[Sequence[float]]) -> float:
    """Random seeds and random images, with Hillis's degrees of freedom (2007)."""
    d = np.asarray(table)
    if abs(d.mean()) < 1e-12:
        return 1.0
    seeds, images = d.shape
    ms_s = images * d.mean(axis=1).var(ddof=1)
    ms_i = seeds * d.mean(axis=0).var(ddof=1)
    rest = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0, keepdims=True) + d.mean()
    v = ms_s + max(ms_i - (rest**2).sum() / ((seeds - 1) * (images - 1)), 0)
    return 2 * float(stdtr(v**2 / (ms_s**2 / (seeds - 1)), -abs(d.mean()) / np.sqrt(v / d.size)))


@np.errstate(divide="ignore")
def _t(values: np.ndarray[Any, Any]) -> float:
    if abs(values.mean()) < 1e-12:
        return 1.0
    return 2 * float(stdtr(len(values) - 1, -abs(values.mean()) / (values.std(ddof=1) / np.sqrt(len(values)))))


@contextmanager
def judged_by(judge: Judge) -> Iterator[None]:
    """In this context `contenders` uses another test for each pair."""
    ours = significance.p_value
    significance.p_value = judge  # type: ignore[assignment]
    try:
        yield
    finally:
        significance.p_value = ours


def best_set(found: Sequence[Contender]) -> set[int]:
    """The keys of the configs that are not significantly worse than the best."""
    return {contender.key for contender in found if contender.in_best}
