"""SLURM's words: what we ask, and what its answers mean. Text in, facts out; nothing runs here.

Each command stands beside the parser of its output. Seen on SLURM 22.05, and read for 23.02 to 25.11 in its
documentation and in users' logs; where one says it otherwise, the unknown is taken as alive (states) or
as unheard (refusals), never as an end.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum

from unetsweep.core.observation import Job, JobState
from unetsweep.core.paths import token_of

# -r: a line for each element. The name is last, because it may hold a line break.
SQUEUE = ("squeue", "--me", "--noheader", "--array", "--states=all", "--format=%F|%K|%T|%r|%e|%N|%j")
SHOW_CONFIG = ("scontrol", "show", "config")
SINFO = ("sinfo", "--noheader", "--format=%R")
MINE = ("squeue", "--me", "--noheader", "--array", "--format=%i")
ASSOCIATIONS = ("sacctmgr", "--noheader", "--parsable2", "show", "associations", "format=User,MaxSubmitJobs,QOS")
QOS = ("sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=Name,MaxSubmitJobsPerUser")
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
"""squeue's words only: sacct calls a requeued job NODE_FAIL or PREEMPTED while it is alive."""

_ROW = re.compile(
    r"(?P<base>\d+)\|(?P<element>[^|]*)\|(?P<word>[^|]*)\|(?P<reason>.*)\|(?P<end>[^|]*)\|(?P<node>[^|]*)\|(?P<name>[^|]*)"
)
"""The reason may be a site's own sentence (a burst buffer's), with `|` in it; none of our names has one."""


def state_of(word: str) -> JobState:
    """What a decision turns on.

    >>> state_of("COMPLETING").is_live, state_of("CANCELLED by 1000"), state_of("EXPEDITING")
    (True, <JobState.CANCELLED: 'cancelled'>, <JobState.UNRECOGNISED: 'unrecognised'>)
    """
    first = (word.split() or [""])[0].rstrip("+")
    return STATES.get(first, JobState.UNRECOGNISED)


def parse_jobs(text: str, tokens: Collection[str]) -> tuple[Job, ...]:
    """The jobs of these tokens in SQUEUE's output, oldest first.

    A refused request (it leaves a FAILED record with reason BadConstraints) is no job. Raises
    ValueError where a line names one of the tokens and cannot be read.
    """
    found = []
    for line in text.splitlines():
        row = _ROW.fullmatch(line)
        if row is None:
            if any(token in line for token in tokens):
                raise ValueError(f"unreadable line {line!r}")
            continue  # the rest of another job's name, which may hold a line break
        token = token_of(row["name"])
        if token is None or token not in tokens:
            continue
        if (row["word"], row["reason"]) != ("FAILED", "BadConstraints"):
            found.append((int(row["base"]), _job(row, token)))
    return tuple(job for _, job in sorted(found, key=lambda pair: (pair[0], pair[1].index)))


def _job(row: re.Match[str], token: str) -> Job:
    element = row["element"].isdigit()
    state = state_of(row["word"])
    return Job(
        job_id=f"{row['base']}_{row['element']}" if element else row["base"],
        token=token,
        index=int(row["element"]) if element else 0,
        state=state,
        word=row["word"],
        reason="" if row["reason"] in {"None", "N/A"} else row["reason"],
        ended_at=None if state.is_live else _time(row["end"]),
        node=row["node"].strip() or None,
    )


def _time(text: str) -> datetime | None:
    """Of seconds since 1970, as SLURM_TIME_FORMAT=%s prints them; None for `N/A`."""
    return datetime.fromtimestamp(int(text), UTC) if text.isdigit() else None


def parse_end_time(text: str) -> float | None:
    """When a job ends at the latest, in seconds since 1970, from END_TIME's output; None where it does not say.

    >>> parse_end_time("1764009432\\n"), parse_end_time("N/A"), parse_end_time("")
    (1764009432.0, None, None)
    """
    words = text.split()
    return float(words[0]) if len(words) == 1 and words[0].isdecimal() else None


