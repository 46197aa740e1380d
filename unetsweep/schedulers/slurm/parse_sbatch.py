"""What sbatch's answer means. Pure functions on text: nothing runs here.

Rule 1: a site may print its own lines around the answer. A job id that may be something else is not guessed.
Rule 2: an error that is not recognised may have left a job.
"""

import re
from enum import Enum

_SUBMITTED = re.compile(r"\bSubmitted batch job (\d+)\b")
_PARSABLE = re.compile(r"^\s*(\d+)(;\S*)?\s*$", re.MULTILINE)


def parse_job_id(output: str, errors: str = "") -> str | None:
    r"""Return the id that `sbatch --parsable` printed, or a site's wrapper that drops the option.

    None if there is no id, or if several lines could be it.

    >>> parse_job_id("18808;cluster7"), parse_job_id("exa: Submitted batch job 57 on cluster exa\n1200")
    ('18808', '57')
    >>> parse_job_id("57\n1200") is None
    True
    """
    with_cluster = [job_id for job_id, cluster in _PARSABLE.findall(output) if cluster]
    alone = [job_id for job_id, cluster in _PARSABLE.findall(output) if not cluster]
    candidates = (_SUBMITTED.findall(output), with_cluster, alone, _SUBMITTED.findall(errors))
    ids = next(filter(None, candidates), [])
    return ids[0] if len(set(ids)) == 1 else None


class Refusal(Enum):
    """Whether a failed sbatch has submitted a job."""

    REFUSED = "refused"
    """No job: SLURM refused the request."""
    LIMIT = "limit"
    """No job for now: too many jobs are queued or requested, or requests come too often. A later or smaller request may
    succeed."""
    UNKNOWN = "unknown"
    """The job may exist: after each of these messages, jobs have been observed to run."""


_NO_ANSWER = re.compile(
    r"timed? ?out|unable to contact|connect|communication|send failure|receive failure|shutdown failure"
    r"|zero bytes|header lengths|broken pipe|no route to host|interrupted|sleeping and retrying\.?$|now in progress"
    r"|socket error|would block|unexpected message|insane message|protocol authentication|file descriptor",
    re.IGNORECASE,
)
_LIMIT_REACHED = re.compile(
    r"(Max|Grp)SubmitJob|temporarily un|Rate limit exceeded|MaxJobCount limit|controller (is )?in standby mode"
    r"|Invalid job array specification",  # too many elements, where `scontrol show config` does not tell the limit
    re.IGNORECASE,
)
_REFUSED = re.compile(r"submission failed: |error: |unrecogni[sz]ed option|invalid option|fatal: ", re.IGNORECASE)
_BY_SBATCH = re.compile(r"\S*sbatch\S*: ")
"""Lines of sbatch itself. If there are some, those of a site do not count."""


def classify(status: int, stderr: str) -> Refusal:
    """Return what a failed sbatch means.

    >>> classify(1, "sbatch: error: Batch job submission failed: Invalid qos specification")
    <Refusal.REFUSED: 'refused'>
    """
    text = "\n".join(filter(_BY_SBATCH.match, stderr.splitlines())) or stderr.strip()
    if status < 0 or _NO_ANSWER.search(text) or not _REFUSED.search(text):
        return Refusal.UNKNOWN
    return Refusal.LIMIT if _LIMIT_REACHED.search(text) else Refusal.REFUSED
