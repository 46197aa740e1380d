"""Describe the machine of a measurement for a reader who compares it with another, without the machine's name."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "pytorch-lightning", "albumentations", "optuna", "submitit")


def describe(command: str) -> str:
    """Return a paragraph: day, commit, command, CPU, cores, memory, versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    machine = f"{len(os.sched_getaffinity(0))} cores of {_cpu()}, {memory:.0f} GiB"
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} at {_commit()} by `{command}`, on {machine}; "
        f"Python {platform.python_version()}, {packages}, {_slurm()}."
    )


def _cpu() -> str:
    rows = Path("/proc/cpuinfo").read_text().splitlines()
    return next((row.partition(":")[2].strip() for row in rows if row.startswith("model name")), platform.machine())


def _slurm() -> str:
    if shutil.which("sbatch") is None:
        return "no SLURM"
    process = subprocess.run(["sbatch", "--version"], capture_output=True, text=True, check=False)
    return process.stdout.strip() or "no SLURM"


def _commit() -> str:
    process = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return process.stdout.strip() or "no commit"
