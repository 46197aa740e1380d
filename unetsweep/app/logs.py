"""`logs`: what a trial's job printed."""

import codecs
import os
import time
from collections.abc import Iterator
from pathlib import Path

from unetsweep.app.log_files import log_of
from unetsweep.core import paths
from unetsweep.errors import UsageError
from unetsweep.regular_files import read_from
from unetsweep.store.observation import read_run
from unetsweep.store.sweep_dir import SweepDir

POLL_S = 0.5
"""Pause between two reads of a log that is followed: fast enough for a reader, and cheap on a file server."""


def find_log(directory: SweepDir, trial: int) -> Path:
    """The log of the trial's last job (its first process). UsageError if there is no such trial, or no job yet."""
    if not (directory.root / paths.trial_dir(trial) / paths.TRIAL).exists():
        raise UsageError(f"sweep {directory.name} has no trial {trial}; it has {directory.next_trial()} (from 0)")
    last = read_run(directory.root, directory.run_of(trial)).last
    log = log_of(directory, last.run, last.number) if last else None
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
