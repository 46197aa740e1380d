"""The resources that jobs used, from SLURM's accounting. They are only reported, so missing accounting is not an error.

Rule 1: one query for all jobs, by the ids of their arrays. No answer in time counts as no accounting.
"""

import logging
import re
from collections.abc import Collection, Iterator

from unetsweep.core.cost import Account
from unetsweep.core.paths import token_of
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm.commands import ask

_log = logging.getLogger(__name__)

# --duplicates: a requeued job has a record for each start. Names of other jobs may contain a separator; ours do not.
SACCT = ("sacct", "--noheader", "--parsable2", "--duplicates", "--noconvert")
FIELDS = "--format=JobID,Start,End,ElapsedRaw,AllocTRES,MaxRSS,JobName"
TIMEOUT_S = 10.0
_IDS_PER_COMMAND = 5000
"""Ids on one command line, well below the kernel's limit for its length. An array is one id."""

_GPUS, _TYPED_GPUS = re.compile(r"(?:^|,)gres/gpu=(\d+)"), re.compile(r"(?:^|,)gres/gpu:[^=,]+=(\d+)")
_CPUS = re.compile(r"(?:^|,)cpu=(\d+)")
_SIZE = re.compile(r"([\d.]+)([KMGT]?)")
_MIB = {"": 1 / 2**20, "K": 1 / 2**10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}


def accounts(job_ids: Collection[str], timeout: float = TIMEOUT_S) -> tuple[Account, ...]:
    """Return a record for each start of these jobs, and of the others of their arrays; empty without accounting."""
    # accounting does not know packed trainings, whose ids have a dot in them
    bases = sorted({job_id.partition("_")[0] for job_id in job_ids if job_id[:1].isdigit() and "." not in job_id})
    found: list[Account] = []
    try:
        for at in range(0, len(bases), _IDS_PER_COMMAND):
            ids = ",".join(bases[at : at + _IDS_PER_COMMAND])
            found += parse_accounts(ask((*SACCT, FIELDS, f"--jobs={ids}"), timeout))
    except SchedulerError as error:
        _log.debug("no accounting: %s", error)
    return tuple(found)


def parse_accounts(text: str) -> Iterator[Account]:
    """Parse our jobs in SACCT's output. Memory is recorded for their steps, which are listed after them."""
    job: list[str] | None = None
    memory: list[float] = []
    for row in (line.split("|")[:7] for line in text.splitlines()):
        if len(row) != 7:
            continue
        if "." in row[0]:
            if job is not None and row[0].partition(".")[0] == job[0]:
                memory += _mib(row[5])
            continue
        yield from _account(job, memory)
        job, memory = row, []
    yield from _account(job, memory)


def _account(row: list[str] | None, memory: list[float]) -> Iterator[Account]:
    """Yield the account in this row; nothing for a job that is not ours, or that never started."""
    if row is None:
        return
    job_id, begin, end, seconds, tres, _, name = row
    token = token_of(name.strip())
    if token is None or not begin.isdigit() or not seconds.isdigit():
        return
    typed = [int(count) for count in _TYPED_GPUS.findall(tres)]
    gpus = _GPUS.search(tres)
    cpus = _CPUS.search(tres)
    yield Account(
        token,
        job_id,
        float(begin),
        float(end) if end.isdigit() else None,
        float(seconds),
        int(gpus[1]) if gpus else (sum(typed) if typed else None),
        int(cpus[1]) if cpus else None,
        max(memory, default=None),
    )


def _mib(text: str) -> list[float]:
    """Convert a size to MiB; empty if there is none.

    >>> _mib("2048K"), _mib("1048576"), _mib("")
    ([2.0], [1.0], [])
    """
    found = _SIZE.fullmatch(text.strip())
    return [float(found[1]) * _MIB[found[2]]] if found else []
