"""The ranks of one training: their places, how their gradients are added, and how they leave.

Rule 1: the ranks are started by somebody else and handed their place; Lightning launches nothing and asks SLURM
        nothing.
Rule 2: gradients are added in the order of the ranks. What the communication library prefers, and how DDP packs its
        buckets (it packs them anew after the first step of each start), change no bit.
"""

from dataclasses import dataclass
from typing import cast

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, distributed
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """This process's place among the processes of one training."""

    rank: int = 0
    size: int = 1
    address: str = "127.0.0.1"
    """Host of rank 0."""
    port: int = 0
    """A free port there; unused for one process."""
    local_rank: int | None = None
    """Place among the ranks of this host, which chooses the GPU; None: `rank` modulo the visible GPUs."""
    gpu_share: float = 1.0
    """Part of each of its GPUs that it has, where several trainings share them."""


SINGLE_PROCESS = DistributedContext()
"""A training of one process."""


class Ranks(ClusterEnvironment):
    """Our World in Lightning's words: every process is a node of its own with one device, whichever it sees."""

    def __init__(self, context: DistributedContext) -> None:
        super().__init__()
        self._world = context

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._world.address

    @property
    def main_port(self) -> int:
        return self._world.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._world.size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._world.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._world.rank


class OrderedDDP(DDPStrategy):
    """DDP whose gradients are added in the order of the ranks, on CPUs and GPUs alike."""

    def configure_ddp(self) -> None:
        super().configure_ddp()
        # Lightning registers a hook on GPUs only (2.6.6).
        cast(DistributedDataParallel, self.model).register_comm_hook(None, mean_in_order)


def strategy(context: DistributedContext, gpu: bool) -> DDPStrategy | str:
    """What Lightning is told to run the ranks with.

    No buffer needs sending: the only ones are those of the batch normalisation, which every rank computes alike.
    """
    if context.size == 1:
        return "auto"
    return OrderedDDP(process_group_backend="nccl" if gpu else "gloo", broadcast_buffers=False)


def mean_in_order(_: object, bucket: distributed.GradBucket) -> Future[Tensor]:  # type: ignore[name-defined]
    """The mean of the ranks' gradients in a bucket (a communication hook of DDP).

    Buckets of 25 MB (DDP's default) or one larger parameter are on their way at once, so a rank needs room for up to
    n times its gradients, and sends n - 1 times their size; a ring would send 2 (n - 1) / n times.
    """
    mine = bucket.buffer()
    every = mine.new_empty(distributed.get_world_size(), mine.numel())

    def mean(_: object) -> Tensor:
        return added_in_order(every, mine).div_(len(every))

    sent = cast(distributed.Work, distributed.all_gather_into_tensor(every.view(-1), mine, async_op=True))
    return cast(Future[Tensor], sent.get_future().then(mean))


def of_each(mine: Tensor) -> Tensor:
    """The ranks' tensors of one shape and kind, in the order of the ranks: size x shape."""
    every = mine.new_empty(distributed.get_world_size(), *mine.shape)
    distributed.all_gather_into_tensor(every.view(-1), mine.view(-1))
    return every


def added_in_order(rows: Tensor, out: Tensor) -> Tensor:
    """The sum of the rows of an n x ... tensor, the first with the second, then with the third, in `out`."""
    out.copy_(rows[0])
    for row in rows[1:]:
        out += row
    return out


def leave(context: DistributedContext) -> None:
    """End the process group, together with the other ranks.

    Its threads free the tensors of their last work a moment after the main thread has got its result. Where the
    interpreter is ending by then they cannot have its lock, and the whole process is aborted (status 134).
    """
    if context.size > 1 and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
