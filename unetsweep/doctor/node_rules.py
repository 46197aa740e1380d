"""What doctor says of a node (by its test job), of the folder of results, and of this machine."""

from collections.abc import Callable, Mapping
from typing import Any

from unetsweep.core.reasons import in_words
from unetsweep.doctor.rules import BROKEN, LIMITED, OK, UNKNOWN, Rule, Said, spoken_s, yes

_N, _F, _H = "a node", "results folder", "this machine"
WATCH = "say `run: {driver: cli}` and leave `unetsweep submit … --watch` (or cron) on this machine"
_SKEW_S, _DELAY_S = 5.0, 60.0
_GIB = 1 << 30
_PATH = 800
"""Characters of a path of results, of the 4096 that Linux takes."""
NETWORK_FILE_SYSTEMS = (
    "nfs",
    "nfs4",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse",
    "panfs",
    "wekafs",
    "afs",
    "glusterfs",
)


def _job(value: Mapping[str, Any]) -> Said:
    """`refused`, or the last look at the queue, or that it told something."""
    if value.get("refused"):
        return (
            value["refused"],
            BROKEN,
            "no job can be sent like this: see to it in the profile (partition, account, qos)",
        )
    if value.get("start_s") is not None:
        return f"started {spoken_s(value['start_s'])} after sbatch", OK, ""
    queue = value.get("queue") or {}
    if queue.get("waits"):
        why = in_words(queue["reason"]) if queue["reason"] else queue["word"]
        return (
            f"did not start within {value['timeout']:g} s: {why}",
            UNKNOWN,
            "nothing is known of the nodes: try --timeout",
        )
    said = queue.get("word") or queue.get("error") or "it is gone"
    return (
        f"it left no word in the results folder ({said})",
        BROKEN,
        ("the nodes do not see this folder under this path, or may not write there: choose another with --results"),
    )


def _python(value: Mapping[str, Any]) -> Said:
    if value.get("missing") is not None:
        return (
            f"{value['wanted']}: {value['missing'] or 'cannot be run'}",
            BROKEN,
            ("the profile's `python:` must be there on the nodes: another path, or `setup:` lines that bring it"),
        )
    finding = f"{value['python']}, {value['version']}, on {value['node']}"
    here = value.get("here", value["version"])
    if here.split(".")[:2] != value["version"].split(".")[:2]:
        return (
            finding,
            LIMITED,
            f"here, where the payload is pickled, it is {here}: name a `python:` of that version in the profile",
        )
    return finding, OK, "" if here == value["version"] else f"here it is {here}"


def _imports(value: Mapping[str, Any]) -> Said:
    names = ("unetsweep", "torch", "pytorch_lightning")
    told = [f"{name} {value[name]}" for name in names if value.get(name)]
    missing = [name for name in names if name in value and not value[name]]
    finding = ", ".join(told + [value.get(f"{name}_error", f"no {name}") for name in missing])
    if "unetsweep" in missing:
        return finding, BROKEN, "no job can begin: install unetsweep for the profile's `python:`, seen by the nodes"
    if missing:
        return finding, BROKEN, "the U-Net cannot train there: install it; a `trainer.command` of yours needs neither"
    if value.get("slow"):
        return (
            f"{finding or 'nothing'}; {value['slow']}",
            LIMITED,
            "a slow file system: each job waits that long at its start",
        )
    return finding, OK, ""


def _gpus(value: int) -> Said:
    if value >= 1:
        return f"torch sees {value} where 1 was asked for", OK if value == 1 else LIMITED, ""
    return (
        "torch sees none where 1 was asked for",
        BROKEN,
        ("trainings would run without a GPU: look first at torch's build for this driver, and at the partition"),
    )


def may_sbatch(value: Mapping[str, Any]) -> bool | None:
    """Whether a node may submit; None: it was not refused for being a node, so nobody knows."""
    if value.get("job"):
        return True
    said = said_by(value)
    return None if any(word in said for word in ("MaxSubmit", "no answer", "timed out", "temporarily")) else False


