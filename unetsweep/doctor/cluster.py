"""Probes of a cluster for a profile: its partitions, their nodes, and the accounts of this user."""

import getpass
import re
from collections.abc import Sequence

from unetsweep.doctor.profile import ClusterFacts
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands, limits
from unetsweep.schedulers.slurm.parse_nodes import NODES, parse_nodes

ANSWER_S = 15.0
"""A busy controller may need several seconds."""


def cluster_facts() -> ClusterFacts | None:
    """Return what this cluster has; None if there is no SLURM. SchedulerError: it does not answer."""
    if not commands.has_slurm(ANSWER_S):
        return None
    partitions = commands.query(NODES, ANSWER_S, parse_nodes)
    user, name = getpass.getuser(), commands.current_cluster(ANSWER_S)
    rows = [row for row in limits.parse_associations(_text(limits.ASSOCIATIONS)) if row.user == user]
    mine = [row for row in rows if name is None or row.cluster.lower() == name.lower()]
    return ClusterFacts(
        name,
        partitions,
        parse_allowed(_text(limits.PARTITIONS)),
        tuple(dict.fromkeys(row.account for row in mine)),
        limits.parse_default_account(_text(limits.DEFAULT_ACCOUNT), user) if mine else None,
        tuple(dict.fromkeys(qos for row in mine for qos in row.qos)),
    )


def _text(command: Sequence[str]) -> str:
    """Return the answer of a command; empty if the site forbids it, or has no accounting."""
    try:
        return commands.ask(command, ANSWER_S)
    except SchedulerError:
        return ""


def parse_allowed(text: str) -> dict[str, tuple[str, ...]]:
    """Return the accounts that may use a partition, for each that not all may use, in PARTITIONS' output.

    >>> parse_allowed("PartitionName=a AllowAccounts=ALL\\nPartitionName=b AllowAccounts=lab,eyes")
    {'b': ('lab', 'eyes')}
    """
    rows = (dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines())
    return {
        row["PartitionName"]: tuple(row["AllowAccounts"].split(","))
        for row in rows
        if "PartitionName" in row and row.get("AllowAccounts", "ALL") != "ALL"
    }
