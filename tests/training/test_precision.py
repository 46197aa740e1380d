"""What each precision computes, what is refused, and what is recorded of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import training_scenes as scenes

from unetsweep.analysis.reproducibility import surroundings
from unetsweep.app import train as by_hand
from unetsweep.contract import Result, dumps, encode, precision_problem, result_from
from unetsweep.errors import ConfigError
from unetsweep.training import machine, precision
from unetsweep.training.run import train

CPU, GPU = torch.device("cpu"), torch.device("cuda")
DEFAULT = {"tf32_convolutions": True, "tf32_matmuls": False, "variables": None}

OPEN_DRIVER = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build  (root@host)
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""
CLOSED_DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6 22:20:39 UTC 2023\n"


@pytest.fixture(autouse=True)
def _restore_tf32() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_float16_on_a_cpu_is_refused_before_anything_is_read(accelerator: Any, tmp_path: Path) -> None:
    config = scenes.config(tmp_path / "no images", accelerator=accelerator, trainer={"precision": "16-mixed"})
    with pytest.raises(ConfigError, match=r"trainer\.precision: found 16-mixed, and the training has no GPU: "):
        train(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_training_by_hand_in_float16_is_refused_with_the_users_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    config = scenes.config(tmp_path / "no images", accelerator="cpu", trainer={"precision": "16-mixed"})
    path.write_text(dumps(encode(config)))
    with pytest.raises(ConfigError, match=r"mine\.json: trainer\.precision: found 16-mixed"):
        by_hand.train(path, tmp_path / "out", pytest.fail)
    assert not (tmp_path / "out").exists()


def test_only_float16_needs_a_gpu() -> None:
    names = ("32", "32-ieee", "bf16-mixed", "16-mixed")
    assert [name for name in names if precision_problem(name, gpus=False)] == ["16-mixed"]
    assert [name for name in names if precision_problem(name, gpus=True)] == []


def test_32_allows_tf32_in_convolutions_and_32_ieee_nowhere() -> None:
    precision.set_tf32("32")
    assert precision.record(GPU, {}) == DEFAULT
    torch.backends.cuda.matmul.allow_tf32 = True  # as a site's sitecustomize may
    precision.set_tf32("32-ieee")
    assert precision.record(GPU, {}) == {**DEFAULT, "tf32_convolutions": False}
    precision.set_tf32("32")
    assert precision.record(GPU, {}) == DEFAULT


def test_variables_that_change_float32_are_recorded() -> None:
    off = {"NVIDIA_TF32_OVERRIDE": "0", "HOME": "/home/ada"}
    assert precision.record(GPU, off) == {
        "tf32_convolutions": False,
        "tf32_matmuls": False,
        "variables": "NVIDIA_TF32_OVERRIDE=0",
    }
    assert precision.record(CPU, {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}) == {
        "tf32_convolutions": None,
        "tf32_matmuls": None,
        "variables": "ONEDNN_DEFAULT_FPMATH_MODE=BF16",
    }


def test_the_versions_of_a_gpu_are_none_without_one(tmp_path: Path) -> None:
    found = machine.versions(CPU)
    assert {name for name, value in found.items() if value is None} == {"cuda", "cudnn", "nccl", "driver"}
    path = tmp_path / "version"
    assert machine.driver(path) is None
    for text, version in ((OPEN_DRIVER, "570.124.06"), (CLOSED_DRIVER, "535.54.03"), ("", None)):
        path.write_text(text)
        assert machine.driver(path) == version


def test_another_driver_nccl_or_tf32_is_named_as_a_possible_cause() -> None:
    versions = {"torch": "2.9", "nccl": "2.27.3", "driver": "570.124.06"}
    on_gpu = Result(versions=versions, precision=DEFAULT)
    other = {**versions, "nccl": "2.28.1", "driver": "580.65.06"}
    full = {"tf32_convolutions": False, "tf32_matmuls": False, "variables": "NVIDIA_TF32_OVERRIDE=0"}
    assert surroundings(on_gpu, Result(versions=other, precision=full)) == [
        "versions, nccl: 2.27.3 then, 2.28.1 now",
        "versions, driver: 570.124.06 then, 580.65.06 now",
        "precision, tf32_convolutions: True then, False now",
        "precision, variables: none then, NVIDIA_TF32_OVERRIDE=0 now",
    ]
    on_cpu = Result(versions={**versions, "nccl": None, "driver": None})
    assert surroundings(on_gpu, on_cpu)[0] == "versions, nccl: 2.27.3 then, none now"


def test_a_result_of_an_earlier_version_is_read_and_compared() -> None:
    before = result_from({"val_iou": 0.5, "versions": {"torch": "2.9"}, "hardware": {"cpu": "x"}}, "result.json")
    versions = {"torch": "2.9", "cuda": None, "nccl": None}
    now = Result(val_iou=0.5, versions=versions, hardware={"cpu": "x"}, precision=precision.record(CPU, {}))
    assert surroundings(before, now) == []
