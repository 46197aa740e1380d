"""A whole sweep on a simulated clock, files, queue and study in memory: what the plan costs when nothing else does.

A reconciliation every ten minutes, so that each finds many endings; trainings take random times; the queue starts as
many as there are slots.
"""

import heapq
import random
import resource
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unetsweep.core.actions import Submit
    from unetsweep.core.observation import Attempt, Run, Trial

PERIODIC_S = 600.0
SECONDS = (300.0, 1500.0)
"""Of a training: drawn between these."""
ELEMENTS = 1001
"""Of one array: SLURM's default MaxArraySize."""


class Sweep:
    """Trials, runs and jobs, and nothing else."""

    def __init__(self, trials: int, slots: int) -> None:
        from benchmarks.scale import spec_of

        self.spec, self.slots, self.now = spec_of(trials, slots), slots, 0.0
        self.open: dict[int, Trial] = {}
        self.runs: dict[int, Run] = {}
        self.ended = self.passes = self.arrays = self.most = 0
        self._waiting: deque[int] = deque()
        self._ends: list[tuple[float, int]] = []
        self._draw = random.Random(0)  # noqa: S311 - made-up times

    def clock(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)

    def advance(self) -> None:
        """Ten minutes of the cluster: what is over ends, what waits starts."""
        from unetsweep.core.observation import JobState

        self.now += PERIODIC_S
        while self._ends and self._ends[0][0] <= self.now:
            _, run = heapq.heappop(self._ends)
            self._become(run, JobState.ENDED, "COMPLETED")
            self.runs[run] = replace(self.runs[run], milestones={8: "complete"})
        while self._waiting and len(self._ends) < self.slots:
            run = self._waiting.popleft()
            self._become(run, JobState.RUNNING, "RUNNING")
            heapq.heappush(self._ends, (self.now + self._draw.uniform(*SECONDS), run))
        self.most = max(self.most, len(self._ends))

    def _last(self, run: int) -> "Attempt":
        return self.runs[run].attempts[-1]

    def _become(self, run: int, state: object, word: str) -> None:
        last = self._last(run)
        assert last.job is not None
        job = replace(last.job, state=state, word=word)  # type: ignore[arg-type]
        self.runs[run] = replace(self.runs[run], attempts=(replace(last, job=job, claimed_by=job.job_id),))

    def one_pass(self) -> None:
        """Look, plan, act, until there is no more to do now."""
        from unetsweep.core.actions import FinishTrial, Propose, Submit
        from unetsweep.core.capacity import Capacity
        from unetsweep.core.observation import Observation, Run, Trial
        from unetsweep.core.plan import plan

        self.passes += 1
        capacity = Capacity(True, self.slots, max_elements=ELEMENTS)
        while True:
            seen = Observation(self.ended, tuple(self.open.values()), self.runs)
            decided = plan(self.spec, seen, capacity, self.clock())
            more = False
            for action in decided.actions:
                match action:
                    case FinishTrial(trial=trial, run=run, state="complete"):
                        del self.open[trial], self.runs[run]
                        self.ended += 1
                        more = True
                    case Propose(count=count):
                        for number in range(self.ended + len(self.open), self.ended + len(self.open) + count):
                            self.open[number], self.runs[number] = Trial(number, number, 8), Run(number)
                        more = True
                    case Submit():
                        self._submit(action)
                        more = True
            if not more:
                return

    def _submit(self, action: "Submit") -> None:
        from unetsweep.core.observation import Attempt, Job, JobState

        self.arrays += 1
        token = f"{self.arrays:012x}"
        for index, each in enumerate(action.elements):
            job = Job(f"{self.arrays}_{index}", token, index, JobState.QUEUED, "PENDING")
            attempt = Attempt(each.run, each.attempt, token, index, self.clock(), action.throttle, job.job_id, job=job)
            self.runs[each.run] = replace(self.runs[each.run], attempts=(attempt,))
            self._waiting.append(each.run)


def simulated(trials: int = 100_000, slots: int = 1000) -> None:
    """Print one row."""
    begin, cpu = time.perf_counter(), time.process_time()
    sweep = Sweep(trials, slots)
    sweep.one_pass()
    while sweep.open:
        sweep.advance()
        sweep.one_pass()
    seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    assert sweep.ended == trials
    assert sweep.most <= slots
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"| a simulated sweep on {slots:,} slots: {sweep.passes:,} passes, {sweep.arrays:,} submissions, "
        f"{sweep.now / 3600:.1f} simulated hours | {trials:,} | {seconds:.1f} | {used:.1f} | {memory:.0f} |"
    )
