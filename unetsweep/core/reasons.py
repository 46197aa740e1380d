"""Why a job waits, in a user's words: SLURM's reasons as short sentences, each with what there is to do.

The names are those of SLURM's page "Job Reason Codes" and of libslurm 22.05; names that newer versions add to a
family (`QOSGrp…`, `Assoc…PerJob`) fall into it by their parts. What is not known stays as it is.
SLURM's own word stands at the end, in brackets, so that it can be searched for.
"""

import functools
import re

_CLEAR = "`scontrol release JOB`"

WORDS = {
    "Resources": "waits for free nodes",
    "Priority": "waits behind jobs of higher priority",
    "None": "not looked at by the scheduler yet",
    "SchedDefer": "not looked at by the scheduler yet; it puts that off",
    "BeginTime": "queued again, or told to start later: waits for its time",
    "Cleaning": "queued again; its last start is still being cleaned up",
    "Dependency": "waits for another job that it depends on",
    "DependencyNeverSatisfied": "waits for a job that ended otherwise than it asks for: cancel it",
    "JobArrayTaskLimit": "waits for a place: as many of its array run as may at once (run.parallel)",
    "JobHeldUser": f"held by you: {_CLEAR}",
    "JobHeldAdmin": "held by an administrator: ask them",
    "JobHoldMaxRequeue": f"held: it was queued again as often as the cluster allows (MaxBatchRequeue); {_CLEAR}",
    "launch failed requeued held": f"held: it could not be launched on its node; {_CLEAR}, tell the administrators",
    "user env retrieval failed requeued held": f"held: its environment could not be made; {_CLEAR}",
    "job requeued in held state": f"held since it was queued again: {_CLEAR}",
    "JobLaunchFailure": "could not be launched on its node (file system, set-up): tell the administrators",
    "PartitionTimeLimit": "asks for more time than its partition gives: lower `time` in the profile",
    "PartitionNodeLimit": "asks for more (or fewer) nodes than its partition gives: choose another partition",
    "PartitionConfig": "asks for what its partition does not give: choose another partition",
    "PartitionDown": "its partition takes no jobs now: wait, or choose another one",
    "PartitionInactive": "its partition starts no jobs now: wait, or choose another one",
    "ReqNodeNotAvail": "the nodes that it needs are down, drained or reserved now",
    "NodeDown": "a node that it needs is down",
    "Nodes required for job are DOWN": "the nodes that it needs are down, drained or reserved now",
    "BadConstraints": "no node can ever give what it asks for: lower gpus, cpus, mem or constraint in the profile",
    "Constraints": "no node gives what it asks for just now: wait, or lower constraint in the profile",
    "Licenses": "waits for a licence",
    "Reservation": "waits for its reservation to begin",
    "ReservationDeleted": "its reservation is gone: take it out of the profile",
    "ReservationInvalid": "its reservation is not valid (any more): take it out of the profile",
    "PowerNotAvail": "waits for power: the cluster may use no more now",
    "PowerReserved": "waits for power, which is reserved for others now",
    "Prolog": "its node is being prepared",
    "InvalidAccount": "its account is not valid (any more): set `account` in the profile",
    "AccountNotAllowed": "its account may not use this partition: change `account` or `partition` in the profile",
    "AccountingPolicy": "a limit of your account or QOS holds it back",
    "InvalidQOS": "its QOS is not valid (any more): set `qos` in the profile",
    "QOSNotAllowed": "its QOS may not be used with this account or partition: change `qos` in the profile",
    "QOSUsageThreshold": "its QOS has used more than its share: it waits",
    "QOSJobLimit": "its QOS has as many jobs as it may: waits for others to end",
    "QOSResourceLimit": "its QOS uses as much as it may: waits for other jobs to end",
    "QOSTimeLimit": "its QOS has used up its time: ask for more, or take another one",
    "AssociationJobLimit": "your account has as many jobs as it may: waits for others to end",
    "AssociationResourceLimit": "your account uses as much as it may: waits for other jobs to end",
    "AssociationTimeLimit": "your account has used up its time: ask for more, or take another one",
    "MaxMemPerLimit": "asks for more memory than a CPU or node gives: lower `mem` in the profile",
    "DeadLine": "cannot end before its deadline",
    "FedJobLock": "waits for the federation's clusters to agree",
    "FrontEndDown": "the front-end node is down",
    "SystemFailure": "SLURM itself failed: tell the administrators",
    "BurstBufferResources": "waits for room in the burst buffer",
    "BurstBufferStageIn": "its files are being brought to the burst buffer",
    "BurstBufferOperation": "the burst buffer failed: tell the administrators",
}
"""Whole reasons. One with details (`ReqNodeNotAvail, UnavailableNodes:n4`) is found by what is before the comma."""

