"""Retry policy: whether, how and on which nodes a lost attempt is resubmitted.

Rule 1: only attempts since the user's last retry count.
Rule 2: losses that a training causes get few retries, losses that the cluster causes get many. A newly finished epoch
        resets the count of requeues.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from unetsweep.core.actions import MarkLost
from unetsweep.core.causes import CAUSE_OF_STATE, ERROR_KINDS, SUSPECT, Cause
from unetsweep.core.corners import values_of
from unetsweep.core.observation import Attempt, JobState, Observation, Run, Trial
from unetsweep.core.spec import Resources, SweepSpec
from unetsweep.texts import counted

EXCLUDED_FOR = timedelta(hours=6)
"""How long a failed node is excluded: it may have been repaired since."""
MAX_EXCLUDED_NODES = 4
"""Beyond this many the cluster is at fault, not a node."""
MAX_UNSTARTED = 20
"""If this many submissions of a run never reached the queue, another one will not reach it either."""
MAX_TIME_LIMITS = 2
"""Starts in a row that reach the time limit without a new epoch: a third would not finish one either."""

_CLUSTER = frozenset({Cause.NODE, Cause.START, Cause.DEVICE, Cause.PORT, Cause.VANISHED})
_REQUEUES = frozenset({Cause.REQUEUE, Cause.TIME, Cause.PREEMPTED})
_UNEXPLAINED = frozenset({Cause.UNEXPLAINED, Cause.DISK})
_SIZE = re.compile(r"(\d+)([KMGT]?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Overrides:
    """How an attempt differs from what the sweep asks for."""

    mem: str | None = None
    micro_batch: int | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The run is resubmitted."""

    overrides: Overrides = Overrides()


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The run is not resubmitted."""

    reason: str


def cause_of(last: Attempt) -> Cause:
    """Classify an attempt that ended without a result. The most certain evidence decides."""
    if last.terminated_for is not None:
        return last.terminated_for
    if last.ending is not None and last.ending.kind in ERROR_KINDS:
        return ERROR_KINDS[last.ending.kind]
    if last.requeue_reason is not None:
        return Cause.REQUEUE
    if last.job is not None and last.job.raw_state in CAUSE_OF_STATE:
        return CAUSE_OF_STATE[last.job.raw_state]
    if last.job is not None and last.job.state is JobState.NODE_FAILED:
        return Cause.NODE
    if last.claimed_by is None or (last.ending is not None and last.ending.unclaimed):
        return Cause.VANISHED if last.job is None and last.ending is None and not last.began else Cause.START
    return Cause.VANISHED if last.job is None and last.ending is None else Cause.UNEXPLAINED


def decide(spec: SweepSpec, run: Run, trial: Trial, cause: Cause) -> Retry | Exhausted:
    """Decide whether a run is resubmitted after this loss of its last attempt. `trial`: one that the run serves."""
    last = run.last
    if last is not None and last.retry_exempt:
        return Retry()
    is_counted = last is not None and last.number > run.retries_reset_at
    kept = Overrides(last.mem, last.micro_batch) if last is not None and is_counted else Overrides()
    if cause is Cause.MEMORY:
        return _with_more_memory(spec, run, kept)
    if cause is Cause.GPU_MEMORY:
        return _with_smaller_steps(spec, run, trial, kept)
    if cause is Cause.PAUSED:
        return Retry(kept)
    exhausted = _without_progress(spec, run, cause) if cause in _REQUEUES else _too_often(spec, run, cause)
    return exhausted or Retry(kept)


def _without_progress(spec: SweepSpec, run: Run, cause: Cause) -> Exhausted | None:
    """Exhausted if too many starts in a row finished no epoch; starts that finish one are not bounded."""
    idle = timed_out = _unmarked_losses(run)
    for attempt in reversed(run.counted_attempts):
        if attempt.lost is not None and not attempt.refused:
            if attempt.cause not in _REQUEUES or attempt.lost_epoch < run.epochs_done:
                break
            idle += 1
            timed_out += attempt.cause is Cause.TIME
    if cause is Cause.TIME and timed_out >= MAX_TIME_LIMITS:
        took = f"one epoch takes {run.epoch_seconds:.0f} s" if run.epoch_seconds else "no epoch was finished"
        return Exhausted(
            f"{took} and the time limit of the job is {spec.slurm.time_min} min, "
            f"reached {counted(timed_out, 'time')} without a new epoch; raise slurm.time"
        )
    limit = spec.run.retries.requeue
    if idle <= limit:
        return None
    return Exhausted(f"{cause.value} {counted(idle, 'time')} without a new epoch (run.retries.requeue is {limit})")


def _too_often(spec: SweepSpec, run: Run, cause: Cause) -> Exhausted | None:
    """Exhausted if the run was lost too often in this way: each kind of loss has its own limit."""
    retries = spec.run.retries
    kinds, name, limit = {
        Cause.HANG: (frozenset({Cause.HANG}), "hang", retries.hang),
        Cause.UNEXPLAINED: (_UNEXPLAINED, "unexplained", retries.unexplained),
        Cause.DISK: (_UNEXPLAINED, "unexplained", retries.unexplained),
    }.get(cause, (_CLUSTER, "node", retries.node))
    lost = [
        a for a in run.counted_attempts if a.lost is not None and not a.refused and (a.cause or Cause.VANISHED) in kinds
    ]
    now = [run.last] if run.last is not None and _unmarked_losses(run) else []
    had_a_job = sum(a.job_id is not None or a.claimed_by is not None for a in (*lost, *now))
    if had_a_job <= limit and len(lost) < MAX_UNSTARTED:
        return None
    return Exhausted(f"{cause.value}, {counted(len(lost) + len(now), 'time')} (run.retries.{name} is {limit})")


def _unmarked_losses(run: Run) -> int:
    """1 if the loss that is being decided on is not recorded yet, else 0."""
    return int(run.last is not None and run.last.lost is None)


def _with_more_memory(spec: SweepSpec, run: Run, kept: Overrides) -> Retry | Exhausted:
    """Retry with twice the memory, up to `slurm.mem_max`; else Exhausted."""
    asked, most = kept.mem or memory_of_job(spec.slurm), spec.slurm.mem_max
    times = _unmarked_losses(run) + sum(a.cause is Cause.MEMORY for a in run.counted_attempts)
    have, bound = mebibytes(asked), mebibytes(most)
    advice = "raise slurm.mem, or let it grow by setting slurm.mem_max"
    if asked == "0":
        return Exhausted("the host ran out of memory with all memory of the node; choose nodes that have more")
    if have is None or bound is None:
        return Exhausted(f"the host ran out of memory with {asked or 'the default of the cluster'}; {advice}")
    if have >= bound or times > spec.run.retries.memory:
        return Exhausted(f"the host ran out of memory {counted(times, 'time')}, the last time with {asked}; {advice}")
    return Retry(Overrides(f"{min(2 * have, bound)}M", kept.micro_batch))


def _with_smaller_steps(spec: SweepSpec, run: Run, trial: Trial, kept: Overrides) -> Retry | Exhausted:
    """Retry with half the images per step if no result changes: before the first epoch, without norm and dropout."""
    share = kept.micro_batch or math.ceil(trial.batch_size / spec.slurm.processes)
    advice = "use more GPUs, a smaller batch or smaller images, or model: {norm: none}, which allows smaller steps"
    has_norm = any(norm != "none" for norm in values_of(spec, "model.norm") or [spec.model.norm])
    if has_norm or any(values_of(spec, "model.dropout") or [spec.model.dropout]):
        what = "batch statistics need" if has_norm else "dropout is drawn for"
        return Exhausted(f"the GPU ran out of memory, and {what} the whole batch at once; {advice}")
    if run.epochs_done or share <= 1:
        return Exhausted(f"the GPU ran out of memory with {counted(share, 'image')} a step; {advice}")
    return Retry(Overrides(kept.mem, math.ceil(share / 2)))


def memory_of_job(resources: Resources) -> str | None:
    """The memory that a job asks for, in SLURM's notation, if that is known; else None.

    >>> memory_of_job(Resources(mem_per_cpu="2G", cpus=4, processes=2)), memory_of_job(Resources(mem_per_cpu="2G"))
    ('16384M', None)
    """
    trainings = resources.processes * resources.pack
    each, count = (
        (resources.mem_per_gpu, resources.gpus)
        if resources.mem_per_gpu is not None
        else (resources.mem_per_cpu, trainings * (resources.cpus or 0))
    )
    known = mebibytes(each)
    return f"{known * count}M" if known is not None and count else resources.mem


def with_memory(resources: Resources, mem: str) -> Resources:
    """The resources with another amount of memory for the job, however the sweep asks for it."""
    return replace(resources, mem=mem, mem_per_cpu=None, mem_per_gpu=None)


def mebibytes(size: str | None) -> int | None:
    """Memory in SLURM's notation, in MiB, which is SLURM's default unit.

    >>> mebibytes("4G"), mebibytes("500"), mebibytes(None)
    (4096, 500, None)
    """
    found = _SIZE.fullmatch(size.strip()) if size else None
    if found is None:
        return None
    factor = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[found[2].upper()]
    return max(1, int(int(found[1]) * factor))


def suspects(observation: Observation, now: datetime, lost_now: Sequence[MarkLost] = ()) -> tuple[str, ...]:
    """The nodes to exclude: those where attempts of this sweep failed lately, the latest first.

    `lost_now`: the losses that this reconciliation records.
    """
    found = {loss.node: now for loss in lost_now if loss.node and loss.cause in SUSPECT}
    for run in observation.runs.values():
        for attempt in run.counted_attempts:
            at, node = attempt.lost_at, attempt.node
            if node and at is not None and attempt.cause in SUSPECT and now - at < EXCLUDED_FOR:
                found[node] = max(at, found.get(node, at))
    return tuple(sorted(sorted(found), key=lambda node: found[node], reverse=True)[:MAX_EXCLUDED_NODES])
