"""Run sharing: trials that differ only in `epochs` are milestones of one training, the run.

Rule 1: trials share a run only if one training gives each of them its exact result: they differ in `epochs` alone, the
        learning rate does not depend on the total number of epochs, and the trainer is ours.
Rule 2: a training never goes back, so only longer trials join an existing run.
Rule 3: no trial joins a run with a trial that failed, diverged, was cancelled or cannot be read, nor one that another
        version of the package trained, nor one that has ended if its last checkpoint may be deleted
        (`run.keep_checkpoints: best`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unetsweep.contract import TrialConfig, config_id, run_key
from unetsweep.core.actions import Prune
from unetsweep.core.corners import values_of
from unetsweep.core.observation import Attempt, Run, Trial
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.texts import counted

CONTINUES_FOR_OTHERS = "cancelled; its run continues for the trials that share it"
"""Why a cancelled trial waits: it ends when its run does."""


# ---- which run a new trial belongs to


def why_not_shared(spec: SweepSpec) -> str | None:
    """Return why no two trials of the sweep share a run; None if they may."""
    if not spec.run.share:
        return "run.share is false"
    if spec.trainer.command is not None and not spec.trainer.resumes:
        return (
            "a trainer command may train differently for another number of epochs; if it resumes from its own "
            "checkpoints and publishes its milestones, set trainer.resumes: true"
        )
    schedules = values_of(spec, "trainer.schedule") or [spec.trainer.schedule]
    if "constant" not in schedules:
        return f"the schedule {schedules[0]} depends on the number of epochs, so each needs its own training"
    return None


def sharing_key(config: TrialConfig) -> str:
    """Return a digest that two new trials share if they may share a run, up to the larger `epochs`."""
    return run_key(config) if config.trainer.schedule == "constant" else config_id(config)


@dataclass(frozen=True, slots=True)
class ExistingTrial:
    """What run sharing needs to know of a trial that exists."""

    run: int
    key: str | None
    """`contract.run_key` of its config, equal for trials that may share a run; None: it shares with no other trial."""
    epochs: int
    code: str | None
    """Hash of the package that trains it."""
    is_joinable: bool
    """Whether its files can be read, and it is complete, pruned, or open and not cancelled."""
    has_ended: bool = False

    @classmethod
    def of(cls, trial: StoredTrial) -> "ExistingTrial":
        """Return what the files of a trial say of it."""
        result, code = trial.result, trial.code
        if result is not None and (trained_by := result.code.get("package")) is not None and trained_by != code:
            code = None if code is None else f"{code}, then {trained_by}"  # matches no version of the package
        is_good = not trial.cancelled if result is None else result.state in ("complete", "pruned")
        is_joinable = is_good and not trial.unreadable
        return cls(trial.run, trial.run_key, trial.epochs, code, is_joinable, result is not None)


def assign_runs(
    new: Sequence[tuple[str, int]],
    first: int,
    existing: Iterable[ExistingTrial],
    code: str | None,
    *,
    keeps_checkpoints: bool = True,
) -> list[int]:
    """Return the run of each new trial, given as (run key, epochs).

    The new trials are numbered from `first`, and a new run has the number of its first trial. `code`: hash of the
    package that would train them. `keeps_checkpoints`: whether a run that has ended can still continue.

    >>> assign_runs([("a", 2), ("b", 2), ("a", 8)], 5, [], None)
    [5, 6, 5]
    >>> assign_runs([("a", 8), ("a", 2)], 5, [ExistingTrial(0, "a", 4, None, True)], None)
    [0, 6]
    """
    joinable = _joinable_runs(existing, code, keeps_checkpoints=keeps_checkpoints)
    new_runs: dict[str, int] = {}
    assigned = []
    for number, (key, epochs) in enumerate(new, first):
        shorter = [(longest, run) for run, longest in joinable.get(key, {}).items() if longest < epochs]
        assigned.append(max(shorter)[1] if shorter else new_runs.setdefault(key, number))
    return assigned


def _joinable_runs(
    existing: Iterable[ExistingTrial], code: str | None, *, keeps_checkpoints: bool
) -> Mapping[str, Mapping[int, int]]:
    """By run key: the runs that new trials may join, each with its longest milestone."""
    longest: dict[int, int] = {}
    key_of: dict[int, str] = {}
    excluded: set[int] = set()
    open_runs: set[int] = set()
    for trial in existing:
        longest[trial.run] = max(trial.epochs, longest.get(trial.run, 0))
        if not trial.has_ended:
            open_runs.add(trial.run)
        if trial.key is None or not trial.is_joinable or trial.code != code:
            excluded.add(trial.run)
        else:
            key_of[trial.run] = trial.key
    joinable: dict[str, dict[int, int]] = {}
    for run, key in key_of.items():
        if run not in excluded and (keeps_checkpoints or run in open_runs):
            joinable.setdefault(key, {})[run] = longest[run]
    return joinable


def why_separate(trials: Sequence[StoredTrial], first: int) -> str | None:
    """Return why trials from the number `first` on joined no earlier run, although one trains their config to more
    epochs; None: there are none. A running training does not learn of new milestones, and may have passed them."""
    path = "trainer.schedule"
    trials = [
        trial for trial in trials if (trial.params or {}).get(path, "constant") == "constant"
    ]  # others never share
    longest: dict[str, StoredTrial] = {}
    for trial in sorted(trials, key=lambda trial: trial.epochs):
        if trial.run_key is not None and trial.number < first:
            longest[trial.run_key] = trial
    shorter = [
        (trial, longer)
        for trial in trials
        if trial.run >= first and (longer := longest.get(trial.run_key or "")) and longer.epochs > trial.epochs
    ]
    if not shorter:
        return None
    numbers = ", ".join(f"{trial.number:04d}" for trial, _ in shorter[:4]) + (" …" if len(shorter) > 4 else "")
    trial, longer = shorter[0]
    return (
        f"{counted(len(shorter), 'new trial')} ({numbers}) cannot join a run with the same config: only longer trials "
        f"join one, because a training never goes back (trial {trial.number:04d} has {counted(trial.epochs, 'epoch')}, "
        f"and run {longer.run:04d} trains the same config to epoch {longer.epochs})"
    )


def epochs_to_train(trials: Iterable[tuple[int, int]]) -> int:
    """Return the epochs of all trainings together. Each trial is (run, epochs), and a run is trained to its longest.

    >>> epochs_to_train([(0, 2), (0, 8), (1, 4)])
    12
    """
    longest: dict[int, int] = {}
    for run, epochs in trials:
        longest[run] = max(epochs, longest.get(run, 0))
    return sum(longest.values())


# ---- what a run does for the trials that share it


def shorten(run: Run, attempt: Attempt, trials: Sequence[Trial]) -> Prune | None:
    """Return the action that prunes the milestones of an active attempt that only cancelled or ended trials wanted.

    `trials`: the open trials of the run, the cancelled among them. None if there is nothing new to prune.
    """
    last_wanted = max((trial.epochs for trial in trials if not trial.cancelled), default=0)
    done = max(last_wanted, run.epochs_done)
    unwanted = {epochs for epochs in attempt.milestones if epochs > done} - set(run.published_states)
    if unwanted <= set(run.pruned_milestones):
        return None
    longest = max(trials, key=lambda trial: trial.epochs)
    milestones = tuple(sorted({*unwanted, *run.pruned_milestones}))
    known = run.prune_decision
    reason = known.reason if known is not None and run.pruned_milestones else "you cancelled it"
    return Prune(run.number, attempt.number, longest.number, milestones, run.epochs_done, reason)


def why_not_in_attempt(run: Run, attempt: Attempt, epochs: int) -> str | None:
    """Return why the trial with so many epochs waits for another attempt of its run; None if this attempt trains it."""
    if not attempt.milestones or epochs in attempt.milestones or run.has_published_all:
        return None
    return f"its run trains to epoch {attempt.milestones[-1]} first"


def trains_past(run: Run, epochs: int) -> bool:
    """Whether the run has trained past this milestone, or will do so in an attempt that does not publish it."""
    return run.epochs_done > epochs or _will_train_past(run, epochs)


def _will_train_past(run: Run, epochs: int) -> bool:
    last = run.last
    if last is None or last.lost is not None or last.number <= run.retries_reset_at or last.ending is not None:
        return False
    if run.has_published_all or not last.milestones:
        return False
    return epochs not in last.milestones and epochs < last.milestones[-1]
