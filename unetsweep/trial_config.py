"""The fields of a trial's `config.json`, their defaults, and the checks of their values.

Rule 1: standard library only, like contract.py, which re-exports the classes and checks for trainers.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from unetsweep.errors import Problem
from unetsweep.limits import BOUNDS, MAX_KEY, MAX_LEARNING_RATE, bound_problem
from unetsweep.texts import counted

SCHEMA = 1

METRIC = "val_iou"
"""The metric of a config that names none. It is in no digest, so it changes only those of configs with another one."""
BUILT_IN_METRICS = ("val_iou", "val_loss", "val_dice", "val_precision", "val_sensitivity", "val_iou_mean")
"""What the built-in trainer reports of each validated epoch."""
MINIMIZED_METRICS = frozenset({"val_loss"})
"""Those of which less is better."""

ParameterValue = float | int | str | bool | None
"""The value of one parameter of a trial, a field of its config."""


_OWN_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_KEY - 1}}}")


def is_own_name(name: str) -> bool:
    """Return whether a parameter of a trainer command's own may have this name.

    >>> is_own_name("layers.0"), is_own_name("n-jobs"), is_own_name("a b"), is_own_name("")
    (True, True, False, False)
    """
    return _OWN_NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Split:
    """How the training images are split into training and validation."""

    val: float = 0.25
    """Fraction of the training images used for validation; groups are not divided."""
    seed: int = 0
    groups: str = "auto"
    """Image groups, which stay on one side: `auto` (duplicates of the same eye are found from the pixels, both eyes of
    a patient by their names), a CSV file in the root (columns file, group), a regular expression that is searched in
    the file name and whose first group is the image group, or `none` (each image is its own group)."""
    allow_leak: bool = False
    """Train although duplicates are on both sides; every report then says so."""


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which images are used, and how they are read."""

    root: str
    """Folder with train/{image,mask} and test/{image,mask}."""
    split: Split = Split()
    image_size: int | None = None
    """Images and masks are resized to this square, in pixels; None keeps their own size."""
    mask_threshold: str | float = "half"
    """Mask pixels above it are vessel: `half` of the mask's range, or a grey level (0 to 255)."""
    mask_values: tuple[int, ...] = ()
    """Grey levels of vessel, as they are in the files of the masks: `[1, 2]`. All others are not vessel. It takes the
    place of `mask_threshold`, which must be `half` then."""
    allow_odd_masks: bool = False
    """Use masks although they are not those of vessels of their images; each reason is then a warning."""
    also_score_at: tuple[float, ...] = ()
    """Additional mask thresholds, in grey levels, at which scores are reported: `[0]` gives scores that compare with
    those of code that uses `mask > 0`. They do not affect the training."""
    manifest: Mapping[str, Any] | None = None
    """The split by image name, with a digest of each pair of files: `{train: {01: 5f1c…}, val: …, test: …}`. Every
    sweep sets it. It replaces `split`, and files that have changed since are refused."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The U-Net."""

    base: int = 64
    """Channels of the first level; each deeper level has twice as many."""
    depth: int = 4
    """Number of 2x2 poolings."""
    padding: Literal["same", "valid"] = "same"
    norm: Literal["none", "batch"] = "batch"
    dropout: float = 0.0
    """Fraction of the bottleneck's values that a training step drops, as in the paper at the end of the contracting
    path; 0 or more, below 1."""
    in_channels: int = 3
    classes: int = 1
    output_resize: Literal["none", "nearest", "bilinear"] = "none"
    """How the output of `valid` convolutions, which is a few pixels larger than the image, gets the mask's size: `none`
    crops it; the others interpolate it at the centres of the mask's pixels, which gives the same bits."""


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """How the U-Net is trained."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9
    """Of the optimizer `sgd`; 0 or more, below 1. The others do not use it."""
    schedule: Literal["constant", "cosine"] = "constant"
    """`cosine` falls to zero at the last epoch, so it depends on the number of epochs."""
    loss: Literal["bce", "bce_dice"] = "bce"
    augment: Any = "default"
    """`default`, `none`, or a list of albumentations names: `[HorizontalFlip, {Affine: {rotate: [-30, 30]}}]`."""
    val_every: int = 1
    """Validate once every this many epochs, and always after the last one."""
    precision: Literal["32", "32-ieee", "16-mixed", "bf16-mixed"] = "32"
    """`32`: float32, but TF32 in the convolutions of a GPU that has it; `32-ieee`: float32 everywhere; the others: 16
    bits in convolutions. `16-mixed` needs a GPU."""
    comet: Literal["off", "offline", "online"] = "off"
    score_test: bool = True
    """Score the test set, if there is one, with each trial's best checkpoint. With `false` it is not read: select by
    validation, then score the selected checkpoint once with `unetsweep predict`."""
    threads: int = 1
    """CPU threads of each process; results are reproducible only with the same number."""
    workers: int | None = None
    """Data loader processes of each rank; with 0 the rank prepares images itself. None: on a GPU one for each core of
    the rank but the first, at most 8; on the CPU none. The number changes no bit of a training."""
    command: str | None = None
    """A program of the user that replaces the built-in training: `python my_train.py {config} {out}`. It reads
    its parameters in a JSON file and writes result.json into {out}. Every parameter of the space has a placeholder, as
    in `--rate {learning_rate}`."""
    resumes: bool = False
    """Whether the program of `command` continues from its own checkpoints and publishes a result at each milestone.
    Then trials that differ only in epochs may share a run."""


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """Everything a training depends on: `config.json`."""

    data: DataConfig
    epochs: int
    batch_size: int
    """Size of the global batch, which is divided among the processes."""
    learning_rate: float
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()
    seed: int = 0
    processes: int = 1
    """Number of DDP processes, one per GPU."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    metric: str = METRIC
    """The metric of the sweep. The epoch in which it is best becomes the checkpoint."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of a trainer command's own, by their names. They are in the digests if there are any."""
    schema: int = SCHEMA


