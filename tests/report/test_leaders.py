"""The set of configs that cannot be told from the best: no lucky seed wins, a real difference does."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from unetsweep.report import leaders
from unetsweep.report.leaders import Repeats, standings

RECORDED: dict[str, dict[str, float]] = json.loads((Path(__file__).parent / "recorded_scores.json").read_text())
SEEDS, SWEEPS = 5, 100

Scores = Mapping[str, float]


def repeats(key: int, runs: Sequence[Scores], seeds: Sequence[int] | None = None) -> Repeats:
    seeds = tuple(seeds or range(len(runs)))
    val = tuple(fmean(run.values()) for run in runs)
    return Repeats(key, seeds, val, (None,) * len(runs), tuple(runs))


def drawn(rng: np.random.Generator, configs: int, planted: float = 0.0, *, images: bool = False) -> list[Repeats]:
    """So many configs that are one: each seed is a recorded training, drawn anew; `planted` is added to the first."""
    names = sorted(next(iter(RECORDED.values())))
    chosen = rng.choice(names, len(names)).tolist() if images else names
    found = []
    for key in range(configs):
        runs = [RECORDED[seed] for seed in rng.choice(list(RECORDED), SEEDS).tolist()]
        more = planted if key == 0 else 0.0
        found.append(repeats(key, [{f"{n}": min(1.0, run[at] + more) for n, at in enumerate(chosen)} for run in runs]))
    return found


def winners(planted: float = 0.0, *, images: bool = False, configs: int = 3) -> list[int | None]:
    """The only member of the set in each of 100 simulated sweeps; None where there are more."""
    rng = np.random.default_rng(20261126)
    found = []
    for _ in range(SWEEPS):
        best = [row.key for row in standings(drawn(rng, configs, planted, images=images)) if row.in_best]
        found.append(best[0] if len(best) == 1 else None)
    return found


@pytest.mark.parametrize("configs", [3, 5])
@pytest.mark.parametrize("images", [False, True], ids=["the same images", "images drawn anew"])
def test_of_equal_configs_none_wins(images: bool, configs: int) -> None:
    assert sum(winner is not None for winner in winners(images=images, configs=configs)) <= 5


@pytest.mark.parametrize("images", [False, True], ids=["the same images", "images drawn anew"])
def test_of_two_equal_configs_one_wins_as_rarely_as_the_level_says(images: bool) -> None:
    """At a level of 5 % more than 10 of 100 come in 1 of 100 such simulations."""
    assert sum(winner is not None for winner in winners(images=images, configs=2)) <= 10


@pytest.mark.parametrize("images", [False, True], ids=["the same images", "images drawn anew"])
def test_a_real_difference_is_found(images: bool) -> None:
    assert sum(winner == 0 for winner in winners(0.03, images=images)) >= 80


def test_a_test_over_images_alone_would_name_false_winners(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted error: the proof above can fail."""
    whole = leaders.common

    def seeds_as_one(configs: Sequence[Repeats]) -> np.ndarray:
        table = whole(configs)
        mean = table.mean(1, keepdims=True)
        # each seed says what all say, but for the differences between images, which are shuffled among the seeds
        rest = np.stack([np.roll(table[:, 0] - mean[:, 0], at, axis=-1) for at in range(table.shape[1])], 1)
        return mean + rest - rest.mean((1, 2), keepdims=True)

    monkeypatch.setattr(leaders, "common", seeds_as_one)
    assert sum(winner is not None for winner in winners(configs=2)) > 10


def test_means_spreads_and_the_gap() -> None:
    one = Repeats(4, (1, 2), (0.6, 0.7), (0.5, None), ({"a": 0.6, "b": 0.6}, {"a": 0.7, "b": 0.7}))
    (row,) = standings([one])
    assert (row.key, row.runs, row.test_mean, row.in_best) == (4, 2, 0.5, True)
    assert row.val_mean == pytest.approx(0.65)
    assert row.val_sd == pytest.approx(0.0707107)
    assert row.test_sd is None
    assert row.gap == pytest.approx(0.15)
    assert (row.behind, row.p) == (0.0, None)


def test_the_same_training_twice_cannot_be_told_apart() -> None:
    runs = list(RECORDED.values())[:5]
    rows = standings([repeats(3, runs), repeats(1, runs)])
    assert [(row.key, row.behind, row.p, row.in_best) for row in rows] == [(1, 0.0, None, True), (3, 0.0, 1.0, True)]


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        (lambda runs: runs[:1], "one seed only"),
        (lambda runs: [{"01": run["01"]} for run in runs], "one image only"),
        (lambda runs: [{f"other {name}": value for name, value in run.items()} for run in runs], "no common image"),
        (lambda runs: [{name: float("nan") for name in run} for run in runs], "nothing finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_tested_stays_in_the_set(cut: Callable[[list[Scores]], list[Scores]], why: str) -> None:
    runs: list[Scores] = list(RECORDED.values())[:5]
    runs = [{f"{n + 1:02d}": value for n, value in enumerate(run.values())} for run in runs]
    worse = [{name: value - 0.3 for name, value in run.items()} for run in runs]
    others = cut(worse)
    rows = standings([repeats(0, runs), Repeats(1, tuple(range(len(others))), (0.1,) * len(others), (), tuple(others))])
    assert [row.in_best for row in rows] == [True, True], why
    assert rows[1].p is None


def test_seeds_that_only_some_have_are_left_out_of_the_comparison() -> None:
    runs = list(RECORDED.values())
    worse = [{name: value - 0.2 for name, value in run.items()} for run in runs]
    rows = standings([repeats(0, runs[:6], range(6)), repeats(1, worse[2:8], range(2, 8))])
    assert rows[0].runs == 6
    assert rows[1].behind == pytest.approx(0.2)
    assert not rows[1].in_best


def test_of_losses_the_lower_is_better() -> None:
    runs = list(RECORDED.values())[:5]
    worse = [{name: value + 0.2 for name, value in run.items()} for run in runs]
    rows = standings([repeats(0, worse), repeats(1, runs)], minimize=True)
    assert [(row.key, row.in_best) for row in rows] == [(1, True), (0, False)]
    assert standings([]) == ()
