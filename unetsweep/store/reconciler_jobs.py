"""Reads and writes the files of a sweep's reconciler jobs: an intent by link(), then its job or its loss."""

import contextlib
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.core.observation import ReconcilerJob
from unetsweep.errors import StateError
from unetsweep.record_files import link_record, read_record
from unetsweep.records import JobFile, LostFile, ReconcilerFile
from unetsweep.regular_files import damage_named


class ReconcilerJobs:
    """The reconciler jobs of one sweep's directory."""

    def __init__(self, root: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._folder = root / paths.RECONCILERS
        self._now = now

    def create_intent(self, number: int, *, as_training: bool = False) -> str | None:
        """Create the intent of a reconciler job and return its token; None: another reconciliation created it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        token = secrets.token_hex(6)
        intent = ReconcilerFile(token, self._now(), as_training)
        return token if link_record(self._folder / f"{number}.json", intent) else None

    def record(self, number: int, job_id: str) -> None:
        """Record the id of a reconciler job."""
        link_record(self._folder / f"{number}.job.json", JobFile(job_id))

    def mark_lost(self, number: int, reason: str, *, refused: bool = False, limit: bool = False) -> None:
        """Record that a reconciler job was refused (perhaps for a limit on queued jobs), never reached the queue, or
        ended, and why."""
        lost = LostFile(reason, self._now(), refused=refused, limit=limit)
        link_record(self._folder / f"{number}.lost.json", lost)

    def tokens(self) -> list[str]:
        """Return the tokens of all reconciler jobs whose files can be read."""
        found = []
        with contextlib.suppress(FileNotFoundError), damage_named(self._folder):
            for number in paths.numbers_of(os.listdir(self._folder)):
                with contextlib.suppress(StateError):
                    found.append(read_record(ReconcilerFile, self._folder / f"{number}.json").token)
        return found

    def last(self) -> ReconcilerJob | None:
        """Read the newest reconciler job. If its file is unreadable it counts as lost, so another one is submitted.

        If the newest was refused, return the newest that was not: it may still work.
        """
        with damage_named(self._folder):
            try:
                names = set(os.listdir(self._folder))
            except FileNotFoundError:
                return None
        numbers = paths.numbers_of(names)
        if not numbers:
            return None
        highest = max(numbers)
        refusal = self._refusal(highest) if f"{highest}.lost.json" in names else None
        if refusal is None:
            return self._read(highest, lost=f"{highest}.lost.json" in names)
        accepted = [n for n in numbers if f"{n}.job.json" in names or f"{n}.lost.json" not in names]
        last = max(accepted, default=highest)
        found = self._read(last, lost=f"{last}.lost.json" in names)
        return replace(found, number=highest, refusal=refusal.reason, refused_at=refusal.at, limit=refusal.limit)

    def _refusal(self, number: int) -> LostFile | None:
        """Why and when the scheduler refused a reconciler job that is lost; None: it did not, or that is unreadable."""
        try:
            found = read_record(LostFile, self._folder / f"{number}.lost.json")
        except (StateError, FileNotFoundError):
            return None
        return found if found.refused else None

    def _read(self, number: int, *, lost: bool) -> ReconcilerJob:
        path = self._folder / f"{number}.json"
        try:
            intent = read_record(ReconcilerFile, path)
        except (StateError, FileNotFoundError):  # unreadable, or a link to nothing
            return ReconcilerJob(number, "", datetime.fromtimestamp(path.lstat().st_mtime, UTC), lost=True)
        return ReconcilerJob(number, intent.token, intent.at, lost, intent.as_training)
