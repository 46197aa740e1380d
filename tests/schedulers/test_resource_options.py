"""What a job asks its cluster for: GPUs and memory, in each spelling."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from unetsweep.app.job_requests import JobRequests
from unetsweep.config.profiles import Folders, resources_from
from unetsweep.contract import TrainerConfig
from unetsweep.core.actions import Element, Submit
from unetsweep.core.retry_policy import memory_of_job
from unetsweep.core.spec import Resources
from unetsweep.schedulers.slurm.submitit_jobs import script

REQUESTS = [
    # slurm: of the sweep, the lines of the script
    ({}, []),
    ({"gpus": 2}, ["gpus-per-node=2"]),
    ({"gpus": "h100:2"}, ["gpus-per-node=h100:2"]),
    ({"gpus": "1g.10gb:1"}, ["gpus-per-node=1g.10gb:1"]),
    ({"gpus": 2, "gpu_option": "gres"}, ["gres=gpu:2"]),
    ({"gpus": "h100:2", "gpu_option": "gres"}, ["gres=gpu:h100:2"]),
    ({"gpus": "h100:2", "gpu_option": "gres", "sbatch": {"gres": "lscratch:50"}}, ["gres=gpu:h100:2,lscratch:50"]),
    ({"gpus": 2, "sbatch": {"gres": ["lscratch:50"]}}, ["gres=lscratch:50", "gpus-per-node=2"]),
    ({"gpus": "h100:2", "gpu_option": "gpus-per-task"}, ["gpus-per-task=h100:1"]),
    ({"gpus": 4, "gpu_option": "gpus-per-task", "pack": 2}, ["gpus-per-task=4"]),
    ({"gpus": 4, "gpu_option": "gpus-per-task", "reuse": True}, ["gpus-per-task=4"]),
    ({"gpus": 2, "sbatch": {"gres": "gpu:a100:2"}}, ["gres=gpu:a100:2"]),
    ({"mem": "4G"}, ["mem=4G"]),
    ({"mem": 0}, ["mem=0"]),
    ({"mem": None}, []),
    ({"mem_per_cpu": "2G"}, ["mem-per-cpu=2G"]),
    ({"mem_per_gpu": "20G", "gpus": 1}, ["mem-per-gpu=20G", "gpus-per-node=1"]),
    ({"sbatch": {"mem-per-cpu": "2G"}}, ["mem-per-cpu=2G"]),
]
ASKED = ("gres=", "gpus", "mem")


@pytest.fixture(autouse=True)
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit wants an srun on PATH."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")


def resources(slurm: dict, folder: Path) -> Resources:
    problems: list = []
    found = resources_from(slurm, Folders(folder, folder), problems)
    assert not problems
    return found


def options(wanted: Resources, folder: Path, mem: str | None = None) -> list[str]:
    """What the script of a job asks sbatch for, as far as it is GPUs or memory. `mem`: that of a retry."""
    run = SimpleNamespace(driver="jobs", reconcile_interval=60)
    spec = SimpleNamespace(slurm=wanted, name="s", run=run, trainer=TrainerConfig())
    requests = JobRequests(spec, folder, None, 20)  # type: ignore[arg-type]
    action = Submit((Element(0, 1, ((0, 8),)),), None, "ready", mem, (), wanted.slots)
    lines = script(requests.submission("a" * 12, action), folder).splitlines()
    found = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH --")]
    return [each for each in found if each.startswith(ASKED)]


@pytest.mark.parametrize(("slurm", "lines"), REQUESTS, ids=lambda each: str(each))
def test_a_job_asks_for_gpus_and_memory_as_its_site_wants_it(slurm: dict, lines: list[str], tmp_path: Path) -> None:
    assert sorted(options(resources(slurm, tmp_path), tmp_path)) == sorted(lines)


@pytest.mark.parametrize("slurm", [{"mem": "4G"}, {"mem_per_cpu": "1G"}, {"mem_per_gpu": "4G", "gpus": 1}], ids=str)
def test_a_retry_asks_for_more_memory_in_one_way_only(slurm: dict, tmp_path: Path) -> None:
    asked = options(resources({**slurm, "mem_max": "64G"}, tmp_path), tmp_path, mem="8192M")
    assert [each for each in asked if each.startswith("mem")] == ["mem=8192M"]


@pytest.mark.parametrize(
    ("resources", "memory"),
    [
        (Resources(mem="4G"), "4G"),
        (Resources(mem_per_gpu="20G", gpus=2, processes=2), "40960M"),
        (Resources(mem_per_cpu="2G", cpus=4, processes=2, pack=2), "32768M"),
        (Resources(mem_per_cpu="2G"), None),  # the cluster decides how many CPUs there are
        (Resources(), None),
    ],
)
def test_the_memory_of_a_job_is_counted_over_its_cpus_and_gpus(resources: Resources, memory: str | None) -> None:
    assert memory_of_job(resources) == memory


def test_a_profile_names_the_option_and_a_sweep_the_gpus(tmp_path: Path) -> None:
    folder = tmp_path / "slurm" / "profiles"
    folder.mkdir(parents=True)
    (folder / "site.yaml").write_text("gpu_option: gres\nmem_per_cpu: 4G\n")
    found = resources({"profile": "site", "gpus": "h100:1"}, tmp_path)
    assert sorted(options(found, tmp_path)) == ["gres=gpu:h100:1", "mem-per-cpu=4G"]
    assert options(resources({"profile": "site", "gpus": 0}, tmp_path), tmp_path) == ["mem-per-cpu=4G"]
