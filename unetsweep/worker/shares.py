"""What each of the trainings in one job gets of its GPUs and CPUs."""

import os
from collections.abc import Sequence


def gpus_of(place: int, places: int, visible: Sequence[str]) -> list[str]:
    """The GPUs of a place. Where there are fewer GPUs than places, several share one.

    >>> gpus_of(1, 2, "0 1 2 3".split()), gpus_of(3, 4, "0 1".split()), gpus_of(0, 2, [])
    (['2', '3'], ['1'], [])
    """
    if len(visible) >= places:
        each = len(visible) // places
        return list(visible[place * each : (place + 1) * each])
    return [visible[place * len(visible) // places]] if visible else []


def cpus_of(place: int, places: int, allowed: Sequence[int]) -> list[int]:
    """The CPUs of a place: neighbours, which are often threads of one core; all, where there are not enough to share.

    >>> cpus_of(1, 2, [0, 1, 4, 5]), cpus_of(1, 4, [0, 1])
    ([4, 5], [0, 1])
    """
    each = len(allowed) // places
    return list(allowed[place * each : (place + 1) * each]) if each else list(allowed)


def visible_gpus() -> list[str]:
    """Those that SLURM gave to this job."""
    return [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
