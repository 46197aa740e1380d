"""What rank 0 decides at an epoch's end for every rank: whether to go on, to save, to prune, to stop for now.

Rule 1: one object is broadcast, so that all ranks do the same at the same epoch.
Rule 2: a stop file that cannot be read prunes nothing: a training is worth more than a prune.
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
from unetsweep.training.checkpoints import ArtifactWriter

SAVE_EVERY_S = 60.0
"""`last.ckpt` is saved at the first epoch's end after this long; its 372 MB at base 64 take up to a second."""
SLACK = 1.2
"""Another epoch may take this much longer than the longest of the last ones: other jobs share disk and cores."""
FIRST_SAVE_S = 5.0
"""What a checkpoint is taken to need before one was measured: the largest network on a slow shared disk."""
RECENT = 5
"""Epochs that count for the length of the next one; more where they are validated more rarely than that."""
STOP = "stop.json"

Ending = Callable[[float], str | None]
"""Given the seconds that another epoch and its checkpoint take: why to stop now, or None to go on."""


def endless(needed: float) -> None:
    """The Ending of a training that nothing ends from outside."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Rank 0's word on what all ranks do now."""

    lost: bool = False
    """Another claim owns the run."""
    published: frozenset[int] = frozenset()
    """Milestones whose result is there."""
    pruned: tuple[int, ...] = ()
    """Open milestones that end here, with `why`."""
    why: str = ""
    save: bool = False
    requeue_reason: str | None = None
    """Why to stop here and go on in a later start."""


class EpochTimer:
    """How long epochs and checkpoints take, in seconds of wall time."""

    def __init__(self, val_every: int) -> None:
        self._saved = self._turned = time.monotonic()
        self._epochs: deque[float] = deque(maxlen=max(RECENT, val_every + 1))
        self._save_s: float | None = None

    def begin(self) -> None:
        """The first epoch begins now."""
        self._turned = time.monotonic()

    def turn(self) -> None:
        """An epoch and all that was done at its end are over."""
        now = time.monotonic()
        self._epochs.append(now - self._turned)
        self._turned = now

    def saved(self, seconds: float) -> None:
        """A checkpoint was saved just now, and took this long."""
        self._saved = time.monotonic()
        self._save_s = max(seconds, self._save_s or 0.0)

    def is_due(self) -> bool:
        return time.monotonic() - self._saved >= SAVE_EVERY_S

    def needed(self, saves: int) -> float:
        """Seconds for another epoch with so many checkpoints."""
        save = FIRST_SAVE_S if self._save_s is None else self._save_s
        return SLACK * max(self._epochs, default=0.0) + saves * save


class StopFile:
    """`stop.json`, which a reconciliation leaves: milestones of one attempt that shall end."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._path, self._attempt = path, attempt
        self._seen: tuple[int, int, int] | None = None
        self._asked: tuple[frozenset[int], str] = frozenset(), ""

    def read(self) -> tuple[frozenset[int], str]:
        """Milestones that shall end, and why; it is opened only when it has changed."""
        try:
            found = os.stat(self._path)
        except OSError:
            return frozenset(), ""
        seen = found.st_mtime_ns, found.st_ino, found.st_size
        if seen != self._seen:
            self._seen, self._asked = seen, self._parse()
        return self._asked

    def _parse(self) -> tuple[frozenset[int], str]:
        try:
            raw: dict[str, Any] = json.loads(self._path.read_bytes())
            if raw["schema"] != SCHEMA:
                raise ValueError(f"schema {raw['schema']!r}; this version reads {SCHEMA}")
            if int(raw["attempt"]) != self._attempt:
                return frozenset(), ""
            return frozenset(map(int, raw["milestones"])), str(raw["reason"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"{self._path} is left aside: {type(error).__name__}: {error}", flush=True)  # noqa: T201
            return frozenset(), ""


class RankZeroPolicy:
    """Where rank 0's word comes from. Every rank has one, only rank 0's is asked."""

    def __init__(self, artifacts: ArtifactWriter, timer: EpochTimer, ending: Ending) -> None:
        self._artifacts, self._timer, self._ending = artifacts, timer, ending
        self._stop = StopFile(artifacts.out / STOP, int(artifacts.claim.partition("-")[0]))

    def state(self, wanted: Collection[int], is_published: Callable[[int], bool]) -> Decision:
        """Who owns the run, and which of `wanted` are published."""
        lost = not self._artifacts.owned()
        return Decision(lost, published=frozenset(epochs for epochs in wanted if is_published(epochs)))

    def prunes(self, ahead: Collection[int]) -> Decision:
        """Which of the milestones `ahead` end here."""
        asked, why = self._stop.read()
        return Decision(self._artifacts.lost, pruned=tuple(epochs for epochs in ahead if epochs in asked), why=why)

    def next(self, ahead: Collection[int]) -> Decision:
        """What to do between this epoch and the next, with the milestones that are still ahead."""
        word, due = self.prunes(ahead), self._timer.is_due()
        goes_on = len(word.pruned) < len(ahead)
        requeue_reason = self._ending(self._timer.needed(2 if due else 1)) if goes_on else None
        return Decision(
            word.lost, pruned=word.pruned, why=word.why, save=due or not goes_on, requeue_reason=requeue_reason
        )

    def leave_again(self, epoch: int, reason: str, at: str) -> None:
        """Write down that this start ended in good order, and that a later one is to go on."""
        text = dumps({"schema": SCHEMA, "reason": reason, "epoch": epoch, "at": at})
        self._artifacts.publish(f"requeue-{self._artifacts.claim}.json", lambda stream: stream.write(text.encode()))