def parse_max_elements(text: str) -> int:
    """The most elements that one array may have, from SHOW_CONFIG's output; 1 where arrays are off.

    >>> parse_max_elements("MaxArraySize            = 1001")
    1001
    """
    sizes = [re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE), re.search(r"max_array_tasks=(\d+)", text)]
    return max(1, min((int(size[1]) for size in sizes if size), default=1))


def parse_cluster(text: str) -> str | None:
    """The cluster's name, from SHOW_CONFIG's output; None where it does not say.

    >>> parse_cluster("ClusterName             = alpha")
    'alpha'
    """
    found = re.search(r"^ClusterName\s*=\s*(\S+)", text, re.MULTILINE)
    return found[1] if found and found[1] != "(null)" else None


def parse_partitions(text: str) -> tuple[str, ...]:
    """Names of the partitions, in SINFO's order."""
    return tuple(dict.fromkeys(text.split()))


def is_without_cluster(said: str) -> bool:
    """Whether a command says that no cluster is configured on this machine: neither a slurm.conf nor a name server's
    entry for one. Debian's packages leave a machine so.

    >>> is_without_cluster("sinfo: fetch_config: DNS SRV lookup failed; Could not establish a configuration source")
    True
    >>> is_without_cluster("sinfo: Unable to contact slurm controller (connect failure)")
    False
    """
    return "Could not establish a configuration source" in said


def parse_job_id(text: str) -> str | None:
    """The id in what `sbatch --parsable` prints, or a site's wrapper that does not pass the option on; None where
    there is none.

    >>> parse_job_id("18808;cluster7"), parse_job_id("Submitted batch job 57 on cluster exa")
    ('18808', '57')
    """
    ids = re.findall(r"^\s*(?:Submitted batch job )?(\d+)(?:;.*| on cluster \S+)?\s*$", text, re.MULTILINE)
    return ids[-1] if ids else None


class Refusal(Enum):
    """How sure it is, after a failed sbatch, that there is no job."""

    REFUSED = "refused"
    """SLURM heard us and said no."""
    LIMIT = "limit"
    """It said no for now: too many jobs are queued, or it is asked too often; later there may be room."""
    UNKNOWN = "unknown"
    """The job may exist: it has been seen to run after each of these messages."""


_UNHEARD = re.compile(
    r"timed? ?out|unable to contact|connect|communication|send failure|receive failure|shutdown failure"
    r"|zero bytes|header lengths|broken pipe|no route to host|interrupted|sleeping and retrying\.?$|now in progress"
    r"|socket error|would block|unexpected message|insane message|protocol authentication|file descriptor",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"(Max|Grp)SubmitJob|temporarily un|Rate limit exceeded|MaxJobCount limit|controller (is )?in standby mode",
    re.IGNORECASE,
)
_NO = re.compile(r"submission failed: |error: |unrecogni[sz]ed option|invalid option|fatal: ", re.IGNORECASE)


def classify(status: int, stderr: str) -> Refusal:
    """What a failed sbatch means.

    >>> classify(1, "sbatch: error: Batch job submission failed: Invalid qos specification")
    <Refusal.REFUSED: 'refused'>
    """
    text = stderr.strip()
    if status < 0 or _UNHEARD.search(text) or not _NO.search(text):
        return Refusal.UNKNOWN
    return Refusal.LIMIT if _FULL.search(text) else Refusal.REFUSED


def words(stderr: str) -> str:
    """The messages themselves, on one line.

    >>> words("sbatch: error: invalid partition specified: x\\nsbatch: error: Invalid partition name specified\\n")
    'invalid partition specified: x; Invalid partition name specified'
    """
    lines = [re.sub(r"^(\w+: )?((error|fatal): )?", "", line.strip(), count=1) for line in stderr.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))


