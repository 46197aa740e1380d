"""SLURM's query commands, and parsers of their output. Pure functions on text: nothing runs here.

Tested on SLURM 22.05; for 23.02 to 25.11 the texts come from its documentation and from users' logs. A text that is not
recognised never counts as an end: an unknown state is a live job, and an unknown sbatch error may have left a job.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum

from unetsweep.core.observation import Job, JobState
from unetsweep.core.paths import token_of

# -r: a line for each element. The name is last, because it may hold a line break.
SQUEUE = ("squeue", "--me", "--noheader", "--array", "--states=all", "--format=%F|%K|%T|%r|%e|%N|%S|%M|%j")
SHOW_CONFIG = ("scontrol", "show", "config")
SINFO = ("sinfo", "--noheader", "--format=%R")
SACCT = ("sacct", "--noheader", "--parsable2", "--format=JobID,State,JobName")  # and --jobs
END_TIME = ("squeue", "--noheader", "--format=%e")  # and --jobs

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
    r"(?P<base>\d+)\|(?P<element>[^|]*)\|(?P<state>[^|]*)\|(?P<reason>.*)\|(?P<end>[^|]*)\|(?P<node>[^|]*)"
    r"\|(?P<start>[^|]*)\|(?P<used>[^|]*)\|(?P<name>[^|]*)"
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
    that names one of the tokens is unreadable.
    """
    found = []
    for line in text.splitlines():
        row = _ROW.fullmatch(line)
        if row is None:
            if any(token in line for token in tokens):
                raise ValueError(f"unreadable line {line!r}")
            continue  # the rest of another job's name with a line break in it
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
    """Return the latest end of a job from END_TIME's output, in seconds since 1970; None if it is not known.

    >>> parse_end_time("1764009432\\n"), parse_end_time("N/A"), parse_end_time("")
    (1764009432.0, None, None)
    """
    fields = text.split()
    return float(fields[0]) if len(fields) == 1 and fields[0].isdecimal() else None


def parse_max_elements(text: str) -> int:
    """Return the maximal size of an array from SHOW_CONFIG's output; 1 if arrays are disabled.

    >>> parse_max_elements("MaxArraySize            = 1001")
    1001
    """
    sizes = [re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE), re.search(r"max_array_tasks=(\d+)", text)]
    return max(1, min((int(size[1]) for size in sizes if size), default=1))


def parse_cluster(text: str) -> str | None:
    """Return the cluster's name from SHOW_CONFIG's output; None if it has none.

    >>> parse_cluster("ClusterName             = alpha")
    'alpha'
    """
    found = re.search(r"^ClusterName\s*=\s*(\S+)", text, re.MULTILINE)
    return found[1] if found and found[1] != "(null)" else None


def parse_partitions(text: str) -> tuple[str, ...]:
    """Return the names of the partitions, in SINFO's order."""
    return tuple(dict.fromkeys(text.split()))


def is_without_cluster(message: str) -> bool:
    """Whether an error means that no cluster is configured on this machine, neither by slurm.conf nor by DNS.

    A machine is in this state after the installation of Debian's packages.

    >>> is_without_cluster("sinfo: fetch_config: DNS SRV lookup failed; Could not establish a configuration source")
    True
    >>> is_without_cluster("sinfo: Unable to contact slurm controller (connect failure)")
    False
    """
    return "Could not establish a configuration source" in message


def parse_job_id(text: str) -> str | None:
    """Return the job id that `sbatch --parsable` printed, or a site's wrapper that drops the option; None: no id.

    >>> parse_job_id("18808;cluster7"), parse_job_id("Submitted batch job 57 on cluster exa")
    ('18808', '57')
    """
    ids = re.findall(r"^\s*(?:Submitted batch job )?(\d+)(?:;.*| on cluster \S+)?\s*$", text, re.MULTILINE)
    return ids[-1] if ids else None


class Refusal(Enum):
    """Whether a failed sbatch has submitted a job."""

    REFUSED = "refused"
    """No job: SLURM refused the request."""
    LIMIT = "limit"
    """No job for now: too many jobs are queued, or requests come too often. A later request may succeed."""
    UNKNOWN = "unknown"
    """The job may exist: after each of these messages, jobs have been observed to run."""


_NO_ANSWER = re.compile(
    r"timed? ?out|unable to contact|connect|communication|send failure|receive failure|shutdown failure"
    r"|zero bytes|header lengths|broken pipe|no route to host|interrupted|sleeping and retrying\.?$|now in progress"
    r"|socket error|would block|unexpected message|insane message|protocol authentication|file descriptor",
    re.IGNORECASE,
)
_LIMIT_REACHED = re.compile(
    r"(Max|Grp)SubmitJob|temporarily un|Rate limit exceeded|MaxJobCount limit|controller (is )?in standby mode",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"submission failed: |error: |unrecogni[sz]ed option|invalid option|fatal: ", re.IGNORECASE)


def classify(status: int, stderr: str) -> Refusal:
    """Return what a failed sbatch means.

    >>> classify(1, "sbatch: error: Batch job submission failed: Invalid qos specification")
    <Refusal.REFUSED: 'refused'>
    """
    text = stderr.strip()
    if status < 0 or _NO_ANSWER.search(text) or not _REFUSED.search(text):
        return Refusal.UNKNOWN
    return Refusal.LIMIT if _LIMIT_REACHED.search(text) else Refusal.REFUSED


def join_messages(stderr: str) -> str:
    """Return the messages of a command on one line, without its name and "error:".

    >>> join_messages("sbatch: error: invalid partition: x\\nsbatch: error: Invalid partition name specified\\n")
    'invalid partition: x; Invalid partition name specified'
    """
    lines = [re.sub(r"^(\w+: )?((error|fatal): )?", "", line.strip(), count=1) for line in stderr.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))


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
