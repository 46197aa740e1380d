"""Reads the progress of a run's trainings, and what was pruned.

Rule 1: an incomplete line, of a training that was killed or is writing now, is skipped. Every other line counts.
Rule 2: an unchanged file is read once per process.
Rule 3: a line needs only its epoch. Times that it lacks are taken from the file's: it was claimed, and last changed.
"""

import functools
import operator
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from unetsweep.bounded_json import parse_json
from unetsweep.contract import SCHEMA
from unetsweep.core import paths
from unetsweep.core.metric import MAX_NAME
from unetsweep.core.observation import EpochReport, PruneDecision
from unetsweep.errors import StateError
from unetsweep.record_files import read_record
from unetsweep.records import PruneFile
from unetsweep.regular_files import damage_named, read_bytes
from unetsweep.store.attempts import retries_reset_at

_PROGRESS = re.compile(rf"progress-({paths.NUMBER})-({paths.NUMBER})\.jsonl")
MAX_EPOCH = 10**9
MAX_SECONDS = 1e9
MAX_VALUE = 1e100
"""What a training that we can believe reports at most."""
MAX_VALUES_OF_EPOCH = 50
_NO_VALUES = frozenset({"epoch", "schema", "seconds", "at", "learning_rate"})


class RunProgress(NamedTuple):
    """The finished epochs of a run."""

    points: tuple[EpochReport, ...] = ()
    last_at: datetime | None = None
    """When the newest line of the latest claim was written, whatever it says."""
    current_epoch: int | None = None
    """The epoch that the latest claim reported last, if an earlier claim was further: its program began again."""


def read_progress(folder: Path, names: Collection[str], metric: str | None = None) -> RunProgress:
    """Merge the progress of all claims of a run. For each epoch, the values of the latest claim count.

    `names` lists the run's folder. `metric`: of an epoch with this value no others are read, which is faster.
    """
    files = [_read_file(folder, claim, name, metric) for claim, name in sorted(_files(folder, names).items())]
    if len(files) == 1 and _is_in_order(files[0].points):  # nearly always
        points, grown_at = files[0]
        return RunProgress(points, grown_at or (points[-1].at if points else None))
    merged: dict[int, EpochReport] = {}
    last_at, current = None, 0
    for found in files:
        current = found.points[-1].epoch if found.points else current
        for point in found.points:
            earlier = merged.get(point.epoch)
            merged[point.epoch] = point if earlier is None else replace(point, at=earlier.at)
            last_at = point.at or last_at
        last_at = found.grown_at or last_at
    began_again = bool(merged) and current < max(merged)
    return RunProgress(tuple(merged[epoch] for epoch in sorted(merged)), last_at, current if began_again else None)


def _is_in_order(points: Sequence[EpochReport]) -> bool:
    """Whether each epoch is once in it, in order, and has its time."""
    epochs = [point.epoch for point in points]
    return all(map(operator.lt, epochs, epochs[1:])) and all(point.at is not None for point in points[-1:])


def read_by_claim(folder: Path, names: Collection[str]) -> dict[tuple[int, int], tuple[EpochReport, ...]]:
    """Read the epochs of each claim, that is of each attempt and restart."""
    return {claim: _read_file(folder, claim, name).points for claim, name in _files(folder, names).items()}


def _files(folder: Path, names: Collection[str]) -> dict[tuple[int, int], str]:
    """The progress file of each claim."""
    return {(int(m[1]), int(m[2])): name for name in names if (m := _PROGRESS.fullmatch(name))}


def read_prune_decision(folder: Path, names: Collection[str], attempts: Collection[str]) -> PruneDecision | None:
    """Read the newest decision to prune; None: there is none.

    `names` lists the run's folder, `attempts` its folder of attempts.
    """
    if paths.PRUNE not in names:
        return None
    prune = read_record(PruneFile, folder / paths.PRUNE)
    is_lifted = prune.attempt <= retries_reset_at(attempts)
    return PruneDecision(prune.attempt, prune.trial, prune.milestones, prune.epoch, prune.reason, is_lifted)


class _File(NamedTuple):
    """The progress of one claim."""

    points: tuple[EpochReport, ...] = ()
    grown_at: datetime | None = None
    """When the file was changed, if its last line reports no epoch; else None."""


