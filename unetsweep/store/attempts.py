"""Reading what became of a run's attempts: intents, jobs, claims, errors, exits, losses.

Rule 1: what an earlier start left does not count: the scheduler has started the job again since.
"""

import hashlib
import os
import re
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from unetsweep.bounded_json import read_json
from unetsweep.core import paths
from unetsweep.core.causes import Cause
from unetsweep.core.observation import Attempt, Ending
from unetsweep.errors import StateError

_ERROR = re.compile(r"error-\d+\.json")
_FRAME = re.compile(r'^\s*File "(.*?)", line (\d+)', re.MULTILINE)
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(r"(\d+)\.json")


def read_attempts(root: Path, run: int, names: Collection[str], marks: Collection[str]) -> tuple[Attempt, ...]:
    """A run's attempts in order. `names` are in the run's folder, `marks` in its folder of attempts."""
    folder = root / paths.run_dir(run)
    numbers = sorted(int(found[1]) for name in marks if (found := _NUMBER.fullmatch(name)))
    claims = _claims(folder) if "claims" in names else {}
    errors = read_errors(folder, names)
    attempts: list[Attempt] = []
    for number in numbers:
        refusals = attempts[-1].refusals + 1 if attempts and attempts[-1].refused else 0
        attempts.append(_attempt(root, run, number, marks, names, claims.get(number), errors, refusals))
    return tuple(attempts)


def read_intent(path: str, run: int, number: int) -> dict[str, Any]:
    """The attempt's first file; StateError where it is unreadable, or another attempt's: its job is not this run's."""
    raw = read_json(path)  # a Path of each takes as long as reading it
    found = raw.get("run"), raw.get("attempt")
    if found != (run, number):
        raise StateError(
            f"{path}: found attempt {found[1]} of run {found[0]} in the place of attempt {number} of run {run}"
        )
    return raw


def retries_reset_at(marks: Collection[str]) -> int:
    """Up to which attempt nothing counts any more."""
    suffix = ".retries-reset.json"
    numbers = [int(name.removesuffix(suffix)) for name in marks if name.endswith(suffix)]
    return max(numbers, default=0)


def _attempt(
    root: Path,
    run: int,
    number: int,
    marks: Collection[str],
    names: Collection[str],
    claim: dict[str, Any] | None,
    errors: list[dict[str, Any]],
    refusals: int,
) -> Attempt:
    def marked(what: str, path: str) -> dict[str, Any]:
        return read_json(f"{root}/{path}") if f"{number}.{what}.json" in marks else {}

    intent = read_intent(f"{root}/{paths.attempt(run, number)}", run, number)
    job = marked("job", paths.attempt_job(run, number))
    lost = marked("lost", paths.attempt_lost(run, number))
    end = marked("end", paths.attempt_end(run, number))
    claim = claim or {}
    restart = claim.get("restart", 0)
    exit_ = _exit(root, run, number, restart, marks)
    overrides = intent.get("overrides", {})
    return Attempt(
        run,
        number,
        intent["token"],
        intent["index"],
        datetime.fromisoformat(intent["at"]),
        milestones=tuple(sorted(each["epochs"] for each in intent["milestones"])),
        throttle=intent.get("throttle"),
        job_id=job.get("job_id"),
        claimed_by=claim.get("job_id"),
        claimed_at=_time(claim.get("at")),
        node=lost.get("node") or claim.get("node") or exit_.get("node"),
        lost=lost.get("reason"),
        cause=_cause(lost),
        lost_at=_time(lost.get("at")),
        lost_epoch=lost.get("epoch", 0),
        refused=lost.get("refused", False),
        limit=lost.get("limit", False),
        refusals=refusals,
        requeue_reason=_again(root, run, paths.claim_name(number, restart), names),
        ended_for=_cause(end),
        retry_exempt=f"{number}.retry-exempt.json" in marks,
        mem=overrides.get("mem"),
        micro_batch=overrides.get("micro_batch"),
        ending=_ending(number, restart, errors, exit_),
    )


def _cause(mark: dict[str, Any]) -> Cause | None:
    return Cause.__members__.get(str(mark.get("cause")))


def _time(said: str | None) -> datetime | None:
    return datetime.fromisoformat(said) if said else None


def _again(root: Path, run: int, claim: str, names: Collection[str]) -> str | None:
    path = f"{root}/{paths.requeue(run, claim)}"
    return str(read_json(path).get("reason", "")) if os.path.basename(path) in names else None


def _ending(number: int, restart: int, errors: list[dict[str, Any]], exit_: dict[str, Any]) -> Ending | None:
    """The earliest error file of the attempt that is more than "the others left", else its exit status."""
    mine = [error for error in errors if error.get("attempt") == number and error.get("restart", 0) >= restart]
    first = min(mine, key=lambda error: (error.get("echo", False), error.get("at", "")), default=None)
    if first is not None and not first.get("echo", False):
        done = first.get("epochs_done", 0)
        return Ending(first["kind"], first["message"], first["path"], None, signature_of(first), done)
    if not exit_:
        return None
    message = f"ended with status {exit_['status']} and no result"
    said = first["message"] if first is not None else exit_.get("last_line")
    return Ending(
        "exit", f"{message}; its last words: {said}" if said else message, exit_.get("log") or "", exit_["status"]
    )


def signature_of(error: dict[str, Any]) -> str:
    """The same for two errors that came the same way: a bug by its type and the lines of code; what was said to a
    person (kinds other than `exception`) by the words, numbers aside."""
    message, trace = str(error.get("message", "")), str(error.get("traceback", ""))
    kind, frames = error.get("kind"), _FRAME.findall(trace)
    same = (message.partition(":")[0], frames) if kind == "exception" and frames else _DIGITS.sub("#", message)
    return hashlib.sha256(repr((kind, same)).encode()).hexdigest()[:16]


def _exit(root: Path, run: int, number: int, restart: int, marks: Collection[str]) -> dict[str, Any]:
    starts = [int(found[1]) for name in marks if (found := re.fullmatch(rf"{number}\.exit-(\d+)\.json", name))]
    newest = max(starts, default=-1)
    return read_json(root / paths.attempt_exit(run, number, newest)) if newest >= restart else {}


def read_errors(folder: Path, names: Collection[str]) -> list[dict[str, Any]]:
    """The error files of a run, with their `path`."""
    # a trainer of the user's own may leave any other name here
    found = [folder / name for name in sorted(names) if _ERROR.fullmatch(name)]
    return [{**read_json(path), "path": str(path)} for path in found]


def _claims(folder: Path) -> dict[int, dict[str, Any]]:
    """The highest claim of each attempt."""
    best: dict[int, tuple[int, str]] = {}
    for name in os.listdir(folder / "claims"):
        attempt, _, restart = name.partition("-")
        if attempt.isdecimal() and restart.isdecimal():
            best[int(attempt)] = max(best.get(int(attempt), (-1, "")), (int(restart), name))
    return {
        attempt: {**read_json(folder / "claims" / name), "restart": restart}
        for attempt, (restart, name) in best.items()
    }
