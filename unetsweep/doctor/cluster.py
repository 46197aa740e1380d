"""Doctor's questions to SLURM from where it is called: what is there, how fast it answers, what its limits are."""

import getpass
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands, parse

COMMANDS: Mapping[str, Sequence[str]] = {
    "sbatch": ("sbatch", "--version"),
    "squeue": ("squeue", "--noheader", "--me"),
    "scancel": ("scancel", "--version"),
    "srun": ("srun", "--version"),
    "scontrol": ("scontrol", "ping"),
    "sacct": ("sacct", "--noheader", "--parsable2", "-X", "--format=JobID", "--starttime=now-1minutes"),
    "sacctmgr": ("sacctmgr", "--noheader", "--parsable2", "show", "cluster", "format=Cluster"),
}
"""What each is asked: of those that only bring something on its way, the version."""
PARTITIONS = ("scontrol", "--oneliner", "show", "partition")
_LIMITS = ("sacctmgr", "--noheader", "--parsable2", "show")
CONFIG_KEYS = (
    *("MinJobAge", "KillWait", "MessageTimeout", "JobRequeue", "MaxBatchRequeue", "MaxJobCount", "MaxArraySize"),
    *("PreemptMode", "EnforcePartLimits", "SLURM_VERSION"),
)


def command(name: str, timeout: float) -> dict[str, Any]:
    """Where it lies, in how many seconds it answered, and what it said where it failed."""
    path = shutil.which(name)
    if path is None:
        return {"path": None}
    began = time.monotonic()
    try:
        said = commands.ask(COMMANDS[name], timeout).strip()
    except SchedulerError as error:
        return {"path": path, "seconds": time.monotonic() - began, "error": str(error)}
    return {"path": path, "seconds": time.monotonic() - began, "said": said}


def config(timeout: float) -> dict[str, str]:
    """The settings that a sweep feels, in the cluster's words, and `max_elements` of an array."""
    text = commands.ask(parse.SHOW_CONFIG, timeout)
    found = dict(re.findall(r"^(\w+)\s*=\s*(.*?)\s*$", text, re.MULTILINE))
    told = {key: found[key] for key in CONFIG_KEYS if key in found}
    return told | {"max_elements": str(parse.parse_max_elements(text))}


def partitions(timeout: float) -> list[dict[str, str]]:
    """Each partition's `PartitionName`, `Default`, `MaxTime`, `DefaultTime`, `State`, `PreemptMode`."""
    return parse_partition_rows(commands.ask(PARTITIONS, timeout))


def parse_partition_rows(text: str) -> list[dict[str, str]]:
    """
    >>> parse_partition_rows("PartitionName=main Default=YES MaxTime=7-00:00:00")
    [{'PartitionName': 'main', 'Default': 'YES', 'MaxTime': '7-00:00:00'}]
    """
    rows = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()]
    return [row for row in rows if "PartitionName" in row]


def limits(timeout: float) -> list[str]:
    """The user's limits that the accounting tells of: `MaxSubmitJobs 100 (account eyes)`; empty: none is set."""
    user = getpass.getuser()
    rows = commands.ask((*_LIMITS, "associations", f"user={user}", "format=Account,MaxJobs,MaxSubmitJobs,QOS"), timeout)
    found, mine = [], set()
    for account, jobs, submits, qos in (row.split("|")[:4] for row in rows.splitlines() if row.count("|") >= 3):
        mine |= set(qos.split(","))
        found += _told(f"account {account}", jobs, submits)
    rows = commands.ask((*_LIMITS, "qos", "format=Name,MaxJobsPerUser,MaxSubmitJobsPerUser"), timeout)
    for name, jobs, submits in (row.split("|")[:3] for row in rows.splitlines() if row.count("|") >= 2):
        found += _told(f"QOS {name}", jobs, submits) if name in mine else []
    return found


def _told(whose: str, jobs: str, submits: str) -> list[str]:
    named = (("MaxJobs", jobs), ("MaxSubmitJobs", submits))
    return [f"{name} {value} ({whose})" for name, value in named if value.isdigit()]