def parse_final_words(text: str, jobs: Mapping[str, str]) -> dict[str, str]:
    """SACCT's word for each of these jobs (id -> token) that it knows under that token: a controller that
    crashed may have given the id to another job.

    OUT_OF_MEMORY of a step outranks the job's own word: under srun the job's row never says it.
    Elements that never ran share one row, `36_[1,5%1]`.
    """
    found: dict[str, str] = {}
    starved = set()
    for line in text.splitlines():
        name, _, rest = line.partition("|")
        state, _, title = rest.partition("|")
        word = (state.split() or [""])[0].rstrip("+")
        job, _, step = name.partition(".")
        for job_id in _unfold(job) if word else ():
            if word == "OUT_OF_MEMORY":
                starved.add(job_id)
            if not step and token_of(title.strip()) == jobs.get(job_id):
                found[job_id] = word
    return {job_id: "OUT_OF_MEMORY" if job_id in starved else word for job_id, word in found.items() if job_id in jobs}


_LOG = (
    (re.compile(r"oom[-_ ]kill|[Oo]ut [Oo]f [Mm]emory|exceeded .*memory limit|Exceeded job memory"), "OUT_OF_MEMORY"),
    (re.compile(r"DUE TO TIME LIMIT"), "TIMEOUT"),
    (re.compile(r"DUE TO PREEMPTION"), "PREEMPTED"),
    (re.compile(r"DUE TO NODE FAILURE"), "NODE_FAIL"),
    (re.compile(r"\*\*\* JOB \S+ ON \S+ CANCELLED AT \S+ (\*\*\*|DUE [Tt][Oo] SIGNAL)"), "CANCELLED"),
)
"""slurmstepd's lines in a job's log, the most telling first; a requeue is no end. A step alone is cancelled by srun
too, when one of its processes died: that is no cancellation of the job, of which the batch step tells."""
_DAEMON = re.compile(r"^(slurmstepd|srun)(-\S+)?: ")
STARTS = re.compile(r"^job \S+ on \S+ claims ")
"""The worker's line at each start: what stands before the last one is of an earlier start."""


def parse_log_word(text: str) -> str | None:
    """The word for how the last start in a job's log ended; None where SLURM wrote nothing about it.

    >>> parse_log_word("slurmstepd: error: *** JOB 4 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***")
    'TIMEOUT'
    """
    lines = text.splitlines()
    begin = max((at for at, line in enumerate(lines) if STARTS.match(line)), default=0)
    said = "\n".join(line for line in lines[begin:] if _DAEMON.match(line))
    return next((word for pattern, word in _LOG if pattern.search(said)), None)


def _unfold(name: str) -> Iterator[str]:
    """
    >>> list(_unfold("36_[1,4-5%2]")), list(_unfold("36_3"))
    (['36_1', '36_4', '36_5'], ['36_3'])
    """
    folded = re.fullmatch(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]", name)
    if folded is None:
        yield name
        return
    for part in folded[2].split(","):
        first, _, last = part.partition("-")
        for index in range(int(first), int(last or first) + 1):
            yield f"{folded[1]}_{index}"


def parse_submit_limit(associations: str, qos: str, user: str) -> int | None:
    """The most jobs that `user` may have queued: the largest bound of the user's associations, and of
    the QOS where there is no choice of it; None where no bound is told.

    >>> parse_submit_limit("root|5|normal\\neve||normal", "normal|3\\nlong|", "root")
    3
    >>> parse_submit_limit("root||normal,long", "normal|3\\nlong|", "root") is None
    True
    """
    mine = [row.split("|") for row in associations.split("\n") if row.startswith(f"{user}|")]
    bounds = [int(row[1]) for row in mine if row[1].isdecimal()]
    limits = [max(bounds)] if bounds and len(bounds) == len(mine) else []
    choices = {name for row in mine for name in row[2].split(",")}
    by_qos = dict(row.split("|")[:2] for row in qos.split("\n") if "|" in row)
    if len(choices) == 1 and (bound := by_qos.get(choices.pop(), "")).isdecimal():
        limits.append(int(bound))
    return min(limits, default=None)
