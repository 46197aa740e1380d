"""Simulate a whole sweep, with files, queue and study in memory: what the plan costs when nothing else costs anything.

A reconciliation runs every ten simulated minutes, so each finds many ended trials. Trainings take random times; the
queue starts as many as there are slots.
"""

import heapq
import random
import resource
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.scale_spec import EPOCHS, MAX_ARRAY_SIZE, make_spec
from unetsweep.core.actions import FinishTrial, Propose, Submit
from unetsweep.core.capacity import Capacity
from unetsweep.core.observation import Attempt, Job, JobState, Observation, Run, Trial
from unetsweep.core.plan import plan

RECONCILE_INTERVAL_S = 600.0
TRAINING_S = (300.0, 1500.0)
"""A training takes a random time between these."""


class SimulatedSweep:
    """Trials, runs and jobs in memory."""

    def __init__(self, trials: int, slots: int) -> None:
        self.spec, self.slots, self.now = make_spec(trials, slots), slots, 0.0
        self.open: dict[int, Trial] = {}
        self.runs: dict[int, Run] = {}
        self.ended = self.reconciliations = self.submissions = self.most_active = 0
        self._waiting: deque[int] = deque()
        self._ends: list[tuple[float, int]] = []
        self._draw = random.Random(0)  # noqa: S311 - made-up times

    def clock(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)

    def advance(self) -> None:
        """Let ten minutes pass: trainings whose time is over end, then waiting ones start."""
        self.now += RECONCILE_INTERVAL_S
        while self._ends and self._ends[0][0] <= self.now:
            _, run = heapq.heappop(self._ends)
            self._set_job_state(run, JobState.ENDED, "COMPLETED")
            self.runs[run] = replace(self.runs[run], published_states={EPOCHS: "complete"})
        while self._waiting and len(self._ends) < self.slots:
            run = self._waiting.popleft()
            self._set_job_state(run, JobState.RUNNING, "RUNNING")
            heapq.heappush(self._ends, (self.now + self._draw.uniform(*TRAINING_S), run))
        self.most_active = max(self.most_active, len(self._ends))

    def _set_job_state(self, run: int, state: JobState, word: str) -> None:
        last = self.runs[run].attempts[-1]
        assert last.job is not None
        job = replace(last.job, state=state, raw_state=word)
        self.runs[run] = replace(self.runs[run], attempts=(replace(last, job=job, claimed_by=job.job_id),))

    def reconcile(self) -> None:
        """Observe, plan and act until there is nothing more to do now."""
        self.reconciliations += 1
        capacity = Capacity(True, self.slots, max_elements=MAX_ARRAY_SIZE)
        has_acted = True
        while has_acted:
            has_acted = False
            observation = Observation(self.ended, tuple(self.open.values()), self.runs)
            for action in plan(self.spec, observation, capacity, self.clock()).actions:
                match action:
                    case FinishTrial(trial=trial, run=run, state="complete"):
                        del self.open[trial], self.runs[run]
                        self.ended += 1
                    case Propose(count=count):
                        first = self.ended + len(self.open)
                        for number in range(first, first + count):
                            self.open[number], self.runs[number] = Trial(number, number, EPOCHS), Run(number)
                    case Submit():
                        self._submit(action)
                    case _:
                        continue
                has_acted = True

    def _submit(self, action: Submit) -> None:
        self.submissions += 1
        token = f"{self.submissions:012x}"
        for index, element in enumerate(action.elements):
            job = Job(f"{self.submissions}_{index}", token, index, JobState.QUEUED, "PENDING")
            attempt = Attempt(
                element.run,
                element.attempt,
                token,
                index,
                self.clock(),
                milestones=tuple(epochs for _, epochs in element.trials),
                throttle=action.throttle,
                job_id=job.job_id,
                job=job,
            )
            self.runs[element.run] = replace(self.runs[element.run], attempts=(attempt,))
            self._waiting.append(element.run)


def print_simulated_sweep(trials: int = 100_000, slots: int = 1000) -> None:
    """Simulate a sweep and print one row."""
    begin, cpu = time.perf_counter(), time.process_time()
    sweep = SimulatedSweep(trials, slots)
    sweep.reconcile()
    while sweep.open:
        sweep.advance()
        sweep.reconcile()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    assert sweep.ended == trials
    assert sweep.most_active <= slots
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"| a simulated sweep on {slots:,} slots: {sweep.reconciliations:,} reconciliations, {sweep.submissions:,} "
        f"submissions, {sweep.now / 3600:.1f} simulated hours | {trials:,} | {seconds:.1f} | {cpu:.1f} | {memory:.0f} |"
    )
