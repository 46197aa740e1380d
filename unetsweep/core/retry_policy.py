"""Whether a run that came to nothing is sent again, how, and away from which nodes.

Rule 1: only attempts since the user's last retry count.
Rule 2: what the training does is bounded tightly, what the cluster does generously, and getting on lifts the bound.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from unetsweep.core.causes import KINDS, SUSPECT, WORDS, Cause
from unetsweep.core.observation import Attempt, JobState, Observation, Run, Trial
from unetsweep.core.spec import SweepSpec

EXCLUDED_FOR = timedelta(hours=6)
"""A node that failed is kept away from for so long: it may have been repaired."""
EXCLUDED = 4
"""Most nodes kept away from at once: more bad ones than that are no accident of nodes."""
MANY = 20
"""Nor are so many submissions made for one run of which none reached the queue."""
STUCK = 2
"""So many starts that reach the time limit, with no epoch finished in between, are the last."""

_CLUSTERS = frozenset({Cause.NODE, Cause.START, Cause.VANISHED})
_STARTS = frozenset({Cause.REQUEUE, Cause.TIME, Cause.PREEMPTED})
_UNEXPLAINED = frozenset({Cause.UNEXPLAINED, Cause.DISK})
_SIZE = re.compile(r"(\d+)([KMGT]?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Overrides:
    """How the next attempt differs from what the sweep says."""

    mem: str | None = None
    micro_batch: int | None = None


def cause_of(last: Attempt) -> Cause:
    """The class of an attempt that is over and left no result, by the most certain evidence."""
    if last.ended_for is not None:
        return last.ended_for
    if last.ending is not None and last.ending.kind in KINDS:
        return KINDS[last.ending.kind]
    if last.requeue_reason is not None:
        return Cause.REQUEUE
    if last.job is not None and last.job.raw_state in WORDS:
        return WORDS[last.job.raw_state]
    if last.job is not None and last.job.state is JobState.NODE_FAILED:
        return Cause.NODE
    if last.claimed_by is None:
        return Cause.VANISHED if last.job is None and last.ending is None and not last.began else Cause.START
    return Cause.VANISHED if last.job is None and last.ending is None else Cause.UNEXPLAINED


def after(spec: SweepSpec, run: Run, trial: Trial, cause: Cause) -> Overrides | str:
    """The next attempt after this loss of the run's last one, or why there is none."""
    last = run.last
    kept = (
        Overrides(last.mem, last.micro_batch)
        if last is not None and last.number > run.retries_reset_at
        else Overrides()
    )
    if cause is Cause.MEMORY:
        return _more_memory(spec, run, kept)
    if cause is Cause.GPU_MEMORY:
        return _smaller_steps(spec, run, trial, kept)
    if cause is Cause.PAUSED:
        return kept
    refusal = _stuck(spec, run, cause) if cause in _STARTS else _too_often(spec, run, cause)
    return refusal or kept


def _stuck(spec: SweepSpec, run: Run, cause: Cause) -> str | None:
    """Starts that get on may be as many as they like; those that finish no epoch may not."""
    idle = timed_out = _not_yet_lost(run)
    for attempt in reversed(run.counted):
        if attempt.lost is not None and not attempt.refused:
            if attempt.cause not in _STARTS or attempt.lost_epoch < run.epochs_done:
                break
            idle += 1
            timed_out += attempt.cause is Cause.TIME
    if cause is Cause.TIME and timed_out >= STUCK:
        took = f"one epoch takes {run.epoch_seconds:.0f} s" if run.epoch_seconds else "no epoch was finished"
        return (
            f"{took} and the limit of the job is {spec.slurm.time_min} min, "
            f"reached {timed_out} times without a new epoch; raise slurm.time"
        )
    limit = spec.run.retries.requeue
    return f"{cause.value} {idle} times without a new epoch (run.retries.requeue is {limit})" if idle > limit else None


def _too_often(spec: SweepSpec, run: Run, cause: Cause) -> str | None:
    retries = spec.run.retries
    kinds, name, limit = {
        Cause.HANG: (frozenset({Cause.HANG}), "hang", retries.hang),
        Cause.UNEXPLAINED: (_UNEXPLAINED, "unexplained", retries.unexplained),
        Cause.DISK: (_UNEXPLAINED, "unexplained", retries.unexplained),
    }.get(cause, (_CLUSTERS, "node", retries.node))
    gone = [a for a in run.counted if a.lost is not None and not a.refused and (a.cause or Cause.VANISHED) in kinds]
    now = [run.last] if run.last is not None and _not_yet_lost(run) else []
    times = sum(a.job_id is not None or a.claimed_by is not None for a in (*gone, *now))
    if times <= limit and len(gone) < MANY:
        return None
    return f"{cause.value}, {len(gone) + len(now)} times (run.retries.{name} is {limit})"


def _not_yet_lost(run: Run) -> int:
    """1 where the loss that is decided on is not written down yet."""
    return int(run.last is not None and run.last.lost is None and not run.last.retry_exempt)


def _more_memory(spec: SweepSpec, run: Run, kept: Overrides) -> Overrides | str:
    """Twice as much, up to `slurm.mem_max`."""
    asked, most = kept.mem or spec.slurm.mem, spec.slurm.mem_max
    times = _not_yet_lost(run) + sum(a.cause is Cause.MEMORY for a in run.counted)
    have, bound = mebibytes(asked), mebibytes(most)
    advice = "raise slurm.mem, or let it grow by setting slurm.mem_max"
    if have is None or bound is None:
        return f"the host ran out of memory with {asked or 'what the cluster gives'}; {advice}"
    if have >= bound or times > spec.run.retries.memory:
        return f"the host ran out of memory {times} times, the last time with {asked}; {advice}"
    return Overrides(f"{min(2 * have, bound)}M", kept.micro_batch)


def _smaller_steps(spec: SweepSpec, run: Run, trial: Trial, kept: Overrides) -> Overrides | str:
    """Half the images a step, before the first epoch and where the size of a step changes no number."""
    share = kept.micro_batch or math.ceil(trial.batch_size / spec.slurm.processes)
    advice = (
        "use more GPUs, a smaller batch or smaller images, or model: {norm: none}, with which steps are made smaller"
    )
    if spec.model.norm != "none" or spec.model.dropout:
        what = "batch statistics need" if spec.model.norm != "none" else "dropout is drawn for"
        return f"the GPU ran out of memory, and {what} the whole batch at once; {advice}"
    if run.epochs_done or share <= 1:
        return f"the GPU ran out of memory with {share} images a step; {advice}"
    return Overrides(kept.mem, math.ceil(share / 2))


def mebibytes(size: str | None) -> int | None:
    """SLURM's way to write memory, in MiB, its default unit.

    >>> mebibytes("4G"), mebibytes("500"), mebibytes(None)
    (4096, 500, None)
    """
    found = _SIZE.fullmatch(size.strip()) if size else None
    if found is None:
        return None
    factor = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[found[2].upper()]
    return max(1, int(int(found[1]) * factor))


def suspects(observed: Observation, now: datetime) -> tuple[str, ...]:
    """Nodes to keep away from: where attempts of this sweep failed lately, the latest first."""
    found: dict[str, datetime] = {}
    for run in observed.runs.values():
        for attempt in run.counted:
            at, node = attempt.lost_at, attempt.node
            if node and at is not None and attempt.cause in SUSPECT and now - at < EXCLUDED_FOR:
                found[node] = max(at, found.get(node, at))
    return tuple(sorted(sorted(found), key=lambda node: found[node], reverse=True)[:EXCLUDED])
