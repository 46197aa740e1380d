"""SLURM's query commands, and parsers of their output. Pure functions on text: nothing runs here.

What sites add is removed in `answers`. A text that is not recognised never counts as an end: an unknown state is a live
job.

Tested on SLURM 22.05; for 23.02 to 25.11 the texts come from its documentation and from users' logs.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from unetsweep.core.observation import Job, JobState
from unetsweep.core.paths import token_of
from unetsweep.schedulers.slurm.answers import MARK, marked, quoted, row_format

# --array: a line for each element. The name is last, because it may hold a line break. The header shows that squeue has
# answered, if there are no jobs.
SQUEUE = ("squeue", "--me", "--array", "--states=all", row_format("%F|%K|%T|%r|%e|%N|%S|%M|%j"))
SHOW_CONFIG = ("scontrol", "show", "config")
SINFO = ("sinfo", row_format("%R"))
ACCOUNTS = ("sacctmgr", "--noheader", "--parsable2", "show", "associations", "format=Cluster,User,Account")
SACCT = ("sacct", "--noheader", "--parsable2", "--format=JobID,State,JobName")  # and --jobs
END_TIME = ("squeue", row_format("%e"))  # and --jobs

STATES = {
    "PENDING": JobState.QUEUED,
    "REQUEUED": JobState.QUEUED,
    "REQUEUE_FED": JobState.QUEUED,
    "REQUEUE_HOLD": JobState.QUEUED,
    "SPECIAL_EXIT": JobState.QUEUED,
    "RESV_DEL_HOLD": JobState.QUEUED,
    "CONFIGURING": JobState.RUNNING,
    "POWER_UP_NODE": JobState.RUNNING,
    "RUNNING": JobState.RUNNING,
    "COMPLETING": JobState.RUNNING,  # its processes may still write; and a requeued job passes through it
    "SUSPENDED": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "COMPLETED": JobState.ENDED,
    "FAILED": JobState.ENDED,
    "TIMEOUT": JobState.ENDED,
    "DEADLINE": JobState.ENDED,
    "OUT_OF_MEMORY": JobState.ENDED,
    "CANCELLED": JobState.CANCELLED,
    "NODE_FAIL": JobState.NODE_FAILED,
    "BOOT_FAIL": JobState.NODE_FAILED,
    "PREEMPTED": JobState.NODE_FAILED,
}
"""States in squeue. sacct differs: it lists a requeued job as NODE_FAIL or PREEMPTED while it is alive."""

_ROW = re.compile(
    rf"{MARK}\|(?P<base>\d+)\|(?P<element>[^|]*)\|(?P<state>[^|]*)\|(?P<reason>.*)\|(?P<end>[^|]*)\|(?P<node>[^|]*)"
    rf"\|(?P<start>[^|]*)\|(?P<used>[^|]*)\|(?P<name>[^|]*)\|{MARK}"
)
"""A site may configure a reason with `|` in it, for example for a burst buffer. Our names have none."""


def state_of(text: str) -> JobState:
    """Convert a state as squeue prints it.

    >>> state_of("COMPLETING").is_live, state_of("CANCELLED by 1000"), state_of("EXPEDITING")
    (True, <JobState.CANCELLED: 'cancelled'>, <JobState.UNRECOGNISED: 'unrecognised'>)
    """
    first = (text.split() or [""])[0].rstrip("+")
    return STATES.get(first, JobState.UNRECOGNISED)


def parse_jobs(text: str, tokens: Collection[str], now: datetime | None = None) -> tuple[Job, ...]:
    """Return the jobs of these tokens in SQUEUE's output of the time `now`, oldest first.

    A refused request, which SLURM lists as FAILED with reason BadConstraints, is not a job. Raises ValueError if a line
    that names one of the tokens is unreadable, or if squeue did not answer.
    """
    found = []
    marked(text)
    for line in text.splitlines():
        row = _ROW.search(line)
        if row is None:
            if any(token in line for token in tokens):
                raise ValueError(f"unreadable line {quoted(line)}")
            continue  # a line of the site, or a part of another job's name with a line break in it
        token = token_of(row["name"])
        if token is None or token not in tokens:
            continue
        if (row["state"], row["reason"]) != ("FAILED", "BadConstraints"):
            found.append((int(row["base"]), _job(row, token, now)))
    return tuple(job for _, job in sorted(found, key=lambda pair: (pair[0], pair[1].index)))


def _job(row: re.Match[str], token: str, now: datetime | None) -> Job:
    element = row["element"].isdigit()
    state = state_of(row["state"])
    return Job(
        job_id=f"{row['base']}_{row['element']}" if element else row["base"],
        token=token,
        index=int(row["element"]) if element else 0,
        state=state,
        raw_state=row["state"],
        reason="" if row["reason"] in {"None", "N/A"} else row["reason"],
        ended_at=None if state.is_live else _time(row["end"]),
        node=row["node"].strip() or None,
        suspended_for=_suspended_for(row, now) if state is JobState.RUNNING else timedelta(0),
        starts_at=_time(row["start"]) if state is JobState.QUEUED else None,
    )


def _suspended_for(row: re.Match[str], now: datetime | None) -> timedelta:
    """Return how long a running job has been suspended: the time that it has used does not include that."""
    start, used = _time(row["start"]), _duration(row["used"])
    return timedelta(0) if now is None or start is None or used is None else max(timedelta(0), now - start - used)


def _time(text: str) -> datetime | None:
    """Convert seconds since 1970, as SLURM prints them with SLURM_TIME_FORMAT=%s; None for `N/A`."""
    return datetime.fromtimestamp(int(text), UTC) if text.isdigit() else None


def _duration(text: str) -> timedelta | None:
    """Convert a time as squeue prints it, `[[days-]hours:]minutes:seconds`; None for another text.

    >>> _duration("1-02:03:04"), _duration("3:04"), _duration("INVALID")
    (datetime.timedelta(days=1, seconds=7384), datetime.timedelta(seconds=184), None)
    """
    found = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def parse_end_time(text: str) -> float | None:
    """Return the latest end of a job from END_TIME's output, in seconds since 1970; None if SLURM does not know it.

    >>> parse_end_time("Maintenance on Friday!\\nunetsweep|END_TIME|unetsweep\\nunetsweep|1764009432|unetsweep\\n")
    1764009432.0
    """
    ends = [float(end) for end in marked(text) if end.isdecimal()]
    return ends[0] if len(ends) == 1 else None


DEFAULT_MAX_ELEMENTS = 1001
"""SLURM's own limit of an array's size, if a site sets none (MaxArraySize)."""


def parse_max_elements(text: str) -> int:
    """Return the maximal size of an array from SHOW_CONFIG's output; 1 if arrays are disabled.

    Raises ValueError if it is not there.

    >>> parse_max_elements("MaxArraySize            = 1001")
    1001
    """
    sizes = [re.search(r"^\s*MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE), re.search(r"max_array_tasks=(\d+)", text)]
    if sizes[0] is None:
        raise ValueError(f"it names no MaxArraySize, but {quoted(text)}")
    return max(1, min(int(size[1]) for size in sizes if size))


def parse_cluster(text: str) -> str | None:
    """Return the cluster's name from SHOW_CONFIG's output; None if it has none.

    >>> parse_cluster("ClusterName             = alpha")
    'alpha'
    """
    found = re.search(r"^\s*ClusterName\s*=\s*(\S+)", text, re.MULTILINE)
    return found[1] if found and found[1] != "(null)" else None


def parse_partitions(text: str) -> tuple[str, ...]:
    """Return the names of the partitions, in SINFO's order."""
    return tuple(dict.fromkeys(name for name in marked(text) if name != "PARTITION"))


