"""What doctor says of SLURM as it shows itself where doctor is called."""

from collections.abc import Callable, Mapping
from typing import Any

from unetsweep.doctor.rules import BROKEN, LIMITED, OK, UNKNOWN, Rule, Said, Verdict, number_of, spoken_s, yes

SLOW_S = 5.0
SBATCH_S = 60
"""After how many seconds our sbatch is given up."""


def _command(name: str, without: Verdict, meaning: str) -> Callable[[Any], Said]:
    def read(value: Mapping[str, Any]) -> Said:
        if value["path"] is None:
            return "not on PATH", without, meaning
        if "error" in value:
            return value["error"], without, meaning
        version = f", {value['said']}" if value["said"].startswith("slurm") else ""
        finding = f"{value['path']}, {spoken_s(value['seconds'])}{version}"
        if value["seconds"] > SLOW_S:
            return finding, LIMITED, "the controller is slow: a reconciliation takes longer, nothing is lost"
        return finding, OK, ""

    return read


def _accounting(value: Mapping[str, Any]) -> Said:
    said = value.get("error", "") if value["path"] else "sacct is not on PATH"
    if not said:
        return "sacct answers", OK, "also a job that squeue has forgotten is told from a lost one"
    if "disabled" in said.lower():
        what = "off on this cluster (sacct: accounting storage is disabled)"
    elif any(word in said.lower() for word in ("connection", "slurmdbd", "database", "no answer", "persist")):
        what = f"its database does not answer now ({said})"
    else:
        what = said
    return (
        what,
        LIMITED,
        (
            "sweeps do without: ends are read from squeue and from our own files. A scancel of yours counts only "
            "within MinJobAge, so use `unetsweep cancel`; submit limits show as sbatch's refusals"
        ),
    )


def _at_least(least: int, unit: str, fine: str, less: str) -> Callable[[str], Said]:
    def read(value: str) -> Said:
        number = number_of(value)
        if number is None:
            return value, UNKNOWN, "not understood"
        finding = f"{number}{unit}"
        return (finding, OK, fine) if number >= least else (finding, LIMITED, less)

    return read


def _message_timeout(value: str) -> Said:
    number = number_of(value)
    if number is None:
        return value, UNKNOWN, "not understood"
    if number >= SBATCH_S:
        return (
            f"{number} s",
            LIMITED,
            (
                f"we give up on sbatch after {SBATCH_S} s, before SLURM does: its job is looked for and found "
                "later, so a slow controller costs time, not jobs"
            ),
        )
    return f"{number} s", OK, f"less than the {SBATCH_S} s that we wait for sbatch"


def _requeue(value: str) -> Said:
    if number_of(value) == 1:
        return "jobs are queued again by SLURM", OK, "after a lost node or preemption a job goes on under its id"
    return (
        "0: SLURM queues no job again by itself",
        LIMITED,
        ("a lost job is sent again by the next reconciliation instead, from its last checkpoint"),
    )


def _batch_requeue(value: str | None) -> Said:
    if value is None:
        return "not told (5 where it is built in)", OK, "after so many failed launches SLURM holds a job"
    return value, OK, "after so many failed launches SLURM holds a job: `scontrol release JOB`"


def _preempt(value: str) -> Said:
    mode = value.upper()
    if "CANCEL" in mode:
        return value, LIMITED, "a preempted job ends; the next reconciliation sends it again, from its last checkpoint"
    if "SUSPEND" in mode or "GANG" in mode:
        return value, LIMITED, "a preempted job stands still with its GPUs; a long stop counts as a hang"
    return value, OK, "a preempted job is queued again" if "REQUEUE" in mode else "no job is preempted, by default"


def _enforce(value: str) -> Said:
    if value.upper() in ("ANY", "ALL", "YES"):
        return value, OK, "what a partition can never give, sbatch refuses at once"
    return value, OK, "also a job that can never start is taken, and waits: `unetsweep status` says why"


def _limits(value: list[str]) -> Said:
    if not value:
        return "none is set", OK, ""
    return ", ".join(value), LIMITED, "no more jobs are sent than that; the rest goes out as places come free"


