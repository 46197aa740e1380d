"""What this machine has for local trainings: its GPUs, cores and memory."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from unetsweep.core.spec import SweepSpec
from unetsweep.errors import UsageError
from unetsweep.texts import counted


def check_gpus(spec: SweepSpec) -> None:
    """UsageError if a training needs more GPUs than this machine has."""
    gpus = spec.slurm.training_gpus
    if gpus and gpus > (found := len(devices())):
        raise UsageError(
            f"the sweep asks for {counted(gpus, 'GPU')} a training and this machine has {found}; submit it on a "
            "cluster (--executor slurm), or train on the CPU: `--set slurm.gpus=0`"
        )


def capacity(spec: SweepSpec) -> int:
    """How many trainings may run at once on this machine: by its GPUs if the sweep asks for any, else by its cores."""
    if gpus := spec.slurm.training_gpus:
        return max(1, len(devices()) // gpus)
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // (spec.slurm.processes * spec.trainer.threads))


def devices() -> list[str]:
    """List the GPUs that this user may use: CUDA_VISIBLE_DEVICES if it is set, otherwise all that nvidia-smi lists.

    Without nvidia-smi, or if it does not answer, there are none.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=30)
    except subprocess.TimeoutExpired:
        return []
    return [str(n) for n in range(sum(line.startswith("GPU ") for line in listed.stdout.splitlines()))]


def memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that processes may use here: the machine's, or less if a control group limits it."""
    lines = (root / "proc/meminfo").read_text().splitlines()
    total = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemTotal:"))
    return min([total, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """Yield the memory limits of this process's control group and of those around it, of version 1 and 2."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = root / "sys/fs/cgroup" / controllers
        file = "memory.limit_in_bytes" if controllers else "memory.max"
        group = top / path.lstrip("/")
        for folder in (group, *(each for each in group.parents if each.is_relative_to(top))):
            try:
                limit = (folder / file).read_text().strip()
            except OSError:  # no limit there, or a container that shows only its own groups
                continue
            if limit.isdecimal():
                yield int(limit)