def _sbatch(value: Mapping[str, Any]) -> Said:
    may = may_sbatch(value)
    if may:
        return (
            "a held job was accepted, and cancelled",
            OK,
            "with the terminal closed, jobs bring the sweep on themselves",
        )
    if may is None:
        return said_by(value), UNKNOWN, "not refused for being on a node: run doctor again later"
    return said_by(value), LIMITED, f"jobs cannot bring an adaptive sweep on: {WATCH}"


def said_by(value: Mapping[str, Any]) -> str:
    """A command's own words, where it failed."""
    if not value.get("there", True):
        return "not on PATH there"
    return str(value.get("said") or value.get("error") or f"exit status {value.get('status')}").strip()


def _asks(meaning: str) -> Callable[[Mapping[str, Any]], Said]:
    def read(value: Mapping[str, Any]) -> Said:
        return ("works", OK, "") if value.get("status") == 0 else (said_by(value), LIMITED, meaning)

    return read


def _requeue(value: Mapping[str, Any]) -> Said:
    """`started` again or not, `said` by scontrol."""
    if value.get("started"):
        return "the job queued itself again, and started with SLURM_RESTART_COUNT=1", OK, ""
    said = value.get("said")
    if said is not None and said.get("status") != 0:
        return (
            said_by(said),
            LIMITED,
            "a training that stops before its time limit is sent again by a reconciliation instead",
        )
    return "accepted, but it had not started again when doctor's time was over", UNKNOWN, "try a longer --timeout"


def _seconds(most: float, fine: str, more: str, unit: str = "") -> Callable[[float], Said]:
    def read(value: float) -> Said:
        finding = f"{unit}{round(value, 1) or 0.0:+.1f} s" if unit else spoken_s(value)
        return (finding, OK, fine) if abs(value) <= most else (finding, LIMITED, more)

    return read


def _network(offline: str) -> Callable[[str], Said]:
    return lambda value: ("www.comet.com:443 answers", OK, "") if not value else (value, LIMITED, offline)


def _kind(value: str) -> Said:
    if any(value.startswith(name) for name in NETWORK_FILE_SYSTEMS):
        return value, OK, "a network file system: files may show late, and that is waited for"
    return (
        value,
        OK,
        "for SLURM: the nodes must see it under the same path"
        if value not in ("tmpfs", "overlay")
        else ("of this machine only, as a rule: for SLURM choose a shared folder with --results"),
    )


def _space(value: Mapping[str, Any]) -> Said:
    inodes = value["inodes"]
    finding = f"{value['bytes'] / _GIB:.1f} GiB free" + ("" if inodes is None else f", {inodes} files")
    if value["bytes"] < _GIB // 16 or inodes == 0:
        return finding, BROKEN, "make room, or choose another folder with --results"
    if value["bytes"] < 2 * _GIB or (inodes is not None and inodes < 10_000):
        return finding, LIMITED, "a run needs three checkpoints and some 30 files: little room for a sweep"
    return finding, OK, ""


def _quota(value: str | None) -> Said:
    if value is None:
        return "no command tells of it here", UNKNOWN, "a full quota stops a sweep like a full disk: ask your site"
    return value or "none is told", OK, ""


def _length(value: int) -> Said:
    if value > _PATH:
        return f"{value} characters", LIMITED, "long, and our files add some 150: choose a shorter one with --results"
    return f"{value} characters", OK, ""


def _cores(value: Mapping[str, Any]) -> Said:
    memory = f", {value['memory_gib']:.0f} GiB of memory" if value.get("memory_gib") else ""
    return (
        f"{value['cores']} cores{memory}, {value['gpus']} GPUs",
        OK,
        (
            "without SLURM sweeps run as processes of this machine: `run.parallel` bounds how many at once"
            if value["local"]
            else ""
        ),
    )


_CHOOSE = "results would not be safe there: choose another folder with --results"

