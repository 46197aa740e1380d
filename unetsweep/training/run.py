"""Trains one config up to its milestones: the entry point of this package.

Rule 1: the result of a training is a function of its config, however often it was killed and resumed.
Rule 2: the caller starts the ranks and passes each its `DistributedContext`; Lightning launches nothing, reads no
        SLURM variable, requeues nothing and handles no signal.
"""

import contextlib
import ctypes
import logging
import os
import socket
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch

from unetsweep import package
from unetsweep.contract import TrialConfig, config_problems, one_value_problem, precision_problem, run_key
from unetsweep.errors import ConfigError, GpuError, Problem, SupersededError, TrainingError
from unetsweep.training import data, precision
from unetsweep.training.augmented_sizes import least_side
from unetsweep.training.callbacks import EpochEnds, StepSeed
from unetsweep.training.checkpoints import LAST, ArtifactWriter, OwnedCheckpointIO, TrainingState, read_training_state
from unetsweep.training.data import TrialImages
from unetsweep.training.decisions import StopCheck, never_stop
from unetsweep.training.first_error import FirstError, Record
from unetsweep.training.lightning_compat import (
    epochs_done,
    keep_signal_handlers,
    skip_memory_fill,
    skip_sigterm_broadcast,
)
from unetsweep.training.milestones import Scorer, is_published
from unetsweep.training.module import Segmentation
from unetsweep.training.ranks import SINGLE_PROCESS, DistributedContext, Ranks, leave, strategy
from unetsweep.training.trackers.mirror import mirror


def train(
    config: TrialConfig,
    out: Path,
    *,
    milestones: Sequence[int] = (),
    context: DistributedContext = SINGLE_PROCESS,
    claim: str = "1-0",
    job_id: str | None = None,
    owns: Callable[[], bool] = lambda: True,
    stop_check: StopCheck = never_stop,
    micro_batch: int | None = None,
    record_error: Record = lambda _: None,
    name: str = "",
) -> None:
    """Train `config` to the largest of `milestones` (default: its epochs) and write each one's result into `out`.

    Every rank of `context` calls it with the same arguments. A finished run is not touched, an unfinished
    one resumes from its last checkpoint, and one finished at a smaller milestone continues; all three end
    with the same bits as one uninterrupted training (on a CPU, with the same threads and processes).

    `stop_check` is called on rank 0 at the end of each epoch. When it returns a reason, every rank saves and
    returns before the last milestone, and rank 0 writes `requeue-<claim>.json`. `prune.json` prunes milestones.
    With `micro_batch` each process takes its share of a batch in parts of at most that many images: the same
    step except for the order of its sums. `record_error` gets the error of a training before the training is taken
    down. `name` identifies the run in messages.

    Raises ConfigError or DataError if config and images do not fit together, and TrainingError if the
    training cannot start or continue, or if `owns` (called on rank 0 before every rename and at the end of each
    epoch) returns False because another attempt owns the run.
    """
    started, code = time.monotonic(), package.code()  # read at the start, since the sources may be edited meanwhile
    out = out.absolute()
    wanted = sorted(set(milestones or (config.epochs,)))
    _check(config, wanted, context)
    if all(is_published(out, epochs) for epochs in wanted):
        return
    device = device_of(config, context)
    if problem := precision_problem(config.trainer.precision, gpus=device.type == "cuda"):
        raise ConfigError("config.json", [Problem(problem, "trainer.precision")])
    precision.set_tf32(config.trainer.precision)
    _set_threads(config.trainer.threads)
    if device.type == "cpu":
        _keep_freed_memory()
    images = data.read(config)
    _check_sizes(config, images)
    training_state = _training_state(config, out, wanted, images, name)
    artifacts = ArtifactWriter(out, claim, owns)
    scorer = Scorer(
        config,
        images,
        artifacts,
        context.rank,
        context.size,
        job_id=job_id,
        code=code,
        micro_batch=micro_batch,
        gpu_share=context.gpu_share,
    )
    ends = EpochEnds(config, scorer, artifacts, training_state, wanted, started, stop_check)
    try:
        _fit(ends, context, device, FirstError(record_error, context.size))
    except SupersededError:  # raised on every rank
        leave(context)
        raise
    leave(context)
    if ends.requeue_reason:
        return
    missing = [epochs for epochs in wanted if context.rank == 0 and not is_published(out, epochs)]
    if missing:
        raise TrainingError(f"{name or out}: training ended without a result for epochs {missing}; see the log above")
    if context.rank == 0:
        mirror(config, out, name or out.name)


