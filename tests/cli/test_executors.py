"""The table of executors: a scheduler that no module names runs a sweep through all commands."""

import json
import shutil
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import FakeScheduler

from unetsweep.app.executors import EXECUTORS, Executor
from unetsweep.app.sweeps import context_of
from unetsweep.cli import main
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.core.cost import Account
from unetsweep.core.observation import JobState
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SchedulerError, UsageError
from unetsweep.reconcile.context import Timeouts
from unetsweep.store.home import read_sweep_file
from unetsweep.store.sweep_dir import SweepDir

YAML = """\
space: {epochs: [8], batch_size: [4], learning_rate: [1e-4, 2e-4, 3e-4, 4e-4]}
trainer: {command: "trainer {config} {out}"}
slurm: {cpus: 3}
"""


class Pbs:
    """A cluster with a scheduler in memory."""

    def __init__(self, root: Path) -> None:
        self.queue = FakeScheduler(root=root, kind="pbs")
        self.cluster, self.is_here = "alpha", True
        self.requeued: list[str] = []
        self.refusal: str | None = None

    def requeue(self, job_id: str) -> None:
        if self.refusal is not None:
            raise SchedulerError(self.refusal)
        self.requeued.append(job_id)

    def check_machine(self, spec: SweepSpec) -> None:
        if spec.slurm.gpus:
            raise UsageError("alpha has no GPU")

    def accounts(self, job_ids: list[str]) -> tuple[Account, ...]:
        jobs = [each.job for each in self.queue.found]
        return tuple(Account(job.token, job.job_id, 0.0, 100.0, 100.0) for job in jobs if job.job_id in job_ids)

    def executor(self) -> Executor:
        return Executor(
            "pbs",
            "PBS",
            scheduler=lambda root: self.queue,
            is_here=lambda: self.is_here,
            timeouts=Timeouts(result_grace=timedelta(0), unlisted_grace=timedelta(0)),
            check_machine=self.check_machine,
            default_parallel=lambda spec: 2,
            current_cluster=lambda: self.cluster,
            cluster_variable="PBS_DEFAULT",
            accounts=self.accounts,
            own_job=lambda: "77",
            requeue=self.requeue,
        )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(YAML)
    return tmp_path / "results" / "s"


@pytest.fixture
def pbs(root: Path, monkeypatch: pytest.MonkeyPatch) -> Pbs:
    """A third executor in the table. Nothing else is changed."""
    monkeypatch.delenv("UNETSWEEP_TIMEOUTS", raising=False)
    made = Pbs(root)
    monkeypatch.setitem(EXECUTORS, "pbs", made.executor())
    monkeypatch.delitem(sys.modules, "unetsweep.cli.submit", raising=False)  # it takes its choices when it is imported
    return made


def call(*arguments: str, status: int = 0) -> str:
    """The output of `unetsweep ARGUMENTS…`, or its message if the status is not 0."""
    done = CliRunner().invoke(main.program, arguments)
    message = str(done.exception) if done.exception is not None else ""
    assert getattr(done.exception, "exit_status", done.exit_code) == status, done.output + message
    return done.output + message


def trial_states() -> list[str]:
    return [trial["state"] for trial in json.loads(call("status", "s", "--json"))["trials"]]


def test_a_scheduler_in_the_table_runs_a_sweep_through_all_commands(pbs: Pbs, root: Path):
    assert "[auto|slurm|local|pbs]" in call("submit", "--help")
    assert "sweep s on pbs" in call("submit", "s.yaml", "--executor", "pbs", "--dry-run")
    assert not root.exists()

    assert "sweep s on pbs" in call("submit", "s.yaml", "--executor", "pbs")
    assert [each.throttle for each in pbs.queue.found] == [2] * 4
    assert read_sweep_file(root).executor == "pbs"
    assert read_sweep_file(root).cluster == "alpha"
    assert context_of(SweepDir(root)).timeouts == pbs.executor().timeouts
    pbs.queue.tick()
    assert sorted(trial_states()) == ["running", "running", "submitted", "submitted"]

    first = pbs.queue.found[0].job
    (root / paths.job_log(first.token, first.job_id)).write_text("training here\n")
    assert "training here\n" in call("logs", "s", "0")

    pbs.queue.tick()  # two have ended, and two run
    call("submit", "s.yaml")
    report = json.loads(call("report", "s", "--format", "json"))
    assert [row["state"] for row in report["rows"]] == ["complete", "complete", "running", "running"]
    assert [(row["job_seconds"], row["job_cpu_seconds"]) for row in report["rows"]] == [(100.0, 300.0)] * 4

    call("cancel", "s", "3")
    assert pbs.queue.found[3].job.state is JobState.CANCELLED
    assert trial_states()[3] == "cancelled"

    for path in (root / paths.SWEEP, root / paths.submission(first.token) / "intent.json"):
        path.write_text("{")
        assert "1 repaired, 0 need your attention" in call("repair", "s")
    assert read_sweep_file(root).executor == "pbs"
    assert SweepDir(root).read_submission(first.token).kind == "pbs"


