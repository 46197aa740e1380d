"""Mending runs: attempts from their submissions, claims kept as claims, checkpoints that no training can go on from."""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unetsweep import contract
from unetsweep.atomic import link_json
from unetsweep.bounded_json import read_json
from unetsweep.core import paths
from unetsweep.errors import StateError
from unetsweep.store.attempts import read_intent
from unetsweep.store.observation import listed, numbered
from unetsweep.store.progress import read_progress
from unetsweep.store.repairs import (
    NOBODY,
    Finding,
    is_corrupt,
    is_old,
    quarantined,
    trouble,
    without_lines,
    written,
    written_at,
)
from unetsweep.store.trials import check_config, stored_trial

STOP = ("attempt", "trial", "milestones", "epoch", "reason")
MARKS: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "job": ("the job is found again by its token", lambda raw: raw["job_id"]),
    "lost": ("the next reconciliation finds out anew", lambda raw: raw["reason"]),
    "end": ("the queue says how its job ended", lambda raw: raw["cause"]),
}


def findings(root: Path, *, ours: bool) -> Iterator[Finding]:
    """Of every run. `ours`: our trainer made the checkpoints; a user's may have any form."""
    milestones, configs = _milestones(root)
    for number, folder in numbered(root / paths.RUNS):
        yield from _attempts(root, number, folder, milestones.get(number, []))
        yield from _claims(folder)
        yield from _words(folder, configs.get(number, {}))
        yield from _progress(folder)
        if ours:
            yield from _checkpoints(folder)


def _milestones(root: Path) -> tuple[dict[int, list[dict[str, int]]], dict[int, dict[int, str]]]:
    """What each run's trials ask of it, and the digest of the config that each milestone is of, by its epochs."""
    found: dict[int, list[dict[str, int]]] = {}
    configs: dict[int, dict[int, str]] = {}
    for number, folder in numbered(root / paths.TRIALS):
        if not listed(folder):
            continue
        trial = stored_trial(number, folder)
        found.setdefault(trial.run, []).append({"trial": number, "epochs": trial.epochs})
        configs.setdefault(trial.run, {})[trial.epochs] = trial.config_id
    return found, configs


def _attempts(root: Path, run: int, folder: Path, milestones: list[dict[str, int]]) -> Iterator[Finding]:
    place = folder / "attempts"
    for name in sorted(listed(place)):
        path, parts = place / name, name.split(".")
        if not name.endswith(".json") or not parts[0].isdecimal():
            continue
        number, word = int(parts[0]), parts[1].partition("-")[0]
        if len(parts) == 2:
            why = trouble(path, lambda raw: (raw["token"], raw["index"], raw["at"], raw["milestones"][0]["trial"]))
            if why := why or _of_another(path, run, number):
                yield _intent(root, run, number, path, why, milestones)
        elif parts[1] in ("retries-reset", "retry-exempt"):
            if why := trouble(path):
                yield written(path, why, {"at": written_at(path)}, "its being there")
        elif word == "exit":
            if why := trouble(path, lambda raw: (int(raw["status"]), raw["at"])):
                yield quarantined(path, why, "the queue says how its job ended")
        elif word in MARKS and (why := trouble(path, MARKS[word][1])):
            yield quarantined(path, why, MARKS[word][0])


def _of_another(path: Path, run: int, number: int) -> str | None:
    try:
        read_intent(str(path), run, number)
    except StateError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _intent(root: Path, run: int, number: int, path: Path, why: str, milestones: list[dict[str, int]]) -> Finding:
    """From the one submission that names it; where none does, as an attempt that was given up."""
    found, whose = [], {"run": run, "attempt": number}
    for folder in sorted((root / paths.SUBMISSIONS).glob("*")):
        try:
            intent = read_json(folder / "intent.json")
            places = [at for at, each in enumerate(intent["elements"]) if each == [run, number]]
            found += [(folder.name, at, intent["at"]) for at in places]
        except (OSError, StateError, KeyError, TypeError):
            continue
    if len(found) == 1:
        token, index, at = found[0]
        throttle = _throttle(root, token)
        content = whose | {"token": token, "index": index, "at": at, "throttle": throttle, "milestones": milestones}
        return written(path, why, content, f"submission {token}")
    content = whose | {"token": NOBODY, "index": 0, "at": written_at(path), "throttle": None, "milestones": milestones}
    plain = written(path, why, content, "nothing: no submission tells of it")
    lost = {"reason": "its intent was torn", "cause": "VANISHED", "at": written_at(path)}

    def repair() -> None:
        link_json(root / paths.attempt_lost(run, number), lost)  # first: a job of it may not go on
        if plain.repair is not None:
            plain.repair()

    return Finding(path, why, "given up, as no one submission tells of it; its run is sent again", repair)


