"""The exit hook runs once after every end of a training, and does not change how the job ended."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import slurm_payloads as payloads
from slurm_cluster import Cluster, logs, wait_for

from unetsweep.core import paths
from unetsweep.core.ports import Submission
from unetsweep.schedulers.slurm import batch_script, submitit_jobs
from unetsweep.schedulers.slurm.scheduler import Slurm

Make = Callable[..., Submission]

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("importable")]

PYTHON = """\
#!/bin/bash
# the submitting python; its exit hook records its arguments and fails
if [ "$1 $2 $3 $4" = "-P -m unetsweep exit-hook" ]; then
  alive=no; for f in {out}/*.json; do
    pid=$(sed 's/.*"pid": \\([0-9]*\\).*/\\1/' "$f"); grep -qs '^State:.[^ZX]' /proc/$pid/status && alive=yes
  done
  printf '%s\\n' "$@" "alive=$alive" "home=$PYTHONHOME" >{out}/exit-hook.tmp; mv {out}/exit-hook.tmp {out}/exit-hook
  echo "output of the exit hook"; exit 3
fi
exec {python} "$@"
"""


@pytest.fixture
def exit_hook(out: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Returns what the exit hook recorded: its arguments, whether the training still ran, and PYTHONHOME."""
    program = out / "python"
    program.write_text(PYTHON.format(out=out, python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))

    def read() -> list[str]:
        wait_for((out / "exit-hook").exists)
        return (out / "exit-hook").read_text().splitlines()

    return read


def argument(recorded: list[str], name: str) -> str:
    """The value of an option in the arguments of the exit hook."""
    return recorded[recorded.index(name) + 1]


def test_the_exit_hook_runs_after_a_normal_end(cluster: Cluster, make: Make, out: Path, exit_hook):
    submission = make(
        elements=2,
        setup=(
            "module() { :; }",
            "module load cuda",
        ),
    )
    Slurm(lambda _: payloads.Note(str(out))).submit(submission)
    ended = cluster.wait_ended(submission.token)
    assert {job.raw_state for job in ended.values()} == {"COMPLETED"}
    recorded = exit_hook()
    assert recorded[3:6] == ["exit-hook", str(submission.sweep_dir), submission.token]
    assert argument(recorded, "--index") in {"0", "1"}
    assert (argument(recorded, "--restart"), argument(recorded, "--status")) == ("0", "0")
    assert "--no-reconcile" in recorded
    assert logs(submission).count("output of the exit hook") == 2


def test_the_exit_hook_runs_after_an_error_and_the_job_still_fails(cluster: Cluster, make: Make, out: Path, exit_hook):
    submission = make()
    submitit_jobs.submit(submission, payloads.Fail())
    (job,) = cluster.wait_ended(submission.token).values()
    assert job.raw_state == "FAILED"
    assert argument(exit_hook(), "--status") == "1"


def test_the_exit_hook_runs_without_the_environment_of_the_profiles_setup_lines(
    cluster: Cluster,
    make: Make,
    out: Path,
    exit_hook,
):
    submission = make(python="/no/such/python", setup=("export PYTHONHOME=/no/such/home",))
    submitit_jobs.submit(submission, payloads.Fail())
    assert argument(exit_hook(), "--status") == "127"
    assert "home=" in exit_hook()


def test_the_exit_hook_runs_after_the_training_was_killed(cluster: Cluster, make: Make, out: Path, exit_hook):
    submission = make()
    submitit_jobs.submit(submission, payloads.Note(str(out), 600))
    wait_for((out / "0-0-0.json").exists)
    os.kill(json.loads((out / "0-0-0.json").read_text())["pid"], 9)
    assert argument(exit_hook(), "--status") == "137"
    (job,) = cluster.wait_ended(submission.token).values()
    assert job.raw_state == "FAILED"


def test_the_exit_hook_runs_after_a_cancel_when_the_processes_are_gone(
    cluster: Cluster, make: Make, out: Path, exit_hook
):
    submission = make()
    queue = Slurm(lambda _: payloads.Note(str(out), 600))
    ids = queue.submit(submission)
    wait_for((out / "0-0-0.json").exists)
    queue.cancel(ids)
    assert argument(exit_hook(), "--status") == "143"
    assert "alive=no" in exit_hook()


def test_the_exit_hook_waits_for_a_cancelled_training_that_ends_slowly(
    cluster: Cluster, make: Make, out: Path, exit_hook
):
    submission = make()
    queue = Slurm(lambda _: payloads.Leave(str(out)))
    ids = queue.submit(submission)
    wait_for((out / "0-0-0.json").exists)
    queue.cancel(ids)
    assert argument(exit_hook(), "--status") == "143"
    assert "alive=no" in exit_hook()


@pytest.mark.parametrize("jobs_reconcile", [True, False])
def test_a_step_that_hangs_after_its_result_is_ended_and_the_exit_hook_runs(
    cluster: Cluster, make: Make, out: Path, exit_hook, jobs_reconcile: bool
):
    submission = dataclasses.replace(make(), jobs_reconcile=jobs_reconcile, exit_timeout_s=2)
    awaited = submission.sweep_dir / paths.awaited(submission.token, 0)
    awaited.parent.mkdir(parents=True, exist_ok=True)
    awaited.write_text(f"{out / 'result.json'}\n{out / 'longer.json'}\n")
    (out / "longer.json").touch()  # a pruned milestone; the training continues to the shorter one
    Slurm(lambda _: payloads.Note(str(out), 600)).submit(submission)
    wait_for((out / "0-0-0.json").exists)
    time.sleep(5)
    assert not (out / "exit-hook").exists()
    (out / "result.json").touch()
    assert argument(exit_hook(), "--status") == "143"
    assert "alive=no" in exit_hook()
    assert "the result has been there for 2 s and the processes still run; the job is ended" in logs(submission)


def test_the_exit_hook_runs_before_slurm_kills_a_training_that_ignores_a_cancel(
    cluster: Cluster, make: Make, out: Path, exit_hook, monkeypatch: pytest.MonkeyPatch
):
    # the testbed kills everything some seconds after a cancel, a real cluster after 30
    monkeypatch.setattr(batch_script, "STEP_END_S", 1)
    submission = make()
    queue = Slurm(lambda _: payloads.Leave(str(out), 600))
    ids = queue.submit(submission)
    wait_for((out / "0-0-0.json").exists)
    queue.cancel(ids)
    assert argument(exit_hook(), "--status") == "143"
    assert "alive=yes" in exit_hook()
    wait_for(lambda: "output of the exit hook" in logs(submission))
    assert "Timed out waiting for job step" not in logs(submission).partition("output of the exit hook")[0]