def test_a_sweep_of_another_cluster_waits_until_it_is_adopted(pbs: Pbs, root: Path):
    call("submit", "s.yaml", "--executor", "pbs")
    pbs.cluster = "beta"
    message = call("submit", "s.yaml", status=2)
    assert (
        "on the cluster alpha, and PBS's commands here submit to beta: use a login node of alpha, or its PB" in message
    )
    assert "and to the cluster beta" in call("adopt", "s")
    assert read_sweep_file(root).cluster == "beta"
    before = len(pbs.queue.found)
    call("submit", "s.yaml")
    assert len(pbs.queue.found) == before + 4


def test_a_moved_sweep_cancels_its_jobs_or_names_those_that_it_cannot_cancel(
    pbs: Pbs, root: Path, monkeypatch: pytest.MonkeyPatch
):
    call("submit", "s.yaml", "--executor", "pbs")
    queued = [each.job.job_id for each in pbs.queue.found]
    lost = pbs.queue.found[0]
    lost.job = replace(lost.job, state=JobState.UNRECOGNISED)
    monkeypatch.setitem(EXECUTORS, "pbs", replace(pbs.executor(), cancels_unrecognised=False))
    pbs.queue.root = root.with_name("t")
    shutil.move(root, pbs.queue.root)
    output = call("adopt", "t")
    assert f"on another machine; cancel them there: {queued[0]}\n" in output
    assert [each.job.state for each in pbs.queue.found[1:]] == [JobState.CANCELLED] * 3


@pytest.mark.parametrize("refusal", [None, "the job is being ended"])
def test_the_exit_hook_requeues_the_job_as_its_executor_says(pbs: Pbs, root: Path, refusal: str | None):
    call("submit", "s.yaml", "--executor", "pbs")
    pbs.refusal, token = refusal, pbs.queue.found[0].job.token
    record = {"schema": 1, "reason": "time", "epoch": 3, "at": "2026-01-01T00:00:00+00:00"}
    (root / paths.requeue(0, "1-0")).write_text(json.dumps(record))
    output = call("exit-hook", str(root), token, "--status", "0", "--no-reconcile")
    assert pbs.requeued == (["77"] if refusal is None else [])
    assert (refusal or "77") in output


def test_a_submit_is_refused_if_the_executor_is_not_here_or_lacks_a_resource(pbs: Pbs, root: Path):
    (root.parent.parent / "s.yaml").write_text(YAML.replace("cpus: 3", "gpus: 1"))
    assert call("submit", "s.yaml", "--executor", "pbs", status=2) == "alpha has no GPU"
    pbs.is_here = False
    message = "--executor pbs: there is no PBS on this machine (load its module?); try --executor local"
    assert call("submit", "s.yaml", "--executor", "pbs", status=2) == message
    assert not root.exists()


def test_a_sweep_whose_executor_is_not_in_the_table_is_named_and_repaired(pbs: Pbs, root: Path):
    call("submit", "s.yaml", "--executor", "pbs")
    path = root / paths.SWEEP
    path.write_text(path.read_text().replace('"pbs"', '"pbd"'))
    message = f"{path}: executor: found 'pbd'; allowed: slurm, local, pbs"
    assert call("status", "s", status=70) == message
    assert "sweep.json: executor: found 'pbd'; allowed: slurm, local, pbs" in call("repair", "s")
    assert read_sweep_file(root).executor == "pbs"


@pytest.mark.parametrize("name", EXECUTORS)
def test_each_row_of_the_table_makes_a_scheduler_of_its_kind(name: str, tmp_path: Path):
    assert EXECUTORS[name].name == EXECUTORS[name].scheduler(tmp_path).kind == name


def test_the_repair_of_a_submission_without_any_other_file_asks_this_machine(pbs: Pbs, root: Path, monkeypatch):
    sweep = SweepDir(root)
    call("submit", "s.yaml", "--executor", "pbs")
    token, _ = sweep.create_attempts([Element(0, 2, ((0, 8),))], None, "pbs")
    for path in (root / paths.SWEEP, *root.glob("submissions/*/intent.json")):
        path.write_text("{")
    for name in ("slurm", "local"):
        monkeypatch.setitem(EXECUTORS, name, replace(EXECUTORS[name], is_here=lambda: False))
    call("repair", "s")
    assert sweep.read_submission(token).kind == read_sweep_file(root).executor == "pbs"
