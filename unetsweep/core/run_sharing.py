"""Which trials share one training.

Rule 1: trials share a run exactly when one training serves both to the last bit: they differ in `epochs` alone, the
        learning rate does not look at the total, and the trainer is ours.
Rule 2: a training never goes back: a run that there is already is joined by longer trials only.
Rule 3: nobody joins a run of which a trial came to nothing, or that other code trained, or that has ended and whose
        last checkpoint goes then (`run.keep_checkpoints: best`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unetsweep.core.actions import Prune
from unetsweep.core.observation import Attempt, Run, Trial
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial


def why_not(spec: SweepSpec) -> str | None:
    """Why no two trials of the sweep share a training; None: they may."""
    if not spec.run.share:
        return "run.share is false"
    if spec.trainer.command is not None:
        return "a trainer command may get elsewhere with other epochs"
    if spec.trainer.schedule != "constant":
        return f"the schedule {spec.trainer.schedule} looks at the last epoch, so each number of epochs is a training"
    return None


@dataclass(frozen=True, slots=True)
class Served:
    """A trial that there is, as far as it matters to those that would share its run."""

    run: int
    key: str | None
    """`contract.run_key` of its config; None: it shares with nobody."""
    epochs: int
    code: str | None
    """Hash of the package that trains it."""
    is_sound: bool
    """Open and not cancelled, complete, or pruned."""
    has_ended: bool = False


def runs_of(
    new: Sequence[tuple[str, int]], first: int, there: Iterable[Served], code: str | None, *, is_kept: bool = True
) -> list[int]:
    """The run of each new trial (`run_key`, epochs); they are numbered on from `first`, and a new run has the number
    of its first trial. `code`: what would train them. `is_kept`: a run that has ended can still go on.

    >>> runs_of([("a", 2), ("b", 2), ("a", 8)], 5, [], None)
    [5, 6, 5]
    >>> runs_of([("a", 8), ("a", 2)], 5, [Served(0, "a", 4, None, True)], None)
    [0, 6]
    """
    longest = _joinable(there, code, is_kept=is_kept)
    founded: dict[str, int] = {}
    found = []
    for number, (key, epochs) in enumerate(new, first):
        fitting = [(reached, run) for run, reached in longest.get(key, {}).items() if reached < epochs]
        found.append(max(fitting)[1] if fitting else founded.setdefault(key, number))
    return found


def _joinable(there: Iterable[Served], code: str | None, *, is_kept: bool) -> Mapping[str, Mapping[int, int]]:
    """Key -> run -> its longest milestone, of runs that more trials may join."""
    longest: dict[int, int] = {}
    keys: dict[int, str] = {}
    unsound: set[int] = set()
    open_: set[int] = set()
    for each in there:
        open_ |= set() if each.has_ended else {each.run}
        longest[each.run] = max(each.epochs, longest.get(each.run, 0))
        if each.key is None or not each.is_sound or each.code != code:
            unsound.add(each.run)
        else:
            keys[each.run] = each.key
    found: dict[str, dict[int, int]] = {}
    for run, key in keys.items():
        if run not in unsound and (is_kept or run in open_):
            found.setdefault(key, {})[run] = longest[run]
    return found


def served(trial: StoredTrial) -> Served:
    """A stored trial, as far as run sharing looks at it."""
    result, code = trial.result, trial.code
    if result is not None and (trained := result.code.get("package")) is not None and trained != code:
        code = None if code is None else f"{code}, then {trained}"
    is_sound = not trial.cancelled if result is None else result.state in ("complete", "pruned")
    is_sound = is_sound and not trial.unreadable
    return Served(trial.run, trial.run_key, trial.epochs, code, is_sound, result is not None)


def cut_short(run: Run, attempt: Attempt, waiting: list[Trial]) -> Prune | None:
    """What no trial wants any more beyond the others, since they were cancelled, is not trained."""
    longest = max(waiting, key=lambda trial: trial.epochs)
    furthest = max((trial.epochs for trial in waiting if not trial.cancelled), default=0)
    beyond = {epochs for epochs in attempt.milestones if epochs > max(furthest, run.epochs_done)} - set(run.milestones)
    if beyond <= set(run.stopped_milestones):
        return None
    why = run.stopped.reason if run.stopped is not None and run.stopped_milestones else "you cancelled it"
    milestones = tuple(sorted({*beyond, *run.stopped_milestones}))
    return Prune(run.number, attempt.number, longest.number, milestones, run.epochs_done, why)


def passes(run: Run, epochs: int) -> bool:
    """Whether the run has gone past a trial of so many epochs, or is on its way to, without leaving its result."""
    last = run.last
    if (
        last is None
        or last.lost is not None
        or last.number <= run.retries_reset_at
        or run.has_published_all
        or not last.milestones
    ):
        is_sent = False
    else:
        is_sent = last.ending is None and epochs not in last.milestones and epochs < last.milestones[-1]
    return is_sent or run.epochs_done > epochs


CONTINUES_FOR_OTHERS = "cancelled; its run continues for the trials that share it"
"""Of a cancelled trial that others' training holds open."""


def why_later(run: Run, attempt: Attempt, epochs: int) -> str | None:
    """Why an attempt of its run that lives is not for the trial of so many epochs; None: it is."""
    if not attempt.milestones or epochs in attempt.milestones or run.has_published_all:
        return None
    return f"its run trains to epoch {attempt.milestones[-1]} first"


def epochs_to_train(parts: Iterable[tuple[int, int]]) -> int:
    """Of (run, epochs) of all trials: each run is trained once, to its longest.

    >>> epochs_to_train([(0, 2), (0, 8), (1, 4)])
    12
    """
    longest: dict[int, int] = {}
    for run, epochs in parts:
        longest[run] = max(epochs, longest.get(run, 0))
    return sum(longest.values())
