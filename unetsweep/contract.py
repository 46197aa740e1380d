"""The files between the orchestrator and a trainer: what is asked for, and what comes back.

Rule 1: standard library only; both worlds and any script of a user's can read this.
Rule 2: every file carries `"schema": 1`; another number is refused by name.
Rule 3: unknown keys are refused with a hint; every missing field has the default written here.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unetsweep.decode import decode
from unetsweep.errors import ConfigError, Problem, StateError

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Split:
    """How the training images are divided into training and validation."""

    val: float = 0.25
    """Share of the training images (by whole groups) that validates."""
    seed: int = 0
    groups: str = "auto"
    """Which images show one eye or person: `auto` (copies of one eye are found in the pictures, left and right
    eyes by their names), a CSV file in the root (columns file, group), a regular expression whose first group
    is searched in the file name, or `none` (each image by itself)."""
    allow_leak: bool = False
    """Train although copies of one eye are on both sides; every report then says so."""


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which images, and how they are read."""

    root: str
    """Folder with train/{image,mask} and test/{image,mask}."""
    split: Split = Split()
    image_size: int | None = None
    """Images and masks are resized to this square, in pixels; None keeps their own size."""
    mask_threshold: str | float = "half"
    """Vessel is what is above: `half` of the mask's range, or a number of grey levels (0 to 255)."""
    also_score_at: tuple[float, ...] = ()
    """Further mask thresholds, in grey levels, under which the scores are given too: `[0]` compares with numbers
    that were made with `mask > 0`. Nothing is chosen by them."""
    manifest: Mapping[str, Any] | None = None
    """The split by name, with a digest of each pair of files: `{train: {01: 5f1c…}, val: …, test: …}`. A sweep
    pins it; where it is there, it is the split, and files that have changed since are refused."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The U-Net."""

    base: int = 64
    """Channels of the first level; doubled at every level down."""
    depth: int = 4
    """Number of 2x2 poolings."""
    padding: Literal["same", "valid"] = "same"
    norm: Literal["none", "batch"] = "batch"
    dropout: float = 0.0
    """Share of the bottleneck's values that a training step leaves out, as the paper does at the end of its
    contracting path; 0 or more, below 1."""
    in_channels: int = 3
    classes: int = 1
    output_resize: Literal["none", "nearest", "bilinear"] = "none"
    """With `valid` convolutions: `none` mirrors the input so that every pixel gets an output;
    the others resize the smaller output to the mask's size."""


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """How the U-Net is trained."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    """`cosine` falls to zero at the last epoch, so it looks at the total."""
    loss: Literal["bce", "bce_dice"] = "bce"
    augment: Any = "default"
    """`default`, `none`, or a list of albumentations names: `[HorizontalFlip, {Affine: {rotate: [-30, 30]}}]`."""
    val_every: int = 1
    """Validate every this many epochs, and always at the last."""
    precision: Literal["32", "16-mixed", "bf16-mixed"] = "32"
    comet: Literal["off", "offline", "online"] = "off"
    score_test: bool = True
    """Score the test set with each trial's best checkpoint. `false` leaves it unread: choose by validation, then
    score the chosen checkpoint once with `unetsweep predict`."""
    threads: int = 1
    """CPU threads of each process; results are repeatable only for the same number."""
    workers: int = 0
    """Processes of each rank that prepare images; 0 prepares them in the rank itself."""
    command: str | None = None
    """A program of yours instead of ours: `python my_train.py {config} {out}`. It reads config.json
    and writes result.json into {out}."""


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """All that a training depends on: `config.json`."""

    data: DataConfig
    epochs: int
    batch_size: int
    """The global batch: divided over the processes."""
    learning_rate: float
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()
    seed: int = 0
    processes: int = 1
    """DDP processes, one a GPU."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    schema: int = SCHEMA


