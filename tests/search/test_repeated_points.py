"""A study whose points are trained several times: each is one trial of Optuna, with the mean of its trainings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from search_sweeps import RATE, curve, ended, opened, sweep

from unetsweep.core.space import Choices, Point, Space
from unetsweep.core.trials import StoredTrial
from unetsweep.search.journal import export
from unetsweep.search.optuna_samplers import propose
from unetsweep.search.optuna_trials import no_epochs
from unetsweep.search.study import JournalStudy

A, B = ({"epochs": 4, "batch_size": 4, "learning_rate": rate} for rate in (1e-3, 1e-2))


def training(number: int, point: Point, seed: int, state: str | None = None, value: float | None = None) -> StoredTrial:
    """A training of a point; without a state it is open."""
    trial = opened(number, point) if state is None else ended(number, point, state, value)
    return replace(trial, training_seed=seed)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


def load(journal: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(study_name="s", storage=storage).get_trials()


def seen(journal: Path) -> list[tuple[TrialState, float | None, list[int]]]:
    return [(each.state, each.value, each.user_attrs["trials"]) for each in load(journal)]


TWO = sweep(repeats=2)


def test_a_point_is_one_trial_with_the_mean_of_its_trainings(journal: Path) -> None:
    trials = [
        training(0, A, 0, "complete", 0.5),
        training(1, B, 0, "complete", 0.1),
        training(2, A, 1, "complete", 0.75),
        training(3, B, 1, "complete", 0.3),
    ]
    export(journal, TWO, trials)
    assert seen(journal) == [
        (TrialState.COMPLETE, 0.625, [0, 2]),
        (TrialState.COMPLETE, pytest.approx(0.2), [1, 3]),
    ]
    assert [each.params["learning_rate"] for each in load(journal)] == [1e-3, 1e-2]


ENDS: list[tuple[Sequence[tuple[str | None, float | None]], TrialState, float | None]] = [
    ([("complete", 0.5), (None, None)], TrialState.RUNNING, None),
    ([("complete", 0.5)], TrialState.RUNNING, None),
    ([("complete", 0.5), ("failed", None)], TrialState.COMPLETE, 0.5),
    ([("diverged", 0.9), ("complete", 0.5)], TrialState.COMPLETE, 0.5),
    ([("complete", None), ("complete", 0.5)], TrialState.COMPLETE, 0.5),
    ([("failed", None), ("cancelled", None)], TrialState.FAIL, None),
    ([("pruned", 0.1), ("pruned", 0.3)], TrialState.PRUNED, 0.2),
    ([("pruned", 0.1), ("complete", 0.3)], TrialState.PRUNED, 0.2),
    ([("pruned", 0.1), ("failed", None)], TrialState.PRUNED, 0.1),
]


@pytest.mark.parametrize(("trainings", "state", "value"), ENDS)
def test_the_end_of_a_point_follows_from_those_of_its_trainings(
    journal: Path, trainings: Any, state: TrialState, value: float | None
) -> None:
    trials = [training(number, A, number, *each) for number, each in enumerate(trainings)]
    last = [training(number, B, number - 4, "complete", 0.9) for number in (4, 5)]  # so that an open one is exported
    export(journal, TWO, [*trials, *last])
    first = load(journal)[0]
    assert (first.state, first.value) == (state, value if value is None else pytest.approx(value))


def test_a_point_is_exported_as_open_until_its_last_training_has_ended(journal: Path) -> None:
    later = [training(1, B, 0, "complete", 0.1), training(2, B, 1, "complete", 0.1)]
    export(journal, TWO, [training(0, A, 0, "complete", 0.5), *later])
    before = journal.read_bytes()
    assert seen(journal)[0] == (TrialState.RUNNING, None, [0])
    export(journal, TWO, [training(0, A, 0, "complete", 0.5), *later, training(3, A, 1, "complete", 0.7)])
    assert seen(journal)[0] == (TrialState.COMPLETE, 0.6, [0, 3])
    assert journal.read_bytes().startswith(before), "the journal is appended to"


def test_the_journal_is_written_again_when_points_get_another_training(journal: Path) -> None:
    trials = [training(0, A, 0, "complete", 0.5), training(1, B, 0, "complete", 0.1)]
    export(journal, sweep(), trials)
    export(journal, TWO, trials)  # repeats were raised
    assert [each.value for each in load(journal)] == [0.5, 0.1]
    export(journal, TWO, [*trials, training(2, A, 1)])
    assert seen(journal) == [], "no point has ended any more"
    trials += [training(2, A, 1, "complete", 0.7)]
    export(journal, TWO, trials)
    assert seen(journal) == [(TrialState.COMPLETE, 0.6, [0, 2])]
    export(journal, TWO, [*trials, training(3, B, 1, "complete", 0.3)])
    assert seen(journal)[1] == (TrialState.COMPLETE, pytest.approx(0.2), [1, 3])
    assert not journal.with_name("study.journal.corrupt").exists()


def test_the_journal_is_written_again_when_a_failed_training_is_retried(journal: Path) -> None:
    first = training(0, A, 0, "complete", 0.5)
    export(journal, TWO, [first, training(1, A, 1, "failed")])
    before = journal.read_bytes()
    export(journal, TWO, [first, training(1, A, 1)])
    assert journal.read_bytes() == before
    export(journal, TWO, [first, training(1, A, 1, "complete", 0.7)])
    assert seen(journal) == [(TrialState.COMPLETE, 0.6, [0, 1])]


def test_the_curve_is_the_mean_at_the_epochs_that_all_trainings_have_reached(journal: Path) -> None:
    curves = {0: curve(0.1, 0.2, 0.3), 1: curve(0.3, None, 0.5, 0.9), 2: curve(0.9)}
    trials = [training(0, A, 0, "complete", 0.3), training(1, A, 1, "complete", 0.9), training(2, A, 2, "failed")]
    export(journal, sweep(repeats=3), trials, lambda run: curves[run])
    assert load(journal)[0].intermediate_values == {1: pytest.approx(0.2), 3: pytest.approx(0.4)}


INFINITE = Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE)


def test_the_sampler_learns_means_and_draws_a_point_for_all_its_seeds() -> None:
    """Twelve points of two trainings that miss the same mean by as much give the same draw as twelve trials."""
    plain, twice = (sweep(INFINITE, sampler="tpe", trials=30, repeats=repeats) for repeats in (1, 2))
    points = propose(plain, [], 12)
    once = [ended(n, point, value=0.5 + n / 32) for n, point in enumerate(points)]
    both = [
        training(2 * n + seed, point, seed, "complete", 0.5 + n / 32 + (-0.25, 0.25)[seed])
        for n, point in enumerate(points)
        for seed in (0, 1)
    ]
    assert propose(twice, both, 1) == propose(plain, once, 1)


def test_a_study_that_is_killed_while_it_proposes_goes_on_with_the_repeats_that_are_missing(journal: Path) -> None:
    spec, study = sweep(INFINITE, sampler="tpe", trials=3, repeats=2), JournalStudy(journal)
    first = study.propose(spec, [], 3, no_epochs)
    assert [point["seed"] for point in first] == [0, 1, 0]
    trials = [training(n, {k: v for k, v in p.items() if k != "seed"}, int(p["seed"])) for n, p in enumerate(first)]
    second = study.propose(spec, trials, 3, no_epochs)
    assert second[0] == {**first[2], "seed": 1}
    assert second[1]["learning_rate"] == second[2]["learning_rate"] != first[0]["learning_rate"]