def device_of(config: TrialConfig, context: DistributedContext = SINGLE_PROCESS) -> torch.device:
    """The device of this rank. If a GPU is asked for and torch sees none: GpuError, or TrainingError if this build of
    torch can see none anywhere."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.accelerator == "cpu" or (config.accelerator == "auto" and not count):
        return torch.device("cpu")
    if not count:
        built = "" if torch.version.cuda else f" (torch {torch.__version__} was built without CUDA)"
        where = f"rank {context.rank} of {context.size} on {socket.gethostname()}"
        raise (GpuError if torch.version.cuda else TrainingError)(
            f"{where}: the config asks for a GPU and torch sees none{built}; "
            "ask the scheduler for GPUs (slurm.gpus), or set accelerator: cpu"
        )
    index = context.rank if context.local_rank is None else context.local_rank
    return torch.device("cuda", index % count)


def _set_threads(count: int) -> None:
    """Use as many CPU threads as the config says, since bits depend on their number."""
    # Without this variable Lightning 2.6.6 gives every DDP rank all cores, which changes the order of sums.
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)


def _keep_freed_memory() -> None:
    """Keep freed memory for the next step instead of returning it to the kernel.

    glibc returns blocks above 32 MB, and faulting a page in again costs as much as computing on it: a step at 512x512
    takes twice as long.
    """
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Numbers of two parameters of mallopt(3), from malloc.h."""


def _check(config: TrialConfig, wanted: list[int], context: DistributedContext) -> None:
    problems = config_problems(config)
    if context.size != config.processes:
        problems.append(Problem(f"found {config.processes}, but {context.size} were started", "processes"))
    if config.trainer.schedule == "cosine" and wanted != [config.epochs]:
        found = f"cosine ends at epoch {config.epochs}; milestones {wanted} cannot share its training"
        problems.append(Problem(found, "trainer.schedule"))
    if problems:
        raise ConfigError("config.json", problems)


def _check_sizes(config: TrialConfig, images: TrialImages) -> None:
    """Refuse images that leave batch normalisation a single value."""
    sizes = [(image.shape[1], image.shape[0]) for image in images.train.images]
    side = least_side(config.trainer.augment, sorted(set(sizes)), config.model.in_channels)
    problem = one_value_problem(config.model, config.batch_size, len(sizes), side)
    if problem:
        raise ConfigError("config.json", [Problem(problem, "batch_size")])


def _training_state(config: TrialConfig, out: Path, wanted: list[int], images: TrialImages, name: str) -> TrainingState:
    """The state of the run in `out`. Raises TrainingError if `out` holds another training."""
    # The cosine schedule depends on the total, so every total is another training.
    total = f":{config.epochs}" if config.trainer.schedule == "cosine" else ""
    key = run_key(config) + total
    fresh = TrainingState(key, str(images.manifest.get("sha256", "")))
    sweep = name.rpartition("/")[0]
    retry = f"move it away, then run `unetsweep retry {sweep} --failed` to train from the first epoch"
    found = read_training_state(out, *([retry] if sweep else []))
    if found is None:
        return fresh
    if found.key != key:
        raise TrainingError(f"{out / LAST} is of another config; use another folder for this one, or remove that file")
    if found.images != fresh.images:
        raise TrainingError(
            f"{out / LAST} was trained on other images than those in {config.data.root} now; "
            "restore the images, or use another folder for this training"
        )
    passed = [e for e in wanted if e <= found.epoch and e not in found.reached and not is_published(out, e)]
    if passed:
        raise TrainingError(
            f"{out} is at epoch {found.epoch}: the best weights within {passed} epochs are gone; "
            "train those milestones in a new folder"
        )
    return found


def _fit(ends: EpochEnds, context: DistributedContext, device: torch.device, first_error: FirstError) -> None:
    config, artifacts, images = ends.config, ends.artifacts, ends.scorer.images.train
    for logger in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    pl.seed_everything(config.seed, verbose=False)
    module = Segmentation(config, len(images.images))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|lightning|torch\.distributed)\b")
        trainer = _trainer(ends, context, device, first_error)
        epoch = partial(epochs_done, trainer)
        gpu = device.type == "cuda"
        micro = ends.scorer.micro_batch
        batches = data.loader(
            config, images, rank=context.rank, size=context.size, epoch=epoch, gpu=gpu, micro_batch=micro
        )
        trainer.fit(module, batches, ckpt_path=artifacts.out / LAST if ends.training_state.epoch else None)


def _trainer(ends: EpochEnds, context: DistributedContext, device: torch.device, first_error: FirstError) -> pl.Trainer:
    """A trainer with everything off that costs time, guesses, or writes files."""
    config, gpu = ends.config, device.type == "cuda"
    trainer = pl.Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=[device.index] if gpu else 1,
        num_nodes=context.size,
        strategy=strategy(context, gpu),
        plugins=[Ranks(context), OwnedCheckpointIO(ends.artifacts)],
        precision=precision.of_lightning(config.trainer.precision),
        max_epochs=ends.wanted[-1],
        accumulate_grad_batches=data.parts_of_step(config, ends.scorer.micro_batch),
        callbacks=[first_error, StepSeed(config.seed), ends],
        deterministic=True,
        benchmark=False,
        use_distributed_sampler=False,
        default_root_dir=ends.artifacts.out,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    skip_memory_fill()
    keep_signal_handlers(trainer)
    skip_sigterm_broadcast(trainer)
    return trainer
