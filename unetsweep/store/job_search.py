"""Finds the trials of a job id in the files of a sweep.

Rule 1: the search only compares names and bytes: there may be thousands of runs in dozens of sweeps. Only the files of
        an attempt that matches are parsed.
Rule 2: an unreadable file hides its own attempt, and no other.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unetsweep.core import paths
from unetsweep.core.address import is_element_of
from unetsweep.errors import StateError
from unetsweep.record_files import read_record
from unetsweep.records import ClaimFile
from unetsweep.regular_files import read_bytes
from unetsweep.store.attempts import read_intent, read_job
from unetsweep.store.observation import list_names, numbered_folders


@dataclass(frozen=True, slots=True)
class FoundJob:
    """An attempt, and the job that belongs to it."""

    job_id: str
    run: int
    attempt: int
    trials: tuple[int, ...]
    """The trials that it trains, those with the fewest epochs first; never empty: a run has the number of a trial."""


def find_job(root: Path, job: str) -> tuple[FoundJob, ...]:
    """Return the attempts with this job id; if there are none, those of its elements, if it is the id of an array.

    An id may belong to several attempts, because a scheduler that was set up again counts from the start.
    """
    found = list(_matches(root, job))
    exact = [each for each in found if each.job_id == job]
    return tuple(exact or found)


def _matches(root: Path, job: str) -> Iterator[FoundJob]:
    wanted = json.dumps(job)[:-1].encode()  # without the closing quote, so that elements of an array match too
    for run, folder in numbered_folders(root / paths.RUNS):
        try:
            marks = list_names(folder / "attempts")
            for attempt, path in _job_files(folder, marks):
                if wanted in read_bytes(path) and (found := _match(folder, run, attempt, path, job)) is not None:
                    yield found
        except (StateError, OSError):
            continue


def _job_files(folder: Path, marks: set[str]) -> Iterator[tuple[int, Path]]:
    """The file that names the job of each attempt: its own, or a claim if the job was never recorded."""
    numbers = paths.numbers_of(marks)
    recorded = {number for number in numbers if f"{number}.job.json" in marks}
    yield from ((number, folder / "attempts" / f"{number}.job.json") for number in sorted(recorded))
    if len(recorded) < len(numbers):
        claims = sorted(claim for name in list_names(folder / "claims") if (claim := paths.claim_of(name)))
        newest = {attempt: (attempt, restart) for attempt, restart in claims}
        for number in sorted(newest.keys() & ({*numbers} - recorded)):
            yield number, folder / "claims" / paths.claim_name(*newest[number])


def _match(folder: Path, run: int, attempt: int, path: Path, job: str) -> FoundJob | None:
    """The attempt, if its job has this id or is an element of it."""
    is_claim = path.parent.name == "claims"
    job_id = read_record(ClaimFile, path).job_id if is_claim else read_job(path, run, attempt).job_id
    if job_id != job and not is_element_of(job_id, job):
        return None
    intent = read_intent(folder / "attempts" / f"{attempt}.json", run, attempt)
    trials = sorted(intent.trials, key=lambda each: (each.epochs, each.trial))
    return FoundJob(job_id, run, attempt, tuple(each.trial for each in trials) or (run,))
