"""Addresses: how a command line names a sweep, a trial or a job. This is the only place that parses one.

Rule 1: a text is read as the name of a sweep first. A sweep may be called `18808`, and its folder `results/3`.
Rule 2: after `SWEEP/` a number is a trial, never a job: what a command does must not change when the sweep grows. The
        job ids of arrays and packed jobs (`18808_3`, `18808.3`) cannot be mistaken for a trial.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from unetsweep.texts import one_line

BEST: Literal["best"] = "best"
TrialName = int | Literal["best"]

_TRIAL = re.compile(r"[0-9]{1,9}")
_JOB = re.compile(r"[1-9][0-9]{0,17}([_.+][0-9]{1,9})?")
_FEW_JOBS, _FEW_ROWS = 4, 4
"""How many jobs, and rows of a job, the line about shared jobs lists: it is one line."""
FEW = 8
"""How many names or numbers a message lists before `and … more`, to stay readable."""


@dataclass(frozen=True, slots=True)
class Address:
    """One way to read a text. Without `trial` and `job` it names a whole sweep."""

    sweep: str | None = None
    """A name, a folder or a YAML file; None: the sweep that has the job."""
    trial: TrialName | None = None
    job: str | None = None


def readings(text: str) -> tuple[Address, ...]:
    """Return the ways to read an address, in the order in which they are tried.

    >>> readings("grid/0003")
    (Address(sweep='grid/0003', trial=None, job=None), Address(sweep='grid', trial=3, job=None))
    >>> readings("18808_3")[-1], readings("grid/18808_3")[-1].job, len(readings("grid/confirm"))
    (Address(sweep=None, trial=None, job='18808_3'), '18808_3', 1)
    """
    whole = text.rstrip("/") or text
    head, _, tail = whole.rpartition("/")
    found = [Address(sweep=whole)]
    if head:
        part = part_of(tail)
        found += [] if part is None else [Address(head, part.trial, part.job)]
    elif is_job(whole):
        found.append(Address(job=whole))
    return tuple(found)


def part_of(text: str) -> Address | None:
    """Return what a text names within a known sweep; None: neither a trial nor a job.

    >>> part_of("7"), part_of("best"), part_of("18808.2")
    (Address(sweep=None, trial=7, job=None), Address(sweep=None, trial='best', job=None), \
Address(sweep=None, trial=None, job='18808.2'))
    >>> part_of("-1"), part_of("BEST"), part_of("1e3")
    (None, None, None)
    """
    if text == BEST:
        return Address(trial=BEST)
    if _TRIAL.fullmatch(text):
        return Address(trial=int(text))
    return Address(job=text) if is_job(text) else None


def is_job(text: str) -> bool:
    """Whether a text has the form of a job id, as tables print it.

    >>> [is_job(text) for text in ("18808", "18808_3", "18808.3", "018", "grid", "18808_")]
    [True, True, True, False, False, False]
    """
    return _JOB.fullmatch(text) is not None


def is_element_of(job_id: str, job: str) -> bool:
    """Whether a job is an element of an array, or a training of a packed job, that is named by its first number.

    >>> is_element_of("18808_3", "18808"), is_element_of("18808", "18808"), is_element_of("188081", "18808")
    (True, False, False)
    """
    return job_id.startswith((f"{job}_", f"{job}.", f"{job}+")) and is_job(job_id)


def trial_range(count: int) -> str:
    """Return the numbers of a sweep's trials as text.

    >>> trial_range(0), trial_range(1), trial_range(9)
    ('no trials yet', '1 trial (0)', '9 trials (0 to 8)')
    """
    if not count:
        return "no trials yet"
    return "1 trial (0)" if count == 1 else f"{count} trials (0 to {count - 1})"


def trial_list(numbers: Sequence[int]) -> str:
    """Return the trials as text.

    >>> trial_list([3]), trial_list([0, 1, 2]), trial_list(range(20))
    ('trial 3', 'trials 0, 1 and 2', 'trials 0, 1, 2, 3, 4, 5, 6, 7 and 12 more')
    """
    if len(numbers) == 1:
        return f"trial {numbers[0]}"
    listed, left = numbers[:FEW], len(numbers) - FEW
    last = f"{left} more" if left > 0 else str(listed[-1])
    return f"trials {', '.join(map(str, listed if left > 0 else listed[:-1]))} and {last}"


def names_list(names: Iterable[str]) -> str:
    """Return the names of sweeps as text; `none yet` if there are none.

    >>> names_list(["b", "a"]), names_list([])
    ('a, b', 'none yet')
    """
    found = sorted(names)
    shortened = [*found[:FEW], f"and {len(found) - FEW} more (`unetsweep list`)"] if len(found) > FEW else found
    return ", ".join(shortened) or "none yet"


def shared_jobs(rows: Iterable[tuple[int, str | None]]) -> str | None:
    """Return the line that says which rows of a table share a job; None: none do. `rows`: number and job of each.

    >>> shared_jobs([(0, "18808_0"), (1, "18808_0"), (2, "18808_1"), (3, None), (4, None)])
    'rows that share a job: 0000 0001 (18808_0)'
    >>> shared_jobs([(0, "7"), (1, "8")])
    """
    groups: dict[str, list[int]] = {}
    for number, job_id in rows:
        if job_id is not None:
            groups.setdefault(job_id, []).append(number)
    shared = [(job_id, numbers) for job_id, numbers in groups.items() if len(numbers) > 1]
    if not shared:
        return None
    listed = [f"{_rows(numbers)} ({one_line(job_id)})" for job_id, numbers in shared[:_FEW_JOBS]]
    more = f"; and {len(shared) - _FEW_JOBS} more jobs" if len(shared) > _FEW_JOBS else ""
    return f"rows that share a job: {'; '.join(listed)}{more}"


def _rows(numbers: Sequence[int]) -> str:
    text = " ".join(f"{number:04d}" for number in numbers[:_FEW_ROWS])
    return text if len(numbers) <= _FEW_ROWS else f"{text} and {len(numbers) - _FEW_ROWS} more"
