"""Descriptions of SLURM's reasons why a job waits: one sentence each, with what the user can do.

The reasons are those of SLURM's page "Job Reason Codes" and of libslurm 22.05. Names that newer versions add to a
family (`QOSGrp…`, `Assoc…PerJob`) are described by the parts of the name. An unknown reason stays as it is. SLURM's own
reason follows in brackets, so that users can search for it.
"""

import functools
import re

_RELEASE = "`scontrol release JOB`"

DESCRIPTIONS = {
    "Resources": "waits for free nodes",
    "Priority": "waits behind jobs of higher priority",
    "None": "the scheduler has not considered it yet",
    "SchedDefer": "the scheduler has not considered it yet, because it is busy",
    "BeginTime": "requeued or submitted with a start time: waits for that time",
    "Cleaning": "requeued: its last start is still being cleaned up",
    "Dependency": "waits for another job that it depends on",
    "DependencyNeverSatisfied": "waits for a job that did not end as required: cancel it",
    "JobArrayTaskLimit": "waits for a slot: its array runs as many jobs at once as run.parallel allows",
    "JobHeldUser": f"held by you: {_RELEASE}",
    "JobHeldAdmin": "held by an administrator: ask them",
    "JobHoldMaxRequeue": f"held: it was requeued as often as the cluster allows (MaxBatchRequeue); {_RELEASE}",
    "launch failed requeued held": f"held: it could not be launched on its node; {_RELEASE}, tell the administrators",
    "user env retrieval failed requeued held": f"held: its environment could not be set up; {_RELEASE}",
    "job requeued in held state": f"held since it was requeued: {_RELEASE}",
    "JobLaunchFailure": "could not be launched on its node (file system, set-up): tell the administrators",
    "PartitionTimeLimit": "requests more time than its partition allows: lower `time` in the profile",
    "PartitionNodeLimit": "requests more (or fewer) nodes than its partition allows: choose another partition",
    "PartitionConfig": "requests what its partition does not have: choose another partition",
    "PartitionDown": "its partition accepts no jobs now: wait, or choose another one",
    "PartitionInactive": "its partition starts no jobs now: wait, or choose another one",
    "ReqNodeNotAvail": "the nodes that it needs are down, drained or reserved now",
    "NodeDown": "a node that it needs is down",
    "Nodes required for job are DOWN": "the nodes that it needs are down, drained or reserved now",
    "BadConstraints": "no node can satisfy the request: lower gpus, cpus or mem in the profile, or relax constraint",
    "Constraints": "no node satisfies the request now: wait, or relax constraint in the profile",
    "Licenses": "waits for a licence",
    "Reservation": "waits for its reservation to begin",
    "ReservationDeleted": "its reservation was deleted: remove it from the profile",
    "ReservationInvalid": "its reservation is not valid (any more): remove it from the profile",
    "PowerNotAvail": "waits for power: the cluster has reached its power limit",
    "PowerReserved": "waits for power that is reserved for other jobs now",
    "Prolog": "its node is being prepared",
    "InvalidAccount": "its account is not valid (any more): set `account` in the profile",
    "AccountNotAllowed": "its account may not use this partition: change `account` or `partition` in the profile",
    "AccountingPolicy": "a limit of your account or QOS holds it back",
    "InvalidQOS": "its QOS is not valid (any more): set `qos` in the profile",
    "QOSNotAllowed": "its QOS cannot be used with this account or partition: change `qos` in the profile",
    "QOSUsageThreshold": "its QOS has used more than its share: it waits",
    "QOSJobLimit": "its QOS has reached its limit of jobs: waits for others to end",
    "QOSResourceLimit": "its QOS has reached its limit of resources: waits for other jobs to end",
    "QOSTimeLimit": "its QOS has used up its time: request more, or use another one",
    "AssociationJobLimit": "your account has reached its limit of jobs: waits for others to end",
    "AssociationResourceLimit": "your account has reached its limit of resources: waits for other jobs to end",
    "AssociationTimeLimit": "your account has used up its time: request more, or use another one",
    "MaxMemPerLimit": "requests more memory than a CPU or node has: lower `mem` in the profile",
    "DeadLine": "cannot end before its deadline",
    "FedJobLock": "waits for the clusters of the federation to agree",
    "FrontEndDown": "the front-end node is down",
    "SystemFailure": "SLURM itself failed: tell the administrators",
    "BurstBufferResources": "waits for space in the burst buffer",
    "BurstBufferStageIn": "its files are being copied to the burst buffer",
    "SUSPENDED": "suspended, by an administrator or for a job of higher priority: continues when SLURM resumes it",
    "STOPPED": "its processes were stopped by a signal: continues after `scancel --signal=CONT JOB`",
    "BurstBufferOperation": "the burst buffer failed: tell the administrators",
}
"""By SLURM's reason, without details after a comma: `ReqNodeNotAvail, UnavailableNodes:n4` is `ReqNodeNotAvail`."""

