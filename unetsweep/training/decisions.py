"""What rank 0 decides for all ranks at the end of an epoch: continue, save, prune, or stop until a later start.

Rule 1: one object is broadcast, so that all ranks do the same at the same epoch.
Rule 2: a prune file that cannot be read prunes nothing: losing a training is worse than missing a prune.
"""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetsweep.contract import SCHEMA, dumps
from unetsweep.errors import StateError
from unetsweep.regular_files import read_bytes
from unetsweep.training.checkpoints import ArtifactWriter

SAVE_EVERY_S = 60.0
"""`last.ckpt` is saved at the first epoch end after this long: with 372 MB at base 64 a save takes up to a second."""
SLACK = 1.2
"""The next epoch may take this much longer than the longest recent one, since other jobs share disk and cores."""
FIRST_SAVE_S = 5.0
"""Assumed duration of a save before one was measured: the largest network on a slow shared disk."""
RECENT = 5
"""Number of epochs from which the next one's length is estimated; more if validation is rarer than that."""
PRUNE = "prune.json"

StopCheck = Callable[[float], str | None]
"""Given the seconds that another epoch and its checkpoint take: the reason to stop now, or None to continue."""


def never_stop(needed: float) -> None:
    """The StopCheck of a training without a time limit."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What all ranks do now."""

    lost: bool = False
    """Another claim owns the run."""
    published: frozenset[int] = frozenset()
    """Milestones that have a result."""
    pruned: tuple[int, ...] = ()
    """Open milestones that end here because of `prune_reason`."""
    prune_reason: str = ""
    save: bool = False
    requeue_reason: str | None = None
    """Why to stop here and continue in a later start."""


class EpochTimer:
    """Measures how long epochs and checkpoints take, in seconds of wall time."""

    def __init__(self, val_every: int) -> None:
        self._last_save = self._last_epoch = time.monotonic()
        self._epochs: deque[float] = deque(maxlen=max(RECENT, val_every + 1))
        self._save_s: float | None = None

    def start(self) -> None:
        """Start the clock of the first epoch."""
        self._last_epoch = time.monotonic()

    def record_epoch(self) -> None:
        """Record that an epoch and the work at its end are done."""
        now = time.monotonic()
        self._epochs.append(now - self._last_epoch)
        self._last_epoch = now

    def record_save(self, seconds: float) -> None:
        """Record that a checkpoint was just saved, and how long that took."""
        self._last_save = time.monotonic()
        self._save_s = max(seconds, self._save_s or 0.0)

    def is_save_due(self) -> bool:
        return time.monotonic() - self._last_save >= SAVE_EVERY_S

    def seconds_needed(self, saves: int) -> float:
        """Estimate the seconds for another epoch with this many checkpoints."""
        save = FIRST_SAVE_S if self._save_s is None else self._save_s
        return SLACK * max(self._epochs, default=0.0) + saves * save


class PruneFileReader:
    """Reads `prune.json`, in which a reconciliation names the milestones of one attempt to prune."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._path, self._attempt = path, attempt
        self._version: tuple[int, int, int] | None = None
        self._content: tuple[frozenset[int], str] = frozenset(), ""

    def read(self) -> tuple[frozenset[int], str]:
        """Return the milestones to prune, and the reason. The file is opened only after it changed."""
        try:
            found = os.stat(self._path)
        except OSError:
            return frozenset(), ""
        version = found.st_mtime_ns, found.st_ino, found.st_size
        if version != self._version:
            self._version, self._content = version, self._parse()
        return self._content

    def _parse(self) -> tuple[frozenset[int], str]:
        try:
            raw: dict[str, Any] = json.loads(read_bytes(self._path))
            if raw["schema"] != SCHEMA:
                raise ValueError(f"schema {raw['schema']!r}; this version reads {SCHEMA}")
            if int(raw["attempt"]) != self._attempt:
                return frozenset(), ""
            return frozenset(map(int, raw["milestones"])), str(raw["reason"])
        except (OSError, StateError, ValueError, KeyError, TypeError, OverflowError) as error:
            print(f"{self._path} cannot be read and is ignored: {type(error).__name__}: {error}", flush=True)  # noqa: T201
            return frozenset(), ""


class RankZeroPolicy:
    """Makes rank 0's decisions. Every rank has a policy, but only that of rank 0 is used."""

    def __init__(self, artifacts: ArtifactWriter, timer: EpochTimer, stop_check: StopCheck) -> None:
        self._artifacts, self._timer, self._stop_check = artifacts, timer, stop_check
        self._prune_file = PruneFileReader(artifacts.out / PRUNE, int(artifacts.claim.partition("-")[0]))

    def check_state(self, wanted: Collection[int], is_published: Callable[[int], bool]) -> Decision:
        """Find out who owns the run, and which of `wanted` are published."""
        lost = not self._artifacts.still_owns()
        return Decision(lost, published=frozenset(epochs for epochs in wanted if is_published(epochs)))

    def check_prunes(self, remaining: Collection[int]) -> Decision:
        """Find out which of the `remaining` milestones end here."""
        asked, reason = self._prune_file.read()
        pruned = tuple(epochs for epochs in remaining if epochs in asked)
        return Decision(self._artifacts.lost, pruned=pruned, prune_reason=reason)

    def next_step(self, remaining: Collection[int]) -> Decision:
        """Decide what to do between this epoch and the next, with these milestones left."""
        prunes, due = self.check_prunes(remaining), self._timer.is_save_due()
        continues = len(prunes.pruned) < len(remaining)
        requeue_reason = self._stop_check(self._timer.seconds_needed(2 if due else 1)) if continues else None
        return Decision(
            prunes.lost,
            pruned=prunes.pruned,
            prune_reason=prunes.prune_reason,
            save=due or not continues,
            requeue_reason=requeue_reason,
        )

    def write_requeue(self, epoch: int, reason: str, at: str) -> None:
        """Write `requeue-<claim>.json`: this start saved a checkpoint and ends, and a later one is to continue."""
        text = dumps({"schema": SCHEMA, "reason": reason, "epoch": epoch, "at": at})
        self._artifacts.publish(f"requeue-{self._artifacts.claim}.json", lambda stream: stream.write(text.encode()))