RULES: Mapping[str, Rule] = {
    "job": Rule(_N, "test job", _job),
    "python": Rule(_N, "python", _python),
    "imports": Rule(_N, "modules", _imports),
    "gpus": Rule(_N, "GPUs", _gpus),
    "node_squeue": Rule(_N, "squeue", _asks(f"a job cannot look at the queue: {WATCH}")),
    "node_scontrol": Rule(_N, "scontrol", _asks("a job cannot queue itself again; a reconciliation sends it instead")),
    "node_sbatch": Rule(_N, "sbatch", _sbatch),
    "node_test_only": Rule(
        _N, "sbatch --test-only", _asks("no sweep asks this way; beside a refused sbatch it says the same")
    ),
    "requeue": Rule(_N, "requeue of itself", _requeue),
    "usr2": Rule(
        _N,
        "SIGUSR2",
        yes(
            "reaches the job's step",
            "did not reach the job's step",
            "trainings do not hear of their time limit in advance, and go on from the last checkpoint of a minute",
            LIMITED,
        ),
    ),
    "end_time": Rule(
        _N,
        "SLURM_JOB_END_TIME",
        yes("is set", "is not set", "before SLURM 23: a training asks scontrol for its time limit instead", LIMITED),
    ),
    "delay": Rule(
        _N,
        "files from a node",
        _seconds(
            _DELAY_S, "until one made there shows here", "files show late: a reconciliation may take an end for a loss"
        ),
    ),
    "node_clock": Rule(
        _N,
        "clock",
        _seconds(_SKEW_S, "node minus this machine", "clocks differ: waits are off by so much", "node "),
    ),
    "node_network": Rule(
        _N, "network", _network("no network in jobs: `trainer: {comet: offline}`, then `unetsweep sync` from here")
    ),
    "no_disk": Rule(_F, "folder", lambda value: (str(value), BROKEN, "choose another folder with --results")),
    "disk": Rule(_F, "folder", lambda value: (str(value), OK, "")),
    "kind": Rule(_F, "file system", _kind),
    "hard_link": Rule(_F, "link()", yes("works, the first wins", "does not work", _CHOOSE)),
    "rename_over": Rule(_F, "rename over a file", yes("works", "does not work", _CHOOSE)),
    "exclusive": Rule(_F, "O_EXCL", yes("works", "lets two create one file", _CHOOSE)),
    "full_folder": Rule(_F, "rename to a full folder", yes("is refused", "is not refused", _CHOOSE)),
    "fsync": Rule(_F, "fsync", _seconds(1.0, "", "slow: each file of a reconciliation waits that long")),
    "clock": Rule(
        _F,
        "clock",
        _seconds(
            _SKEW_S, "this machine minus the file server", "clocks differ: ages of files are off", "this machine "
        ),
    ),
    "mtime": Rule(
        _F,
        "times of change",
        lambda value: (
            ("whole seconds", OK, "fine enough: the lease counts in tens of seconds")
            if value
            else ("finer than a second", OK, "")
        ),
    ),
    "space": Rule(_F, "room", _space),
    "quota": Rule(_F, "quota", _quota),
    "private": Rule(_F, "mode 0700", yes("possible", "not possible", "others may read and write your sweeps", LIMITED)),
    "percent": Rule(_F, "path", yes("fine", "has a %", "SLURM reads % as a pattern: choose another with --results")),
    "length": Rule(_F, "path length", _length),
    "cores": Rule(_H, "machine", _cores),
    "network": Rule(
        _H, "network", _network("Comet cannot be reached from here: `unetsweep sync` from another machine")
    ),
    "comet_key": Rule(
        _H,
        "COMET_API_KEY",
        yes("is set", "is not set", "only Comet needs it: export it before `unetsweep sync`", LIMITED),
    ),
    "no_slurm": Rule(_H, "SLURM", lambda value: (str(value), OK, "sweeps run as local processes of this machine")),
    "silent_slurm": Rule(
        _H,
        "SLURM",
        lambda value: (str(value), BROKEN, "sbatch is here, but no controller answers: wait, or use --executor local"),
    ),
    "error": Rule(_H, "doctor", lambda value: (str(value), UNKNOWN, "")),
}
