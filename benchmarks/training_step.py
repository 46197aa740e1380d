"""How long a training step takes, against a bare PyTorch loop with the same model, images, augmentation and optimizer.

`python -m benchmarks.training_step [--gpu [PRECISION] | --ranks N]`: on one CPU thread, on a GPU with `32`, `16-mixed`
or `bf16-mixed`, or by N processes on CPUs, where the bare loop is PyTorch's DDP. Our training is the
product's own; every few steps it stands still while the bare loop makes as many, so the two take turns within one
process. The paired ratios' median counts; its interval is that of the order statistics (Conover, Practical
Nonparametric Statistics, 3.2). The CPU that we add is measured on short steps, for it does not depend on their length,
and what differs by chance between long steps is more than it.
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

from benchmarks.timing import line
from unetsweep.contract import DataConfig, ModelConfig, Split, TrainerConfig, TrialConfig
from unetsweep.datasets.sample import draw_sample
from unetsweep.errors import TrainingError
from unetsweep.training import data, run
from unetsweep.training.batch_norm import BatchNorm
from unetsweep.training.module import sample_losses
from unetsweep.training.ranks import SINGLE_PROCESS, DistributedContext
from unetsweep.training.unet import UNet

BLOCKS = 20
STEPS, SHORT_STEPS, RANK_STEPS = 4, 24, 3
"""Of a block: of long steps for the ratio, of short ones for the milliseconds, which long ones would hide, and of those
of several ranks (an epoch must have twice as many)."""
RATIO = 1.10
CPU_MS = 1.5
LEAST_MS = 50.0
"""Shorter steps would measure the loop, not the training."""
PRECISIONS = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Block:
    """So many steps of one of the two."""

    seconds: float
    """A step, by the clock …"""
    cpu: float
    """… and of the process's CPUs."""


class BareNorm(BatchNorm):
    """Batch normalisation over all ranks as anybody would write it: PyTorch's own is for GPUs."""

    def forward(self, x: torch.Tensor, count: torch.Tensor | None = None) -> torch.Tensor:
        values = x.numel() // x.shape[1] * torch.distributed.get_world_size()
        sums = torch.stack([x.sum((0, 2, 3)), (x * x).sum((0, 2, 3))])
        mean, squares = all_reduce(sums) / values
        variance = squares - mean**2
        scale = self.weight / torch.sqrt(variance + self.eps)
        return x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


class Bare:
    """The loop that anybody would write."""

    def __init__(self, config: TrialConfig, device: torch.device, context: DistributedContext) -> None:
        self.config, self.device = config, device
        images, pin = data.read(config).train, device.type == "cuda"
        self.loader = data.loader(config, images, rank=context.rank, size=context.size, epoch=lambda: 0, pin=pin)
        self.unet: torch.nn.Module = UNet(config.model).to(device)
        for layer in self.unet.modules():
            if isinstance(layer, BatchNorm):
                layer.__class__ = BareNorm if context.size > 1 else torch.nn.BatchNorm2d
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
class Turns(pl.Callback):
    """Measures our blocks, and lets the bare loop have its turn after each."""

    config: TrialConfig
    context: DistributedContext
    steps: int
    """Of a block."""
    ours: list[Block] = field(default_factory=list)
    theirs: list[Block] = field(default_factory=list)
    began: tuple[float, float] | None = None
    bare: Bare = field(init=False)

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        self.bare = Bare(self.config, trainer.strategy.root_device, self.context)

    def on_train_epoch_start(self, *_: Any) -> None:
        self.began = None

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % self.steps:
            return
        if self.began is not None:
            self.ours.append(self._block(self.began))
            self.theirs.append(self._other())
        self.began = self._now()
        if len(self.ours) > BLOCKS:  # one more than counts
            trainer.should_stop = True

    def _other(self) -> Block:
        began = self._now()
        for _ in range(self.steps):
            self.bare.step()
        return self._block(began)

    def _block(self, began: tuple[float, float]) -> Block:
        at, cpu = self._now()
        return Block((at - began[0]) / self.steps, (cpu - began[1]) / self.steps)

    def _now(self) -> tuple[float, float]:
        if self.bare.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


