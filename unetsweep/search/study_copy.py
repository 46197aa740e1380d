"""Copies the study of a journal into memory. Nothing is written, so others may read a sweep that is not theirs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend

from unetsweep.errors import StateError, UnetsweepError
from unetsweep.regular_files import read_bytes
from unetsweep.search.journal import MAX_JOURNAL_BYTES

Study = optuna.Study


class _ReadOnly(BaseJournalBackend):
    """The lines of a journal. Optuna's own reader creates the file if it is missing."""

    def __init__(self, logs: Sequence[dict[str, Any]]) -> None:
        self._logs = logs

    def read_logs(self, log_number_from: int) -> Sequence[dict[str, Any]]:
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise UnetsweepError("a journal is only read here; the study in memory may be changed")


def copy_study(path: Path, name: str) -> Study:
    """Return the study of this name in a journal, as it is now; an incomplete last line is still being written.

    UnetsweepError if there is no journal yet, StateError if it cannot be read.
    """
    try:
        content = read_bytes(path, max_bytes=MAX_JOURNAL_BYTES)
    except FileNotFoundError:
        raise UnetsweepError(f"{path}: is missing; it is written when the first trials have ended") from None
    try:
        logs = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
        copy = InMemoryStorage()
        optuna.copy_study(from_study_name=name, from_storage=JournalStorage(_ReadOnly(logs)), to_storage=copy)
        return optuna.load_study(study_name=name, storage=copy)
    except Exception as error:  # whatever Optuna makes of its bytes
        why = f"{type(error).__name__}: {error}"
        raise StateError(
            f"{path}: Optuna cannot read it ({why}); `unetsweep repair {path.parent.name}` rebuilds it"
        ) from error
