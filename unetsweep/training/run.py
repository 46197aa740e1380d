"""The door of the torch room: train one config up to its milestones.

Rule 1: what a training becomes is a function of its config; when and how often it was killed is not in it.
Rule 2: the ranks are started by somebody else and handed their place; Lightning launches nothing, asks
        SLURM nothing, requeues nothing and handles no signal.
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
from typing import Any

import pytorch_lightning as pl
import torch

from unetsweep import package
from unetsweep.contract import TrialConfig, config_problems, one_value_problem, run_key
from unetsweep.errors import ConfigError, Problem, SupersededError, TrainingError
from unetsweep.training import comet, data
from unetsweep.training.callbacks import EpochEnds, StepSeed, epochs_done
from unetsweep.training.checkpoints import LAST, ArtifactWriter, OwnersIO, TrainingState, read_training_state
from unetsweep.training.data import TrialImages
from unetsweep.training.decisions import Ending, endless
from unetsweep.training.milestones import Scorer, is_published
from unetsweep.training.module import Segmentation
from unetsweep.training.ranks import SINGLE_PROCESS, DistributedContext, Ranks, leave, strategy
from unetsweep.training.unet import valid_input


def train(
    config: TrialConfig,
    out: Path,
    *,
    milestones: Sequence[int] = (),
    context: DistributedContext = SINGLE_PROCESS,
    claim: str = "1-0",
    job_id: str | None = None,
    owns: Callable[[], bool] = lambda: True,
    ending: Ending = endless,
    micro_batch: int | None = None,
    name: str = "",
) -> None:
    """Train `config` to the largest of `milestones` (default: its epochs) and leave each one's result in `out`.

    Every rank of `context` calls it with the same arguments. A finished run is left alone, a half-finished
    one resumes from its last checkpoint, and one finished at a smaller milestone goes on; all three end
    with the same bits as one uninterrupted training (on a CPU, with the same threads and processes).
    `ending` is asked on rank 0 at each epoch's end; its word makes every rank save, leave
    `requeue_reason-<claim>.json` and return before the last milestone. `stop.json` ends milestones as pruned.
    With `micro_batch` each process takes its share of a batch in parts of at most so many images: the same
    step but for the order of its sums. `name` is what people call the run.

    Raises ConfigError or DataError where config and images do not fit, TrainingError where the training
    cannot start or go on, and where `owns` (asked on rank 0 before every rename and at each epoch's end)
    says that another attempt owns the run now.
    """
    started, code = time.monotonic(), package.code()  # now: the sources may be edited while it runs
    out = out.absolute()
    wanted = sorted(set(milestones or (config.epochs,)))
    _check(config, wanted, context)
    if all(is_published(out, epochs) for epochs in wanted):
        return
    device = device_of(config, context)
    _set_threads(config.trainer.threads)
    if device.type == "cpu":
        _keep_memory()
    images = data.read(config)
    _check_sizes(config, images)
    training_state = _training_state(config, out, wanted, images, name)
    artifacts = ArtifactWriter(out, claim, owns)
    place = (context.rank, context.size)
    share = context.gpu_share
    scorer = Scorer(
        config, images, artifacts, *place, job_id=job_id, code=code, micro_batch=micro_batch, gpu_share=share
    )
    ends = EpochEnds(config, scorer, artifacts, training_state, wanted, started, ending)
    try:
        _fit(ends, context, device)
    except SupersededError:  # rank 0 has told all of them
        leave(context)
        raise
    leave(context)
    if ends.requeue_reason:
        return
    missing = [epochs for epochs in wanted if context.rank == 0 and not is_published(out, epochs)]
    if missing:
        raise TrainingError(f"{name or out}: training ended without a result for epochs {missing}; see the log above")
    if context.rank == 0:
        comet.mirror(config, out, name or out.name)


def device_of(config: TrialConfig, context: DistributedContext = SINGLE_PROCESS) -> torch.device:
    """The device of this rank. Raises TrainingError where a GPU was asked for and torch sees none."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if config.accelerator == "cpu" or (config.accelerator == "auto" and not count):
        return torch.device("cpu")
    if not count:
        built = "" if torch.version.cuda else f" (torch {torch.__version__} was built without CUDA)"
        where = f"rank {context.rank} of {context.size} on {socket.gethostname()}"
        raise TrainingError(
            f"{where}: a GPU was asked for and torch sees none{built}; "
            "ask the scheduler for GPUs (slurm.gpus), or set accelerator: cpu"
        )
    place = context.rank if context.local_rank is None else context.local_rank
    return torch.device("cuda", place % count)


def _set_threads(count: int) -> None:
    """Bits depend on the number of threads, so it is the config's, whatever the machine has."""
    # Without this variable Lightning gives every DDP rank all cores (2.6.6), and each result another sum.
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)


def _keep_memory() -> None:
    """Keep freed memory for the next step: glibc gives blocks above 32 MB back, and getting a page again costs
    as much as computing on it (a step at 512x512 takes twice as long)."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


_NOTHING = contextlib.nullcontext()
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Parameters of mallopt(3), as malloc.h numbers them."""


