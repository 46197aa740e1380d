"""What SLURM writes into the log of a job when it ends it. Pure functions on text."""

import re

_LOG = (
    (re.compile(r"oom[-_ ]kill|[Oo]ut [Oo]f [Mm]emory|exceeded .*memory limit|Exceeded job memory"), "OUT_OF_MEMORY"),
    (re.compile(r"DUE TO TIME LIMIT"), "TIMEOUT"),
    (re.compile(r"DUE TO PREEMPTION"), "PREEMPTED"),
    (re.compile(r"DUE TO NODE FAILURE"), "NODE_FAIL"),
    (re.compile(r"\*\*\* JOB \S+ ON \S+ CANCELLED AT \S+ (\*\*\*|DUE [Tt][Oo] SIGNAL)"), "CANCELLED"),
)
"""Patterns of slurmstepd's lines in a job's log, the most specific first; a requeue is not an end. srun also cancels a
step of which a process died. Only the line of the batch step means that the job was cancelled."""
_DAEMON = re.compile(r"^(slurmstepd|srun)(-\S+)?: ")
_START = re.compile(r"^job \S+ on \S+ claims ")
"""The line that a worker prints at each start. Lines before the last one belong to earlier starts."""


def parse_log_state(text: str) -> str | None:
    """Return the state in which the last start in a job's log ended; None if SLURM wrote nothing about it.

    >>> parse_log_state("slurmstepd: error: *** JOB 4 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***")
    'TIMEOUT'
    """
    lines = text.splitlines()
    begin = max((at for at, line in enumerate(lines) if _START.match(line)), default=0)
    messages = "\n".join(line for line in lines[begin:] if _DAEMON.match(line))
    return next((state for pattern, state in _LOG if pattern.search(messages)), None)
