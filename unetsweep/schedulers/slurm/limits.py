"""How many more jobs the cluster accepts from this user now, by the limits on queued jobs that accounting shows.

Rule 1: of each kind of limit SLURM enforces the first that is set: that of the partition's QOS, of the job's QOS, of
        the association. Each counts its own jobs: a limit of a QOS those in that QOS.
Rule 2: a job in COMPLETING no longer counts.
Rule 3: of limits that several users share, only our own jobs are counted: if others use the rest, sbatch refuses.
"""

import getpass
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from unetsweep.core.spec import Resources
from unetsweep.schedulers.slurm import parse
from unetsweep.schedulers.slurm.answers import marked, row_format

ASSOCIATIONS = (
    *("sacctmgr", "--noheader", "--parsable2", "show", "associations"),
    "format=Cluster,Account,User,Partition,ParentName,DefaultQOS,QOS,MaxSubmitJobs,GrpSubmitJobs",
)
QOS = (
    *("sacctmgr", "--noheader", "--parsable2", "show", "qos"),
    "format=Name,Flags,MaxSubmitJobsPerUser,MaxSubmitJobsPerAccount,GrpSubmitJobs",
)
DEFAULT_ACCOUNT = ("sacctmgr", "--noheader", "--parsable2", "show", "user", "format=User,DefaultAccount")
PARTITIONS = ("scontrol", "--oneliner", "show", "partition")
MINE = ("squeue", "--me", "--array", row_format("%a|%q|%P|%T"))
MAX_PARENTS = 30
"""Accounts above one another; SLURM has far fewer."""


@dataclass(frozen=True, slots=True)
class Association:
    """The row of a user or an account (then `user` is empty) in a cluster."""

    cluster: str
    account: str
    user: str
    partition: str
    parent: str
    default_qos: str
    qos: tuple[str, ...]
    most: int | None
    """Jobs that its user may have in the queue; None: no limit."""
    group: int | None
    """Jobs that all of its users may have there."""


@dataclass(frozen=True, slots=True)
class Qos:
    """A QOS, and its limits on queued jobs; None: no limit."""

    name: str = ""
    outranks_partition: bool = False
    per_user: int | None = None
    per_account: int | None = None
    group: int | None = None

    @property
    def limits(self) -> list[int]:
        """The limits that are set."""
        return [most for most in (self.per_user, self.per_account, self.group) if most is not None]


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of jobs that may be in the queue, and which jobs count: those whose fields are these."""

    most: int
    account: str | None = None
    qos: str | None = None
    partition: str | None = None

    def remaining(self, queued: Sequence["Queued"]) -> int:
        """How many more jobs it allows."""
        return max(0, self.most - sum(self._counts(job) for job in queued))

    def _counts(self, job: "Queued") -> bool:
        return (
            self.account in (None, job.account)
            and self.qos in (None, job.qos)
            and (self.partition is None or self.partition in job.partitions)
        )


@dataclass(frozen=True, slots=True)
class Queued:
    """A job of this user that is in the queue."""

    account: str
    qos: str
    partitions: tuple[str, ...]


def submit_limits(resources: Resources, ask: Callable[[Sequence[str]], str]) -> list[Limit]:
    """Return the limits on the jobs that these resources request; SchedulerError if accounting does not answer.

    `ask` runs a command and returns its output. Commands whose answer cannot matter are not run.
    """
    user = getpass.getuser()
    rows = list(parse_associations(ask(ASSOCIATIONS)))
    if len({row.cluster for row in rows}) > 1:
        cluster = parse.parse_cluster(ask(parse.SHOW_CONFIG))
        rows = [row for row in rows if cluster is None or row.cluster.lower() == cluster.lower()]
    mine = [row for row in rows if row.user == user]
    account = resources.account
    if account is None and len({row.account for row in mine}) > 1:
        account = parse_default_account(ask(DEFAULT_ACCOUNT), user)
    known_qos = parse_qos(ask(QOS))
    partition, partition_qos = resources.partition, ""
    if any(row.partition for row in mine) or any(qos.limits for qos in known_qos.values()):
        partition, partition_qos = parse_partition(ask(PARTITIONS), partition)
    association = _association(mine, account, partition)
    job_qos = resources.qos or _default_qos(association)
    return choose_limits(
        association,
        [row for row in rows if not row.user],
        known_qos.get(job_qos.lower(), Qos()),
        known_qos.get(partition_qos.lower(), Qos()),
        partition,
    )


def _association(mine: Sequence[Association], account: str | None, partition: str | None) -> Association | None:
    """The association of the user's jobs: one for the partition, if there is one. None: not known."""
    rows = [row for row in mine if account is None or row.account == account.lower()]
    special = [row for row in rows if row.partition and row.partition == partition]
    found = special or [row for row in rows if not row.partition]
    return found[0] if len({row.account for row in found}) == 1 else None


