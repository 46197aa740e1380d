"""Package versions and hardware, on which the bits of a result may depend besides its config.

Rule 1: what is missing is left out; nothing here may make a training fail.
"""

import contextlib
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import unetsweep

PACKAGES = ("numpy", "opencv-python-headless", "albumentations")
"""Packages besides torch that process images; a trainer without augmentation may lack some of them."""


def versions(device: torch.device) -> dict[str, str | None]:
    """Versions by package. Those of a GPU are None without one: `driver`, `nccl`, the CUDA with which torch was built,
    and the cuDNN that it loaded."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pytorch_lightning": version("pytorch-lightning"),
        "unetsweep": unetsweep.__version__,
    }
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found | (_gpu_versions() if device.type == "cuda" else dict.fromkeys(("cuda", "cudnn", "nccl", "driver")))


def _gpu_versions() -> dict[str, str | None]:
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    nccl = torch.cuda.nccl.version() if torch.distributed.is_nccl_available() else None  # type: ignore[no-untyped-call]
    return {
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "nccl": None if nccl is None else ".".join(map(str, nccl)),
        "driver": driver(),
    }


def driver(path: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """The version of NVIDIA's driver, from the file of its kernel module; None if there is no such file."""
    with contextlib.suppress(OSError):
        found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", path.read_text(errors="replace"))
        return found and found[1]
    return None


def hardware(device: torch.device) -> dict[str, str]:
    """`cpu`: CPU model; `simd`: vector instructions that torch uses; `gpu`: GPU model, if the training uses one."""
    found = {"cpu": _cpu() or platform.processor(), "simd": torch.backends.cpu.get_cpu_capability()}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return {name: value for name, value in found.items() if value}


def _cpu() -> str | None:
    """The CPU's name in /proc/cpuinfo; None if that file has none, as on ARM."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return None