def _check(config: TrialConfig, wanted: list[int], context: DistributedContext) -> None:
    problems = config_problems(config)
    if context.size != config.processes:
        problems.append(Problem(f"found {config.processes}, and {context.size} were started", "processes"))
    if config.trainer.schedule == "cosine" and wanted != [config.epochs]:
        found = f"cosine ends at epoch {config.epochs}; milestones {wanted} cannot share its training"
        problems.append(Problem(found, "trainer.schedule"))
    if problems:
        raise ConfigError("config.json", problems)


def _check_sizes(config: TrialConfig, images: TrialImages) -> None:
    """Valid convolutions without mirroring must leave something of every image, and batch normalisation two values."""
    train = images.train.images
    lonely = one_value_problem(config.model, config.batch_size, len(train), min(max(i.shape[:2]) for i in train))
    if lonely:
        raise ConfigError("config.json", [Problem(lonely, "batch_size")])
    if config.model.padding == "same" or config.model.output_resize == "none":
        return
    every = (*images.train.images, *images.val.images, *images.test.images)
    least, side = valid_input(1, config.model.depth), min(min(image.shape[:2]) for image in every)
    if side < least:
        found = f"found {config.model.output_resize}: valid convolutions at depth {config.model.depth} need {least} "
        found += f"pixels a side, and an image has {side}; use none (mirrored input) or padding: same"
        raise ConfigError("config.json", [Problem(found, "model.output_resize")])


def _training_state(config: TrialConfig, out: Path, wanted: list[int], images: TrialImages, name: str) -> TrainingState:
    """How far the run is. Raises TrainingError where what lies in `out` is another training."""
    # A schedule that looks at the total makes every total another training.
    total = f":{config.epochs}" if config.trainer.schedule == "cosine" else ""
    key = run_key(config) + total
    fresh = TrainingState(key, str(images.manifest.get("sha256", "")))
    sweep = name.rpartition("/")[0]
    found = read_training_state(out, *([f"run `unetsweep repair {sweep}`"] if sweep else []))
    if found is None:
        return fresh
    if found.key != key:
        raise TrainingError(f"{out / LAST} is of another config; give this one a folder of its own, or remove that one")
    if found.images != fresh.images:
        raise TrainingError(f"{out / LAST} was trained on other images than {config.data.root} holds now; train anew")
    passed = [e for e in wanted if e <= found.epoch and e not in found.reached and not is_published(out, e)]
    if passed:
        raise TrainingError(
            f"{out} is at epoch {found.epoch}: the best weights within {passed} epochs are gone; train these anew"
        )
    return found


def _step_arguments(_: Any, batch: Any, batch_idx: int) -> dict[str, Any]:
    return {"batch": batch, "batch_idx": batch_idx}


def _fit(ends: EpochEnds, context: DistributedContext, device: torch.device) -> None:
    config, artifacts, images = ends.config, ends.artifacts, ends.scorer.images.train
    for loud in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(loud).setLevel(logging.WARNING)
    pl.seed_everything(config.seed, verbose=False)
    module = Segmentation(config, len(images.images))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|lightning|torch\.distributed)\b")
        trainer = _trainer(ends, context, device)
        epoch = partial(epochs_done, trainer)
        gpu = device.type == "cuda"
        micro = ends.scorer.micro_batch
        batches = data.loader(
            config, images, rank=context.rank, size=context.size, epoch=epoch, pin=gpu, micro_batch=micro
        )
        trainer.fit(module, batches, ckpt_path=artifacts.out / LAST if ends.training_state.epoch else None)


def _trainer(ends: EpochEnds, context: DistributedContext, device: torch.device) -> pl.Trainer:
    """Lightning with everything off that costs time, guesses, or writes by itself."""
    config, gpu = ends.config, device.type == "cuda"
    trainer = pl.Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=[device.index] if gpu else 1,
        num_nodes=context.size,
        strategy=strategy(context, gpu),
        plugins=[Ranks(context), OwnersIO(ends.artifacts)],
        precision="32-true" if config.trainer.precision == "32" else config.trainer.precision,
        max_epochs=ends.wanted[-1],
        accumulate_grad_batches=data.parts_of_step(config, ends.scorer.micro_batch),
        callbacks=[StepSeed(config.seed), ends],
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
    # It costs time, and no operator of ours reads memory that it did not write.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
    # At each step it enters 30 contexts of a profiler that does nothing, and looks up what arguments our step takes.
    setattr(trainer.profiler, "profile", lambda action_name: _NOTHING)  # type: ignore[attr-defined]  # noqa: B010
    setattr(trainer.fit_loop.epoch_loop, "_build_kwargs", _step_arguments)  # noqa: B010
    # Its SIGTERM handler broadcasts within the handler, tells every rank once a batch, and ends with status 0.
    setattr(trainer._signal_connector, "register_signal_handlers", lambda: None)  # noqa: B010
    setattr(trainer.fit_loop.epoch_loop, "_broadcast_sigterm_tensor", lambda: None)  # noqa: B010
    return trainer