_LIMIT = re.compile(
    r"(?P<who>QOS|Assoc|)(?P<kind>Grp|Max|Min)(?P<what>[A-Za-z]+?)"
    r"(?P<per>Per(?:User|Account|Job|Node))?(?:Limit|NotSatisfied)?"
)
_WHO = {"QOS": "the QOS", "Assoc": "your account", "": "the account in this QOS"}
_RESOURCES = {
    "cpu": "CPUs",
    "gres": "GPUs (GRES)",
    "mem": "memory",
    "memory": "memory",
    "node": "nodes",
    "license": "licences",
    "wall": "time",
    "energy": "energy",
    "billing": "billing units",
    "bb": "burst buffer",
    "unknown": "a resource",
}

LAUNCH_FAILURE = "launch failed requeued held"
_HELD = {
    LAUNCH_FAILURE,
    "JobHeldUser",
    "JobHeldAdmin",
    "JobHoldMaxRequeue",
    "user env retrieval failed requeued held",
    "job requeued in held state",
}
"""Reasons that last until a person releases the job."""
_IMPOSSIBLE = {
    "PartitionTimeLimit",
    "PartitionNodeLimit",
    "BadConstraints",
    "InvalidAccount",
    "AccountNotAllowed",
    "InvalidQOS",
    "QOSNotAllowed",
    "MaxMemPerLimit",
    "ReservationDeleted",
    "ReservationInvalid",
    "DependencyNeverSatisfied",
    "DeadLine",
}
"""Reasons that last for as long as the job asks for what it asks. PartitionConfig is none of them: SLURM shows it for a
moment after any submission."""


def is_launch_failure(reason: str | None) -> bool:
    """Whether SLURM holds the job because it could not launch it: the node is bad, or the controller forgot a start."""
    return reason is not None and _normalize(reason) == LAUNCH_FAILURE


def is_held(reason: str) -> bool:
    """Whether the job starts only after a person has released it."""
    return _normalize(reason) in _HELD


def is_impossible(reason: str) -> bool:
    """Whether the job never starts, because it asks for what it cannot get.

    >>> is_impossible("PartitionTimeLimit"), is_impossible("QOSMaxWallDurationPerJobLimit")
    (True, True)
    >>> is_impossible("Resources"), is_impossible("QOSMaxJobsPerUserLimit"), is_impossible("QOSGrpCpuLimit")
    (False, False, False)
    """
    name = _normalize(reason)
    if name.partition(",")[0].strip() in _IMPOSSIBLE:
        return True
    limit = _LIMIT.fullmatch(name)
    return (
        limit is not None and bool(limit["who"]) and (limit["kind"] == "Min" or limit["per"] in ("PerJob", "PerNode"))
    )


@functools.cache
def describe_reason(reason: str) -> str:
    """Return squeue's reason as a sentence; an unknown one as it is.

    >>> describe_reason("JobHeldUser")
    'held by you: `scontrol release JOB` (JobHeldUser)'
    >>> describe_reason("QOSMaxJobsPerUserLimit")
    'QOS limit MaxJobs: no more jobs may run now; waits for others to end (QOSMaxJobsPerUserLimit)'
    >>> describe_reason("PhaseOfTheMoon")
    'PhaseOfTheMoon'
    """
    plain, name = reason.strip("() "), _normalize(reason)
    description = DESCRIPTIONS.get(name) or DESCRIPTIONS.get(name.partition(",")[0].strip()) or _describe_limit(plain)
    return plain if description is None else f"{description} ({plain})"


def _normalize(reason: str) -> str:
    """The reason as `DESCRIPTIONS` writes it: squeue adds brackets, and newer versions write underscores."""
    return reason.strip("() ").replace("_", " ")


def _describe_limit(reason: str) -> str | None:
    """Describe a limit of a QOS or account by the parts of its name; None if the reason is no such limit."""
    parts = _LIMIT.fullmatch(reason)
    if parts is None or not (parts["who"] or parts["per"] == "PerAccount"):
        return None
    title = f"{parts['who'] or 'account'} limit {parts['kind']}"
    if parts["what"] in ("Jobs", "Job"):
        return f"{title}Jobs: no more jobs may run now; waits for others to end"
    if parts["what"] in ("SubmitJobs", "SubmitJob"):
        return f"{title}SubmitJobs: no more jobs may be queued now; waits for others to end"
    return _describe_resource_limit(parts["kind"], parts["what"], parts["per"], _WHO[parts["who"]])


def _describe_resource_limit(kind: str, what: str, per: str | None, who: str) -> str | None:
    is_minutes = what.endswith("Minutes")
    name = "time" if what == "WallDuration" else _RESOURCES.get(re.sub(r"(Run)?Minutes$", "", what).lower())
    if name is None:
        return None
    if kind == "Min":
        return f"{who} requires more {name} per job: raise it in the profile, or the job never starts"
    if per in ("PerJob", "PerNode"):
        unit = "node of a job" if per == "PerNode" else "job"
        return f"requests more {name}{' x time' * is_minutes} than {who} allows per {unit}: lower it in the profile"
    if is_minutes and not what.endswith("RunMinutes"):
        return f"{who} has used up its {name} x time: request more, or use another one"
    user = {"PerUser": "one user", "PerAccount": "one account"}.get(per or "", "all jobs together")
    return f"{who} allows {user} no more {name} now: waits for other jobs to end"
