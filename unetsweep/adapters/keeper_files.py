"""The keepers of a sweep, on the disk: an intent by link(), then what became of it, as for an attempt."""

import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from unetsweep.adapters.files import link_json, read_json, utc_now
from unetsweep.core import layout
from unetsweep.core.facts import Keeper
from unetsweep.errors import StateError


class Keepers:
    """The keepers of one sweep's directory."""

    def __init__(self, root: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._folder = root / layout.KEEPERS
        self._now = now

    def intend(self, number: int) -> str | None:
        """The token of the next keeper; None where another pass was the first to leave it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        token = secrets.token_hex(6)
        intent = {"token": token, "at": self._now().isoformat()}
        return token if link_json(self._folder / f"{number}.json", intent) else None

    def record(self, number: int, job_id: str) -> None:
        link_json(self._folder / f"{number}.job.json", {"job_id": job_id})

    def give_up(self, number: int, reason: str) -> None:
        link_json(self._folder / f"{number}.lost.json", {"reason": reason})

    def last(self) -> Keeper | None:
        """The newest keeper. One whose file is torn counts as lost: another may be left."""
        try:
            names = set(os.listdir(self._folder))
        except FileNotFoundError:
            return None
        number = max((int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal()), default=0)
        if not number:
            return None
        lost = f"{number}.lost.json" in names
        try:
            raw = read_json(self._folder / f"{number}.json")
            return Keeper(number, str(raw["token"]), datetime.fromisoformat(raw["at"]), lost)
        except (StateError, KeyError, TypeError, ValueError):
            torn = self._folder / f"{number}.json"
            return Keeper(number, "", datetime.fromtimestamp(torn.stat().st_mtime, UTC), lost=True)
