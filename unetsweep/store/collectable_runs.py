"""Runs whose last checkpoints may go: a mark for each, until they are gone.

Rule 1: the mark is made before the run's last trial is told of, and taken away after the deed: whoever dies in between
        leaves it to the next reconciliation.
Rule 2: `last.ckpt` goes first: candidates without it are nothing that a training could go on from, but it without the
        candidate that it names would be a training that cannot end.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.core import paths
from unetsweep.core.checkpoint_gc import COLLECTABLE_STATES
from unetsweep.core.observation import CollectableRun
from unetsweep.errors import StateError
from unetsweep.records import AttemptFile, read_record
from unetsweep.store.observation import list_names, numbered_folders
from unetsweep.store.trials import read_result

_INTENT = re.compile(r"(\d+)\.json")


class CollectableRuns:
    """The marks of one sweep's directory."""

    def __init__(self, root: Path) -> None:
        self._root, self._folder = root, root / paths.COLLECTABLE

    def mark(self, run: int) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        (self._folder / f"{run:04d}").touch()

    def mark_all(self) -> None:
        """Every run that there is: `run.keep_checkpoints` was `all` until now."""
        for number, _ in numbered_folders(self._root / paths.RUNS):
            self.mark(number)

    def marked(self) -> tuple[CollectableRun, ...]:
        """What is known of each marked run."""
        found = []
        for number, mark in numbered_folders(self._folder):
            try:
                since = datetime.fromtimestamp(mark.stat().st_mtime, UTC)
            except FileNotFoundError:  # a reconciliation has just cleared the run
                continue
            found.append(CollectableRun(number, _is_at_work(self._root / paths.run_dir(number)), since))
        return tuple(found)

    def collect(self, run: int) -> bool:
        """Whether anything went. The mark stays where a trial of the run is open again, or a file of it is torn."""
        try:
            states = self._states(run)
        except StateError:
            return False
        if None in states:
            return False
        going = _going(self._root / paths.run_dir(run) / "checkpoints") if states <= COLLECTABLE_STATES else []
        for path in going:
            path.unlink(missing_ok=True)
        (self._folder / f"{run:04d}").unlink(missing_ok=True)
        return bool(going)

    def _states(self, run: int) -> set[str | None]:
        """Of all trials that were ever asked of the run; None: one has not ended."""
        folder = self._root / paths.run_dir(run) / "attempts"
        intents = [read_record(AttemptFile, folder / name) for name in list_names(folder) if _INTENT.fullmatch(name)]
        trials = {each.trial for intent in intents for each in intent.milestones}
        return {self._state(trial) for trial in trials}

    def _state(self, trial: int) -> str | None:
        try:
            result = read_result(self._root / paths.trial_dir(trial))
        except StateError:
            return "unreadable"
        return None if result is None else result.state


def _is_at_work(folder: Path) -> bool:
    """Whether the newest start of the run has left no word of its end."""
    pairs = (name.partition("-") for name in list_names(folder / "claims"))
    attempt, restart = max(((int(a), int(r)) for a, _, r in pairs if a.isdecimal() and r.isdecimal()), default=(0, 0))
    marks = list_names(folder / "attempts")
    return attempt > 0 and not marks & {f"{attempt}.lost.json", f"{attempt}.exit-{restart}.json"}


def _going(folder: Path) -> list[Path]:
    """In their order."""
    names = sorted(name for name in list_names(folder) if re.fullmatch(r"candidate-\d+\.ckpt", name))
    last = ["last.ckpt"] if os.path.lexists(folder / "last.ckpt") else []
    return [folder / name for name in (*last, *names)]
