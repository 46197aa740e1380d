"""What a result's bits may depend on beside its config: packages and hardware.

Rule 1: what is not there is left out; nothing here may fail a training.
"""

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

import unetsweep

PACKAGES = ("numpy", "opencv-python-headless", "albumentations")
"""What images go through, beside torch; a trainer without augmentation may lack some."""


def versions(device: torch.device) -> dict[str, str]:
    """Versions by package; on a GPU those of CUDA and cuDNN, as torch was built with and found them."""
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
    """`cpu`: its model; `simd`: the vector instructions that torch uses on it; `gpu`: its model, where one trained."""
    found = {"cpu": _cpu() or platform.processor(), "simd": torch.backends.cpu.get_cpu_capability()}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return {name: value for name, value in found.items() if value}


def _cpu() -> str | None:
    """The CPU's name as the kernel has it; None where it has none, as on ARM."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return None
