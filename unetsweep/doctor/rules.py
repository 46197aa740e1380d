"""Doctor's checks, and how each is judged. Pure: a fact in, a row of the page out.

Rule 1: `broken`: no sweep can do without it; `limited`: a sweep is slower or needs another setting.
Rule 2: a fact that could not be found out is `unknown`, with the reason. It counts neither for nor against the machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from unetsweep.doctor.facts import Command, FreeSpace, Machine, Partition, Partitions
from unetsweep.texts import counted


class CheckVerdict(Enum):
    """How good a finding is."""

    OK = "ok"
    LIMITED = "limited"
    BROKEN = "broken"
    UNKNOWN = "unknown"


OK, LIMITED, BROKEN, UNKNOWN = CheckVerdict
Judgement = tuple[str, CheckVerdict, str]
"""Finding, verdict, and what it means for a sweep (empty if there is nothing to do)."""
Rule = Callable[[Any], Judgement]

SLOW_COMMAND_S = 5.0  # SLURM usually answers in well under a second
SLOW_FSYNC_S = 1.0  # a reconciliation flushes about ten files
CLOCK_SKEW_S = 5.0  # the shortest waits of a sweep are tens of seconds
FILE_DELAY_S = 60.0  # a minute after a job has ended its files are expected
MIN_SPACE = 64 << 20  # bytes; less does not hold the checkpoints of one run
LOW_SPACE = 2 << 30  # bytes; less holds only a few runs of three checkpoints each
LOW_INODES = 10_000  # a run has some 30 files
LOCAL_FILE_SYSTEMS = ("tmpfs", "overlay")

_USE_CLI = "set `run: {driver: cli}` and keep `unetsweep submit … --watch` running here, or use cron"
_OTHER_FOLDER = "choose another folder with --results"
_UNSAFE = f"results would not be safe: {_OTHER_FOLDER}"
_RESUBMITS = "the next reconciliation submits the job again, from its last checkpoint"


def _holds(good: str, bad: str, meaning: str, verdict: CheckVerdict = BROKEN) -> Rule:
    """Return the rule for True (good) or False."""
    return lambda value: (good, OK, "") if value else (bad, verdict, meaning)


def _problem(good: str, meaning: str, verdict: CheckVerdict = LIMITED) -> Rule:
    """Return the rule for a problem, an empty string if there is none."""
    return lambda problem: (problem, verdict, meaning) if problem else (good, OK, "")


def _at_most(limit: float, meaning: str) -> Rule:
    """Return the rule for a duration in seconds."""
    return lambda value: (_seconds(value), OK, "") if value <= limit else (_seconds(value), LIMITED, meaning)


def _clock(here: str, there: str, meaning: str) -> Rule:
    """Return the rule for the seconds that one clock is ahead of another."""

    def rule(offset: float) -> Judgement:
        finding = f"{here} is {abs(offset):.1f} s {'ahead of' if offset >= 0 else 'behind'} {there}"
        return (finding, OK, "") if abs(offset) <= CLOCK_SKEW_S else (finding, LIMITED, meaning)

    return rule


def _seconds(seconds: float) -> str:
    """Return a duration as text.

    >>> _seconds(0.0312), _seconds(75.2)
    ('0.03 s', '75 s')
    """
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _slurm(problem: str) -> Judgement:
    if problem:
        return problem, BROKEN, "no sweep can use SLURM until it answers"
    return "there is none here", OK, "sweeps run as local processes of this machine"


def _command(command: Command) -> Judgement:
    if command.problem:
        return command.problem, BROKEN, "no sweep on SLURM without it: load SLURM, or use --executor local"
    finding = f"{command.path}, {_seconds(command.seconds)}"
    if command.seconds > SLOW_COMMAND_S:
        return finding, LIMITED, "the controller is slow: a reconciliation takes longer, but nothing is lost"
    return finding, OK, ""


def _accounting(sacct: Command) -> Judgement:
    finding = problem = sacct.problem
    if not problem:
        return "sacct answers", OK, "it says how a job ended after squeue has forgotten it"
    if "disabled" in problem.lower():
        finding = "off on this cluster (sacct: accounting storage is disabled)"
    elif any(part in problem.lower() for part in ("connection", "slurmdbd", "database", "no answer", "persist")):
        finding = f"its database does not answer now ({problem})"
    meaning = (
        "sweeps work without it. Cancel jobs with `unetsweep cancel`: your own `scancel` is recognised only while "
        "squeue still lists the job (MinJobAge)"
    )
    return finding, LIMITED, meaning


def _arrays(elements: int) -> Judgement:
    if elements < 2:
        return "arrays are off", LIMITED, "each run is submitted as a job of its own"
    return f"{elements} elements", OK, "runs are submitted together, in arrays of at most that size"


def _submit_limit(limit: int | None) -> Judgement:
    if limit is None:
        return "none", OK, ""
    return counted(limit, "job"), LIMITED, "a sweep has no more jobs in the queue at once; the rest follow as jobs end"


def _preempt_mode(mode: str) -> Judgement:
    if "CANCEL" in mode.upper():
        return mode, LIMITED, f"preemption ends a job; {_RESUBMITS}"
    if "SUSPEND" in mode.upper() or "GANG" in mode.upper():
        return mode, LIMITED, "a preempted job is paused and keeps its GPUs; a long pause counts as a hang"
    return mode, OK, "SLURM requeues a preempted job" if "REQUEUE" in mode.upper() else "no preemption by default"


def _partitions(partitions: Partitions) -> Judgement:
    finding = "; ".join(_partition(row) for row in partitions.rows)
    wanted, chosen = partitions.wanted, partitions.chosen()
    if chosen is None and wanted is None:
        return finding, LIMITED, "none is the default: set `partition:` in the profile"
    if chosen is None and wanted is not None and "," in wanted:
        return finding, OK, f"jobs go to one of {wanted}"
    if chosen is None:
        return finding, BROKEN, f"the profile's partition {wanted!r} does not exist: change it"
    if partitions.are_too_short():
        return finding, LIMITED, f"{chosen.name} allows less time than the profile asks for: lower `time:`"
    if chosen.state != "UP":
        return finding, LIMITED, f"jobs go to {chosen.name}, which is {chosen.state} now: they wait"
    return finding, OK, f"jobs go to {chosen.name}"


def _partition(row: Partition) -> str:
    star, state = "*" if row.is_default else "", "" if row.state == "UP" else f", {row.state}"
    return f"{row.name}{star} (at most {row.max_time}, without `time:` {row.default_time}{state})"


def _python_version(versions: tuple[str, str]) -> Judgement:
    node, here = versions
    if node.split(".")[:2] != here.split(".")[:2]:
        meaning = "the pickle of a job needs the same version: set such a `python:` in the profile"
        return f"{node}; this machine has {here}", LIMITED, meaning
    return node, OK, ""


def _gpus(gpus: int) -> Judgement:
    finding = f"torch sees {gpus}; the job asked for 1"
    if gpus < 1:
        return finding, BROKEN, "trainings would run on the CPU: check torch's CUDA build, the driver, the partition"
    return finding, OK if gpus == 1 else LIMITED, ""


def _file_system(kind: str) -> Judgement:
    if kind in LOCAL_FILE_SYSTEMS:
        return kind, OK, f"only this machine sees it: for SLURM, {_OTHER_FOLDER}"
    return kind, OK, "for SLURM, nodes must see it under the same path"


def _space(space: FreeSpace) -> Judgement:
    files = "" if space.inodes is None else f", {counted(space.inodes, 'file')}"
    finding = f"{space.bytes / (1 << 30):.1f} GiB free{files}"
    if space.bytes < MIN_SPACE or space.inodes == 0:
        return finding, BROKEN, f"free some space, or {_OTHER_FOLDER}"
    if space.bytes < LOW_SPACE or (space.inodes is not None and space.inodes < LOW_INODES):
        return finding, LIMITED, "little for a sweep: a run needs three checkpoints and some 30 files"
    return finding, OK, ""


def _machine(machine: Machine) -> Judgement:
    cores, gpus = counted(machine.cores, "core"), counted(machine.gpus, "GPU")
    return f"{cores}, {machine.memory_gib:.0f} GiB of memory, {gpus}", OK, ""


_COMMANDS, _LIMITS, _NODE, _FOLDER, _MACHINE = "commands", "limits", "compute node", "results folder", "this machine"
_COMET_ANSWERS = "www.comet.com:443 answers"


class Check(Enum):
    """What doctor checks: the section and the name of its row, and the rule that judges the fact."""

    # fmt: off
    SLURM = _MACHINE, "SLURM", _slurm
    SBATCH = _COMMANDS, "sbatch", _command
    SQUEUE = _COMMANDS, "squeue", _command
    SCANCEL = _COMMANDS, "scancel", _command
    SRUN = _COMMANDS, "srun", _command
    SCONTROL = _COMMANDS, "scontrol", _command
    ACCOUNTING = "accounting", "accounting", _accounting
    ARRAYS = _LIMITS, "MaxArraySize", _arrays
    JOB_REQUEUE = _LIMITS, "JobRequeue", _holds(
        "1: SLURM requeues jobs", "0: SLURM requeues no job", f"after a node failure {_RESUBMITS}", LIMITED
    )
    PREEMPT_MODE = _LIMITS, "PreemptMode", _preempt_mode
    SUBMIT_LIMIT = _LIMITS, "your submit limit", _submit_limit
    PARTITIONS = _LIMITS, "partitions", _partitions
    TIMES = _LIMITS, "time limits", _problem("fit the partitions", "jobs never start: change the profile")
    JOB = _NODE, "test job", _problem(
        "started", "check the profile's partition, account and qos, or set --results to a folder that nodes see", BROKEN
    )
    NODE_NAME = _NODE, "node", lambda name: (name, OK, "")
    PYTHON = _NODE, "python", _problem(
        "runs", "nodes must be able to run the profile's `python:`: set another path, or load it in `setup:`", BROKEN
    )
    PYTHON_VERSION = _NODE, "python version", _python_version
    MODULES = _NODE, "modules", _problem(
        "unetsweep, torch, pytorch_lightning",
        "no U-Net can be trained: install it for the profile's `python:` (a trainer of yours needs only unetsweep)",
        BROKEN,
    )
    GPUS = _NODE, "GPUs", _gpus
    GPU_STEP = _NODE, "GPU step", _problem("trains", "no training can run there: use another node or PyTorch", BROKEN)
    NODE_SQUEUE = _NODE, "squeue", _problem("works", f"jobs cannot see the queue: {_USE_CLI}")
    NODE_SCONTROL = _NODE, "scontrol", _problem("works", f"a job cannot requeue itself; {_RESUBMITS}")
    NODE_SBATCH = _NODE, "sbatch", _problem("works", f"jobs cannot continue an adaptive sweep: {_USE_CLI}")
    NODE_NETWORK = _NODE, "network", _problem(
        _COMET_ANSWERS, "jobs have no network: `trainer: {comet: offline}`, then `unetsweep sync` from here"
    )
    SIGNAL = _NODE, "SIGUSR2", _problem(
        "reaches the job's step",
        "trainings are not warned before their time limit, and continue from their last checkpoint",
    )
    REQUEUE = _NODE, "requeue", _problem("works: the job started again with SLURM_RESTART_COUNT=1", _RESUBMITS)
    FILE_DELAY = _NODE, "files from a node", _at_most(
        FILE_DELAY_S, "files appear late: a reconciliation may mistake an ended job for a lost one"
    )
    NODE_CLOCK = _NODE, "clock", _clock("the node", "this machine", "set the clocks: waits are wrong by as much")
    FOLDER = _FOLDER, "folder", lambda path: (path, OK, "")
    FOLDER_ERROR = _FOLDER, "cannot be used", _problem("", _OTHER_FOLDER, BROKEN)
    FILE_SYSTEM = _FOLDER, "file system", _file_system
    HARD_LINK = _FOLDER, "link()", _holds("works, a second one is refused", "does not work", _UNSAFE)
    RENAME = _FOLDER, "rename over a file", _holds("works", "does not work", _UNSAFE)
    EXCLUSIVE = _FOLDER, "O_EXCL", _holds("works", "two can create the same file", _UNSAFE)
    RENAME_FOLDER = _FOLDER, "rename to a full folder", _holds("is refused", "is not refused", _UNSAFE)
    FSYNC = _FOLDER, "fsync", _at_most(SLOW_FSYNC_S, "slow: a reconciliation waits that long for each file")
    SPACE = _FOLDER, "space", _space
    QUOTA = _FOLDER, "quota", lambda report: (report or "none", OK, "")
    PRIVATE = _FOLDER, "mode 0700", _holds("possible", "not possible", "others may read and write your sweeps", LIMITED)
    CLOCK = _FOLDER, "clock", _clock("this machine", "the file server", "set the clocks: the ages of files are wrong")
    MACHINE = _MACHINE, "machine", _machine
    NETWORK = _MACHINE, "network", _problem(
        _COMET_ANSWERS, "Comet cannot be reached from here: run `unetsweep sync` on another machine"
    )
    COMET_KEY = _MACHINE, "COMET_API_KEY", _holds(
        "is set", "is not set", "only Comet needs it: export it before `unetsweep sync`", LIMITED
    )
    LEFTOVERS = _MACHINE, "jobs of doctor", _problem("", "these could not be cancelled: use scancel", UNKNOWN)
    # fmt: on

    def __init__(self, section: str, title: str, rule: Rule) -> None:
        self.section, self.title, self.rule = section, title, rule


@dataclass(frozen=True, slots=True)
class Fact:
    """The result of one probe: a value that the check's rule takes, or the error that prevented it."""

    check: Check
    value: object = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the page."""

    section: str
    name: str
    finding: str
    verdict: CheckVerdict
    meaning: str


def run_probe(check: Check, probe: Callable[[], object]) -> Fact:
    """Return what the probe finds out, or its error, whatever that is: a failed probe must not end doctor."""
    try:
        return Fact(check, probe())
    except Exception as error:
        is_ours = type(error).__module__.startswith("unetsweep.")
        return Fact(check, error=str(error) if is_ours else f"{type(error).__name__}: {error}")


def judge(fact: Fact) -> Row:
    """Return the row of the page for a fact."""
    check = fact.check
    if fact.error is not None:
        return Row(check.section, check.title, fact.error, UNKNOWN, "could not be found out")
    finding, verdict, meaning = check.rule(fact.value)
    return Row(check.section, check.title, finding, verdict, meaning)
