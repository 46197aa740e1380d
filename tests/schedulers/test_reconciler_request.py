"""What a reconciler job asks for: one CPU and no more time than fits, or what a training asks for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from unetsweep.app.job_requests import JobRequests
from unetsweep.contract import DataConfig
from unetsweep.core.actions import SubmitReconciler
from unetsweep.core.ports import ReconcilerRequest
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import Resources, SweepSpec
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands, submitit_jobs
from unetsweep.schedulers.slurm.partitions import time_problems
from unetsweep.schedulers.slurm.scheduler import Slurm

SPACE = Space.of(epochs=Choices((1,)), batch_size=Choices((1,)), learning_rate=Choices((1e-3,)))
TOKEN = "0123456789ab"  # noqa: S105
ACTION = SubmitReconciler(1, ("7",), 60, "")
PARTITIONS = "\n".join(
    f"unetsweep|{row}|unetsweep" for row in ("PARTITION|TIMELIMIT", "main*|1:00:00", "short|5:00", "long|infinite")
)


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that returns the script of the reconciler job for these resources."""
    (tmp_path / "reconcilers").mkdir()
    texts: list[str] = []
    monkeypatch.setattr(submitit_jobs, "sbatch", lambda path, *_: texts.append(path.read_text()) or "9")
    monkeypatch.setattr(commands, "ask", lambda command, timeout: PARTITIONS if command[0] == "sinfo" else "")

    def submit(*, as_training: bool = False, **resources: Any) -> str:
        spec = SweepSpec("s", DataConfig("images"), SPACE, slurm=Resources(**resources))
        request = JobRequests(spec, tmp_path, None, 300).reconciler_request(TOKEN, ACTION)
        assert Slurm(lambda _: print).submit_reconciler(replace(request, as_training=as_training)) == "9"
        return texts[-1]

    return submit


def options(text: str) -> list[str]:
    """The options of a script that say what is asked for, without those that every reconciler job has."""
    found = [line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH ")]
    same = ("job-name", "output", "open-mode", "begin", "dependency", "requeue")
    return [line for line in found if line.partition("=")[0] not in same]


ONE_CPU = ["ntasks=1", "cpus-per-task=1", "mem=1G"]
TRAINING = {"partition": "gpu", "gpus": 2, "processes": 2, "cpus": 3, "mem": "4G", "sbatch": {"reservation": "eyes"}}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, ["time=60", *ONE_CPU]),
        ({"time_min": 600, "partition": "long"}, ["time=60", *ONE_CPU, "partition=long"]),
        ({"time_min": 1}, ["time=1", *ONE_CPU]),
        ({"partition": "short"}, ["time=5", *ONE_CPU, "partition=short"]),
        ({"partition": "main,short"}, ["time=5", *ONE_CPU, "partition=main,short"]),
        ({"reconciler": {"partition": "short"}}, ["time=5", *ONE_CPU, "partition=short"]),
        ({"partition": "short", "reconciler": {"partition": None}}, ["time=60", *ONE_CPU]),
        ({"partition": "short", "reconciler": {"time": "2h"}}, ["time=120", *ONE_CPU, "partition=short"]),
        ({"reconciler": {"mem": None}}, ["time=60", *ONE_CPU[:2]]),
        ({"reconciler": {"mem": None, "mem-per-cpu": "300M"}}, ["time=60", *ONE_CPU[:2], "mem-per-cpu=300M"]),
        ({"reconciler": {"cpus-per-gpu": 2}}, ["time=60", "ntasks=1", "mem=1G", "cpus-per-gpu=2"]),
    ],
)  # fmt: skip
def test_a_reconciler_job_asks_for_one_cpu_and_the_time_that_fits(submitted, resources: dict[str, Any], expected):
    assert options(submitted(**resources)) == expected


def test_a_reconciler_job_may_ask_for_what_a_training_asks_for(submitted):
    text = submitted(as_training=True, time_min=40, reconciler={"partition": "cpu", "time": "2h"}, **TRAINING)
    wanted = "time=40 nodes=1 ntasks-per-node=2 partition=gpu cpus-per-task=3 mem=4G reservation=eyes gpus-per-node=2"
    assert options(text) == wanted.split()


def test_a_gpu_of_a_type_replaces_that_of_any_type(submitted):
    found = options(submitted(as_training=True, gpus=1, sbatch={"gres": ["gpu:a100:1", "shard:2"]}))
    assert "gres=gpu:a100:1,shard:2" in found
    assert not [option for option in found if option.startswith("gpus-per-node")]


def test_a_packed_reconciler_job_asks_for_what_a_packed_job_asks_for(submitted):
    found = options(submitted(as_training=True, gpus=1, pack=4, cpus=2))
    assert {"ntasks-per-node=1", "cpus-per-task=8", "gpus-per-node=1"} <= set(found)


def test_without_an_answer_of_sinfo_the_time_of_a_training_is_asked_for(submitted, monkeypatch: pytest.MonkeyPatch):
    def refuse(command, timeout):
        raise SchedulerError("sinfo: not allowed")

    monkeypatch.setattr(commands, "ask", refuse)
    monkeypatch.setattr(commands, "_PAUSE_S", 0.0)
    assert options(submitted(time_min=7))[0] == "time=7"


@pytest.mark.parametrize(("limit_min", "end_s"), [(1, 45), (2, 90), (60, 3540)])
def test_the_job_requeues_itself_before_its_time_limit(tmp_path: Path, limit_min: int, end_s: int):
    request = ReconcilerRequest(TOKEN, "s", tmp_path, Resources(), (), 60, limit_min=limit_min)
    assert f"US_END={end_s} " in submitit_jobs.reconciler_script(request)


def test_the_nodes_to_avoid_are_added_to_those_of_the_user(tmp_path: Path):
    request = ReconcilerRequest(TOKEN, "s", tmp_path, Resources(), (), 60, exclude=("n1", "n2"))
    assert "#SBATCH --exclude=n1,n2\n" in submitit_jobs.reconciler_script(request)
    users = replace(request, resources=Resources(reconciler={"exclude": "n3"}))
    assert "#SBATCH --exclude=n3,n1,n2\n" in submitit_jobs.reconciler_script(users)


def test_times_that_no_partition_allows_are_named():
    limits = {"": 60, "main": 60, "short": 5}
    asks = Resources(time_min=90, reconciler={"partition": "short", "time": "10:00"})
    assert list(time_problems(asks, limits)) == [
        "slurm.time: found 1h30m; the partition that is the default allows 1h, so SLURM refuses the job or never "
        "starts it",
        "slurm.reconciler.time: found 10m; the partition short allows 5m, so SLURM refuses the job or never starts it",
    ]
    assert not list(time_problems(Resources(time_min=60, reconciler={"time": None}), limits))
    assert not list(time_problems(asks, {}))
