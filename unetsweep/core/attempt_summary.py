"""What became of an attempt, for people: a word, and why."""

from dataclasses import dataclass

from unetsweep.core.observation import Attempt, Run


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """The end of an attempt, or that it has not ended."""

    state: str
    """`submitted`, `running`, `requeued`, `done`, `pruned`, `failed`, `lost`, `refused` or `ended`."""
    why: str = ""
    """Empty: there is nothing to explain."""
    cause: str | None = None
    """The class of a loss; None: it is not lost."""


def summarise_attempt(attempt: Attempt, run: Run, *, is_open: bool) -> AttemptSummary:
    """Return what became of an attempt of a run. `is_open`: a trial of the run has not ended."""
    if attempt.lost is not None:
        cause = attempt.cause.value if attempt.cause is not None else None
        return AttemptSummary("refused" if attempt.refused else "lost", attempt.lost, cause)
    if attempt.milestones and {*attempt.milestones} <= run.published_states.keys():
        return AttemptSummary("done")
    prune = run.prune_decision
    if prune is not None and prune.attempt == attempt.number and not prune.is_lifted:
        return AttemptSummary("pruned", prune.reason)
    if attempt.ending is not None:
        return AttemptSummary("failed" if attempt.ending.is_final else "ended", attempt.ending.message)
    if not is_open or attempt is not run.last:
        return AttemptSummary("ended", attempt.requeue_reason or "")
    if attempt.requeue_reason is not None:
        return AttemptSummary("requeued", attempt.requeue_reason)
    return AttemptSummary("running" if attempt.claimed_by is not None else "submitted")
