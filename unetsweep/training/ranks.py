"""The ranks of one training: their environment, the sum of their gradients, and their exit.

Rule 1: the caller starts the ranks and passes each its `DistributedContext`; Lightning launches nothing and reads no
        SLURM variable.
Rule 2: gradients are added in the order of the ranks, so that no bit depends on the communication library or on
        how DDP packs its buckets (it repacks them after the first step of each start).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, distributed
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """Which process of a distributed training this is, and how to reach the others."""

    rank: int = 0
    size: int = 1
    address: str = "127.0.0.1"
    """Host of rank 0."""
    port: int = 0
    """A free port on that host; unused with one process."""
    local_rank: int | None = None
    """Rank within this host, which selects the GPU; None selects `rank` modulo the number of visible GPUs."""
    gpu_share: float = 1.0
    """Fraction of each of its GPUs that belongs to this training, if several trainings share them."""


TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others in one operation. Validation and saving on rank 0 take seconds."""

SINGLE_PROCESS = DistributedContext()
"""The context of a training with one process."""


class Ranks(ClusterEnvironment):
    """Presents a DistributedContext to Lightning: every process is a node of its own with one device."""

    def __init__(self, context: DistributedContext) -> None:
        super().__init__()
        self._context = context

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._context.address

    @property
    def main_port(self) -> int:
        return self._context.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._context.size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._context.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._context.rank


class OrderedDDP(DDPStrategy):
    """DDP whose gradients are added in the order of the ranks, on CPUs and GPUs alike."""

    def configure_ddp(self) -> None:
        super().configure_ddp()
        # Lightning registers a hook on GPUs only (2.6.6).
        cast(DistributedDataParallel, self.model).register_comm_hook(None, mean_in_order)


def strategy(context: DistributedContext, gpu: bool) -> DDPStrategy | str:
    """The Lightning strategy that runs the ranks.

    Buffers are not broadcast: the only ones are the running statistics of batch normalisation, and every rank computes
    the same.
    """
    if context.size == 1:
        return "auto"
    backend = "nccl" if gpu else "gloo"
    return OrderedDDP(process_group_backend=backend, broadcast_buffers=False, timeout=TIMEOUT)


def mean_in_order(_: object, bucket: distributed.GradBucket) -> Future[Tensor]:  # type: ignore[name-defined]
    """Average a bucket of gradients over the ranks (a communication hook of DDP).

    All buckets (25 MB, DDP's default, or one larger parameter) can be in flight at once, so a rank needs memory for up
    to n times its gradients. It sends n - 1 times their size; a ring would send 2 (n - 1) / n times.
    """
    mine = bucket.buffer()
    every = mine.new_empty(distributed.get_world_size(), mine.numel())

    def mean(_: object) -> Tensor:
        return sum_in_order(every, mine).div_(len(every))

    sent = cast(distributed.Work, distributed.all_gather_into_tensor(every.view(-1), mine, async_op=True))
    return cast(Future[Tensor], sent.get_future().then(mean))


def gather_all(mine: Tensor) -> Tensor:
    """Gather a tensor of the same shape and type from every rank, in the order of the ranks: size x shape."""
    every = mine.new_empty(distributed.get_world_size(), *mine.shape)
    distributed.all_gather_into_tensor(every.view(-1), mine.view(-1))
    return every


def sum_in_order(rows: Tensor, out: Tensor) -> Tensor:
    """Add up the rows of an n x ... tensor from first to last, into `out`."""
    out.copy_(rows[0])
    for row in rows[1:]:
        out += row
    return out


def leave(context: DistributedContext) -> None:
    """Destroy the process group, together with the other ranks.

    Its threads free the tensors of their last operation shortly after the main thread received the result. If the
    interpreter is shutting down by then, they cannot take its lock, and the process aborts (status 134).
    """
    if context.size > 1 and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
