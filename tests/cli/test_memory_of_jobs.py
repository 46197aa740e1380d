"""Which memory counts when a sweep is checked: that of its jobs, or of this machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from unetsweep.app.executors import LOCAL, SLURM, Executor
from unetsweep.app.memory import sweep_problem
from unetsweep.app.train import train
from unetsweep.contract import DataConfig, ModelConfig
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import Resources, SweepSpec
from unetsweep.errors import ConfigError
from unetsweep.schedulers.local import machine

GIB = 1 << 30


@pytest.mark.parametrize(
    ("executor", "resources", "found"),
    [
        (LOCAL, Resources(mem="64G"), "this machine has 4.0 GiB; use a smaller value"),
        (SLURM, Resources(mem="4G"), "slurm.mem is 4.0 GiB; use a smaller value, or more memory"),
        (SLURM, Resources(mem="3G", mem_max="4G"), "slurm.mem_max is 4.0 GiB"),
        (SLURM, Resources(), None),  # the default of the cluster, which may be more than this machine has
        (SLURM, Resources(mem="3G", mem_max="64G"), None),
        (SLURM, Resources(mem="64G"), None),
        (SLURM, Resources(mem="0"), None),  # the whole node, which may have any size
        (SLURM, Resources(sbatch={"mem-per-cpu": "2G"}), None),
        (SLURM, Resources(mem="3G", gpus=1), None),
    ],
)
def test_the_memory_of_a_job_bounds_its_training(
    executor: Executor, resources: Resources, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 4 * GIB)
    space = Space.of(epochs=Choices((1,)), batch_size=Range(1, 2), learning_rate=Choices((1e-3,)))
    model = ModelConfig(base=64, depth=4)  # a step with two images of 768x768 keeps 5.4 GiB
    data = DataConfig(str(tmp_path / "not there"), image_size=768)
    problem = sweep_problem(SweepSpec("s", data, space, model=model, slurm=resources), executor)
    assert (problem is None) == (found is None)
    if problem is not None and found is not None:
        assert found in problem.message
        assert problem.message.startswith("found 2; a training needs at least ")
        assert problem.field == "space.batch_size"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"root": "nowhere", "image_size": 2_000_000}}, "data.image_size: found 2000000; reading an image of"),
        ({"model": {"base": 200_000}}, "model.base: found 200000; a training needs at least"),
        ({"batch_size": 1_000_000}, "batch_size: found 1000000; a training needs at least"),
    ],
)
def test_a_config_by_hand_is_checked_too(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    data = {"root": "nowhere", "image_size": 64}
    config = {"data": data, "epochs": 1, "batch_size": 4, "learning_rate": 0.001, "accelerator": "cpu", **change}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigError) as caught:
        train(path, tmp_path / "out", pytest.fail)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert not (tmp_path / "out").exists()
