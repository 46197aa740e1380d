"""Export the sweep's trials to `study.journal`, which Optuna and other tools can open.

The sweep's directory owns the trials; nothing reads the journal to decide, so it is recreated if it cannot be read.

An export appends what the journal lacks, and does not write the whole file again: tools such as optuna-dashboard keep
the journal open while the sweep runs, and Optuna's reader remembers the byte up to which it has read. If a trial
before that byte were written again with a shorter or longer line, such a reader would fail until it is restarted.

There is one writer, the holder of the lease. A trial of Optuna is a point with all its trainings. It is one line; if it
was open at an earlier export, its values and its end are appended later. Optuna changes no trial that has ended. So if
the mean of a point changes after that, the journal is written again: `study.repeats` was raised, or a training retried.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
)
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import StateError
from unetsweep.regular_files import quarantine_file, read_bytes
from unetsweep.search.distributions import study_distributions
from unetsweep.search.optuna_trials import Curves, EpochsOf, StudyTrial, direction, no_epochs, study_trials

optuna.logging.set_verbosity(optuna.logging.ERROR)

MAX_JOURNAL_BYTES = 2**34
"""Far more than the journal of a sweep has."""
MAX_APPENDED_VALUES = 50
"""Values of a curve that are appended one by one: each takes a line, a flush and some ms of a network file system."""


def export(path: Path, spec: SweepSpec, trials: Sequence[StoredTrial], epochs_of: EpochsOf = no_epochs) -> None:
    """Append to the journal what it lacks of the trials, up to the last one that has ended.

    Open trials before that one go in as running, so that Optuna's number of a trial is ours (with repeats: that of a
    point). A journal that cannot be read, or that is not this sweep's, is moved to `….corrupt` and recreated.
    """
    try:
        _append_missing(path, spec, trials, epochs_of)
    except _HasChangedError:
        os.unlink(path)
        _append_missing(path, spec, trials, epochs_of)
    except OSError:  # a full disk or a quota: what the journal has is good
        raise
    except Exception:  # whatever Optuna makes of an unreadable journal
        recreate(path, spec, trials, epochs_of)


def recreate(path: Path, spec: SweepSpec, trials: Sequence[StoredTrial], epochs_of: EpochsOf = no_epochs) -> None:
    """Move the journal to `….corrupt` and write a new one."""
    if os.path.lexists(path):
        if os.path.isfile(f"{path}.corrupt"):
            os.unlink(f"{path}.corrupt")
        quarantine_file(path)
    _append_missing(path, spec, trials, epochs_of)


def load(path: Path, name: str) -> optuna.Study:
    """Open the study of a journal. KeyError: it has none of this name."""
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    return optuna.load_study(study_name=name, storage=storage, sampler=RandomSampler(seed=0))  # it never samples


def cut_partial_line(path: Path) -> None:
    """Remove an incomplete last line, which a kill leaves: the next line would be appended to it.

    StateError if something else is in the place of the journal.
    """
    try:
        content = read_bytes(path, max_bytes=MAX_JOURNAL_BYTES)
    except FileNotFoundError:
        raise StateError(f"{path}: a link to a file that is missing") from None
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


class _HasChangedError(Exception):
    """A point has other trainings, or another end, than when it was exported with its end."""


def _append_missing(path: Path, spec: SweepSpec, trials: Sequence[StoredTrial], epochs_of: EpochsOf) -> None:
    curves = Curves(spec, trials, epochs_of)
    points = study_trials(spec, trials)
    study = _open(path, spec)
    known = study.get_trials(deepcopy=False)
    if [frozen.user_attrs.get("trial") for frozen in known] != [point.numbers[0] for point in points[: len(known)]]:
        raise StateError(f"{path}: its trials are not the sweep's")
    if spec.study.repeats > 1 and any(map(_has_changed, known, points)):
        raise _HasChangedError
    ended = [at for at, point in enumerate(points) if point.state is not TrialState.RUNNING]
    points = points[: max(ended, default=-1) + 1]
    kinds = study_distributions(spec, [trial.params or {} for point in points for trial in point.trials])
    for parameter, kind in _known_distributions(known).items():
        check_distribution_compatibility(kind, kinds[parameter])  # ValueError: the journal is recreated
    study.add_trials([_freeze(spec, point, curves, kinds) for point in points[len(known) :]])
    for frozen, point in zip(known, points, strict=False):
        if frozen.state is TrialState.RUNNING and point.state is not TrialState.RUNNING:
            values = curves.of(point)
            _append_curve(study, frozen, values)
            if _numbers(frozen) != point.numbers:
                optuna.trial.Trial(study, frozen._trial_id).set_user_attr("trials", point.numbers)
            study.tell(frozen.number, _final_value(point, values), state=point.state, skip_if_finished=True)


def _has_changed(frozen: FrozenTrial, point: StudyTrial) -> bool:
    """Return whether a trial that has ended in the journal differs from its point, unless that is open again."""
    if not frozen.state.is_finished():
        return False
    if _numbers(frozen) != point.numbers:
        return True
    if point.state in (TrialState.RUNNING, frozen.state):
        return point.state is TrialState.COMPLETE and frozen.value != point.value
    return True


def _numbers(frozen: FrozenTrial) -> list[int]:
    """Return the sweep's trials of a trial of the journal."""
    found: list[int] = frozen.user_attrs.get("trials", [frozen.user_attrs.get("trial")])
    return found


def _open(path: Path, spec: SweepSpec) -> optuna.Study:
    lock = path.with_name(f"{path.name}.lock")
    if os.path.lexists(lock) and not lock.is_file():  # Optuna would wait for it
        quarantine_file(lock)
    if os.path.lexists(path):
        cut_partial_line(path)
    try:
        return load(path, spec.name)
    except KeyError:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
        return optuna.create_study(
            study_name=spec.name, storage=storage, direction=direction(spec), sampler=RandomSampler(seed=0)
        )


def _known_distributions(known: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return the distribution of each parameter in a journal: that of its first trial that has the parameter."""
    found: dict[str, BaseDistribution] = {}
    for frozen in known:
        found = {**frozen.distributions, **found}
    return found


def _freeze(spec: SweepSpec, point: StudyTrial, curves: Curves, kinds: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """Return a trial that the journal does not know, with its whole curve if it has ended."""
    values = {} if point.state is TrialState.RUNNING else curves.of(point)
    params, first = point.params, point.trials[0]
    return create_trial(
        state=point.state,
        params=params,
        distributions={path: kind for path, kind in kinds.items() if path in params},
        user_attrs={"config_id": first.config_id, "trial": first.number}
        if spec.study.repeats == 1
        else {"trial": first.number, "trials": point.numbers},
        value=_final_value(point, values),
        intermediate_values=values,
    )


def _append_curve(study: optuna.Study, frozen: FrozenTrial, values: Mapping[int, float]) -> None:
    """Append the curve of a trial that was added open, thinned out to `MAX_APPENDED_VALUES`; its last value is kept."""
    missing = [epoch for epoch in values if epoch not in frozen.intermediate_values]
    every = -(-len(missing) // MAX_APPENDED_VALUES) or 1
    trial = optuna.trial.Trial(study, frozen._trial_id)
    for epoch in missing[::-1][::every][::-1]:
        trial.report(values[epoch], epoch)


def _final_value(point: StudyTrial, values: Mapping[int, float]) -> float | None:
    """Return the value that Optuna keeps: the last one of a pruned trial, none of a failed one."""
    if point.state is TrialState.PRUNED:
        return values[max(values)] if values else point.value
    return point.value if point.state is TrialState.COMPLETE else None
