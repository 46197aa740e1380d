"""The files between a sweep and a trainer: config, progress and result.

Rule 1: standard library only, so that any script of a user can import it.
Rule 2: every file contains `"schema": 1`; another number is refused.
Rule 3: a missing field gets the default of its class (the classes of a config are in trial_config.py and re-exported
        here). Unknown keys of a config are refused with a hint; those of a result are kept in `Result.extra`.
"""

import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from unetsweep.decode import decode
from unetsweep.errors import ConfigError, Problem, StateError
from unetsweep.limits import MAX_EXTRA, MAX_EXTRA_NUMBER, MAX_EXTRA_TEXT, MAX_KEY, MAX_PROBLEMS
from unetsweep.trial_config import METRIC
from unetsweep.trial_config import SCHEMA as SCHEMA
from unetsweep.trial_config import DataConfig as DataConfig
from unetsweep.trial_config import ModelConfig as ModelConfig
from unetsweep.trial_config import Split as Split
from unetsweep.trial_config import TrainerConfig as TrainerConfig
from unetsweep.trial_config import TrialConfig as TrialConfig
from unetsweep.trial_config import config_problems as config_problems
from unetsweep.trial_config import one_value_problem as one_value_problem
from unetsweep.trial_config import precision_problem as precision_problem

ResultState = Literal["complete", "pruned", "diverged", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a training at a milestone: `milestones/<epochs>.json`, later the trial's `result.json`.

    All scores belong to the checkpoint with the best metric of the sweep up to the milestone.
    IoU is that of the vessel class over the whole set (sum of intersections over sum of unions), at threshold 0.5;
    losses are mean binary cross-entropy per pixel; epochs count from 1.
    """

    state: ResultState = "complete"
    trial: int | None = None
    """None in a milestone file, which may serve several trials."""
    job_id: str | None = None
    config_id: str | None = None
    """Digest of the trained config with these epochs; None if the trainer did not set it."""
    epochs: int | None = None
    epochs_run: int | None = None
    best_epoch: int | None = None
    val_iou: float | None = None
    val_loss: float | None = None
    test_iou: float | None = None
    test_loss: float | None = None
    test_per_image: tuple[Mapping[str, Any], ...] = ()
    """One `{image, tp, fp, fn, iou, loss}` per test image."""
    val_per_image: tuple[Mapping[str, Any], ...] = ()
    """The same for the validation images."""
    val_scores: Mapping[str, float | None] = field(default_factory=dict)
    """`dice`, `precision`, `sensitivity` over the set; `image_iou_mean`, `image_iou_sd` over its images."""
    test_scores: Mapping[str, float | None] = field(default_factory=dict)
    also_scored: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """Scores at each threshold of `data.also_score_at`, by grey level: `{"0": {val_iou: …, test_iou: …}}`."""
    checkpoint: str | None = None
    """Path of the best checkpoint, relative to the trainer's output folder."""
    seconds: float | None = None
    gpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    host: str | None = None
    versions: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    """`cpu`, its vector instructions (`simd`) and `gpu`, on which the bits of a result may depend."""
    precision: Mapping[str, Any] = field(default_factory=dict)
    """How float32 was computed: whether `tf32_convolutions` and `tf32_matmuls` were allowed (None without a GPU), and
    `variables` of the environment that change it (None: none was set)."""
    threads: int | None = None
    """CPU threads that each process used."""
    code: Mapping[str, str] = field(default_factory=dict)
    """`package`: digest of the package that trained; `commit` and `diff` (digest of uncommitted changes) if it came
    from a checkout."""
    weights_sha256: str | None = None
    """sha256 over the best checkpoint's weights; equal for bit-identical trainings."""
    data_manifest: Mapping[str, Any] = field(default_factory=dict)
    """`{train, val, test}` file names, and a `sha256` over the images and masks."""
    micro_batch: int | None = None
    message: str | None = None
    """The reason, if the state is not `complete`."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers and texts of a trainer command: every other key that its result.json has."""
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Progress:
    """One epoch of a training, which is a line of `progress-<claim>.jsonl`."""

    epoch: int
    train_loss: float
    val_iou: float | None
    """None for an epoch without validation."""
    val_loss: float | None
    learning_rate: float
    seconds: float
    """Wall time of the epoch."""
    at: str
    """UTC, ISO 8601."""
    val_dice: float | None = None
    val_precision: float | None = None
    val_sensitivity: float | None = None
    val_iou_mean: float | None = None
    """The mean over the images."""
    schema: int = SCHEMA


def config_from(raw: object, source: str = "config.json") -> TrialConfig:
    """The config in a parsed JSON file. Raises ConfigError with all problems."""
    problems: list[Problem] = []
    config = decode(TrialConfig, raw, problems)
    if config is not None:
        problems += config_problems(config)
    if problems or config is None:
        raise ConfigError(source, problems)
    return config


def result_from(raw: object, source: str) -> Result:
    """The result in a parsed JSON file. Raises StateError with the file and all problems.

    No field is required, so that a script of three lines can write a result. Whether it has the metric of the sweep is
    judged by `core.metric.result_problem`.
    """
    return _result_from(_with_extra(raw) if isinstance(raw, Mapping) else raw, source)


def stored_result_from(raw: object, source: str) -> Result:
    """The result of a trial, in a parsed file that unetsweep itself has written. Raises StateError as `result_from`.

    Every field must be there and no other key: with fewer, somebody else wrote the file or a part of it is lost.
    """
    if isinstance(raw, Mapping) and (missing := sorted(_FIELDS - raw.keys())):
        more = f" and {len(missing) - 3} more fields" if len(missing) > 3 else ""
        raise StateError(f"{source}: has no {', '.join(missing[:3])}{more}, which unetsweep writes")
    return _result_from(raw, source)


def _result_from(raw: object, source: str) -> Result:
    problems: list[Problem] = []
    result = decode(Result, raw, problems)
    if result is not None:
        for key, value in result.extra.items():
            if why := not_kept(key, value):
                problems.append(Problem(why, f"extra.{key}"[:MAX_KEY]))
        if result.schema != SCHEMA:
            problems.append(Problem(f"found {result.schema!r}; this version reads {SCHEMA}", "schema"))
        problems += _out_of_range(result)
    if problems or result is None:
        raise StateError("\n".join(p.text(source) for p in problems))
    return result


_FIELDS = frozenset(each.name for each in dataclasses.fields(Result))
_ALSO_A_SCORE = frozenset({"precision"})
"""Mappings of a result whose names a trainer may give to a number of its own. A number in another one is damage."""


def _with_extra(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The content of a result, with its further values in `extra`."""
    further = _further(raw)
    if not further and not raw.get("extra"):
        return raw
    extra = {key: value for key, value in further.items() if not_kept(key, value) is None}
    known = {key: value for key, value in raw.items() if key not in further and key != "extra"}
    return {**known, "extra": dict(list(extra.items())[:MAX_EXTRA])}


def _further(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The further values of a result. `precision: 0.8` is one, since the field of that name is a mapping."""
    given = raw.get("extra")
    own = {
        key: value
        for key, value in raw.items()
        if key not in _FIELDS or (key in _ALSO_A_SCORE and isinstance(value, int | float | str))
    }
    return {**given, **own} if isinstance(given, Mapping) else own


def not_kept(key: str, value: object) -> str | None:
    """Return why a further value of a result is left out; None: it is kept."""
    if len(key) > MAX_KEY or not key:
        return f"its name has {len(key)} characters; 1 to {MAX_KEY} are kept"
    if isinstance(value, str):
        return None if len(value) <= MAX_EXTRA_TEXT else f"a text of {len(value)} characters; at most {MAX_EXTRA_TEXT}"
    if isinstance(value, int | float):  # with larger numbers sums would overflow
        return None if -MAX_EXTRA_NUMBER <= value <= MAX_EXTRA_NUMBER else f"the number {value}"[:80] + " is too large"
    return "null" if value is None else "found a list or a mapping; numbers and texts are kept"


def result_notes(raw: object) -> list[str]:
    """A line for each further value of a trainer's result that is left out, or has nearly the name of a field."""
    if not isinstance(raw, Mapping):
        return []
    further = _further(raw)
    found = []
    for key, value in further.items():
        why = not_kept(key, value)
        near = difflib.get_close_matches(key, _FIELDS - {"extra"}, 1, 0.8) if why is None and key not in _FIELDS else []
        if why is not None:
            found.append(f"{key[:MAX_KEY]} is left out: {why}")
        elif near and near[0] not in raw:
            found.append(f"{key} is kept as a value of your own; did you mean {near[0]!r}?")
    kept = sum(not_kept(key, value) is None for key, value in further.items())
    if kept > MAX_EXTRA:
        found.append(f"{kept} further values; the first {MAX_EXTRA} are kept")
    return found[:MAX_PROBLEMS]


_LIMITS = (
    *((name, 0, 10**9, "0 to 10^9") for name in ("trial", "epochs", "epochs_run", "best_epoch", "threads")),
    *((name, 0, 1e15, "0 to 10^15") for name in ("seconds", "gpu_seconds", "peak_memory_mb", "micro_batch")),
    *((name, -1e39, 1e39, "-10^39 to 10^39") for name in ("val_iou", "val_loss", "test_iou", "test_loss")),
)
"""The bounds of numbers of a result, by field: far more than any training has. No 32-bit float reaches 10^39."""


def _out_of_range(result: Result) -> list[Problem]:
    """The numbers of a result that no training has, and with which a sum would overflow."""
    return [
        Problem(f"found {value!r}; {wanted}"[:120], name)
        for name, low, high, wanted in _LIMITS
        if (value := getattr(result, name)) is not None and not low <= value <= high
    ] + [
        Problem(f"found {value!r}; -10^39 to 10^39"[:120], f"{name}.{key}")
        for name in ("val_scores", "test_scores")
        for key, value in getattr(result, name).items()
        if value is not None and not -1e39 <= value <= 1e39
    ]


_PLAIN = (str, int, float, bool, type(None))


@functools.cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass, or None; cached, because a submit encodes thousands of records."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def encode(value: Any) -> Any:
    """Convert a dataclass or a plain value to what `json.dump` accepts, with every default."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    names = _field_names(kind)  # type: ignore[arg-type] # every class is hashable
    if names is not None:
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if kind is datetime:
        return value.isoformat()
    return kind(map(encode, value)) if kind in (list, tuple) else value


def dumps(value: Any) -> str:
    """The text of a small JSON file: sorted keys, an item a line (indenting takes json five times as long), no NaN."""
    return json.dumps(value, separators=(",\n ", ": "), sort_keys=True, allow_nan=False) + "\n"


def config_id(config: TrialConfig) -> str:
    """Return a digest of all fields that a training depends on: two configs share it only if these are equal."""
    return _digest(_fields_of(config))


def run_key(config: TrialConfig) -> str:
    """Return a digest that two configs share if one training can serve both, up to the larger `epochs`."""
    fields = _fields_of(config)
    del fields["epochs"]
    del fields["data"]["split"]["allow_leak"]  # it permits a split and changes nothing in the training
    return _digest(fields)


def _fields_of(config: TrialConfig) -> dict[str, Any]:
    """The fields of a config that are in its digests: all that a training depends on, but the metric only if it is
    another one than usual, and parameters of a trainer command's own only if there are any."""
    fields: dict[str, Any] = encode(config)
    del fields["trainer"]["resumes"]  # it says what the program can do, and changes nothing in a training
    fields["trainer"]["workers"] = 0  # their number changes nothing either
    if config.metric == METRIC:
        del fields["metric"]
    if not config.params:
        del fields["params"]
    return fields


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
