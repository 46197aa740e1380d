"""How a sweep asks for GPUs: `4`, `h100:4` or a MIG profile such as `1g.10gb:2`."""

import re
from dataclasses import dataclass

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,6}", re.ASCII)
FORMS = "write a number, or a type and a number, such as h100:4 or 1g.10gb:2"


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """The GPUs of a job."""

    count: int
    type: str | None = None
    """As the cluster names it; None: of any type."""

    @property
    def written(self) -> int | str:
        """As it is written in YAML."""
        return self.count if self.type is None else f"{self.type}:{self.count}"


def gpu_request(written: object) -> GpuRequest | None:
    """Return the request; None if it is none.

    >>> gpu_request(4), gpu_request("h100:4"), gpu_request("1g.10gb:2")
    (GpuRequest(count=4, type=None), GpuRequest(count=4, type='h100'), GpuRequest(count=2, type='1g.10gb'))
    >>> gpu_request("h100"), gpu_request(True), gpu_request("gpu:h100:4")
    (None, None, None)
    """
    if isinstance(written, int) and not isinstance(written, bool):
        return GpuRequest(written)
    if not isinstance(written, str):
        return None
    kind, _, count = written.strip().partition(":")
    if _COUNT.fullmatch(kind) and not count:
        return GpuRequest(int(kind))
    if not _TYPE.fullmatch(kind) or not _COUNT.fullmatch(count):
        return None
    return GpuRequest(int(count), kind)


def gpus_in_gres(gres: object) -> int | None:
    """Return how many GPUs the sbatch option `gres` asks for; None: it asks for none.

    >>> gpus_in_gres("gpu:a100:2"), gpus_in_gres(["gpu", "shard:4"]), gpus_in_gres("shard:4"), gpus_in_gres(None)
    (2, 1, None, None)
    """
    found = [
        int(rest[-1]) if rest and rest[-1].isdecimal() else 1
        for rest in map(_of_gpu, gres_items(gres))
        if rest is not None
    ]
    return sum(found) if found else None


def type_in_gres(gres: object) -> str | None:
    """Return the type of GPU that `gres` asks for; None: no GPU, or one of any type.

    >>> type_in_gres("lscratch:50,gpu:a100:2"), type_in_gres("gpu:2")
    ('a100', None)
    """
    kinds = [rest[0] for rest in map(_of_gpu, gres_items(gres)) if rest and not rest[0].isdecimal()]
    return kinds[0] if kinds else None


def gres_items(gres: object) -> list[str]:
    """Return what `gres` asks for, one by one."""
    text = ",".join(map(str, gres if isinstance(gres, list | tuple) else [gres] if gres is not None else []))
    return [item.strip() for item in text.split(",") if item.strip()]


def _of_gpu(item: str) -> list[str] | None:
    """Return what follows `gpu` in an item of `gres`; None: it is another resource."""
    name, *rest = item.removeprefix("gres/").removeprefix("gres:").split(":")
    return rest if name == "gpu" else None