def _read_file(folder: Path, claim: tuple[int, int], name: str, metric: str | None = None) -> _File:
    path = folder / name
    try:
        with damage_named(path):
            found = path.stat()
        points, is_report = _read(path, found.st_size, found.st_mtime_ns, metric)
    except FileNotFoundError:  # removed after the folder was listed
        return _File()
    if any(point.at is None or point.seconds is None for point in points):
        points = _with_times(points, _changed(folder / "claims" / paths.claim_name(*claim)), found.st_mtime)
    return _File(points, None if is_report else datetime.fromtimestamp(found.st_mtime, UTC))


@functools.lru_cache(maxsize=4096)
def _read(path: Path, size: int, changed: int, metric: str | None) -> tuple[tuple[EpochReport, ...], bool]:
    """The epochs in a file, and whether its last line reports one."""
    points = [_point(raw, path, metric) for raw in _objects(read_bytes(path).splitlines())]
    return tuple(point for point in points if point is not None), not points or points[-1] is not None


def _changed(path: Path) -> float | None:
    """When the file was last changed; None: it cannot be found."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _with_times(points: Sequence[EpochReport], begun: float | None, changed: float) -> tuple[EpochReport, ...]:
    """The epochs with times for those that have none: as if all took equally long, from the claim to the last line."""
    if begun is None or changed < begun:
        last = points[-1]
        return (*points[:-1], replace(last, at=last.at or datetime.fromtimestamp(changed, UTC)))
    share = (changed - begun) / len(points)
    found: list[EpochReport] = []
    before = datetime.fromtimestamp(begun, UTC)
    for number, point in enumerate(points, 1):
        at = point.at or datetime.fromtimestamp(begun + number * share, UTC)
        took = share if point.at is None else max(0.0, (at - before).total_seconds())
        found.append(replace(point, at=at, seconds=took if point.seconds is None else point.seconds))
        before = at
    return tuple(found)


def _objects(lines: Sequence[bytes]) -> Sequence[object]:
    """The content of each line; None: it is not readable. The numbers that count are checked afterwards.

    All lines are parsed at once if that is possible: it takes half of the time, and a view reads a thousand files.
    """
    if all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
        found = _object(b"[" + b",".join(lines) + b"]")
        if isinstance(found, list) and len(found) == len(lines):
            return found
    return [_object(line) for line in lines]


def _object(text: bytes) -> object:
    try:
        return parse_json(text, lenient=True, quick=True)
    except ValueError:
        return None


def _point(raw: object, path: Path, metric: str | None) -> EpochReport | None:
    if not isinstance(raw, dict) or type(raw.get("epoch")) is not int or not 0 <= raw["epoch"] <= MAX_EPOCH:
        return None
    if raw.get("schema", SCHEMA) != SCHEMA:
        raise StateError(f"{path}: found schema {raw['schema']!r}; this version reads {SCHEMA}")
    at = raw.get("at")
    return EpochReport(
        raw["epoch"],
        _values(raw, metric),
        _time(at) if isinstance(at, str) else None,
        _number(raw.get("seconds"), 0.0, MAX_SECONDS),
    )


def _values(raw: Mapping[str, Any], metric: str | None) -> dict[str, float]:
    """The numbers of a line that a study may optimise: all but those that describe the epoch. `metric`: see above."""
    if metric is not None and type(value := raw.get(metric)) is float and -MAX_VALUE <= value <= MAX_VALUE:
        return {metric: value}
    found = {
        name: float(value)
        for name in _value_names(tuple(raw))
        # without a call: a view reads tens of thousands of epochs
        if (type(value := raw[name]) is float or type(value) is int) and -MAX_VALUE <= value <= MAX_VALUE
    }
    return found if len(found) <= MAX_VALUES_OF_EPOCH else dict(list(found.items())[:MAX_VALUES_OF_EPOCH])


@functools.lru_cache(maxsize=256)
def _value_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names that may belong to a value. The lines of a sweep nearly all have the same names."""
    return tuple(name for name in names if name not in _NO_VALUES and len(name) <= MAX_NAME)


def _number(raw: Any, low: float, high: float) -> float | None:
    """The number; None if it is none, or out of bounds: with it, sums and times would overflow."""
    return float(raw) if type(raw) in (int, float) and low <= raw <= high else None


def _time(text: str) -> datetime | None:
    """Parse a time; without a zone it is UTC, as the contract defines."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