def _throttle(root: Path, token: str) -> int | None:
    """As another element of that submission says it."""
    for path in (root / paths.RUNS).glob("*/attempts/*.json"):
        try:
            raw = read_json(path) if path.name[:-5].isdecimal() else {}
        except StateError:
            continue
        if raw.get("token") == token:
            throttle: int | None = raw.get("throttle")
            return throttle
    return None


def _claims(folder: Path) -> Iterator[Finding]:
    """A claim counts by its name; to take it away would end the training that holds it."""
    for name in sorted(listed(folder / "claims")):
        path, attempt = folder / "claims" / name, name.partition("-")[0]
        if name.replace("-", "").isdecimal() and (why := trouble(path, lambda raw: (raw["job_id"], raw["at"]))):
            content: dict[str, Any] = {"job_id": None, "host": "", "port": 0, "at": written_at(path)}
            with contextlib.suppress(OSError, StateError, KeyError):
                content["job_id"] = read_json(folder / "attempts" / f"{attempt}.job.json")["job_id"]
            yield written(path, why, content, "its name and its attempt's job")


def _words(folder: Path, configs: Mapping[int, str]) -> Iterator[Finding]:
    """What trainings and reconciliations said of it. `configs`: the config of each milestone, by its epochs."""
    for path in sorted((folder / "milestones").glob("*.json")):
        wanted = configs.get(int(path.stem)) if path.stem.isdecimal() else None
        if why := trouble(path, partial(_result, path, wanted)):
            yield quarantined(path, why, "the training publishes it again, from its checkpoint")
    for path in sorted(folder.glob("error-*.json")):
        if path.stem[6:].isdecimal() and (why := trouble(path, lambda raw: (raw["kind"], raw["message"]))):
            yield quarantined(path, why, "the exit status stays")
    for path in sorted(folder.glob("requeue-*.json")):
        if why := trouble(path):
            yield quarantined(path, why, "the queue says how its job ended")
    stop = folder / "stop.json"
    if os.path.lexists(stop) and (why := trouble(stop, lambda raw: [raw[name] for name in STOP])):
        yield quarantined(stop, why, "the pruner decides anew")


def _result(path: Path, config_id: str | None, raw: dict[str, Any]) -> None:
    check_config(contract.result_from(raw, str(path)), config_id, str(path))


def _progress(folder: Path) -> Iterator[Finding]:
    """Torn lines, where no training can be writing the file any more."""
    for path in sorted(folder.glob("progress-*.jsonl")):
        attempt, _, restart = path.stem.removeprefix("progress-").partition("-")
        over = any((folder / "attempts" / f"{attempt}.{mark}.json").exists() for mark in ("lost", f"exit-{restart}"))
        try:
            finding = without_lines(path, is_corrupt)
        except StateError as error:
            yield quarantined(path, str(error).removeprefix(f"{path}: "), "its epochs are told no more")
            continue
        if finding is not None and (over or is_old(path)):
            yield finding


def _checkpoints(folder: Path) -> Iterator[Finding]:
    for path in sorted((folder / "checkpoints").glob("*.ckpt")):
        why = _corrupt_zip(path)
        if why is None:
            continue
        if path.name == "last.ckpt":
            yield quarantined(path, why, f"where a result is missing the run trains anew{_lost(folder)}")
        else:
            yield quarantined(path, why, "numbers that are published stay; `unetsweep predict` cannot use it")


def _lost(folder: Path) -> str:
    """Which epochs that costs."""
    done = max((point.epoch for point in read_progress(folder, listed(folder)).points), default=0)
    return f"; lost are its epochs 1 to {done}" if done else ""


def _corrupt_zip(path: Path) -> str | None:
    """Whether the archive is whole, every byte of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        return None if bad is None else f"torn at {bad}"
    except OSError:  # it has just been replaced or taken away, or the disk does not give it: no reason to move it
        return None
    except (zipfile.BadZipFile, EOFError, zlib.error, ValueError, NotImplementedError) as error:
        return f"torn ({error})"
