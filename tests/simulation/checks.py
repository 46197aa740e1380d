"""What must hold in every history, at every step; `broken` says what did not."""

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
    from .ports import Pass
    from .world import World

FINAL = ("exception", "environment", "time")
IMPOSSIBLE = 60
"""More attempts than any history's faults can explain."""


class Checks:
    """The invariants of one history."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.broken: list[str] = []
        self.blamed: dict[int, Counter[str]] = defaultdict(Counter)
        """What befell each run since it was last retried."""
        self.scancelled: set[int] = set()
        self.wrong_clocks = False
        self.unkept = False
        """A reconciler job was refused to a training's pass: were all jobs to die now, only a person would go on."""
        self._sent: set[str] = set()
        self._ended: dict[int, str] = {}

    def fail(self, what: str) -> None:
        self._world.note(f"BROKEN: {what}")
        self.broken.append(what)

    def blame(self, run: int, what: str) -> None:
        self.blamed[run][what] += 1

    # ---- at a deed

    def adds(self, number: int, run: int, key: str) -> None:
        """A trial now exists, and its run."""
        others = [each for each in self._world.files.trials.values() if each.run == run]
        if any(each.key != key for each in others):
            self.fail(f"trial {number} shares run {run} with another training")

    def starts(self, attempt: SimAttempt) -> None:
        """A training begins, at its run's last checkpoint."""
        run = self._world.files.runs[attempt.run]
        passed = [epochs for _, epochs in attempt.milestones if epochs < run.saved and epochs not in run.milestones]
        if passed:
            self.fail(f"run {run.number} is at epoch {run.saved}, and is sent for {passed}")

    def intends(self, mine: "Pass", owned: Sequence[Element]) -> None:
        """Attempts now exist, and will be sent."""
        for each in owned:
            run = self._world.files.runs[each.run]
            before = run.attempts.get(each.attempt - 1)
            is_alive = before is not None and (before.token, before.index) in mine.alive
            if before is not None and before.lost is not None and (each.run, before.number) not in mine.given_up:
                is_alive = False  # another reconciliation, which looked later, gave it up
            if before is not None and is_alive and each.attempt - 1 > run.retries_reset_at:
                self.fail(f"run {each.run} is sent again while the queue lists its attempt {before.number} as alive")
            for trial, epochs in each.milestones:
                if trial in mine.cancelled:
                    self.fail(f"trial {trial} is cancelled, and sent again")
                shown = run.milestones.get(epochs, ("", self._world.time + 1))[1]
                if shown < self._world.time - 300:
                    self.fail(f"trial {trial} has a result, and is sent again")
            if len(run.attempts) > IMPOSSIBLE:
                self.fail(f"run {each.run} has been sent {len(run.attempts)} times")

    def gives_up(self, mine: "Pass", attempt: SimAttempt) -> None:
        if (attempt.token, attempt.index) in mine.alive:
            self.fail(f"run {attempt.run} is given up while the queue lists its attempt {attempt.number} as alive")

    def sends(self, mine: "Pass", submission: Submission) -> None:
        if mine.is_silent:
            self.fail("something was sent into silence")
        if submission.token in self._sent:
            self.fail(f"submission {submission.token} is sent twice")
        self._sent.add(submission.token)

    def keeps(self, mine: "Pass") -> None:
        if mine.is_silent:
            self.fail("a reconciler job was left in silence")

    def ends(self, trial: SimTrial, result: Result) -> None:
        """A trial ends, for the first time since it was retried."""
        run, state = self._world.files.runs[trial.run], result.state
        published = run.milestones.get(trial.epochs)
        was_cut_short = published is not None and published[0] == "pruned" and trial.cancelled is not None
        is_other = published is not None and published[0] != state and not was_cut_short
        if is_other and published is not None and self._must_be_known(published[1]):
            self.fail(f"trial {trial.number} ended {state}, and its result was {published[0]}")
        if published is None and state in ("complete", "diverged"):
            self.fail(f"trial {trial.number} ended {state} without a result")
        if published is None:
            self._is_justified(trial, result)
        self._ended[trial.number] = state

    def _must_be_known(self, shown: float) -> bool:
        return shown < self._world.time - 60 or not self.wrong_clocks

    def _is_justified(self, trial: SimTrial, result: Result) -> None:
        run = self._world.files.runs[trial.run]
        if result.state == "cancelled" and trial.cancelled is None and trial.run not in self.scancelled:
            self.fail(f"trial {trial.number} ended cancelled, and nobody cancelled it: {result.message}")
        if result.state == "pruned":
            stop = run.stopped
            if stop is None or stop.attempt != max(run.attempts) or trial.epochs not in stop.milestones:
                self.fail(f"trial {trial.number} ended pruned by {stop}; its attempt is {max(run.attempts)}")
        if result.state == "failed" and not self._is_beyond_bounds(trial.run):
            self.fail(
                f"trial {trial.number} failed within its bounds ({dict(self.blamed[trial.run])}): {result.message}"
            )

    def _is_beyond_bounds(self, run: int) -> bool:
        met, retries = self.blamed[run], self._world.spec.run.retries
        last = max(self._world.files.runs[run].attempts)
        return (
            any(error[1] in FINAL for error in self._world.files.runs[run].attempts[last].errors)
            or met["node"] + self._world.counts["kills"] + self._world.counts["fault: clock"] > retries.node
            or met["unexplained"] + self._world.counts["fault: clock"] > retries.unexplained
            or met["hang"] > retries.hang
            or met["memory"] > retries.memory
            or met["gpu_memory"] > 0
            or met["time"] >= 2
            or met["time"] + met["requeue"] > retries.requeue
        )

    def reopens(self, trial: SimTrial) -> None:
        """The user retries it."""
        self._ended.pop(trial.number, None)
        self.blamed[trial.run].clear()
        self.scancelled.discard(trial.run)

    def planned(self, mine: "Pass", reconciliation: Reconciliation) -> None:
        if reconciliation.plan.paused is None:
            return
        self._world.counts["halts"] += 1
        states = {each.result.state for each in self._world.files.trials.values() if each.result is not None}
        if reconciliation.plan.paused.startswith("the first"):
            if states != {"failed"}:
                self.fail(f"the sweep stopped, and trials ended {states}: {reconciliation.plan.paused}")
            return
        sent = [
            run.number
            for run in reconciliation.observation.runs.values()
            if any(not each.refused for each in run.counted_attempts)
        ]
        if not sent or any(self.blamed[run]["node"] < 2 for run in sent):
            self.fail(f"the sweep stopped, and not all of {sent} were lost twice: {reconciliation.plan.paused}")

    # ---- at each step

    def now(self) -> None:
        self._places()
        self._reconcilers()
        self._ends_stay()

    def _places(self) -> None:
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
        handing = any(each.state is JobState.RUNNING or each.restart for each in live)
        most = 1 + handing + (2 if world.settings.overlap or self.wrong_clocks else 0)
        if len(live) > most:
            self.fail(f"{len(live)} reconciler jobs live")

    def _ends_stay(self) -> None:
        for number, state in self._ended.items():
            result = self._world.files.trials[number].result
            if result is None or result.state != state:
                self.fail(f"trial {number} had ended {state}, and is {result and result.state} now")

    def at_the_end(self, last: float) -> None:
        """Faults have stopped long ago."""
        world = self._world
        if world.is_over() or world.paused is not None:
            return
        if self.unkept and not world.cluster.count():
            world.counts["left to a person"] += 1
            return
        live = [f"{each.job_id} {each.word}" for each in world.cluster.jobs if each.known and each.state.is_live]
        self.fail(
            f"open are {sorted(world.files.open)} of {len(world.files.trials)}, {world.time - last:.0f} s later; {live}"
        )
