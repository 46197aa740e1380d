"""Who has which place in packed jobs: a board for each packed submission.

The numbers of a board are its submission's own elements, and after them guests: elements of later submissions that
found a free place in its jobs, and so needed none of their own.

Rule 1: a number is taken by link(): of two jobs that want it one gets it, and no other job ever does.
Rule 2: nothing on a board is changed or taken back, so what was read once is never read again.
"""

import os
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.records import MarkFile, PackFile, SlotReuseFile, SlotTakenFile, link_record, read_record

_T = TypeVar("_T")

_ABOUT = "about.json"
_ABANDONED = "abandoned.json"
"""There when the sweep was adopted elsewhere: these jobs are not asked for, and nothing is sent to them."""
_NAME = re.compile(r"(task-)?(\d+)\.([a-z]+)\.json")
ElementId = tuple[str, int]
"""An element: token and index of its submission."""


@dataclass(frozen=True, slots=True)
class SlotTable:
    """What there is to run in the jobs of one packed submission, and how far it is."""

    token: str
    pack: int
    """Places of each job."""
    count: int
    """Elements of its own."""
    mem: str | None = None
    """What its jobs were sent with."""
    reused_slots: dict[int, ElementId] = field(default_factory=dict)
    taken: dict[int, SlotTakenFile] = field(default_factory=dict)
    ended: dict[int, datetime] = field(default_factory=dict)
    """All processes of the element are gone, and it does not want to go on later."""
    cancelled: frozenset[int] = frozenset()
    """The user wants them ended."""
    stopped: frozenset[int] = frozenset()
    """We do, with their stacks dumped before."""
    closed: frozenset[int] = frozenset()
    """Jobs of the array that take no more."""

    @property
    def numbers(self) -> list[int]:
        return [*range(self.count), *sorted(self.reused_slots)]

    @property
    def waiting(self) -> list[int]:
        """Those that nobody took and nobody called off."""
        off = self.cancelled | self.stopped
        return [n for n in self.numbers if n not in self.taken and n not in off]

    def element(self, number: int) -> ElementId:
        return self.reused_slots.get(number, (self.token, number))


class SlotTableDir:
    """The board of one submission."""

    def __init__(self, root: Path, token: str) -> None:
        self._folder = root / paths.packed(token)
        self._token = token
        self._read: dict[str, object] = {}

    def create(self, count: int, pack: int, mem: str | None) -> None:
        """Before its jobs are sent."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        link_record(self._folder / _ABOUT, PackFile(count, pack, mem))

    def reuse_slot(self, reused: ElementId) -> int:
        """The number of an element of another submission here."""
        number = max(self.slots().numbers, default=-1) + 1
        while not link_record(self._folder / f"{number}.reused.json", SlotReuseFile(*reused)):
            number += 1
        return number

    def take(self, number: int, task: int, restart: int) -> bool:
        return link_record(self._folder / f"{number}.taken.json", SlotTakenFile(task, restart))

    def end(self, number: int) -> None:
        self._mark(f"{number}.ended")

    def cancel(self, number: int) -> None:
        self._mark(f"{number}.cancelled")

    def stop(self, number: int) -> None:
        """Have it ended, its stacks dumped before."""
        self._mark(f"{number}.stopped")

    def close(self, task: int) -> None:
        """This job takes no more; it looks once more after this, so that who was invited before is seen."""
        self._mark(f"task-{task}.closed")

    def abandon(self) -> None:
        """These jobs belong to the sweep's old place."""
        self._mark(_ABANDONED.removesuffix(".json"))

    def _mark(self, name: str) -> None:
        link_record(self._folder / f"{name}.json", MarkFile(utc_now()))

    def slots(self) -> SlotTable:
        """Everything, at one look. StateError: a file of it cannot be read."""
        about = self._record(PackFile, self._folder / _ABOUT)
        reused_slots: dict[int, ElementId] = {}
        taken: dict[int, SlotTakenFile] = {}
        ended: dict[int, datetime] = {}
        marks: dict[str, set[int]] = {"cancelled": set(), "stopped": set(), "closed": set()}
        for name in os.listdir(self._folder):
            found = _NAME.fullmatch(name)
            if found is None:
                continue
            number, what = int(found[2]), found[3]
            if what in marks:
                marks[what].add(number)
                continue
            path = self._folder / name
            if what == "reused":
                reuse = self._record(SlotReuseFile, path)
                reused_slots[number] = (reuse.token, reuse.index)
            elif what == "taken":
                taken[number] = self._record(SlotTakenFile, path)
            elif what == "ended":
                ended[number] = self._record(MarkFile, path).at
        called_off = (frozenset(marks[what]) for what in ("cancelled", "stopped", "closed"))
        return SlotTable(self._token, about.pack, about.count, about.mem, reused_slots, taken, ended, *called_off)

    def _record(self, kind: type[_T], path: Path) -> _T:
        known = self._read.get(path.name)
        if not isinstance(known, kind):
            known = self._read[path.name] = read_record(kind, path)
        return known


def list_packed_tokens(root: Path) -> list[str]:
    """Tokens of the packed submissions of a sweep, but for those that were left behind at its old place."""
    folder = root / paths.PACKED
    try:
        return sorted(token for token in os.listdir(folder) if not (folder / token / _ABANDONED).exists())
    except FileNotFoundError:
        return []


def is_published(root: Path, place: ElementId) -> bool:
    """Whether all results are there that an element was sent for: its place is about to be free."""
    path = root / paths.awaited(*place)
    try:
        awaited = path.read_text().splitlines()
    except FileNotFoundError:
        return False
    return bool(awaited) and all(os.path.exists(each) for each in awaited)


def completion_event(root: Path, token: str, task: int) -> Path:
    """There while a job of the array has something to tell that no reconciliation has looked at."""
    return root / paths.packed(token) / f"task-{task}.completed"


def requeue_marker(root: Path, token: str, task: int, restart: int) -> Path:
    """Left by a start of a job of the array that wants to be started again."""
    return root / paths.packed(token) / f"task-{task}.more-{restart}"
