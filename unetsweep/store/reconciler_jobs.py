"""Reads and writes the files of a sweep's reconciler jobs: an intent by link(), then its job or its loss."""

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.core.observation import ReconcilerJob
from unetsweep.errors import StateError
from unetsweep.record_files import link_record, read_record
from unetsweep.records import JobFile, LostFile, ReconcilerFile


class ReconcilerJobs:
    """The reconciler jobs of one sweep's directory."""

    def __init__(self, root: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._folder = root / paths.RECONCILERS
        self._now = now

    def create_intent(self, number: int) -> str | None:
        """Create the intent of a reconciler job and return its token; None: another reconciliation created it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        token = secrets.token_hex(6)
        intent = ReconcilerFile(token, self._now())
        return token if link_record(self._folder / f"{number}.json", intent) else None

    def record(self, number: int, job_id: str) -> None:
        """Record the id of a reconciler job."""
        link_record(self._folder / f"{number}.job.json", JobFile(job_id))

    def mark_lost(self, number: int, reason: str) -> None:
        """Record that a reconciler job was not submitted, or ended, and why."""
        link_record(self._folder / f"{number}.lost.json", LostFile(reason, self._now()))

    def last(self) -> ReconcilerJob | None:
        """Read the newest reconciler job. If its file is unreadable it counts as lost, so another one is submitted."""
        try:
            names = set(os.listdir(self._folder))
        except FileNotFoundError:
            return None
        number = max((int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal()), default=0)
        if not number:
            return None
        lost = f"{number}.lost.json" in names
        try:
            intent = read_record(ReconcilerFile, self._folder / f"{number}.json")
            return ReconcilerJob(number, intent.token, intent.at, lost)
        except StateError:
            written = (self._folder / f"{number}.json").stat().st_mtime
            return ReconcilerJob(number, "", datetime.fromtimestamp(written, UTC), lost=True)
