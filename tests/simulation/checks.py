"""The invariants of every history, checked at every step."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unetsweep.contract import Result
from unetsweep.core.actions import Element
from unetsweep.core.observation import JobState
from unetsweep.core.ports import Submission
from unetsweep.reconcile.loop import Reconciliation

from .files import SimAttempt, SimTrial

if TYPE_CHECKING:
    from .ports import SimulatedReconciliation
    from .world import SimulatedWorld

FINAL = ("exception", "environment", "time")
MAX_ATTEMPTS = 60
"""No history has enough faults to explain more attempts of one run."""


class Checks:
    """The invariants of one history."""

    def __init__(self, world: "SimulatedWorld") -> None:
        self._world = world
        self.broken: list[str] = []
        self._blamed: dict[int, list[tuple[int, str]]] = defaultdict(list)
        """(attempt, cause) of the losses of each run."""
        self.scancelled: set[tuple[int, int]] = set()
        """(run, attempt) of the jobs that were cancelled with SLURM's own command."""
        self.unlisted: set[int] = set()
        """Runs whose processes continued when the queue no longer listed their job as alive."""
        self.wrong_clocks = False
        self.lacks_reconciler = False
        """A job could not submit a reconciler job: if all jobs are killed now, only the user can continue."""
        self._submitted: set[str] = set()
        self._ended: dict[int, str] = {}

    def fail(self, message: str) -> None:
        self._world.note(f"BROKEN: {message}")
        self.broken.append(message)

    def blame(self, run: int, cause: str) -> None:
        self._blamed[run].append((max(self._world.files.runs[run].attempts), cause))

    def _causes(self, run: int) -> Counter[str]:
        """The causes of the losses that count: those since the last retry."""
        found = self._world.files.runs[run]
        counted = {k for k, each in found.attempts.items() if k > found.retries_reset_at and not each.retry_exempt}
        return Counter(cause for attempt, cause in self._blamed[run] if attempt in counted)

    # ---- at an effect

    def adds(self, number: int, run: int, key: str) -> None:
        """A trial and its run are created."""
        others = [each for each in self._world.files.trials.values() if each.run == run]
        if any(each.key != key for each in others):
            self.fail(f"trial {number} shares run {run} with another training")

    def starts(self, attempt: SimAttempt) -> None:
        """A training begins at the last checkpoint of its run."""
        run = self._world.files.runs[attempt.run]
        passed = [epochs for _, epochs in attempt.trials if epochs < run.saved and epochs not in run.published_states]
        if passed:
            self.fail(f"run {run.number} is at epoch {run.saved}, and is submitted for {passed}")

    def intends(self, reconciliation: "SimulatedReconciliation", owned: Sequence[Element]) -> None:
        """Attempts are created and will be submitted."""
        for each in owned:
            run = self._world.files.runs[each.run]
            before = run.attempts.get(each.attempt - 1)
            is_alive = before is not None and (before.token, before.index) in reconciliation.alive
            if (
                before is not None
                and before.lost is not None
                and (each.run, before.number) not in reconciliation.marked_lost
            ):
                is_alive = False  # another reconciliation, which observed it later, marked it lost
            if before is not None and is_alive and each.attempt - 1 > run.retries_reset_at:
                self.fail(f"run {each.run} is resubmitted while the queue lists its attempt {before.number} as alive")
            for trial, epochs in each.trials:
                if trial in reconciliation.cancelled:
                    self.fail(f"trial {trial} is cancelled and resubmitted")
                visible_at = run.published_states.get(epochs, ("", self._world.time + 1))[1]
                if visible_at < self._world.time - 300:
                    self.fail(f"trial {trial} has a result and is resubmitted")
            if len(run.attempts) > MAX_ATTEMPTS:
                self.fail(f"run {each.run} has {len(run.attempts)} attempts")

    def marks_lost(self, reconciliation: "SimulatedReconciliation", attempt: SimAttempt) -> None:
        if (attempt.token, attempt.index) in reconciliation.alive:
            self.fail(f"run {attempt.run} is marked lost while the queue lists its attempt {attempt.number} as alive")

    def submits(self, reconciliation: "SimulatedReconciliation", submission: Submission) -> None:
        if reconciliation.got_no_answer:
            self.fail("something was submitted while the queue did not answer")
        if submission.token in self._submitted:
            self.fail(f"submission {submission.token} is submitted twice")
        self._submitted.add(submission.token)

    def submits_reconciler(self, reconciliation: "SimulatedReconciliation") -> None:
        if reconciliation.got_no_answer:
            self.fail("a reconciler job was submitted while the queue did not answer")

    def ends(self, trial: SimTrial, result: Result) -> None:
        """A trial ends for the first time since its last retry."""
        run, state = self._world.files.runs[trial.run], result.state
        published = run.published_states.get(trial.epochs)
        was_cut_short = published is not None and published[0] == "pruned" and trial.cancelled is not None
        is_other = published is not None and published[0] != state and not was_cut_short
        if is_other and published is not None and self._must_be_visible(trial.run, published[1]):
            self.fail(f"trial {trial.number} ended {state}, and its result was {published[0]}")
        if published is None and state in ("complete", "diverged"):
            self.fail(f"trial {trial.number} ended {state} without a result")
        if published is None:
            self._is_justified(trial, result)
        self._ended[trial.number] = state

    def _must_be_visible(self, run: int, visible_at: float) -> bool:
        """Whether a reconciliation must have waited for this result, or have read it."""
        return visible_at < self._world.time - 60 or not (self.wrong_clocks or run in self.unlisted)

    def _is_justified(self, trial: SimTrial, result: Result) -> None:
        run = self._world.files.runs[trial.run]
        was_scancelled = (trial.run, max(run.attempts, default=0)) in self.scancelled
        if result.state == "cancelled" and trial.cancelled is None and not was_scancelled:
            self.fail(f"trial {trial.number} ended cancelled, and nobody cancelled it: {result.message}")
        if result.state == "pruned":
            prune = run.prune_decision
            if prune is None or prune.attempt != max(run.attempts) or trial.epochs not in prune.milestones:
                self.fail(f"trial {trial.number} ended pruned by {prune}; its attempt is {max(run.attempts)}")
        if result.state == "failed" and not self._may_fail(trial.run):
            self.fail(
                f"trial {trial.number} failed within its limits ({dict(self._causes(trial.run))}): {result.message}"
            )

    def _may_fail(self, run: int) -> bool:
        causes, retries = self._causes(run), self._world.spec.run.retries
        last = max(self._world.files.runs[run].attempts)
        return (
            any(error[1] in FINAL for error in self._world.files.runs[run].attempts[last].errors)
            or causes["node"] + self._world.counts["kills"] + self._world.counts["fault: clock"] > retries.node
            or causes["unexplained"] + self._world.counts["fault: clock"] > retries.unexplained
            or causes["hang"] > retries.hang
            or causes["memory"] > retries.memory
            or causes["gpu_memory"] > 0
            or causes["time"] >= 2
            or causes["time"] + causes["requeue"] > retries.requeue
        )

    def reopens(self, trial: SimTrial) -> None:
        """The user retries a trial."""
        self._ended.pop(trial.number, None)

    def planned(self, reconciliation: Reconciliation) -> None:
        if reconciliation.plan.paused is None:
            return
        self._world.counts["pauses"] += 1
        states = {each.result.state for each in self._world.files.trials.values() if each.result is not None}
        if reconciliation.plan.paused.startswith("the first"):
            if states != {"failed"}:
                self.fail(f"the sweep paused, and trials ended {states}: {reconciliation.plan.paused}")
            return
        submitted = [
            run.number
            for run in reconciliation.observation.runs.values()
            if any(not each.refused for each in run.counted_attempts)
        ]
        if not submitted or any(self._causes(run)["node"] < 2 for run in submitted):
            self.fail(f"the sweep paused, and not all of {submitted} were lost twice: {reconciliation.plan.paused}")

    # ---- at each step

    def now(self) -> None:
        self._slots()
        self._reconcilers()
        self._results_stay()

    def _slots(self) -> None:
        world, parallel = self._world, self._world.settings.parallel
        training = [
            each
            for each in world.cluster.trainings
            if each.alive
            and each.job.known
            and each.job.state is JobState.RUNNING
            and each.restart == each.job.restart
            and world.files.owns(each.attempt.run, each.claim)
        ]
        runs = [each.attempt.run for each in training]
        if len(runs) != len(set(runs)):
            self.fail(f"two trainings own a run: {sorted(runs)}")
        if parallel is not None and len(runs) > parallel and not (world.settings.overlap or self.wrong_clocks):
            self.fail(f"{len(runs)} train at once, and parallel is {parallel}")

    def _reconcilers(self) -> None:
        world = self._world
        live = [each for each in world.cluster.jobs if each.is_reconciler and each.known and each.state.is_live]
        is_handing_over = any(each.state is JobState.RUNNING or each.restart for each in live)
        limit = 1 + is_handing_over + (2 if world.settings.overlap or self.wrong_clocks else 0)
        if len(live) > limit:
            self.fail(f"{len(live)} reconciler jobs live")

    def _results_stay(self) -> None:
        for number, state in self._ended.items():
            result = self._world.files.trials[number].result
            if result is None or result.state != state:
                self.fail(f"trial {number} had ended {state}, and is {result and result.state} now")

    def at_the_end(self, last: float) -> None:
        """The history ends, long after its last fault: the sweep must have ended."""
        world = self._world
        if world.is_over() or world.paused is not None:
            return
        if self.lacks_reconciler and not world.cluster.count():
            world.counts["left to the user"] += 1
            return
        live = [f"{each.job_id} {each.raw_state}" for each in world.cluster.jobs if each.known and each.state.is_live]
        self.fail(
            f"open are {sorted(world.files.open)} of {len(world.files.trials)}, {world.time - last:.0f} s later; {live}"
        )