def config_problems(config: TrialConfig) -> list[Problem]:
    """The problems of a config that no training could use, by field."""
    # every value of a sweep file's axes is checked, so a message is formatted only for a problem
    return [*_bound_problems(config), *_training_problems(config), *_data_problems(config.data)]


def _training_problems(config: TrialConfig) -> Iterator[Problem]:
    model, trainer, rate = config.model, config.trainer, config.learning_rate
    if config.schema != SCHEMA:
        yield Problem(f"found {config.schema!r}; this version reads {SCHEMA}", "schema")
    if not 0 < rate <= MAX_LEARNING_RATE:
        yield Problem(f"found {rate}; a number above 0, at most {MAX_LEARNING_RATE}", "learning_rate")
    if config.processes >= 1 and config.batch_size % config.processes:
        yield Problem(
            f"found {config.batch_size}, which does not divide over {config.processes} processes; "
            f"use a multiple of {config.processes}",
            "batch_size",
        )
    if not 0 <= model.dropout < 1:
        yield Problem(f"found {model.dropout}; 0 or more, below 1", "model.dropout")
    if not 0 <= trainer.momentum < 1:
        yield Problem(f"found {trainer.momentum}; 0 or more, below 1", "trainer.momentum")
    if trainer.command is None and config.metric not in BUILT_IN_METRICS:
        yield Problem(f"found {config.metric!r}; {', '.join(BUILT_IN_METRICS)}"[:200], "metric")
    if trainer.command is None and config.params:
        own = ", ".join(map(str, config.params))
        yield Problem(f"found {own}; only a trainer.command has parameters of its own"[:200], "params")
    if model.in_channels not in (1, 3):
        yield Problem(f"found {model.in_channels}; 1 (grey) or 3 (RGB)", "model.in_channels")
    if model.classes != 1:
        yield Problem(f"found {model.classes}; vessel training has 1 class", "model.classes")


