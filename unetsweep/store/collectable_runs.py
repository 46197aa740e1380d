"""Marks runs with checkpoints that can be deleted, and deletes them.

Rule 1: a run is marked before its last trial gets a result, and the mark is removed after the deletion. If the process
        is killed in between, the next reconciliation continues.
Rule 2: `last.ckpt` is deleted first. Candidates without it are harmless, but a training that resumes from it without
        the candidate that it names could not end.
"""

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.core import paths
from unetsweep.core.checkpoint_gc import COLLECTABLE_STATES
from unetsweep.core.observation import CollectableRun
from unetsweep.errors import StateError
from unetsweep.record_files import read_record
from unetsweep.records import AttemptFile
from unetsweep.regular_files import touch
from unetsweep.store.observation import list_names, numbered_folders
from unetsweep.store.trials import read_result


class CollectableRuns:
    """The marked runs of one sweep."""

    def __init__(self, root: Path) -> None:
        self._root, self._folder = root, root / paths.COLLECTABLE

    def mark(self, run: int) -> None:
        """Mark a run."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        touch(self._folder / f"{run:04d}")

    def mark_all(self) -> None:
        """Mark every run, because `run.keep_checkpoints` has been `all` until now."""
        for number, _ in numbered_folders(self._root / paths.RUNS):
            self.mark(number)

    def list_marked(self) -> tuple[CollectableRun, ...]:
        """Read the marked runs."""
        found = []
        for number, mark in numbered_folders(self._folder):
            try:
                written = mark.lstat()
            except FileNotFoundError:  # another reconciliation has just collected the run
                continue
            if not stat.S_ISREG(written.st_mode):
                continue
            since = datetime.fromtimestamp(written.st_mtime, UTC)
            found.append(CollectableRun(number, _is_at_work(self._root / paths.run_dir(number)), since))
        return tuple(found)

    def collect(self, run: int) -> bool:
        """Delete the checkpoints of a run; return whether there were any.

        Nothing is deleted if a trial of the run is open again, or if one of its files is unreadable.
        """
        try:
            states = self._states(run)
        except StateError:
            return False
        if None in states:
            return False
        files = (
            _files_to_delete(self._root / paths.run_dir(run) / "checkpoints") if states <= COLLECTABLE_STATES else []
        )
        for path in files:
            path.unlink(missing_ok=True)
        (self._folder / f"{run:04d}").unlink(missing_ok=True)
        return bool(files)

    def _states(self, run: int) -> set[str | None]:
        """The states of all trials that the run ever served; None stands for one that has not ended."""
        folder = self._root / paths.run_dir(run) / "attempts"
        intents = [read_record(AttemptFile, folder / name) for name in list_names(folder) if paths.number_of(name)]
        trials = {each.trial for intent in intents for each in intent.trials}
        return {self._state(trial) for trial in trials}

    def _state(self, trial: int) -> str | None:
        try:
            result = read_result(self._root / paths.trial_dir(trial))
        except StateError:
            return "unreadable"
        return None if result is None else result.state


def _is_at_work(folder: Path) -> bool:
    """Whether no file records the end of the run's newest start."""
    claims = (paths.claim_of(name) for name in list_names(folder / "claims"))
    attempt, restart = max((claim for claim in claims if claim is not None), default=(0, 0))
    marks = list_names(folder / "attempts")
    return attempt > 0 and not marks & {f"{attempt}.lost.json", f"{attempt}.exit-{restart}.json"}


def _files_to_delete(folder: Path) -> list[Path]:
    """Return the checkpoints to delete, in the order of their deletion."""
    names = sorted(name for name in list_names(folder) if re.fullmatch(rf"candidate-{paths.NUMBER}\.ckpt", name))
    last = ["last.ckpt"] if os.path.lexists(folder / "last.ckpt") else []
    return [folder / name for name in (*last, *names)]
