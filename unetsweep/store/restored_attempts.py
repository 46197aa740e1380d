"""Restores the attempts of a run whose folder was deleted, as a trainer command may do with its output folder.

Rule 1: `submissions/` lists every attempt, and `trials/NNNN/submitted` marks a run that has one. Without them the run
        would look new: it would be submitted while it trains, and again and again.
"""

import contextlib
import os
from datetime import datetime
from pathlib import Path

from unetsweep.core import paths
from unetsweep.core.causes import Cause
from unetsweep.errors import StateError
from unetsweep.record_files import link_records, read_record
from unetsweep.records import AttemptFile, AttemptTrial, JobFile, LostFile, SubmissionFile
from unetsweep.store import observation


def mark_submitted(root: Path, run: int) -> None:
    """Record that the run has an attempt. Nothing is recorded if the folder of its first trial is lost."""
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(root / paths.submitted(run), os.O_WRONLY | os.O_CREAT, 0o600))


def restore_if_deleted(root: Path, run: int, now: datetime) -> bool:
    """Write the attempts of the run again if they were deleted; return whether any were written."""
    return were_deleted(root, run) and _restore_attempts(root, run, now)


def were_deleted(root: Path, run: int) -> bool:
    """Whether the run has been submitted, and its first attempt is gone."""
    return os.path.lexists(root / paths.submitted(run)) and not os.path.lexists(root / paths.attempt(run, 1))


def _restore_attempts(root: Path, run: int, now: datetime) -> bool:
    """Write every attempt of the run again. All but the newest are lost; a reconciliation decides about that one.

    They count as submitted now, so that the newest is not given up before the scheduler was asked for its job.
    """
    open_ = observation.observe(root).trials
    trials = tuple(AttemptTrial(each.number, each.epochs) for each in open_ if each.run == run)
    attempts = {
        number: AttemptFile(run, number, submission.token, index, now, trials)
        for submission in sorted(_submissions(root), key=lambda each: each.at, reverse=True)
        for index, (other, number) in enumerate(submission.elements)
        if other == run  # of two submissions of one attempt, the first one is its owner
    }
    if not attempts:
        return False
    (root / paths.run_dir(run) / "attempts").mkdir(parents=True, exist_ok=True)
    lost = LostFile(f"its files in {paths.run_dir(run)} were deleted", now, Cause.VANISHED.name)
    for number in attempts.keys() - {max(attempts)}:  # with a job, so that they count as retries
        link_records([(root / paths.attempt_lost(run, number), lost)])
        link_records([(root / paths.attempt_job(run, number), JobFile("unknown", run, number))])
    link_records([(root / paths.attempt(run, number), each) for number, each in sorted(attempts.items(), reverse=True)])
    return True


def _submissions(root: Path) -> list[SubmissionFile]:
    """The submissions of the sweep; an unreadable one is left out."""
    found = []
    for token in observation.list_names(root / paths.SUBMISSIONS):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, StateError):
            found.append(read_record(SubmissionFile, root / paths.SUBMISSIONS / token / "intent.json"))
    return found
