"""What a tracker gets of a run: its config, its curves and its scores, read from the run's files."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetsweep.bounded_json import parse_json, read_json
from unetsweep.contract import Progress, Result, TrialConfig, encode, result_from, run_key
from unetsweep.decode import decode
from unetsweep.errors import Problem
from unetsweep.regular_files import read_bytes

CURVES = ("train_loss", "val_iou", "val_loss", "learning_rate")
SCORES = {
    "test_iou": "test_iou",
    "test_loss": "test_loss",
    "best_val_iou": "val_iou",
    "best_val_loss": "val_loss",
    "best_epoch": "best_epoch",
}
"""Metrics of a milestone, and the field of the result that each comes from."""


@dataclass(frozen=True, slots=True)
class RunExport:
    """The content of a run's experiment."""

    name: str
    """Name of the run: `grid/0003`."""
    key: str
    """Identifies the experiment: 40 hexadecimal digits from the run's name and config. All attempts of a run and all
    uploads have the same key, so they continue one experiment."""
    parameters: Mapping[str, Any]
    """The flattened config: `model.base`."""
    curves: Mapping[int, Mapping[str, float]]
    """Metrics by epoch."""
    scores: Mapping[int, Mapping[str, float]]
    """Metrics by milestone."""

    @property
    def file_stem(self) -> str:
        """A file name for exactly this content, `grid-0003-26c5d8dec704`, so that no archive is written twice."""
        content = json.dumps([self.key, self.parameters, self.curves, self.scores], sort_keys=True)
        return f"{self.name.replace('/', '-')}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def read_export(config: TrialConfig, out: Path, name: str) -> RunExport:
    """Read the progress and milestones of the run in `out`.

    If two claims logged an epoch, the later claim counts.
    """
    key = hashlib.sha256(f"{name}\n{run_key(config)}".encode()).hexdigest()[:40]
    return RunExport(name, key, dict(_flatten(encode(config))), _curves(out), _scores(out))


def _flatten(nested: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found += _flatten(value, f"{above}{key}.")
        else:
            found.append((above + key, json.dumps(value) if isinstance(value, list | tuple) else value))
    return found


def _curves(out: Path) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for path in sorted(out.glob("progress-*.jsonl"), key=_claim):
        for text in read_bytes(path).decode(errors="replace").splitlines():
            line = _progress(text)
            if line is not None:
                values = {name: getattr(line, name) for name in CURVES}
                found[line.epoch] = {name: value for name, value in values.items() if value is not None}
    return dict(sorted(found.items()))


def _claim(path: Path) -> tuple[int, ...]:
    """Sort key (attempt, restart) of a progress file: `progress-10-0.jsonl` comes after `progress-2-1.jsonl`."""
    return tuple(int(part) if part.isdecimal() else -1 for part in path.stem.split("-")[1:])


def _progress(text: str) -> Progress | None:
    """Parse a line of progress; None if a kill cut it short."""
    problems: list[Problem] = []
    with contextlib.suppress(ValueError):
        return decode(Progress, parse_json(text.encode()), problems)
    return None


def _scores(out: Path) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for path in (out / "milestones").glob("*.json"):
        if path.stem.isdecimal():
            result = result_from(read_json(path), str(path))
            values = {name: getattr(result, field) for name, field in SCORES.items()} | _more_scores(result)
            found[int(path.stem)] = {name: value for name, value in values.items() if value is not None}
    return dict(sorted(found.items()))


def _more_scores(result: Result) -> dict[str, float]:
    """Dice and further scores of the best checkpoint, under the report's names (`test_iou_above_0`)."""
    named = [("best_val_", result.val_scores, ""), ("test_", result.test_scores, "")]
    named += [("", scores, f"_above_{level}") for level, scores in result.also_scored.items()]
    values = {f"{head}{name}{tail}": value for head, scores, tail in named for name, value in scores.items()}
    return {name: value for name, value in values.items() if value is not None}
