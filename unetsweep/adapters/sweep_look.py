"""Reading a sweep's directory: what is in it, as facts. Nothing is written here.

Rule 1: of ended trials nothing is opened; their folders are only counted.
Rule 2: what is half there (a folder without its file, made by a pass that died) is not there.
Rule 3: an unreadable file of a run stops that run's trials, and no other's.
"""

import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from unetsweep.adapters.files import read_json
from unetsweep.adapters.progress_files import read_progress, read_stopped
from unetsweep.contract import result_from
from unetsweep.core import layout
from unetsweep.core.facts import TERMINATED, Attempt, Ending, Run, Seen, Trial
from unetsweep.errors import StateError

_ERROR = re.compile(r"error-\d+\.json")


def look(root: Path) -> Seen:
    """Everything but the jobs."""
    ended, trials = 0, []
    for number, folder in numbered(root / layout.TRIALS):
        names = set(os.listdir(folder))
        if layout.RESULT in names:
            ended += 1
        elif layout.TRIAL in names:
            raw = read_json(folder / layout.TRIAL)
            part = raw["runs"][0]
            trials.append(Trial(number, part["run"], part["epochs"], layout.CANCELLED in names))
    runs = {number: read_run(root, number) for number in {trial.run for trial in trials}}
    return Seen(ended, tuple(trials), runs, (root / layout.STOPPED).exists())


def numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    """Sub-folders named by a number, in its order."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for number in sorted(int(name) for name in names if name.isdecimal()):
        yield number, folder / f"{number:04d}"


def read_run(root: Path, number: int) -> Run:
    """One run's horizons and attempts; where a file of it is unreadable, that."""
    try:
        return _read_run(root, number)
    except StateError as error:
        return Run(number, unreadable=str(error))


def _read_run(root: Path, number: int) -> Run:
    folder = root / layout.run_dir(number)
    names = _listed(folder)
    if not names:
        return Run(number)
    horizons = {int(name.removesuffix(".json")): folder / "horizons" / name for name in _jsons(folder / "horizons")}
    states = {epochs: str(result_from(read_json(path), str(path)).state) for epochs, path in horizons.items()}
    claims = _claims(folder)
    errors = _errors(folder, names)
    marks = set(_listed(folder / "attempts"))
    numbers = sorted(int(name[:-5]) for name in marks if name[:-5].isdecimal() and name.endswith(".json"))
    attempts = tuple(_attempt(root, number, each, marks, claims.get(each), errors) for each in numbers)
    progress, stopped = read_progress(folder, names), read_stopped(folder, names, marks)
    return Run(number, states, attempts, None, progress.points, progress.last_at, stopped)


def _attempt(
    root: Path, run: int, number: int, marks: set[str], claim: dict[str, Any] | None, errors: list[dict[str, Any]]
) -> Attempt:
    intent = read_json(root / layout.attempt(run, number))
    job_id, lost, refused = None, None, False
    if f"{number}.job.json" in marks:
        job_id = read_json(root / layout.attempt_job(run, number))["job_id"]
    if f"{number}.lost.json" in marks:
        mark = read_json(root / layout.attempt_lost(run, number))
        lost, refused = mark["reason"], mark.get("refused", False)
    return Attempt(
        run,
        number,
        intent["token"],
        intent["index"],
        datetime.fromisoformat(intent["at"]),
        intent.get("throttle"),
        job_id,
        claim["job_id"] if claim else None,
        lost,
        refused,
        _ending(root, run, number, claim["restart"] if claim else 0, marks, errors),
    )


def _ending(
    root: Path, run: int, number: int, restart: int, marks: set[str], errors: list[dict[str, Any]]
) -> Ending | None:
    """The earliest error file of the attempt that is more than "the others left", else its exit status.

    What starts before `restart` left does not count: the scheduler has started the job again since.
    "The others left" alone counts only with an exit status: a preempted job may say it on its way back.
    """
    mine = [error for error in errors if error.get("attempt") == number and error.get("restart", 0) >= restart]
    first = min(mine, key=lambda error: (error.get("echo", False), error.get("at", "")), default=None)
    exit_ = _exit(root, run, number, restart, marks)
    if first is not None and (not first.get("echo", False) or (exit_ is not None and exit_.status != TERMINATED)):
        return Ending(first["kind"], first["message"], first["path"])
    return exit_


def _exit(root: Path, run: int, number: int, restart: int, marks: set[str]) -> Ending | None:
    starts = [int(name.split("-")[1][:-5]) for name in marks if name.startswith(f"{number}.exit-")]
    if max(starts, default=-1) < restart:
        return None
    raw = read_json(root / layout.attempt_exit(run, number, max(starts)))
    message = f"ended with status {raw['status']} and no result"
    if raw.get("last_line"):
        message += f"; its last line: {raw['last_line']}"
    return Ending("exit", message, str(raw.get("log") or ""), raw["status"])


def _errors(folder: Path, names: set[str]) -> list[dict[str, Any]]:
    found = []
    for name in sorted(names):
        if _ERROR.fullmatch(name):  # a trainer of the user's own may leave any other name here
            found.append({**read_json(folder / name), "path": str(folder / name)})
    return found


def _claims(folder: Path) -> dict[int, dict[str, Any]]:
    """The highest claim of each attempt."""
    best: dict[int, tuple[int, str]] = {}
    for name in _listed(folder / "claims"):
        attempt, _, restart = name.partition("-")
        if attempt.isdecimal() and restart.isdecimal():
            best[int(attempt)] = max(best.get(int(attempt), (-1, "")), (int(restart), name))
    return {
        attempt: {**read_json(folder / "claims" / name), "restart": restart}
        for attempt, (restart, name) in best.items()
    }


def _listed(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def _jsons(folder: Path) -> list[str]:
    return [name for name in _listed(folder) if name.endswith(".json") and name[:-5].isdecimal()]
