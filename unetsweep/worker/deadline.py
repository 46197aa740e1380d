"""Decides at the end of an epoch whether another one fits before the job ends.

Rule 1: a signal handler only records the signal; its meaning is decided at the end of the epoch.
Rule 2: an unknown end does not stop a training, except after a signal.
"""

import faulthandler
import os
import signal
import time
from collections.abc import Callable, Mapping

from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands

MARGIN_S = 10.0
"""Time before the job's end that is kept for the ranks to exit and for the exit hook, which requeues the job."""
EARLY_S = 60.0
"""SLURM may send the signal this much earlier than requested (manual of sbatch)."""
LIMIT_IS_NEAR = "the time limit is near"
"""Start of the reason that a training records when it stops because of the time limit."""
ASK_S = 5.0
"""Time limit of squeue, which is asked for the end of the job when little time is left."""
AGAIN_S = 60.0
"""While the end is unknown, squeue is asked again after this time, at the end of an epoch."""

_signals: list[int] = []


def listen() -> None:
    """Record SIGUSR2, and print the stacks of all threads on SIGUSR1. Call it before importing torch, which is slow."""
    _signals.clear()
    signal.signal(signal.SIGUSR2, lambda number, _: _signals.append(number))
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


class Deadline:
    """The end of this job; the `stop_check` of a training."""

    def __init__(
        self,
        job_id: str | None = None,
        environment: Mapping[str, str] = os.environ,
        ask: Callable[[str, float], float | None] = commands.end_time,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`job_id` is the SLURM job; with None only a signal ends the training."""
        self._job_id, self._ask, self._now = job_id, ask, now
        self._asked_at = 0.0
        end = environment.get("SLURM_JOB_END_TIME", "") if job_id else ""
        self._end = float(end) if end.isdecimal() else self._query_end()

    @property
    def end(self) -> float | None:
        """When the job ends, in seconds since 1970; None if unknown."""
        return self._end

    @property
    def is_limited(self) -> bool:
        """Whether the scheduler ends the job at a time limit."""
        return self._job_id is not None

    @property
    def is_announced(self) -> bool:
        """Whether a signal has come since the last call."""
        return bool(_signals)

    def __call__(self, needed: float) -> str | None:
        """The reason to stop now, if another epoch and its checkpoint need this many seconds; None to continue."""
        if _signals:
            _signals.clear()
            self._end = self._query_end() or self._end
            if self._end is None:
                return "a signal announced the end of the job"
            if self._left() > commands.SIGNAL_LEAD_S + EARLY_S:  # too early for the time limit
                return "preemption announced"
            return self._check_time(needed)
        if self._end is None and self._now() - self._asked_at > AGAIN_S:
            self._end = self._query_end()
        if self._check_time(needed) is not None:
            self._end = self._query_end() or self._end  # an administrator may have changed it
        return self._check_time(needed)

    def _check_time(self, needed: float) -> str | None:
        left = self._left()
        if needed + MARGIN_S <= left:
            return None
        return f"{LIMIT_IS_NEAR}: {left:.0f} s are left, and another epoch may need {needed:.0f} s"

    def _left(self) -> float:
        return float("inf") if self._end is None else self._end - self._now()

    def _query_end(self) -> float | None:
        if self._job_id is None:
            return None
        self._asked_at = self._now()
        try:
            return self._ask(self._job_id, ASK_S)
        except SchedulerError as error:
            print(f"the end of this job is unknown: {error}", flush=True)  # noqa: T201
            return None
