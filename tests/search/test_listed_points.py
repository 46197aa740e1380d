"""Points by hand in a search: they come first, a sampler fills in what they leave out, and learns from what it can."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_sweeps import RATE, ended, sweep

from unetsweep.core.missing_points import are_listed
from unetsweep.core.space import Choices, Condition, Parameter, Point, Range, Space
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.search.study import JournalStudy

SPACE = Space(
    (
        Parameter("epochs", Choices((4, 8))),
        Parameter("batch_size", Choices((4,))),
        Parameter("learning_rate", RATE),
        Parameter("trainer.optimizer", Choices(("adam", "sgd"))),
        Parameter("trainer.momentum", Range(0.8, 0.9), (Condition("trainer.optimizer", ("sgd",)),)),
    ),
    ((("epochs", 8), ("trainer.optimizer", "sgd")),),
)
PLAIN = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=RATE)
FINITE = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-4, 1e-3, 1e-2)))
FULL = {"epochs": 8, "batch_size": 4, "learning_rate": 3e-4, "trainer.optimizer": "adam"}


def searched(spec: SweepSpec, count: int, at_once: int = 1) -> list[StoredTrial]:
    """The trials of a search in which each ends before the next is proposed, or so many at once."""
    study, trials = JournalStudy(Path("none")), list[StoredTrial]()
    while len(trials) < count:
        points = study.propose(spec, trials, min(at_once, count - len(trials)), lambda _: ())
        if not points:
            break
        listed = are_listed(spec, trials, points)
        for point, is_listed in zip(points, listed, strict=True):
            params = {path: value for path, value in point.items() if path != "seed"}
            made = ended(len(trials), params, value=len(trials) / 100)
            seed: Any = point.get("seed", spec.study.seed)
            trials.append(replace(made, training_seed=seed, is_listed=is_listed))
    return trials


def params(trials: list[StoredTrial]) -> Iterator[Point]:
    return (trial.params or {} for trial in trials)


@pytest.mark.parametrize("sampler", ["tpe", "random", "NSGAIISampler", "BruteForceSampler"])
@pytest.mark.parametrize("at_once", [1, 4])
def test_listed_points_come_first_and_partial_ones_keep_their_values(sampler: str, at_once: int) -> None:
    finite = replace(
        SPACE,
        parameters=tuple(
            replace(each, domain=Choices((0.8, 0.9)))
            if each.path == "trainer.momentum"
            else replace(each, domain=Choices((3e-4, 1e-3)))
            if each.path == "learning_rate"
            else each
            for each in SPACE.parameters
        ),
    )
    space = finite if sampler == "BruteForceSampler" else SPACE
    partial = [{"trainer.optimizer": "sgd"}, {"trainer.optimizer": "sgd", "trainer.momentum": 0.9, "seed": 7}]
    spec = replace(sweep(space, sampler=sampler, trials=7), points=(FULL, *partial))
    first, second, third, *others = searched(spec, 7, at_once)
    assert (first.params, first.training_seed) == (FULL, 0)
    assert [trial.is_listed for trial in (first, second, third)] == [True, True, True]
    for trial, seed in ((second, 0), (third, 7)):
        assert {**(trial.params or {})} == {**(trial.params or {}), "trainer.optimizer": "sgd", "epochs": 4}
        assert trial.training_seed == seed
    assert (third.params or {})["trainer.momentum"] == 0.9
    assert len(others) == 4
    assert not any(trial.is_listed for trial in others)


@pytest.mark.parametrize("sampler", ["tpe", "GPSampler", "QMCSampler", "NSGAIIISampler"])
def test_every_sampler_goes_on_after_values_outside_of_the_space(sampler: str) -> None:
    added: tuple[Point, ...] = (
        {"epochs": 5, "batch_size": 4, "learning_rate": 0.5},
        {"epochs": 16, "batch_size": 8},
        {"learning_rate": 0.3, "batch_size": 4},
    )
    spec = replace(sweep(PLAIN, sampler=sampler, trials=4), added=added)
    found = list(params(searched(spec, 7, 2)))
    assert len(found) == 7
    assert dict(found[0]) == added[0]
    assert (found[1]["epochs"], found[1]["batch_size"]) == (16, 8)
    assert found[2]["learning_rate"] == 0.3
    assert all(each["epochs"] in (4, 8) and each["batch_size"] == 4 for each in found[3:])


def test_a_partial_point_of_which_every_point_is_taken_is_left_out() -> None:
    spec = replace(sweep(FINITE, sampler="tpe", trials=6), points=({"epochs": 4},))
    assert len(searched(spec, 6)) == 6
    more = replace(spec, added=({"epochs": 4, "batch_size": 4},) * 4)
    assert len(searched(more, 99)) == 6
