"""Reads the timeline of a run from its files: its starts, their ends, and its epochs.

Rule 1: no more files than needed are read. Progress is read only if there are several starts, or one without an end.
"""

from collections.abc import Collection
from pathlib import Path

from unetsweep.core import paths
from unetsweep.core.cost import JobKey, RunTimeline, Start
from unetsweep.core.observation import Run
from unetsweep.errors import StateError
from unetsweep.record_files import read_record
from unetsweep.records import AttemptFile, ClaimFile, ExitFile
from unetsweep.store.attempts import read_job
from unetsweep.store.observation import list_names
from unetsweep.store.progress import read_by_claim

_Claim = tuple[int, int]


def read_timeline(folder: Path, *, is_open: bool) -> RunTimeline | None:
    """Read the timeline of a run; None: one of its files is unreadable. `is_open`: a trial of it has not ended."""
    try:
        return _read(folder, is_open)
    except (StateError, OSError):
        return None


def timeline_of_open(run: Run) -> RunTimeline | None:
    """The timeline of a run with an open trial, by what is read of it already; None: its files must be read.

    That is enough for a run whose only job has not ended and was never requeued, as of most runs that are open.
    """
    last = run.last
    if last is None or len(run.attempts) > 1 or run.unreadable is not None:
        return None
    if last.restart or last.ending is not None or last.lost is not None or run.published_states:
        return None
    jobs = {(last.token, job_id) for job_id in (last.job_id, last.claimed_by) if job_id is not None}
    goal = max(last.milestones, default=0)
    starts = () if last.claimed_at is None else (Start(last.number, last.claimed_at.timestamp(), goal=goal),)
    return RunTimeline({last.number: jobs}, starts, is_open=True)


def _read(folder: Path, is_open: bool) -> RunTimeline:
    marks = list_names(folder / "attempts")
    numbers = paths.numbers_of(marks)
    claims = sorted(claim for name in list_names(folder / "claims") if (claim := paths.claim_of(name)))
    claimed = {claim: read_record(ClaimFile, folder / "claims" / paths.claim_name(*claim)) for claim in claims}
    ends = {claim: _end(folder, claim, marks) for claim in claims}
    needs_progress = len(claims) > 1 or None in ends.values()
    progress = read_by_claim(folder, list_names(folder)) if needs_progress else {}
    intents = {number: read_record(AttemptFile, folder / "attempts" / f"{number}.json") for number in numbers}
    jobs: dict[int, set[JobKey]] = {number: set() for number in numbers}
    for number in numbers:
        if f"{number}.job.json" in marks:
            job = read_job(folder / "attempts" / f"{number}.job.json", int(folder.name), number)
            jobs[number].add((intents[number].token, job.job_id))
    starts = []
    for claim in claims:
        intent, claimer = intents.get(claim[0]), claimed[claim]
        if intent is not None:
            jobs[claim[0]].add((intent.token, claimer.job_id))
        epochs = tuple((p.epoch, p.at.timestamp()) for p in progress.get(claim, ()) if p.at is not None)
        goal = max((each.epochs for each in intent.trials), default=0) if intent is not None else 0
        starts.append(Start(claim[0], claimer.at.timestamp(), ends[claim], epochs, goal))
    is_lost = not numbers or f"{numbers[-1]}.lost.json" in marks
    submitted = {number: intent.at.timestamp() for number, intent in intents.items()}
    return RunTimeline(jobs, tuple(starts), is_open and not is_lost, submitted)


def _end(folder: Path, claim: _Claim, marks: Collection[str]) -> float | None:
    name = f"{claim[0]}.exit-{claim[1]}.json"
    return read_record(ExitFile, folder / "attempts" / name).at.timestamp() if name in marks else None
