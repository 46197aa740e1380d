"""Slot tables: which training has which slot in the jobs of a packed submission.

Each packed submission has a table in which its trainings are numbered. The first numbers are its own elements. Higher
numbers reuse slots: they are elements of later submissions, which found a free slot here and need no job of their own.

Rule 1: a job takes a number by link(): if two jobs want it, one gets it, and no other job ever does.
Rule 2: no file of a table is changed or removed, so a file that was read once is not read again.
"""

import os
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import StateError
from unetsweep.record_files import link_record, read_record
from unetsweep.records import MarkFile, PackFile, SlotReuseFile, SlotTakenFile
from unetsweep.regular_files import read_bytes

_T = TypeVar("_T")

_ABOUT = "about.json"
_ABANDONED = "abandoned.json"
"""Exists if the sweep was adopted into another folder or cluster: these jobs are not queried or used any more."""
_NAME = re.compile(rf"(task-)?({paths.NUMBER})\.([a-z]+)\.json")
ElementId = tuple[str, int]
"""Identifies an element: the token of its submission, and its index in it."""


@dataclass(frozen=True, slots=True)
class SlotTable:
    """The trainings of one packed submission's jobs, and their states."""

    token: str
    pack: int
    """Slots of each job."""
    count: int
    """Number of its own elements."""
    mem: str | None = None
    """Memory that its jobs requested; None: the cluster's default."""
    reused_slots: dict[int, ElementId] = field(default_factory=dict)
    """Elements of later submissions, by number."""
    taken: dict[int, SlotTakenFile] = field(default_factory=dict)
    ended: dict[int, datetime] = field(default_factory=dict)
    """When all processes of the training had exited; only trainings that do not continue later."""
    cancelled: frozenset[int] = frozenset()
    """Trainings that were cancelled."""
    terminated: frozenset[int] = frozenset()
    """Trainings that a reconciliation terminates, after they have dumped their stacks."""
    closed: frozenset[int] = frozenset()
    """Jobs of the array that take no more trainings."""

    @property
    def numbers(self) -> list[int]:
        return [*range(self.count), *sorted(self.reused_slots)]

    @property
    def waiting(self) -> list[int]:
        """Trainings that no job has taken, and that were not cancelled or terminated."""
        off = self.cancelled | self.terminated
        return [n for n in self.numbers if n not in self.taken and n not in off]

    def element(self, number: int) -> ElementId:
        return self.reused_slots.get(number, (self.token, number))


class SlotTableDir:
    """The files of one slot table."""

    def __init__(self, root: Path, token: str) -> None:
        self._folder = root / paths.packed(token)
        self._token = token
        self._records: dict[str, object] = {}
        """Files that were read before, by name."""

    def create(self, count: int, pack: int, mem: str | None) -> None:
        """Create the table, before its jobs are submitted."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        link_record(self._folder / _ABOUT, PackFile(count, pack, mem))

    def reuse_slot(self, element: ElementId) -> int:
        """Add an element of another submission, and return its number here."""
        number = max(self.read().numbers, default=-1) + 1
        while not link_record(self._folder / f"{number}.reused.json", SlotReuseFile(*element)):
            number += 1
        return number

    def take(self, number: int, task: int, restart: int) -> bool:
        """Take a training for job `task` of the array; return False if another job has taken it."""
        return link_record(self._folder / f"{number}.taken.json", SlotTakenFile(task, restart))

    def end(self, number: int) -> None:
        """Record that all processes of a training have exited."""
        self._mark(f"{number}.ended")

    def cancel(self, number: int) -> None:
        """Ask the training's job to end it."""
        self._mark(f"{number}.cancelled")

    def terminate(self, number: int) -> None:
        """Ask the training's job to end it after its processes have dumped their stacks."""
        self._mark(f"{number}.terminated")

    def close(self, task: int) -> None:
        """Record that a job takes no more trainings.

        The job must read the table once more afterwards, to see trainings that were added just before.
        """
        self._mark(f"task-{task}.closed")

    def abandon(self) -> None:
        """Record that the sweep no longer uses these jobs, because it was adopted."""
        self._mark(_ABANDONED.removesuffix(".json"))

    def _mark(self, name: str) -> None:
        link_record(self._folder / f"{name}.json", MarkFile(utc_now()))

    def read(self) -> SlotTable:
        """Read the whole table; StateError if one of its files is unreadable."""
        about = self._read_record(PackFile, self._folder / _ABOUT)
        reused_slots: dict[int, ElementId] = {}
        taken: dict[int, SlotTakenFile] = {}
        ended: dict[int, datetime] = {}
        marks: dict[str, set[int]] = {"cancelled": set(), "terminated": set(), "closed": set()}
        for name in os.listdir(self._folder):
            found = _NAME.fullmatch(name)
            if found is None:
                continue
            number, kind = int(found[2]), found[3]
            if kind in marks:
                marks[kind].add(number)
                continue
            path = self._folder / name
            if kind == "reused":
                reuse = self._read_record(SlotReuseFile, path)
                reused_slots[number] = (reuse.token, reuse.index)
            elif kind == "taken":
                taken[number] = self._read_record(SlotTakenFile, path)
            elif kind == "ended":
                ended[number] = self._read_record(MarkFile, path).at
        marked = (frozenset(marks[kind]) for kind in ("cancelled", "terminated", "closed"))
        return SlotTable(self._token, about.pack, about.count, about.mem, reused_slots, taken, ended, *marked)

    def _read_record(self, kind: type[_T], path: Path) -> _T:
        known = self._records.get(path.name)
        if not isinstance(known, kind):
            known = self._records[path.name] = read_record(kind, path)
        return known


def list_packed_tokens(root: Path) -> list[str]:
    """List the tokens of a sweep's packed submissions, without those that were abandoned."""
    folder = root / paths.PACKED
    try:
        return sorted(token for token in os.listdir(folder) if not (folder / token / _ABANDONED).exists())
    except FileNotFoundError:
        return []


def is_published(root: Path, element: ElementId) -> bool:
    """Whether an element has published all of its results, so that its slot is about to be free."""
    path = root / paths.awaited(*element)
    try:
        awaited = read_bytes(path).decode(errors="replace").splitlines()
    except (FileNotFoundError, StateError):
        return False
    return bool(awaited) and all(os.path.exists(each) for each in awaited)


def completion_event(root: Path, token: str, task: int) -> Path:
    """The file by which a job asks for a reconciliation after one of its trainings has ended."""
    return root / paths.packed(token) / f"task-{task}.completed"


def requeue_marker(root: Path, token: str, task: int, restart: int) -> Path:
    """The file by which one start of a job asks for another one."""
    return root / paths.packed(token) / f"task-{task}.more-{restart}"
