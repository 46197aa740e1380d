"""Divides the GPUs and CPUs of a packed job among its slots."""

import os
from collections.abc import Sequence


def gpus_of(slot: int, slots: int, visible: Sequence[str]) -> list[str]:
    """The GPUs of a slot. With fewer GPUs than slots, several slots share one.

    >>> gpus_of(1, 2, "0 1 2 3".split()), gpus_of(3, 4, "0 1".split()), gpus_of(0, 2, [])
    (['2', '3'], ['1'], [])
    """
    if len(visible) >= slots:
        each = len(visible) // slots
        return list(visible[slot * each : (slot + 1) * each])
    return [visible[slot * len(visible) // slots]] if visible else []


def cpus_of(slot: int, slots: int, allowed: Sequence[int]) -> list[int]:
    """The CPUs of a slot: consecutive ones, often threads of one core. With fewer CPUs than slots, every slot gets all.

    >>> cpus_of(1, 2, [0, 1, 4, 5]), cpus_of(1, 4, [0, 1])
    ([4, 5], [0, 1])
    """
    each = len(allowed) // slots
    return list(allowed[slot * each : (slot + 1) * each]) if each else list(allowed)


def visible_gpus() -> list[str]:
    """The GPUs that SLURM assigned to this job."""
    return [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
