"""`logs`: what a trial's job printed."""

import codecs
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from unetsweep.app.addresses import Selection, check_trial, select_all, select_trial
from unetsweep.app.log_files import log_of
from unetsweep.core import paths
from unetsweep.errors import UsageError
from unetsweep.regular_files import read_from
from unetsweep.store.job_search import FoundJob
from unetsweep.store.observation import read_run
from unetsweep.store.sweep_dir import SweepDir

POLL_S = 0.5
"""Pause between two reads of a log that is followed: fast enough for a reader, and cheap on a file server."""


def select_log(addresses: Sequence[str], results: Path) -> tuple[Selection, int, FoundJob | None]:
    """The trial whose log is asked for, and the attempt if a job was named. UsageError if there are several logs.

    Trials that share a job have one log. The last of them to end stands for all.
    """
    selection = select_all(addresses, results)[0] if addresses else None
    if selection is not None and len(addresses) == 1 and len(selection.jobs) == 1:
        return selection, selection.jobs[0].trials[-1], selection.jobs[0]
    selection, trial = select_trial(addresses, results)
    return selection, trial, None


def find_log(directory: SweepDir, trial: int, job: FoundJob | None = None) -> Path:
    """The log of the trial's last job, or of `job` (its first process). UsageError if there is no job yet."""
    check_trial(directory.root, trial)
    last = read_run(directory.root, directory.run_of(trial)).last if job is None else None
    run, attempt = (job.run, job.attempt) if job is not None else (last.run, last.number) if last else (0, 0)
    log = log_of(directory, run, attempt) if attempt else None
    if log is None:
        raise UsageError(f"trial {trial} has no job yet; `unetsweep status {directory.name}` says why")
    return log


def read_log(directory: SweepDir, trial: int, log: Path, *, follow: bool = False) -> Iterator[str]:
    """The text of a trial's log; with `follow` also what is added to it, until the trial has ended."""
    result = directory.root / paths.trial_dir(trial) / paths.RESULT
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    position = 0
    while True:
        is_last = not follow or result.exists()  # asked before the log is read, so that its last lines are printed
        if os.path.lexists(log):
            text = read_from(log, position)
            position += len(text)
            yield decoder.decode(text, final=is_last)
        if is_last:
            return
        time.sleep(POLL_S)
