"""Package versions and hardware, on which the bits of a result may depend besides its config.

Rule 1: what is missing is left out; nothing here may make a training fail.
"""

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

import unetsweep

PACKAGES = ("numpy", "opencv-python-headless", "albumentations")
"""Packages besides torch that process images; a trainer without augmentation may lack some of them."""


def versions(device: torch.device) -> dict[str, str]:
    """Versions by package; on a GPU also of the CUDA that torch was built with, and of the cuDNN that it loaded."""
    found = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pytorch_lightning": version("pytorch-lightning"),
        "unetsweep": unetsweep.__version__,
    }
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    if device.type == "cuda":
        found |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}  # type: ignore[no-untyped-call]
    return found


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
