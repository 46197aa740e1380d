"""A replay of reports decides what Optuna decides live, with one worker that reports the same values."""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import pytest

from unetsweep.contract import DataConfig
from unetsweep.core import built_in_pruners
from unetsweep.core.pruning import History, MetricReport
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.errors import UsageError
from unetsweep.search import optuna_pruners

EPOCHS = 20
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def sweep(pruner: str, metric: str, **arguments: Any) -> SweepSpec:
    space = Space.of(epochs=Choices((EPOCHS,)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,)))
    return SweepSpec("s", DataConfig("images"), space, StudySpec(metric=metric, pruner=pruner, pruner_args=arguments))  # type: ignore[arg-type]


def curve(trial: int) -> list[float]:
    chance = random.Random(trial)
    end = chance.random()
    return [end * epoch / EPOCHS + 0.2 * chance.random() for epoch in range(1, EPOCHS + 1)]


def live(spec: SweepSpec, pruner: optuna.pruners.BasePruner, count: int) -> dict[int, int]:
    """The epoch of each pruned trial in a live study of Optuna."""
    found = {}

    def objective(trial: optuna.Trial) -> float:
        for epoch, value in enumerate(curve(trial.number), 1):
            trial.report(value, epoch)
            if trial.should_prune() and epoch < EPOCHS:
                found[trial.number] = epoch
                raise optuna.TrialPruned
        return curve(trial.number)[-1]

    direction = "minimize" if spec.metric.minimize else "maximize"
    sampler = optuna.samplers.RandomSampler(seed=0)
    optuna.create_study(study_name=spec.name, direction=direction, pruner=pruner, sampler=sampler).optimize(
        objective, n_trials=count
    )
    return found


def replayed(spec: SweepSpec, count: int, verdicts: Any) -> dict[int, int]:
    """The epoch of each pruned trial in a replay, which judges each trial when those before it have ended."""
    ended: list[History] = []
    found = {}
    for trial in range(count):
        begin = BEGIN + timedelta(hours=trial)
        reports = tuple(MetricReport(begin + timedelta(minutes=e), e, v) for e, v in enumerate(curve(trial), 1))
        verdict = verdicts(spec, [*ended, History(trial, EPOCHS, None, reports)]).get(trial)
        if verdict is not None:
            found[trial] = verdict.epoch
        state, last = ("pruned", verdict.epoch) if verdict else ("complete", EPOCHS)
        ended.append(History(trial, EPOCHS, state, reports[:last]))
    return found


P = optuna.pruners
OURS = [
    ("asha", {}, P.SuccessiveHalvingPruner(1, 3)),
    ("asha", {"min_epochs": 2, "reduction_factor": 2}, P.SuccessiveHalvingPruner(2, 2)),
    ("asha", {"min_epochs": 2, "min_early_stopping_rate": 1}, P.SuccessiveHalvingPruner(2, 3, 1)),
    ("hyperband", {}, P.HyperbandPruner(1, EPOCHS, 3)),
    ("hyperband", {"min_epochs": 2, "max_epochs": 16, "reduction_factor": 2}, P.HyperbandPruner(2, 16, 2)),
    ("median", {}, P.MedianPruner(5, 1)),
    ("median", {"startup_trials": 2, "warmup_epochs": 3, "every": 4}, P.MedianPruner(2, 4, 4)),
]
NAMED = [
    ("SuccessiveHalvingPruner", {"min_resource": 2, "reduction_factor": 3}),
    ("SuccessiveHalvingPruner", {}),
    ("HyperbandPruner", {"max_resource": EPOCHS}),
    ("MedianPruner", {"n_startup_trials": 3, "n_warmup_steps": 2}),
    ("PercentilePruner", {"percentile": 25.0}),
    ("PatientPruner", {"patience": 2}),
    ("ThresholdPruner", {"lower": 0.1, "upper": 0.9}),
]


@pytest.mark.parametrize("metric", ["val_iou", "val_loss"])
@pytest.mark.parametrize(("name", "arguments", "pruner"), OURS)
def test_our_pruners_decide_as_optuna_does_live(name: str, arguments: dict[str, int], pruner: Any, metric: str):
    spec = sweep(name, metric, **arguments)
    expected = live(spec, pruner, 40)
    assert expected
    assert replayed(spec, 40, built_in_pruners.verdicts) == expected


@pytest.mark.parametrize("metric", ["val_iou", "val_loss"])
@pytest.mark.parametrize(("name", "arguments"), NAMED)
def test_a_replay_of_optunas_pruners_decides_as_optuna_does_live(name: str, arguments: dict[str, Any], metric: str):
    spec = sweep(name, metric, **arguments)
    expected = live(spec, optuna_pruners.pruner(spec), 20)
    assert expected
    assert replayed(spec, 20, optuna_pruners.verdicts) == expected


def test_arguments_that_optuna_refuses_are_named_in_the_error():
    with pytest.raises(UsageError, match=r"HyperbandPruner cannot be made with \{'max_resource': 'x'\}"):
        optuna_pruners.verdicts(sweep("HyperbandPruner", "val_iou", max_resource="x"), [])


@pytest.mark.parametrize("name", built_in_pruners.BUILT_IN_PRUNERS)
def test_a_thousand_trials_of_fifty_epochs_are_judged_in_seconds(name: str):
    histories = []
    for trial in range(1000):
        chance = random.Random(trial)
        begin = BEGIN + timedelta(minutes=trial)
        reports = tuple(MetricReport(begin + timedelta(minutes=e), e, chance.random()) for e in range(1, 51))
        histories.append(History(trial, 51, "complete" if trial < 900 else None, reports))
    begin_s = time.process_time()
    assert built_in_pruners.verdicts(sweep(name, "val_iou"), histories)
    assert time.process_time() - begin_s < 5, "it usually takes some tenths of a second"