_LIMIT = re.compile(
    r"(?P<who>QOS|Assoc|)(?P<kind>Grp|Max|Min)(?P<what>[A-Za-z]+?)"
    r"(?P<per>Per(?:User|Account|Job|Node))?(?:Limit|NotSatisfied)?"
)
_WHO = {"QOS": "the QOS", "Assoc": "your account", "": "the account in this QOS"}
_WHAT = {
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


NOT_LAUNCHED = "launch failed requeued held"


def is_not_launched(reason: str | None) -> bool:
    """Whether SLURM holds the job because it could not be launched: a bad node, or a controller that forgot a start."""
    return reason is not None and reason.strip("() ").replace("_", " ") == NOT_LAUNCHED


@functools.cache
def in_words(reason: str) -> str:
    """A reason of squeue as a sentence; an unknown one as it is.

    >>> in_words("JobHeldUser")
    'held by you: `scontrol release JOB` (JobHeldUser)'
    >>> in_words("QOSMaxJobsPerUserLimit")
    'QOS limit MaxJobs: as many jobs run as may; waits for others to end (QOSMaxJobsPerUserLimit)'
    >>> in_words("PhaseOfTheMoon")
    'PhaseOfTheMoon'
    """
    word = reason.strip("() ")
    spoken = word.replace("_", " ")
    said = WORDS.get(spoken) or WORDS.get(spoken.partition(",")[0].strip()) or _limit(word)
    return word if said is None else f"{said} ({word})"


def _limit(word: str) -> str | None:
    """The sentence for a limit of a QOS or account, from the parts of its name; None where it names none."""
    found = _LIMIT.fullmatch(word)
    if found is None or not (found["who"] or found["per"] == "PerAccount"):
        return None
    what, who = found["what"], _WHO[found["who"]]
    title = f"{found['who'] or 'account'} limit {found['kind']}"
    if what in ("Jobs", "Job"):
        return f"{title}Jobs: as many jobs run as may; waits for others to end"
    if what in ("SubmitJobs", "SubmitJob"):
        return f"{title}SubmitJobs: as many jobs are queued as may; waits for others to end"
    return _resource(found["kind"], what, found["per"], who)


def _resource(kind: str, what: str, per: str | None, who: str) -> str | None:
    minutes = what.endswith("Minutes")
    name = "time" if what == "WallDuration" else _WHAT.get(re.sub(r"(Run)?Minutes$", "", what).lower())
    if name is None:
        return None
    if kind == "Min":
        return f"asks for less {name} than {who} wants of a job: it will not start as it is; change the profile"
    if per in ("PerJob", "PerNode"):
        where = "a node of a job" if per == "PerNode" else "a job"
        return f"asks for more {name}{' x time' * minutes} than {who} gives {where}: lower it in the profile"
    if minutes and not what.endswith("RunMinutes"):
        return f"{who} has used up its {name} x time: ask for more, or take another one"
    whom = {"PerUser": "one user", "PerAccount": "one account"}.get(per or "", "all jobs together")
    return f"{who} gives {whom} no more {name} now: waits for other jobs to end"
