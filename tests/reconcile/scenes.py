"""A small sweep in a real directory, on the cluster in memory of fakes.py."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from fakes import FakeClock, FakeScheduler, FakeStudy

from unetsweep.contract import DataConfig
from unetsweep.core.actions import Submit, SubmitReconciler
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import Resources, RunSpec, SweepSpec
from unetsweep.reconcile.context import SweepContext, Timeouts
from unetsweep.reconcile.loop import Reconciliation, reconcile
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir

GRACE = timedelta(seconds=30)


class Scene:
    """A sweep with its fake cluster, study and clock, and methods to reconcile it."""

    def __init__(
        self, root: Path, trials: int, parallel: int | None = None, driver: Any = "cli", **scheduler: object
    ) -> None:
        rates = tuple(1e-3 * (k + 1) for k in range(trials))
        space = Space.of(epochs=Choices((8,)), batch_size=Choices((4,)), learning_rate=Choices(rates))
        self.spec = SweepSpec("grid", DataConfig("images"), space, run=RunSpec(parallel, driver))
        self.clock = FakeClock()
        self.directory = SweepDir(root, self.clock.now)
        self.directory.create("name: grid\n", "slurm")
        self.cluster = FakeScheduler(clock=self.clock, root=self.directory.root, **scheduler)  # type: ignore[arg-type]
        self.study = FakeStudy()
        self.own_reconciler_token: str | None = None
        """The token of the reconciler job that reconciles."""
        self.interactive = False
        self.job_ends = False
        """Whether an exit hook reconciles."""

    def context(self) -> SweepContext:
        return SweepContext(
            self.spec,
            self.directory,
            self.cluster,
            self.study,
            self.clock,
            ReconcilerJobs(self.directory.root, self.clock.now),
            self._submission,
            self._reconciler,
            Timeouts(unlisted_grace=GRACE),
            own_reconciler_token=self.own_reconciler_token,
            interactive=self.interactive,
            job_ends=self.job_ends,
            collectable=CollectableRuns(self.directory.root) if self.spec.run.keep_checkpoints == "best" else None,
        )

    def _submission(self, token: str, submit: Submit) -> Submission:
        return Submission(token, "grid", self.directory.root, len(submit.elements), Resources(), submit.throttle)

    def _reconciler(self, token: str, submit: SubmitReconciler) -> ReconcilerRequest:
        return ReconcilerRequest(token, "grid", self.directory.root, Resources(), submit.after, submit.delay_s)

    def reconcile(self, *, force: bool = False) -> Reconciliation:
        return reconcile(self.context(), force=force)

    def run_on(self, seconds: float = 40.0) -> None:
        """Let the cluster work once and advance the clock."""
        self.cluster.tick()
        self.clock.advance(seconds)

    def until_ended(self, check: Callable[[], None] = lambda: None) -> None:
        """Reconcile, with time in between, until there is nothing left to do."""
        for _ in range(60):
            reconciliation = self.reconcile()
            check()
            if not reconciliation.observation.trials and not reconciliation.plan.actions:
                return
            self.run_on()
        raise AssertionError(f"the sweep did not end: {reconciliation.plan}")

    def states(self) -> list[str | None]:
        return [trial.result and trial.result.state for trial in self.directory.trials()]