ResultState = Literal["complete", "pruned", "diverged", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a training left at a horizon: `horizons/<epochs>.json`, and then the trial's `result.json`.

    `val_loss`, `test_iou`, `test_loss` belong to the checkpoint with the best `val_iou` within the
    horizon. IoU is that of the vessel class over the whole set (sum of intersections over sum of
    unions), at threshold 0.5; losses are mean binary cross-entropy a pixel; epochs count from 1.
    """

    state: ResultState = "complete"
    trial: int | None = None
    """None in a horizon file, which may serve several trials."""
    job_id: str | None = None
    epochs: int | None = None
    epochs_run: int | None = None
    best_epoch: int | None = None
    val_iou: float | None = None
    val_loss: float | None = None
    test_iou: float | None = None
    test_loss: float | None = None
    test_per_image: tuple[Mapping[str, Any], ...] = ()
    """One `{image, tp, fp, fn, iou, loss}` a test image."""
    val_per_image: tuple[Mapping[str, Any], ...] = ()
    """The same for the validation images."""
    val_scores: Mapping[str, float] = field(default_factory=dict)
    """`dice, precision, sensitivity` over the data set, `image_iou_mean, image_iou_sd` over its images."""
    test_scores: Mapping[str, float] = field(default_factory=dict)
    also_scored: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Scores under each of `data.also_score_at`, by grey level: `{"0": {val_iou: …, test_iou: …}}`."""
    checkpoint: str | None = None
    """Path of the best checkpoint, relative to the trainer's output folder."""
    seconds: float | None = None
    gpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    host: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, str] = field(default_factory=dict)
    """`cpu` and its vector instructions (`simd`), `gpu`: bits may depend on them."""
    threads: int | None = None
    """CPU threads of each process, as they were."""
    code: Mapping[str, str] = field(default_factory=dict)
    """`package`: digest of the package that trained; `commit` and `diff` (digest of what was not committed)
    where it came from a checkout."""
    weights: str | None = None
    """sha256 over the best checkpoint's weights: the same for the same training, bit for bit."""
    data_manifest: Mapping[str, Any] = field(default_factory=dict)
    """`{train, val, test}` file names and a `sha256` over what was read."""
    micro_batch: int | None = None
    message: str | None = None
    """Why, where the state is not `complete`."""
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Progress:
    """One epoch of a training: a line of `progress-<claim>.jsonl`."""

    epoch: int
    train_loss: float
    val_iou: float | None
    """None where this epoch was not validated."""
    val_loss: float | None
    learning_rate: float
    seconds: float
    """Wall time of the epoch."""
    at: str
    """UTC, ISO 8601."""
    schema: int = SCHEMA


def config_from(raw: object, source: str = "config.json") -> TrialConfig:
    """The config of a parsed JSON file; raises ConfigError with all its problems."""
    problems: list[Problem] = []
    config = decode(TrialConfig, raw, problems)
    if config is not None:
        problems += config_problems(config)
    if problems or config is None:
        raise ConfigError(source, problems)
    return config