def _data_problems(data: DataConfig) -> Iterator[Problem]:
    if not 0 < data.split.val < 1:
        yield Problem(f"found {data.split.val}; a share between 0 and 1", "data.split.val")
    threshold = data.mask_threshold
    if threshold != "half" and not (isinstance(threshold, float) and 0 <= threshold < 255):
        yield Problem(f"found {threshold!r}; `half` or a grey level from 0 to 254", "data.mask_threshold")
    if not _are_values(data.mask_values) or (threshold != "half" and data.mask_values):
        yield Problem(
            f"found {list(data.mask_values)} and mask_threshold {threshold}; "
            "a list of different grey levels from 0 to 65535, and then no mask_threshold",
            "data.mask_values",
        )
    if len({level for level in data.also_score_at if _is_level(level)}) != len(data.also_score_at):
        yield Problem(
            f"found {list(data.also_score_at)}; a list of different grey levels from 0 to 254", "data.also_score_at"
        )
    if data.manifest is not None and not _is_manifest(data.manifest):
        yield Problem(
            "is not of the form {train: {name: digest, …}, val: …, test: …}; leave it out to split again",
            "data.manifest",
        )
    if empty := _empty_parts(data):
        yield Problem(f"names no image in {' and '.join(empty)}; leave it out to split again", "data.manifest")


_BOUNDED: Sequence[tuple[Callable[[TrialConfig], float | None], str]] = tuple(
    (attrgetter(name), name) for name in BOUNDS if not name.startswith(("study.", "run.", "slurm."))
)
"""How to get each number that has bounds, and its name."""


def _bound_problems(config: TrialConfig) -> Iterator[Problem]:
    """The numbers that are smaller or larger than allowed."""
    for number_of, name in _BOUNDED:
        message = bound_problem(name, number_of(config))
        if message is not None:
            yield Problem(message, name)


def one_value_problem(model: ModelConfig, batch_size: int, images: int, side: int) -> str | None:
    """The problem if a step would give batch normalisation one value per channel, which has no variance; else None.

    `images`: number of training images. `side`: the longer side of the smallest of them after the augmentation, in
    pixels. Valid convolutions always leave more than one value.
    """
    has_single = batch_size == 1 or images % batch_size == 1
    if model.norm == "none" or model.padding == "valid" or side > 2**model.depth or not has_single:
        return None
    return (
        f"found {batch_size}, so with {counted(images, 'training image')} an epoch has a step with only one; "
        f"at depth {model.depth} an image of {side} pixels leaves a single value per channel in the deepest layer, and "
        "batch normalisation needs at least two; "
        "use another batch size, a smaller model.depth, larger images (data.image_size, trainer.augment), or "
        "model.norm: none"
    )


def precision_problem(precision: str, *, gpus: bool) -> str | None:
    """The problem if a training without GPUs cannot compute in this precision; else None."""
    if precision != "16-mixed" or gpus:
        return None
    return (
        "found 16-mixed, and the training has no GPU: PyTorch Lightning would train in bfloat16 instead; "
        "use 32 or bf16-mixed, or train on GPUs (slurm.gpus)"
    )


def _is_level(level: object) -> bool:
    return type(level) in (int, float) and isinstance(level, int | float) and 0 <= level < 255


def _are_values(levels: tuple[object, ...]) -> bool:
    in_range = [level for level in levels if type(level) is int and 0 <= level <= 65535]
    return len(in_range) == len(levels) == len(set(levels))


def _empty_parts(data: DataConfig) -> list[str]:
    """Parts of the manifest that need an image and have none; a set may have no test images."""
    manifest = data.manifest
    if manifest is None or not _is_manifest(manifest):
        return []
    return [part for part in ("train", "val") if not manifest[part]]


def _is_manifest(manifest: Mapping[str, Any]) -> bool:
    parts = [manifest.get(part) for part in ("train", "val", "test")]
    return len(manifest) == 3 and all(
        isinstance(part, Mapping) and all(isinstance(digest, str) for digest in part.values()) for part in parts
    )
