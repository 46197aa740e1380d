"""The options of sbatch for the GPUs and the memory of a job, in the form that its site wants."""

from typing import Any

from unetsweep.config.gpu_requests import GpuRequest, gpus_in_gres, gres_items
from unetsweep.core.spec import Resources


def gpu_options(resources: Resources, tasks: int, gpus: int | None = None) -> dict[str, Any]:
    """Return the option that asks for `gpus` (default: all of the job's) GPUs, for this many tasks; empty for none.

    What else `sbatch: {gres: …}` asks for stays in it. SLURM accepts no second request beside one in `gres`.
    """
    users = resources.sbatch.get("gres")
    count = resources.gpus if gpus is None else gpus
    if not count or gpus_in_gres(users) is not None:
        return {}
    asked = str(GpuRequest(count, resources.gpu_type).written)
    match resources.gpu_option:
        case "gres":
            return {"gres": ",".join([f"gpu:{asked}", *gres_items(users)])}
        case "gpus-per-task":
            return {"gpus-per-task": str(GpuRequest(max(1, count // tasks), resources.gpu_type).written)}
        case _:
            return {"gpus-per-node": asked}


def memory_options(resources: Resources) -> dict[str, Any]:
    """Return the option that asks for memory; empty: the cluster's default."""
    named = {"mem": resources.mem, "mem-per-cpu": resources.mem_per_cpu, "mem-per-gpu": resources.mem_per_gpu}
    return {name: value for name, value in named.items() if value is not None}