def parse_account_names(text: str, user: str, cluster: str | None) -> tuple[str, ...]:
    """Return the accounts of `user` in ACCOUNTS's output, on this cluster (None: on any).

    >>> parse_account_names("exa|eve|p200\\nexa|eve|p201\\nold|eve|p7\\nexa|bob|p3", "eve", "exa")
    ('p200', 'p201')
    """
    rows = [line.split("|") for line in text.splitlines()]
    mine = [row for row in rows if len(row) >= 3 and row[1] == user and cluster in (None, row[0])]
    return tuple(dict.fromkeys(row[2] for row in mine))


def is_without_cluster(message: str) -> bool:
    """Whether an error means that no cluster is configured on this machine, neither by slurm.conf nor by DNS.

    A machine is in this state after the installation of Debian's packages.

    >>> is_without_cluster("sinfo: fetch_config: DNS SRV lookup failed; Could not establish a configuration source")
    True
    >>> is_without_cluster("sinfo: Unable to contact slurm controller (connect failure)")
    False
    """
    return "Could not establish a configuration source" in message


def parse_final_states(text: str, jobs: Mapping[str, str]) -> dict[str, str]:
    """Return the state in SACCT's output of each of these jobs (id -> token) that it lists under that token.

    The token is compared because a controller that crashed may have given the id to another job. A step that is
    OUT_OF_MEMORY outranks the state of its job, whose own row never has it under srun. Elements that never ran share
    one row, `36_[1,5%1]`.
    """
    found: dict[str, str] = {}
    out_of_memory = set()
    for line in text.splitlines():
        name, _, rest = line.partition("|")
        text_of_state, _, job_name = rest.partition("|")
        job_name = job_name.partition("|")[0]  # ours has no separator; a site may add columns
        state = (text_of_state.split() or [""])[0].rstrip("+")
        job, _, step = name.partition(".")
        for job_id in _expand_array(job) if state else ():
            if state == "OUT_OF_MEMORY":
                out_of_memory.add(job_id)
            if not step and token_of(job_name.strip()) == jobs.get(job_id):
                found[job_id] = state
    known = {job_id: state for job_id, state in found.items() if job_id in jobs}
    return known | dict.fromkeys(out_of_memory & known.keys(), "OUT_OF_MEMORY")


def _expand_array(name: str) -> Iterator[str]:
    """Yield the id of each element.

    >>> list(_expand_array("36_[1,4-5%2]")), list(_expand_array("36_3"))
    (['36_1', '36_4', '36_5'], ['36_3'])
    """
    ranges = re.fullmatch(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]", name)
    if ranges is None:
        yield name
        return
    for part in ranges[2].split(","):
        first, _, last = part.partition("-")
        for index in range(int(first), int(last or first) + 1):
            yield f"{ranges[1]}_{index}"
