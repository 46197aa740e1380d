"""When this job ends, and whether another epoch fits before that.

Rule 1: a signal only leaves a mark; what it means is decided at an epoch's end.
Rule 2: what nobody knows stops no training; but a signal with no end known does, at this epoch's end.
"""

import faulthandler
import os
import signal
import time
from collections.abc import Callable, Mapping

from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands

MARGIN_S = 10.0
"""Kept free before the end: the ranks go down, and the batch shell makes the exit hook, which requeues the job."""
EARLY_S = 60.0
"""SLURM may send the signal so much earlier than it was asked to (sbatch's manual)."""
LIMIT_IS_NEAR = "the time limit is near"
"""How the reason begins that a training gives which stops for it."""
ASK_S = 5.0
"""How long squeue may take to say when the job ends; it is asked when little time is left."""

_signals: list[int] = []


def listen() -> None:
    """Take note of SIGUSR2; print the stacks of all threads on SIGUSR1. Before torch is imported: that takes long."""
    _signals.clear()
    signal.signal(signal.SIGUSR2, lambda number, _: _signals.append(number))
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


class Deadline:
    """The end of this job; called at an epoch's end (a training's `ending`)."""

    def __init__(
        self,
        job_id: str | None = None,
        environment: Mapping[str, str] = os.environ,
        ask: Callable[[str, float], float | None] = commands.end_time,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`job_id`: that of a SLURM job; None: nothing ends this training but a signal."""
        self._job_id, self._ask, self._now = job_id, ask, now
        told = environment.get("SLURM_JOB_END_TIME", "") if job_id else ""
        self._end = float(told) if told.isdecimal() else self._asked()

    @property
    def end(self) -> float | None:
        """Seconds since 1970; None where it is not known."""
        return self._end

    @property
    def is_limited(self) -> bool:
        """Whether the scheduler ends the job at a time limit."""
        return self._job_id is not None

    def __call__(self, needed: float) -> str | None:
        """Why to stop now, where another epoch and its checkpoint need so many seconds; None: go on."""
        if _signals:
            _signals.clear()
            self._end = self._asked() or self._end
            if self._end is None:
                return "a signal announced the end of the job"
            if self._left() > commands.SIGNAL_LEAD_S + EARLY_S:  # so it is not about the time limit
                return "preemption announced"
            return self._full(needed)
        if self._full(needed) is not None:
            self._end = self._asked() or self._end  # an administrator may have moved it
        return self._full(needed)

    def _full(self, needed: float) -> str | None:
        left = self._left()
        if needed + MARGIN_S <= left:
            return None
        return f"{LIMIT_IS_NEAR}: {left:.0f} s are left, and another epoch may need {needed:.0f} s"

    def _left(self) -> float:
        return float("inf") if self._end is None else self._end - self._now()

    def _asked(self) -> float | None:
        if self._job_id is None:
            return None
        try:
            return self._ask(self._job_id, ASK_S)
        except SchedulerError as error:
            print(f"when this job ends is not known: {error}", flush=True)  # noqa: T201
            return None