def _default_qos(association: Association | None) -> str:
    """The QOS of a job that requests none."""
    if association is None:
        return "normal"
    if association.default_qos or len(association.qos) != 1:
        return association.default_qos or "normal"
    return association.qos[0]


def choose_limits(
    association: Association | None,
    accounts: Sequence[Association],
    job_qos: Qos,
    partition_qos: Qos,
    partition: str | None,
) -> list[Limit]:
    """Return the limits that hold: of each kind, the first that is set. `accounts`: the rows without a user."""
    account = association.account if association is not None else None
    order: list[tuple[Qos, str | None, str | None]] = [(partition_qos, None, partition), (job_qos, job_qos.name, None)]
    if job_qos.outranks_partition:
        order.reverse()
    per_user, per_account, group = list[Limit](), list[Limit](), list[Limit]()
    for qos, name, where in order:
        per_user += _limit(qos.per_user, None, name, where)
        per_account += _limit(qos.per_account, account, name, where)
        group += _limit(qos.group, None, name, where)
    if association is None:
        return per_user[:1] + per_account[:1] + group[:1]
    per_user += _limit(association.most, account)
    above = [association, *_accounts_above(association, accounts)]
    group = group[:1] or [limit for row in above for limit in _limit(row.group, account)]
    return per_user[:1] + per_account[:1] + group


def _limit(
    most: int | None, account: str | None = None, qos: str | None = None, partition: str | None = None
) -> list[Limit]:
    return [] if most is None else [Limit(most, account, qos, partition)]


def _accounts_above(association: Association, accounts: Sequence[Association]) -> Iterator[Association]:
    """The row of the association's account, and of each account above it."""
    by_name = {row.account: row for row in accounts}
    name = association.account
    for _ in range(MAX_PARENTS):
        row = by_name.get(name)
        if row is None:
            return
        yield row
        name = row.parent


def remaining(limits: Sequence[Limit], queued: Sequence[Queued]) -> int | None:
    """Return how many more jobs all of these limits allow; None: there is no limit."""
    return min((limit.remaining(queued) for limit in limits), default=None)


def parse_associations(text: str) -> Iterator[Association]:
    """Yield the rows of ASSOCIATIONS' output.

    >>> [row.most for row in parse_associations("c1|lab|eve|||fast|fast,slow|3|")]
    [3]
    """
    for row in (line.strip().split("|") for line in text.splitlines()):
        if len(row) == 9:
            cluster, account, user, partition, parent, default_qos, qos, most, group = row
            choices = tuple(filter(None, qos.split(",")))
            yield Association(
                cluster, account, user, partition, parent, default_qos, choices, _number(most), _number(group)
            )


def parse_qos(text: str) -> Mapping[str, Qos]:
    """Return each QOS of QOS's output by its name."""
    rows = [line.strip().split("|") for line in text.splitlines()]
    found = [Qos(row[0], "OverPartQOS" in row[1], *map(_number, row[2:])) for row in rows if len(row) == 5]
    return {qos.name.lower(): qos for qos in found}


def parse_default_account(text: str, user: str) -> str | None:
    """Return the user's default account from DEFAULT_ACCOUNT's output; None: not known.

    >>> parse_default_account("root|lab\\neve|", "root"), parse_default_account("root|lab\\neve|", "eve")
    ('lab', None)
    """
    rows = (line.strip().split("|") for line in text.splitlines())
    return next((row[1] for row in rows if len(row) == 2 and row[0] == user and row[1]), None)


def parse_partition(text: str, name: str | None) -> tuple[str | None, str]:
    """Return a partition (None: the default one) of PARTITIONS' output, and its QOS; empty: it has none.

    >>> parse_partition("PartitionName=a Default=NO QoS=x\\nPartitionName=b Default=YES QoS=N/A", None)
    ('b', '')
    """
    for row in (dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines()):
        found = row.get("PartitionName")
        if found is not None and (found == name if name is not None else row.get("Default") == "YES"):
            return found, row.get("QoS", "").replace("N/A", "")
    return name, ""


def parse_queued(text: str) -> list[Queued]:
    """Return the jobs of MINE's output that count.

    >>> row = "unetsweep|lab|normal|main,gpu|{}|unetsweep\\n".format
    >>> parse_queued("unetsweep|ACCOUNT|QOS|PARTITION|STATE|unetsweep\\n" + row("PENDING") + row("COMPLETING"))
    [Queued(account='lab', qos='normal', partitions=('main', 'gpu'))]
    """
    fields = (row.split("|") for row in marked(text))
    return [
        Queued(account, qos, tuple(partition.split(",")))
        for account, qos, partition, state in fields
        if state not in ("STATE", "COMPLETING")
    ]


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
