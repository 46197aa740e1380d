"""What the readable files of a sweep say about it."""

import time
from collections.abc import Callable, Collection, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from unetsweep.bounded_json import read_json
from unetsweep.config.load import load
from unetsweep.core import paths
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SpecError, StateError
from unetsweep.records import AttemptFile, SubmissionFile
from unetsweep.store.attempts import read_intent, read_submission
from unetsweep.store.lease import file_server_time
from unetsweep.store.observation import list_names, numbered_folders
from unetsweep.store.trials import read_stored_trial

T = TypeVar("T")
READ_ERRORS = (StateError, FileNotFoundError, KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What reading a damaged file raises; all but the first two for valid JSON with the wrong content."""


def readable(read: Callable[[], T]) -> T | None:
    """What `read` returns; None if its file is missing or damaged."""
    try:
        return read()
    except READ_ERRORS:
        return None


class Goal(NamedTuple):
    """The milestone that one trial asks of its run."""

    trial: int
    epochs: int
    config_id: str


class Sources:
    """What the readable files of a sweep say. Damaged files are rebuilt from it."""

    def __init__(
        self, root: Path, executors: Collection[str], find_executor: Callable[[], str], *, read_only: bool = False
    ) -> None:
        """`executors`: the names of all executors. `find_executor` says which one this machine has; it is asked only if
        no file knows the sweep's. `read_only`: nothing may be written, not even to ask for the time."""
        self.root, self.executors, self._find_executor = root, executors, find_executor
        self._read_only = read_only

    @cached_property
    def spec(self) -> SweepSpec | None:
        """The sweep's specification; None if sweep.yaml cannot be read."""
        try:
            return load(self.root / paths.SPEC)
        except SpecError:
            return None

    @cached_property
    def now(self) -> float:
        """The time by the file server's clock, or by this machine's if nothing may be written, in seconds since
        1970."""
        return time.time() if self._read_only else file_server_time(self.root / paths.LEASE)

    @cached_property
    def goals(self) -> dict[int, list[Goal]]:
        """The milestones that the trials of each run ask of it."""
        found: dict[int, list[Goal]] = {}
        for number, folder in numbered_folders(self.root / paths.TRIALS):
            if folder.is_dir() and list_names(folder):
                trial = read_stored_trial(number, folder)
                found.setdefault(trial.run, []).append(Goal(number, trial.epochs, trial.config_id))
        return found

    @property
    def executor(self) -> str:
        """The executor in sweep.json, else that of the first readable submission, else that of this machine."""
        known = self.read(self.root / paths.SWEEP).get("executor")
        by_time = sorted((intent.at, intent.kind) for _, intent in self.submissions())
        names = [known, *(kind for _, kind in by_time)]
        return next((name for name in names if name in self.executors), None) or self._find_executor()

    def read(self, path: Path) -> dict[str, Any]:
        """The content of a JSON file; empty if it cannot be read."""
        return readable(lambda: read_json(path)) or {}

    def attempts(self) -> Iterator[AttemptFile]:
        """All attempts that can be read."""
        for run, folder in numbered_folders(self.root / paths.RUNS):
            for path in sorted((folder / "attempts").glob("*.json")):
                if path.stem.isdecimal() and (attempt := readable(partial(read_intent, path, run, int(path.stem)))):
                    yield attempt

    def submissions(self) -> Iterator[tuple[str, SubmissionFile]]:
        """Token and intent of each readable submission."""
        for path in sorted((self.root / paths.SUBMISSIONS).glob("*/intent.json")):
            if intent := readable(partial(read_submission, path)):
                yield path.parent.name, intent