def measured(config: TrialConfig, out: Path, steps: int, context: DistributedContext = SINGLE_PROCESS) -> Turns:
    """Train with turns; the first block of each does not count."""
    turns, trainer_of = [], run._trainer

    def with_turns(ends: Any, context: DistributedContext, device: torch.device) -> pl.Trainer:
        trainer = trainer_of(ends, context, device)
        turns.append(Turns(config, context, steps))
        trainer.callbacks.append(turns[0])  # type: ignore[attr-defined]
        return trainer

    run._trainer = with_turns
    out.mkdir(exist_ok=True)
    try:
        with suppress(TrainingError), redirect_stdout(io.StringIO()):  # it is stopped before its last epoch
            run.train(config, out, context=context)
    finally:
        run._trainer = trainer_of
    turns[0].ours, turns[0].theirs = turns[0].ours[1 : BLOCKS + 1], turns[0].theirs[1 : BLOCKS + 1]
    return turns[0]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Of the median, at 95 %: the 6th and the 15th of 20 in order."""
    ordered, off = sorted(values), round(len(values) / 2 - 0.98 * len(values) ** 0.5)
    return ordered[off - 1 if off else 0], ordered[len(values) - max(off, 1)]


def config_for(root: Path, precision: str | None) -> TrialConfig:
    """On the CPU a small network, on a GPU the docs' one."""
    gpu = precision is not None
    trainer = TrainerConfig(val_every=10_000, score_test=False, comet="off", precision=precision or "32")  # type: ignore[arg-type]
    return TrialConfig(
        data=DataConfig(str(root), Split(val=0.1, groups="groups.csv"), image_size=512 if gpu else 128),
        epochs=10_000,
        batch_size=4,
        learning_rate=1e-3,
        model=ModelConfig(base=64, depth=4, padding="same") if gpu else ModelConfig(base=8, depth=3, padding="same"),
        trainer=trainer,
        accelerator="gpu" if gpu else "cpu",
    )


def main() -> bool:
    words = sys.argv[1:]
    if words[:1] == ["--ranks"]:
        return of_ranks(int(words[1]))
    precision = (words[1] if len(words) > 1 else "32") if words[:1] == ["--gpu"] else None
    where = f"GPU, {precision}" if precision else "one CPU thread"
    with tempfile.TemporaryDirectory() as folder:
        config = config_for(drawn(Path(folder), precision is not None), precision)
        turns = measured(config, Path(folder, "long"), STEPS)
        short = measured(shorter(config), Path(folder, "short"), SHORT_STEPS)
    return ratio_line(turns.ours, turns.theirs, where, precision is not None) & cpu_line(short, where)


def of_ranks(size: int) -> bool:
    """Rank 0's steps, with and without batch normalisation."""
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(config_for(drawn(Path(folder), False), None), processes=size, batch_size=2 * size)
        for norm in ("none", "batch"):
            model = dataclasses.replace(config.model, norm=norm)
            of_norm, found = dataclasses.replace(config, model=model), multiprocessing.SimpleQueue()
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            others = [
                multiprocessing.Process(
                    target=_rank, args=(of_norm, Path(folder, norm), DistributedContext(rank, size, port=port), found)
                )
                for rank in range(size)
            ]
            for other in others:
                other.start()
            ours, theirs = found.get()
            for other in others:
                other.join()
            kept &= ratio_line(
                ours, theirs, f"{size} processes on {os.cpu_count()} cores, norm: {norm}", False, RANK_STEPS
            )
    return kept


def _rank(config: TrialConfig, out: Path, context: DistributedContext, found: Any) -> None:
    warnings.simplefilter("ignore", FutureWarning)  # for the all-reduce of BareNorm
    turns = measured(config, out, RANK_STEPS, context)
    if context.rank == 0:
        found.put((turns.ours, turns.theirs))


def drawn(folder: Path, large: bool) -> Path:
    root = folder / "sample"
    draw_sample(root, 512 if large else 128, eyes=16, test_eyes=1)
    return root


def shorter(config: TrialConfig) -> TrialConfig:
    """A small network on small images: what is ours of a step does not depend on either."""
    data = dataclasses.replace(config.data, image_size=32)
    return dataclasses.replace(config, data=data, batch_size=1, model=ModelConfig(base=4, depth=2, padding="same"))


def ratio_line(ours: Sequence[Block], bare: Sequence[Block], where: str, gpu: bool, steps: int = STEPS) -> bool:
    ratios = [mine.seconds / other.seconds for mine, other in zip(ours, bare, strict=True)]
    ratio, (low, high) = statistics.median(ratios), interval(ratios)
    step = 1000 * statistics.median(other.seconds for other in bare)
    return line(
        f"a training step against a bare PyTorch loop ({where})",
        f"{ratio:.3f} times, 95 % interval {low:.3f} to {high:.3f} ({len(ratios)} paired blocks of {steps} steps "
        f"of {step:.0f} ms)",
        f"{RATIO:.2f} times",
        ratio <= RATIO and (gpu or step >= LEAST_MS),
    )


def cpu_line(turns: Turns, where: str) -> bool:
    added = [1000 * (ours.cpu - bare.cpu) for ours, bare in zip(turns.ours, turns.theirs, strict=True)]
    low, high = interval(added)
    step = 1000 * statistics.median(bare.seconds for bare in turns.theirs)
    return line(
        f"CPU that a training step takes beyond that of a bare PyTorch loop ({where})",
        f"{statistics.median(added):+.2f} ms, 95 % interval {low:.2f} to {high:.2f} ({len(added)} paired blocks of "
        f"{turns.steps} steps of {step:.0f} ms)",
        f"{CPU_MS} ms",
        statistics.median(added) <= CPU_MS,
    )


if __name__ == "__main__":
    sys.exit(not main())
