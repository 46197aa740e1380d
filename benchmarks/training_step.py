"""Measure a training step against a bare PyTorch loop with the same model, images, augmentation and optimizer.

`python -m benchmarks.training_step [--gpu [PRECISION] | --ranks N]`: on one CPU thread, on a GPU with `32`, `16-mixed`
or `bf16-mixed`, or by N processes on CPUs, where the bare loop is PyTorch's DDP. Our training is the product's own.
Every few steps it waits while the bare loop makes as many steps, so the two take turns within one process. The median
of the paired ratios counts; its interval comes from order statistics (Conover, Practical Nonparametric Statistics,
3.2). The CPU that we add is measured on short steps: it does not depend on their length, and the noise of long steps
is larger than it.
"""

import dataclasses
import io
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from benchmarks.timing import is_within, print_row
from unetsweep.contract import DataConfig, ModelConfig, Split, TrainerConfig, TrialConfig
from unetsweep.datasets.sample import draw_sample
from unetsweep.errors import TrainingError
from unetsweep.training import data, run
from unetsweep.training.batch_norm import BatchNorm
from unetsweep.training.callbacks import EpochEnds
from unetsweep.training.first_error import FirstError
from unetsweep.training.module import sample_losses
from unetsweep.training.ranks import SINGLE_PROCESS, DistributedContext
from unetsweep.training.unet import UNet

BLOCKS = 20
STEPS = 4
"""Steps in a block of long steps, which give the ratio."""
SHORT_STEPS = 24
"""Steps in a block of short steps, which give the added milliseconds: the noise of long steps would hide them."""
RANK_STEPS = 3
"""Steps in a block of several ranks; an epoch must have twice as many."""
RATIO = 1.10
CPU_MS = 1.5
MIN_STEP_MS = 50.0
"""Shorter steps would measure the loop, not the training."""
PRECISIONS = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Block:
    """A block of steps of one of the two."""

    seconds: float
    """Wall time of a step."""
    cpu: float
    """CPU time of a step."""


class BareNorm(BatchNorm):
    """Plain batch normalisation over all ranks; PyTorch's own needs GPUs."""

    def forward(self, x: torch.Tensor, count: torch.Tensor | None = None) -> torch.Tensor:
        values = x.numel() // x.shape[1] * torch.distributed.get_world_size()
        sums = torch.stack([x.sum((0, 2, 3)), (x * x).sum((0, 2, 3))])
        reduced: torch.Tensor = all_reduce(sums)  # type: ignore[no-untyped-call]
        mean, squares = reduced / values
        variance = squares - mean**2
        scale = self.weight / torch.sqrt(variance + self.eps)
        normed: torch.Tensor = x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]
        return normed


class BareLoop:
    """A plain PyTorch training loop."""

    def __init__(self, config: TrialConfig, device: torch.device, context: DistributedContext) -> None:
        self.config, self.device = config, device
        images, pin = data.read(config).train, device.type == "cuda"
        self.loader = data.loader(config, images, rank=context.rank, size=context.size, epoch=lambda: 0, gpu=pin)
        self.unet: torch.nn.Module = UNet(config.model).to(device)
        for layer in self.unet.modules():
            if isinstance(layer, BatchNorm):
                layer.__class__ = BareNorm if context.size > 1 else torch.nn.BatchNorm2d  # type: ignore[assignment]
        if context.size > 1:
            self.unet = DistributedDataParallel(self.unet)
        self.optimizer = torch.optim.Adam(self.unet.parameters(), lr=config.learning_rate)
        dtype = PRECISIONS.get(config.trainer.precision)
        self.cast = nullcontext() if dtype is None else torch.autocast(device.type, dtype)
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
        self._batches: Iterator[data.Batch] = iter(())

    def step(self) -> None:
        images, masks, weights, _ = (part.to(self.device, non_blocking=True) for part in self._next())
        self.optimizer.zero_grad()
        with self.cast:
            logits = self.unet(data.scaled(images))
        loss = (sample_losses(logits, masks, self.config.trainer.loss) * weights).sum()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _next(self) -> data.Batch:
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self.loader)
            batch = next(self._batches)
        return batch


