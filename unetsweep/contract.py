"""The files between the orchestrator and a trainer: what is asked for, and what comes back.

Rule 1: standard library only; both worlds and any script of a user's can read this.
Rule 2: every file carries `"schema": 1`; another number is refused by name.
Rule 3: unknown keys are refused with a hint; every missing field has the default written in its class
        (those of a config are in trial_config.py, and handed on here).
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
from unetsweep.trial_config import SCHEMA as SCHEMA
from unetsweep.trial_config import DataConfig as DataConfig
from unetsweep.trial_config import ModelConfig as ModelConfig
from unetsweep.trial_config import Split as Split
from unetsweep.trial_config import TrainerConfig as TrainerConfig
from unetsweep.trial_config import TrialConfig as TrialConfig
from unetsweep.trial_config import config_problems as config_problems
from unetsweep.trial_config import one_value_problem as one_value_problem

ResultState = Literal["complete", "pruned", "diverged", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a training left at a milestone: `milestones/<epochs>.json`, and then the trial's `result.json`.

    `val_loss`, `test_iou`, `test_loss` belong to the checkpoint with the best `val_iou` within the
    milestone. IoU is that of the vessel class over the whole set (sum of intersections over sum of
    unions), at threshold 0.5; losses are mean binary cross-entropy a pixel; epochs count from 1.
    """

    state: ResultState = "complete"
    trial: int | None = None
    """None in a milestone file, which may serve several trials."""
    job_id: str | None = None
    config_id: str | None = None
    """Digest of the config that was trained, with these epochs; None: the trainer did not say."""
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


_PLAIN = (str, int, float, bool, type(None))


def encode(value: Any) -> Any:
    """A dataclass of this file as what `json.dump` takes, every default written out."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if dataclasses.is_dataclass(kind):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(kind)}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    return kind(map(encode, value)) if kind in (list, tuple) else value


def dumps(value: Any) -> str:
    """Text of a small file: sorted, readable, one newline at its end; NaN is refused."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def config_id(config: TrialConfig) -> str:
    """A digest that two configs share exactly when they ask for the same training."""
    return _digest(_training_fields(config))


def run_key(config: TrialConfig) -> str:
    """A digest that two configs share when one training can serve both, up to the larger `epochs`."""
    fields = _training_fields(config)
    del fields["epochs"]
    fields["data"]["split"].pop("allow_leak", None)  # it permits a split and changes nothing in the training
    return _digest(fields)


_OMITTED_AT_DEFAULT: tuple[tuple[str, str, object], ...] = (
    ("data", "also_score_at", ()),
    ("data", "manifest", None),
    ("trainer", "score_test", True),
    ("model", "dropout", 0.0),
)
"""Fields that enter the digests only where they differ from their default: digests on disk depend on this list."""


def _training_fields(config: TrialConfig) -> dict[str, Any]:
    """The fields of a config that enter its digests."""
    fields: dict[str, Any] = encode(config)
    for section, name, default in _OMITTED_AT_DEFAULT:
        if fields[section][name] == default:
            del fields[section][name]
    if not fields["data"]["split"]["allow_leak"]:
        del fields["data"]["split"]["allow_leak"]
    return fields


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
