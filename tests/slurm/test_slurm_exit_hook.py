"""However a training ends, one exit hook follows, and does not change how it ended."""

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
# the submitting python; its exit hook writes down what it was told, and fails
if [ "$1 $2 $3 $4" = "-P -m unetsweep exit-hook" ]; then
  alive=no; for f in {out}/*.json; do
    pid=$(sed 's/.*"pid": \\([0-9]*\\).*/\\1/' "$f"); grep -qs '^State:.[^ZX]' /proc/$pid/status && alive=yes
  done
  printf '%s\\n' "$@" "alive=$alive" "home=$PYTHONHOME" >{out}/exit-hook.tmp; mv {out}/exit-hook.tmp {out}/exit-hook
  echo "words of the exit hook"; exit 3
fi
exec {python} "$@"
"""


@pytest.fixture
def told(out: Path, monkeypatch: pytest.MonkeyPatch):
    """What the exit hook was told: its arguments, and what it saw."""
    program = out / "python"
    program.write_text(PYTHON.format(out=out, python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))

    def read() -> list[str]:
        wait_for((out / "exit-hook").exists)
        return (out / "exit-hook").read_text().splitlines()

    return read


def argument(told: list[str], name: str) -> str:
    return told[told.index(name) + 1]


def test_after_a_normal_end(cluster: Cluster, make: Make, out: Path, told):
    sent = make(
        elements=2,
        setup=(
            "module() { :; }",
            "module load cuda",
        ),
    )
    Slurm(lambda _: payloads.Note(str(out))).submit(sent)
    ended = cluster.wait_ended(sent.token)
    assert {job.raw_state for job in ended.values()} == {"COMPLETED"}
    words = told()
    assert words[3:6] == ["exit-hook", str(sent.sweep_dir), sent.token]
    assert argument(words, "--index") in {"0", "1"}
    assert (argument(words, "--restart"), argument(words, "--status")) == ("0", "0")
    assert "--no-reconcile" in words
    assert logs(sent).count("words of the exit hook") == 2


def test_after_an_error_whose_status_stays_the_jobs(cluster: Cluster, make: Make, out: Path, told):
    sent = make()
    submitit_jobs.submit(sent, payloads.Fail())
    (job,) = cluster.wait_ended(sent.token).values()
    assert job.raw_state == "FAILED"
    assert argument(told(), "--status") == "1"


def test_in_the_environment_as_it_was_before_the_profiles_lines(
    cluster: Cluster,
    make: Make,
    out: Path,
    told,
):
    sent = make(python="/no/such/python", setup=("export PYTHONHOME=/no/such/home",))
    submitit_jobs.submit(sent, payloads.Fail())
    assert argument(told(), "--status") == "127"
    assert "home=" in told()


def test_after_the_training_is_killed(cluster: Cluster, make: Make, out: Path, told):
    sent = make()
    submitit_jobs.submit(sent, payloads.Note(str(out), 600))
    wait_for((out / "0-0-0.json").exists)
    os.kill(json.loads((out / "0-0-0.json").read_text())["pid"], 9)
    assert argument(told(), "--status") == "137"
    (job,) = cluster.wait_ended(sent.token).values()
    assert job.raw_state == "FAILED"


def test_after_a_cancel_when_the_processes_are_gone(cluster: Cluster, make: Make, out: Path, told):
    sent = make()
    queue = Slurm(lambda _: payloads.Note(str(out), 600))
    ids = queue.submit(sent)
    wait_for((out / "0-0-0.json").exists)
    queue.cancel(ids)
    assert argument(told(), "--status") == "143"
    assert "alive=no" in told()


def test_after_a_cancel_of_a_training_that_takes_its_time(cluster: Cluster, make: Make, out: Path, told):
    sent = make()
    queue = Slurm(lambda _: payloads.Leave(str(out)))
    ids = queue.submit(sent)
    wait_for((out / "0-0-0.json").exists)
    queue.cancel(ids)
    assert argument(told(), "--status") == "143"
    assert "alive=no" in told()


@pytest.mark.parametrize("jobs_reconcile", [True, False])
def test_after_a_step_that_lives_on_when_its_result_is_there(
    cluster: Cluster, make: Make, out: Path, told, jobs_reconcile: bool
):
    sent = dataclasses.replace(make(), jobs_reconcile=jobs_reconcile, exit_timeout_s=2)
    awaited = sent.sweep_dir / paths.awaited(sent.token, 0)
    awaited.parent.mkdir(parents=True, exist_ok=True)
    awaited.write_text(f"{out / 'result.json'}\n{out / 'longer.json'}\n")
    (out / "longer.json").touch()  # pruned, and the training goes on to the shorter one
    Slurm(lambda _: payloads.Note(str(out), 600)).submit(sent)
    wait_for((out / "0-0-0.json").exists)
    time.sleep(5)
    assert not (out / "exit-hook").exists()
    (out / "result.json").touch()
    assert argument(told(), "--status") == "143"
    assert "alive=no" in told()
    assert "the result has been there for 2 s and the processes still run; the job is ended" in logs(sent)


def test_in_good_time_after_a_cancel_that_the_training_ignores(
    cluster: Cluster, make: Make, out: Path, told, monkeypatch: pytest.MonkeyPatch
):
    # the testbed kills everything some seconds after a cancel, a real cluster after 30
    monkeypatch.setattr(batch_script, "STEP_END_S", 1)
    sent = make()
    queue = Slurm(lambda _: payloads.Leave(str(out), 600))
    ids = queue.submit(sent)
    wait_for((out / "0-0-0.json").exists)
    queue.cancel(ids)
    assert argument(told(), "--status") == "143"
    assert "alive=yes" in told()
    wait_for(lambda: "words of the exit hook" in logs(sent))
    assert "Timed out waiting for job step" not in logs(sent).partition("words of the exit hook")[0]