@dataclass
class BlockTimer(pl.Callback):
    """Times our blocks, and runs a block of the bare loop after each."""

    config: TrialConfig
    context: DistributedContext
    steps: int
    """Steps in a block."""
    ours: list[Block] = field(default_factory=list)
    bare: list[Block] = field(default_factory=list)
    loop: BareLoop = field(init=False)
    _start: tuple[float, float] | None = None
    """Wall and CPU time at which our block began; None: the next step begins one."""

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        self.loop = BareLoop(self.config, trainer.strategy.root_device, self.context)

    def on_train_epoch_start(self, *_: Any) -> None:
        self._start = None

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % self.steps:
            return
        if self._start is not None:
            self.ours.append(self._block_since(self._start))
            self.bare.append(self._bare_block())
        self._start = self._now()
        if len(self.ours) > BLOCKS:  # the first does not count
            trainer.should_stop = True

    def _bare_block(self) -> Block:
        start = self._now()
        for _ in range(self.steps):
            self.loop.step()
        return self._block_since(start)

    def _block_since(self, start: tuple[float, float]) -> Block:
        at, cpu = self._now()
        return Block((at - start[0]) / self.steps, (cpu - start[1]) / self.steps)

    def _now(self) -> tuple[float, float]:
        if self.loop.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


def measure(config: TrialConfig, out: Path, steps: int, context: DistributedContext = SINGLE_PROCESS) -> BlockTimer:
    """Train with a block timer and return it, without the first block of each."""
    timers, make_trainer = [], run._trainer

    def make_timed_trainer(
        ends: EpochEnds, context: DistributedContext, device: torch.device, first_error: FirstError
    ) -> pl.Trainer:
        trainer = make_trainer(ends, context, device, first_error)
        timers.append(BlockTimer(config, context, steps))
        trainer.callbacks.append(timers[0])  # type: ignore[attr-defined]
        return trainer

    run._trainer = make_timed_trainer
    out.mkdir(exist_ok=True)
    try:
        with suppress(TrainingError), redirect_stdout(io.StringIO()):  # it is stopped before its last epoch
            run.train(config, out, context=context)
    finally:
        run._trainer = make_trainer
    (timer,) = timers
    timer.ours, timer.bare = timer.ours[1 : BLOCKS + 1], timer.bare[1 : BLOCKS + 1]
    return timer


