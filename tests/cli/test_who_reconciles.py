"""What `submit`, `status` and a reconciler job say and do if the scheduler refuses jobs."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import FakeScheduler

from unetsweep.app import reconciler_job as reconciler_job_app
from unetsweep.app.executors import EXECUTORS, Executor
from unetsweep.app.reconciler_job import run_reconciler_job
from unetsweep.cli import main
from unetsweep.core import paths
from unetsweep.core.observation import JobState
from unetsweep.core.ports import ReconcilerRequest
from unetsweep.errors import RefusedError, SchedulerError
from unetsweep.reconcile.context import Timeouts
from unetsweep.store.reconciler_jobs import ReconcilerJobs

YAML = """\
space: {epochs: [8], batch_size: [4], learning_rate: [1e-4, 2e-4]}
trainer: {command: "trainer {config} {out}"}
"""


class Site:
    """A cluster in memory that may refuse reconciler jobs, and the requeue of a job."""

    def __init__(self, root: Path) -> None:
        self.queue = FakeScheduler(root=root, kind="pbs")
        self.requeued: list[str] = []
        self.refuses_requeues = False

    def executor(self) -> Executor:
        return Executor(
            "pbs",
            "PBS",
            scheduler=lambda root: self.queue,
            timeouts=Timeouts(result_grace=timedelta(0)),
            own_job=lambda: "77",
            requeue=self.requeue,
        )

    def requeue(self, job_id: str) -> None:
        self.requeued.append(job_id)
        if self.refuses_requeues:
            raise SchedulerError("scontrol: not allowed")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(YAML)
    made = Site(tmp_path / "results" / "s")
    monkeypatch.setitem(EXECUTORS, "pbs", made.executor())
    monkeypatch.delitem(sys.modules, "unetsweep.cli.submit", raising=False)  # it takes its choices when it is imported
    return made


@pytest.fixture
def refuse_reconcilers(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function after which the site refuses every reconciler job with this message."""

    def refuse(message: str) -> None:
        def submit_reconciler(scheduler: FakeScheduler, request: ReconcilerRequest) -> str:
            raise RefusedError(message)

        monkeypatch.setattr(FakeScheduler, "submit_reconciler", submit_reconciler)

    return refuse


def run(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(main.program, arguments)
    if status == 0:
        assert done.exit_code == 0, done.output
        return done.output
    assert isinstance(done.exception, RefusedError), done.output
    return str(done.exception)


def next_reconciliation() -> dict[str, str | None]:
    found: dict[str, str | None] = json.loads(run("status", "s", "--json"))["next_reconciliation"]
    return found


def test_a_refused_reconciler_job_is_a_warning_of_submit_and_a_line_of_status(site: Site, refuse_reconcilers):
    refuse_reconcilers("sbatch: use partition cpu")
    warning = (
        "warning: if its trainings are killed, the sweep does not continue by itself: a reconciler job was refused: "
    )
    expected = f"{warning}sbatch: use partition cpu; change what it asks for in `slurm.reconciler`, then run"
    assert expected in run("submit", "s.yaml", "--executor", "pbs")
    assert expected in run("status", "s")
    assert next_reconciliation()["by"] == "queued trainings"
    site.queue.start(site.queue.found[0])
    assert next_reconciliation()["by"] == "running trainings"
    for each in site.queue.live():
        site.queue.die(each)
    assert "warning: the sweep does not continue by itself: a reconciler job was refused" in run("status", "s")
    assert "`unetsweep submit` submits it" in run("status", "s")


def test_a_reconciler_job_that_waits_is_named_and_no_warning_is_given(site: Site):
    assert "warning" not in run("submit", "s.yaml", "--executor", "pbs")
    assert "warning" not in run("status", "s")
    job_id = site.queue.reconcilers[0].job.job_id
    assert next_reconciliation() == {"by": "reconciler job", "reconciler_job": job_id, "problem": None}


def test_after_a_first_submit_that_is_refused_no_next_try_is_promised(site: Site):
    site.queue.refusal = "sbatch: Invalid qos"
    nobody = "sbatch: Invalid qos; nobody tries again by itself: run `unetsweep submit` again"
    assert run("submit", "s.yaml", "--executor", "pbs", status=75) == nobody
    status = run("status", "s")
    assert f"refused: {nobody}" in status
    assert "the next try" not in status


def reconcile_as_its_reconciler_job(site: Site) -> ReconcilerJobs:
    """Reconcile as the reconciler job of a sweep whose trainings run."""
    run("submit", "s.yaml", "--executor", "pbs")
    files = ReconcilerJobs(Path("results/s").absolute())
    own = files.last()
    assert own is not None
    (queued,) = site.queue.reconcilers
    site.queue.reconcilers = [replace(queued, job=replace(queued.job, state=JobState.RUNNING))]
    run_reconciler_job(Path("results/s").absolute(), own.token, lambda _: None)
    return files


def test_a_reconciler_job_whose_successor_is_refused_is_requeued(site: Site, monkeypatch: pytest.MonkeyPatch):
    real = FakeScheduler.submit_reconciler
    accepted: list[str] = []

    def submit_reconciler(scheduler: FakeScheduler, request: ReconcilerRequest) -> str:
        if accepted:
            raise RefusedError("sbatch: not from a node")
        accepted.append(real(scheduler, request))
        return accepted[0]

    monkeypatch.setattr(FakeScheduler, "submit_reconciler", submit_reconciler)
    last = reconcile_as_its_reconciler_job(site).last()
    assert site.requeued == ["77"]
    assert last is not None
    assert (last.number, last.lost, last.refusal) == (2, False, "sbatch: not from a node")
    assert "starts again, without a successor: a reconciler job was refused: sbatch: not from a node" in run(
        "status", "s"
    )
    site.refuses_requeues = True
    monkeypatch.setattr(reconciler_job_app, "REQUEUE_PAUSE_S", 0.0)
    run_reconciler_job(Path("results/s").absolute(), last.token, lambda _: None)  # it ends, and holds no CPU
    assert len(site.requeued) == 1 + reconciler_job_app.REQUEUE_TRIES
    assert "scontrol: not allowed" in Path("results/s", paths.LEDGER).read_text()


def test_a_reconciler_job_with_a_successor_ends(site: Site):
    reconcile_as_its_reconciler_job(site)
    assert site.requeued == []
    assert len(site.queue.reconcilers) == 2
