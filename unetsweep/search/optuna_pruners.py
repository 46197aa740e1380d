"""Optuna's pruners by name: a study in memory gets all reports in the order of their times, as if it saw them live.

All reports are replayed in every reconciliation, also those that an earlier one has replayed. A reconciliation is a
process of its own, and Optuna's rungs and medians live in its study: to replay only what is new, that study would have
to be kept on disk and kept consistent with the trials through kills and retries. The replay depends on the files alone,
which is worth its price (docs/design.md, Pruning); the pruners `asha`, `hyperband` and `median` do not pay it.

Rule 1: a pruner that only compares (a median, a percentile) is not asked about trials that have ended. A pruner that
        keeps rungs is asked about them, because its answer puts a trial onto a rung.
"""

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.trial import Trial, TrialState

from unetsweep.core.built_in_pruners import replay
from unetsweep.core.pruning import History, MetricReport, Verdict
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import UsageError
from unetsweep.search.optuna_trials import direction
from unetsweep.texts import score_text

optuna.logging.set_verbosity(optuna.logging.ERROR)

EARLIER_TRIALS = 12
"""More trials than Optuna's pruners wait for, unless an argument asks for more."""
WITH_RUNGS = ("SuccessiveHalvingPruner", "HyperbandPruner")


def pruner(spec: SweepSpec) -> BasePruner:
    """Return the pruner that the sweep names; UsageError if Optuna refuses its arguments."""
    name, arguments = spec.study.pruner or "", spec.study.pruner_args
    required: dict[str, Any] = {"wrapped_pruner": None} if name == "PatientPruner" else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return getattr(optuna.pruners, name)(**required, **arguments)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise UsageError(f"study.pruner: Optuna's {name} cannot be made with {arguments}: {error}") from error


def check_pruner(spec: SweepSpec) -> None:
    """UsageError if the pruner cannot be made with its arguments, or cannot judge a training."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    reports = tuple(MetricReport(begin, epoch, epoch / 8) for epoch in range(1, 8))
    ended = [History(trial, 8, "complete", reports) for trial in range(EARLIER_TRIALS)]
    try:
        verdicts(spec, [*ended, History(EARLIER_TRIALS, 8, None, reports)])
    except UsageError:
        raise
    except Exception as error:  # Optuna checks few arguments before it uses them
        name, reason = spec.study.pruner, f"{type(error).__name__}: {error}"
        raise UsageError(
            f"study.pruner: Optuna's {name} cannot judge a training with {spec.study.pruner_args}: {reason}"
        ) from error


def verdicts(spec: SweepSpec, histories: Sequence[History]) -> dict[int, Verdict]:
    """Return the open trials that the pruner ends, each with the first epoch at which it does."""
    study = optuna.create_study(
        study_name=spec.name,  # Hyperband draws a trial's bracket from it
        direction=direction(spec),
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=pruner(spec),
    )
    trials = [study.ask() for _ in range(max((history.trial for history in histories), default=-1) + 1)]
    keeps_rungs = spec.study.pruner in WITH_RUNGS
    found: dict[int, Verdict] = {}
    for history, report in replay(histories):
        trial = trials[history.trial]
        trial.report(report.value, report.epoch)
        if history.state is None or keeps_rungs:
            _ask(spec, trial, history, report.epoch, report.value, found)
        if report is history.reports[-1] and history.state == "complete":
            study.tell(trial, report.value, state=TrialState.COMPLETE)
    return found


def _ask(spec: SweepSpec, trial: Trial, history: History, epoch: int, value: float, found: dict[int, Verdict]) -> None:
    is_pruned = trial.should_prune()
    is_open = history.state is None and history.ignored_until < epoch < history.epochs
    if is_pruned and is_open and history.trial not in found:
        reason = f"{spec.study.metric} {score_text(value)} at epoch {epoch}: Optuna's {spec.study.pruner} ends it"
        found[history.trial] = Verdict(epoch, reason)