def confidence_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median: of 20 values the 6th and the 15th in order."""
    ordered, off = sorted(values), round(len(values) / 2 - 0.98 * len(values) ** 0.5)
    return ordered[off - 1 if off else 0], ordered[len(values) - max(off, 1)]


def make_config(root: Path, precision: str | None) -> TrialConfig:
    """Return a small network for the CPU (no precision), or that of sweeps/grid.yaml for a GPU."""
    is_gpu = precision is not None
    trainer = TrainerConfig(val_every=10_000, score_test=False, comet="off", precision=precision or "32")  # type: ignore[arg-type]
    small, large = ModelConfig(base=8, depth=3, padding="same"), ModelConfig(base=64, depth=4, padding="same")
    return TrialConfig(
        data=DataConfig(str(root), Split(val=0.1, groups="groups.csv"), image_size=512 if is_gpu else 128),
        epochs=10_000,
        batch_size=4,
        learning_rate=1e-3,
        model=large if is_gpu else small,
        trainer=trainer,
        accelerator="gpu" if is_gpu else "cpu",
    )


def with_short_steps(config: TrialConfig) -> TrialConfig:
    """Return a config of a small network on small images: what we add to a step does not depend on either."""
    data = dataclasses.replace(config.data, image_size=32)
    return dataclasses.replace(config, data=data, batch_size=1, model=ModelConfig(base=4, depth=2, padding="same"))


def draw_images(folder: Path, *, is_gpu: bool) -> Path:
    root = folder / "sample"
    draw_sample(root, 512 if is_gpu else 128, eyes=16, test_eyes=1)
    return root


def main() -> bool:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--ranks"]:
        return measure_ranks(int(arguments[1]))
    precision = (arguments[1] if len(arguments) > 1 else "32") if arguments[:1] == ["--gpu"] else None
    where = f"GPU, {precision}" if precision else "one CPU thread"
    with tempfile.TemporaryDirectory() as folder:
        config = make_config(draw_images(Path(folder), is_gpu=precision is not None), precision)
        timer = measure(config, Path(folder, "long"), STEPS)
        short = measure(with_short_steps(config), Path(folder, "short"), SHORT_STEPS)
    is_met = print_ratio(timer.ours, timer.bare, where, STEPS, is_gpu=precision is not None)
    return is_met & print_added_cpu(short, where)


Blocks = tuple[list[Block], list[Block]]
"""Ours, and those of the bare loop."""


def measure_ranks(size: int) -> bool:
    """Measure rank 0 of several processes, with and without batch normalisation."""
    is_met = True
    with tempfile.TemporaryDirectory() as folder:
        root = draw_images(Path(folder), is_gpu=False)
        config = dataclasses.replace(make_config(root, None), processes=size, batch_size=2 * size)
        for norm in ("none", "batch"):
            model = dataclasses.replace(config.model, norm=norm)
            ours, bare = _measure_rank_0(dataclasses.replace(config, model=model), Path(folder, norm), size)
            where = f"{size} processes on {os.cpu_count()} cores, norm: {norm}"
            is_met &= print_ratio(ours, bare, where, RANK_STEPS, is_gpu=False)
    return is_met


def _measure_rank_0(config: TrialConfig, out: Path, size: int) -> Blocks:
    queue: multiprocessing.SimpleQueue[Blocks] = multiprocessing.SimpleQueue()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    contexts = [DistributedContext(rank, size, port=port) for rank in range(size)]
    processes = [multiprocessing.Process(target=_run_rank, args=(config, out, each, queue)) for each in contexts]
    for process in processes:
        process.start()
    blocks = queue.get()
    for process in processes:
        process.join()
    return blocks


def _run_rank(
    config: TrialConfig, out: Path, context: DistributedContext, queue: "multiprocessing.SimpleQueue[Blocks]"
) -> None:
    warnings.simplefilter("ignore", FutureWarning)  # from the all-reduce of BareNorm
    timer = measure(config, out, RANK_STEPS, context)
    if context.rank == 0:
        queue.put((timer.ours, timer.bare))


def print_ratio(ours: Sequence[Block], bare: Sequence[Block], where: str, steps: int, *, is_gpu: bool) -> bool:
    ratios = [own.seconds / other.seconds for own, other in zip(ours, bare, strict=True)]
    ratio, (low, high) = statistics.median(ratios), confidence_interval(ratios)
    step_ms = 1000 * statistics.median(other.seconds for other in bare)
    return print_row(
        f"a training step against a bare PyTorch loop ({where})",
        f"{ratio:.3f} times, 95 % interval {low:.3f} to {high:.3f} ({len(ratios)} paired blocks of {steps} steps "
        f"of {step_ms:.0f} ms)",
        f"{RATIO:.2f} times",
        ratio <= RATIO and (is_gpu or step_ms >= MIN_STEP_MS),
    )


def print_added_cpu(timer: BlockTimer, where: str) -> bool:
    added = [1000 * (own.cpu - bare.cpu) for own, bare in zip(timer.ours, timer.bare, strict=True)]
    low, high = confidence_interval(added)
    step_ms = 1000 * statistics.median(bare.seconds for bare in timer.bare)
    is_met, speed = is_within(statistics.median(added), CPU_MS)
    return print_row(
        f"CPU that a training step takes beyond that of a bare PyTorch loop ({where})",
        f"{statistics.median(added):+.2f} ms, 95 % interval {low:.2f} to {high:.2f} ({len(added)} paired blocks of "
        f"{timer.steps} steps of {step_ms:.0f} ms){speed}",
        f"{CPU_MS} ms",
        is_met,
    )


if __name__ == "__main__":
    sys.exit(not main())
