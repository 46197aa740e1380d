"""Reads the attempts of a run: intents, jobs, claims, errors, exits and losses.

Rule 1: only the newest start of an attempt counts, since the scheduler has requeued the earlier ones.
"""

import hashlib
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from unetsweep.core import paths
from unetsweep.core.causes import Cause
from unetsweep.core.observation import Attempt, Ending
from unetsweep.errors import StateError
from unetsweep.record_files import read_record
from unetsweep.records import (
    AttemptFile,
    ClaimFile,
    ErrorFile,
    ExitFile,
    JobFile,
    LostFile,
    RequeueFile,
    SubmissionFile,
    TerminationFile,
    ThrottleFile,
)
from unetsweep.regular_files import damage_named
from unetsweep.store.logs import names_full_disk

_T = TypeVar("_T")

_ERROR = re.compile(rf"error-{paths.NUMBER}\.json")
_FRAME = re.compile(r'^\s*File "(.*?)", line (\d+)', re.MULTILINE)
_DIGITS = re.compile(r"\d+")
_MARK = re.compile(rf"({paths.NUMBER})\.[a-z]+(?:-{paths.NUMBER})?\.json")
_RESET = re.compile(rf"({paths.NUMBER})\.retries-reset\.json")


@dataclass(frozen=True, slots=True)
class FoundError:
    """An error file and its path."""

    path: str
    error: ErrorFile

    @property
    def time(self) -> float:
        """Seconds since 1970; 0 if not known."""
        return self.error.at.timestamp() if self.error.at is not None else 0.0


def read_attempts(root: Path, run: int, names: Collection[str], marks: Collection[str]) -> tuple[Attempt, ...]:
    """Read a run's attempts in order. `names` lists the run's folder, `marks` its folder of attempts.

    StateError if a file is unreadable, or a file of an attempt is there without the attempt's first file: then the
    newest attempt may not be the last one that was submitted.
    """
    folder = root / paths.run_dir(run)
    numbers = paths.numbers_of(marks)
    claims = _claims(folder) if "claims" in names else {}
    known = {int(found[1]) for name in marks if (found := _MARK.fullmatch(name))} | claims.keys()
    for number in (
        sorted(known - {*numbers, 0}) if numbers else ()
    ):  # if there is none, all were deleted, or none was made
        raise StateError(f"{root}/{paths.attempt(run, number)}: is missing, but other files of this attempt are there")
    errors = read_errors(folder, names)
    attempts: list[Attempt] = []
    for number in numbers:
        refusals = attempts[-1].refusals + 1 if attempts and attempts[-1].refused else 0
        attempts.append(_attempt(root, run, number, marks, names, claims.get(number), errors, refusals))
    return tuple(attempts)


def read_intent(path: Path | str, run: int, number: int) -> AttemptFile:
    """Read the first file of an attempt; StateError if it is unreadable or belongs to another attempt."""
    intent = read_record(AttemptFile, path, quick=True)
    if (intent.run, intent.attempt) != (run, number):
        raise StateError(
            f"{path}: found attempt {intent.attempt} of run {intent.run} in the place of attempt {number} of run {run}"
        )
    return intent


def read_job(path: Path | str, run: int, number: int) -> JobFile:
    """Read the file with an attempt's job; StateError if it is unreadable or belongs to another attempt."""
    job = read_record(JobFile, path, quick=True)
    if job.run is not None and (job.run, job.attempt) != (run, number):
        raise StateError(
            f"{path}: found the job of attempt {job.attempt} of run {job.run}, not of attempt {number} of run {run}"
        )
    return job


def read_submission(path: Path) -> SubmissionFile:
    """Read the intent of a submission; StateError if it is unreadable or belongs to another submission."""
    submission = read_record(SubmissionFile, path)
    if submission.token != path.parent.name:
        raise StateError(f"{path}: found submission {submission.token} in the place of {path.parent.name}")
    if not submission.elements:
        raise StateError(f"{path}: elements: found none")
    return submission


def retries_reset_at(marks: Collection[str]) -> int:
    """Return the number of the last attempt that no longer counts, since the user retried the run; 0: all count."""
    return max((int(found[1]) for name in marks if (found := _RESET.fullmatch(name))), default=0)