def config_problems(config: TrialConfig) -> list[Problem]:
    """What no training could use, field by field."""
    model, trainer, data = config.model, config.trainer, config.data
    checks = [
        (config.schema == SCHEMA, "schema", f"found {config.schema!r}; this version reads {SCHEMA}"),
        (config.epochs >= 1, "epochs", f"found {config.epochs}; at least 1"),
        (config.batch_size >= 1, "batch_size", f"found {config.batch_size}; at least 1"),
        (
            math.isfinite(config.learning_rate) and config.learning_rate > 0,
            "learning_rate",
            f"found {config.learning_rate}; a number above 0",
        ),
        (config.processes >= 1, "processes", f"found {config.processes}; at least 1"),
        (
            config.processes < 1 or config.batch_size % config.processes == 0,
            "batch_size",
            f"found {config.batch_size}, which does not divide over {config.processes} processes; "
            f"use a multiple of {config.processes}",
        ),
        (0 < data.split.val < 1, "data.split.val", f"found {data.split.val}; a share between 0 and 1"),
        (
            data.image_size is None or data.image_size >= 16,
            "data.image_size",
            f"found {data.image_size}; at least 16 pixels, or null for the images' own size",
        ),
        (
            data.mask_threshold == "half"
            or (isinstance(data.mask_threshold, float) and 0 <= data.mask_threshold < 255),
            "data.mask_threshold",
            f"found {data.mask_threshold!r}; `half` or a grey level from 0 to 254",
        ),
        (
            len({level for level in data.also_score_at if _is_level(level)}) == len(data.also_score_at),
            "data.also_score_at",
            f"found {list(data.also_score_at)}; a list of different grey levels from 0 to 254",
        ),
        (
            data.manifest is None or _is_manifest(data.manifest),
            "data.manifest",
            "found something else than {train: {name: digest, …}, val: …, test: …}; leave it out to split anew",
        ),
        (0 <= model.dropout < 1, "model.dropout", f"found {model.dropout}; 0 or more, below 1"),
        (model.base >= 1, "model.base", f"found {model.base}; at least 1"),
        (1 <= model.depth <= 7, "model.depth", f"found {model.depth}; 1 to 7"),
        (model.in_channels in (1, 3), "model.in_channels", f"found {model.in_channels}; 1 (grey) or 3 (RGB)"),
        (model.classes == 1, "model.classes", f"found {model.classes}; vessel training has 1 class"),
        (trainer.val_every >= 1, "trainer.val_every", f"found {trainer.val_every}; at least 1"),
        (trainer.threads >= 1, "trainer.threads", f"found {trainer.threads}; at least 1"),
        (trainer.workers >= 0, "trainer.workers", f"found {trainer.workers}; 0 or more"),
        (trainer.weight_decay >= 0, "trainer.weight_decay", f"found {trainer.weight_decay}; 0 or more"),
    ]
    return [Problem(message, name) for fine, name, message in checks if not fine]


def _is_level(level: object) -> bool:
    return type(level) in (int, float) and isinstance(level, int | float) and 0 <= level < 255


def _is_manifest(manifest: Mapping[str, Any]) -> bool:
    parts = [manifest.get(part) for part in ("train", "val", "test")]
    return len(manifest) == 3 and all(
        isinstance(part, Mapping) and all(isinstance(digest, str) for digest in part.values()) for part in parts
    )


def result_from(raw: object, source: str) -> Result:
    """The result of a parsed JSON file; raises StateError naming the file and what is wrong in it.

    Only `state` (default `complete`) and, for a complete one, a finite `val_iou` must be there, so
    that a script of three lines can write it.
    """
    problems: list[Problem] = []
    result = decode(Result, raw, problems)
    if result is not None:
        if result.schema != SCHEMA:
            problems.append(Problem(f"found {result.schema!r}; this version reads {SCHEMA}", "schema"))
        if result.state == "complete" and (result.val_iou is None or not math.isfinite(result.val_iou)):
            problems.append(Problem(f"found {result.val_iou!r}; a complete result needs a number", "val_iou"))
    if problems or result is None:
        raise StateError("\n".join(p.text(source) for p in problems))
    return result


def encode(value: Any) -> Any:
    """A dataclass of this file as what `json.dump` takes, every default written out."""
    return dataclasses.asdict(value)


def dumps(value: Any) -> str:
    """Text of a small file: sorted, readable, one newline at its end; NaN is refused."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def config_id(config: TrialConfig) -> str:
    """The same for two configs exactly when they ask for the same training."""
    return _digest(_told_apart(config))


def run_key(config: TrialConfig) -> str:
    """The same for two configs that one training could serve, up to the larger `epochs`."""
    return _digest({k: v for k, v in _told_apart(config).items() if k != "epochs"})


_LATER = (
    ("data", "also_score_at", ()),
    ("data", "manifest", None),
    ("trainer", "score_test", True),
    ("model", "dropout", 0.0),
)
"""Fields that came after the first version: left at their default they make no other digest of an older config."""


def _told_apart(config: TrialConfig) -> dict[str, Any]:
    fields: dict[str, Any] = encode(config)
    for section, name, default in _LATER:
        if fields[section][name] == default:
            del fields[section][name]
    if not fields["data"]["split"]["allow_leak"]:
        del fields["data"]["split"]["allow_leak"]
    return fields


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