def _partitions(value: Mapping[str, Any]) -> Said:
    """`rows` as SLURM tells them, `wanted` and `minutes` of the profile."""
    rows: list[Mapping[str, str]] = value["rows"]
    finding = "; ".join(_partition(row) for row in rows)
    default = next((row for row in rows if row.get("Default") == "YES"), None)
    wanted = value["wanted"]
    if wanted is None and default is None:
        return finding, LIMITED, "none is the default: set `partition:` in the profile"
    if wanted is None or "," in wanted:
        return finding, OK, "" if default is None else f"jobs go to {default['PartitionName']}"
    chosen = next((row for row in rows if row["PartitionName"] == wanted), None)
    if chosen is None:
        return finding, BROKEN, f"the profile's partition {wanted!r} is not there: change it"
    if chosen.get("State", "UP") != "UP":
        return finding, LIMITED, f"partition {wanted} is {chosen['State']} now: jobs wait"
    return finding, OK, f"jobs go to {wanted}, as the profile says"


def _partition(row: Mapping[str, str]) -> str:
    star = "*" if row.get("Default") == "YES" else ""
    state = "" if row.get("State", "UP") == "UP" else f", {row['State']}"
    return (
        f"{row['PartitionName']}{star} (at most {row.get('MaxTime', '?')}, without `time:` "
        f"{row.get('DefaultTime', '?')}{state})"
    )


_NOTHING = "no sweep on SLURM without it: load SLURM, or use --executor local"
_EXTRA = "not needed; with it more is known of ended jobs and of limits"
_C, _L = "commands", "limits"

RULES: Mapping[str, Rule] = {
    "sbatch": Rule(_C, "sbatch", _command("sbatch", BROKEN, _NOTHING)),
    "squeue": Rule(_C, "squeue", _command("squeue", BROKEN, _NOTHING)),
    "scancel": Rule(_C, "scancel", _command("scancel", BROKEN, _NOTHING)),
    "srun": Rule(_C, "srun", _command("srun", BROKEN, _NOTHING)),
    "scontrol": Rule(_C, "scontrol", _command("scontrol", BROKEN, "array sizes are asked of it: no sweep without")),
    "sacct": Rule(_C, "sacct", _command("sacct", LIMITED, _EXTRA)),
    "sacctmgr": Rule(_C, "sacctmgr", _command("sacctmgr", LIMITED, _EXTRA)),
    "accounting": Rule("accounting", "accounting", _accounting),
    "max_elements": Rule(
        _L,
        "MaxArraySize",
        _at_least(
            2,
            " elements an array (with max_array_tasks)",
            "what is ready goes out in arrays of that size",
            "arrays are off: a job each",
        ),
    ),
    "MaxJobCount": Rule(
        _L,
        "MaxJobCount",
        _at_least(1000, " jobs at once", "", "the cluster is soon full: sbatch then waits, or refuses"),
    ),
    "MinJobAge": Rule(
        _L,
        "MinJobAge",
        _at_least(
            120, " s", "so long squeue knows an ended job", "squeue forgets early: ends are read from our own files"
        ),
    ),
    "KillWait": Rule(
        _L,
        "KillWait",
        _at_least(
            15, " s", "between SIGTERM and SIGKILL", "a job that is ended has little time for its last words and pass"
        ),
    ),
    "MessageTimeout": Rule(_L, "MessageTimeout", _message_timeout),
    "JobRequeue": Rule(_L, "JobRequeue", _requeue),
    "MaxBatchRequeue": Rule(_L, "MaxBatchRequeue", _batch_requeue),
    "PreemptMode": Rule(_L, "PreemptMode", _preempt),
    "EnforcePartLimits": Rule(_L, "EnforcePartLimits", _enforce),
    "user_limits": Rule(_L, "your limits", _limits),
    "partitions": Rule(_L, "partitions", _partitions),
    "profile_time": Rule(
        _L,
        "time of the profile",
        yes(
            "fits into the partition",
            "longer than its partition gives",
            "lower `time:`; else jobs wait for ever",
            LIMITED,
        ),
    ),
}