def _attempt(
    root: Path,
    run: int,
    number: int,
    marks: Collection[str],
    names: Collection[str],
    claim: tuple[int, ClaimFile] | None,
    errors: Sequence[FoundError],
    refusals: int,
) -> Attempt:
    """Read one attempt. `claim`: its highest restart that has a claim, and that claim."""

    def read_mark(kind: type[_T], suffix: str, path: str) -> _T | None:
        return read_record(kind, f"{root}/{path}") if f"{number}.{suffix}.json" in marks else None

    intent = read_intent(f"{root}/{paths.attempt(run, number)}", run, number)
    job = read_job(f"{root}/{paths.attempt_job(run, number)}", run, number) if f"{number}.job.json" in marks else None
    lost = read_mark(LostFile, "lost", paths.attempt_lost(run, number))
    changed = read_mark(ThrottleFile, "throttle", paths.attempt_throttle(run, number))
    end = read_mark(TerminationFile, "end", paths.attempt_end(run, number))
    restart, claimed = claim or (0, None)
    newest, exit_ = _exit(root, run, number, restart, marks)
    newest_node = exit_.node if exit_ is not None and newest > restart else None
    nodes = (lost and lost.node, newest_node, claimed and claimed.node, exit_ and exit_.node)
    return Attempt(
        run,
        number,
        intent.token,
        intent.index,
        intent.at,
        milestones=tuple(sorted(each.epochs for each in intent.trials)),
        throttle=(changed or intent).throttle,
        job_id=job.job_id if job is not None else None,
        claimed_by=claimed.job_id if claimed is not None else None,
        claimed_at=claimed.at if claimed is not None else None,
        restart=restart,
        node=next((node for node in nodes if node), None),
        lost=lost.reason if lost is not None else None,
        cause=_cause(lost),
        lost_at=lost.at if lost is not None else None,
        lost_epoch=lost.epoch if lost is not None else 0,
        refused=lost is not None and lost.refused,
        limit=lost is not None and lost.limit,
        refusals=refusals,
        requeue_reason=_requeue_reason(root, run, paths.claim_name(number, restart), names),
        terminated_for=_cause(end),
        retry_exempt=f"{number}.retry-exempt.json" in marks,
        mem=intent.mem,
        micro_batch=intent.micro_batch,
        ending=_ending(number, restart, errors, exit_, unclaimed=claimed is None or newest > restart),
    )


def _cause(record: LostFile | TerminationFile | None) -> Cause | None:
    return Cause.__members__.get(str(record.cause)) if record is not None else None


def _requeue_reason(root: Path, run: int, claim: str, names: Collection[str]) -> str | None:
    path = f"{root}/{paths.requeue(run, claim)}"
    return read_record(RequeueFile, path).reason if os.path.basename(path) in names else None


def _ending(
    number: int, restart: int, errors: Sequence[FoundError], exit_: ExitFile | None, *, unclaimed: bool
) -> Ending | None:
    """The earliest error of the attempt, without those that only follow from another rank's; else its exit status."""
    mine = [found for found in errors if found.error.attempt == number and found.error.restart >= restart]
    first = min(mine, key=lambda found: (found.error.echo, found.time), default=None)
    if first is not None and not first.error.echo:
        error = first.error
        return Ending(error.kind, error.message, first.path, None, signature_of(error), error.epochs_done)
    if exit_ is None:
        return None
    message = f"ended with status {exit_.status} and no result"
    kind = "disk" if exit_.last_message and names_full_disk(exit_.last_message) else "exit"
    last = first.error.message if first is not None else exit_.last_message
    if exit_.is_before_training:
        message = f"ended with status {exit_.status} before the training began" + (f": {last}" if last else "")
    elif last:
        message = f"{message}; its last message: {last}"
    return Ending(kind, message, exit_.log or "", exit_.status, unclaimed=unclaimed)


def signature_of(error: ErrorFile) -> str:
    """Return a text that is equal for two errors with the same cause.

    It is made from the type and the lines of code of an exception, and from the message of other errors, without its
    numbers.
    """
    frames = _FRAME.findall(error.traceback)
    is_bug = error.kind == "exception" and frames
    same = (error.message.partition(":")[0], frames) if is_bug else _DIGITS.sub("#", error.message)
    return hashlib.sha256(repr((error.kind, same)).encode()).hexdigest()[:16]


def _exit(root: Path, run: int, number: int, restart: int, marks: Collection[str]) -> tuple[int, ExitFile | None]:
    """The newest start that has ended, and its exit file; no file if the newest start with a claim (`restart`) runs."""
    starts = [
        int(found[1]) for name in marks if (found := re.fullmatch(rf"{number}\.exit-({paths.NUMBER})\.json", name))
    ]
    newest = max(starts, default=-1)
    if newest < restart:
        return newest, None
    return newest, read_record(ExitFile, root / paths.attempt_exit(run, number, newest))


def read_errors(folder: Path, names: Collection[str]) -> list[FoundError]:
    """Read the error files of a run. `names` lists its folder, in which a trainer command may write other files."""
    found = [folder / name for name in sorted(names) if _ERROR.fullmatch(name)]
    return [FoundError(str(path), read_record(ErrorFile, path)) for path in found]


def _claims(folder: Path) -> dict[int, tuple[int, ClaimFile]]:
    """Read the claim with the highest restart of each attempt."""
    within = f"{folder}/claims"
    with damage_named(within):
        claims = sorted(claim for name in os.listdir(within) if (claim := paths.claim_of(name)))
    newest = dict(claims)  # the last of each attempt
    return {
        attempt: (restart, read_record(ClaimFile, f"{within}/{paths.claim_name(attempt, restart)}"))
        for attempt, restart in newest.items()
    }
