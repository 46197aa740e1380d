"""The executors: where the jobs of a sweep can run, and what differs between them. `EXECUTORS` is the table.

Rule 1: no other module compares the name of an executor. What differs is a field here.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from unetsweep.app.job_requests import payload_of
from unetsweep.core import paths
from unetsweep.core.cost import Account
from unetsweep.core.ports import Scheduler
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SchedulerError, StateError, UsageError
from unetsweep.reconcile.context import Timeouts
from unetsweep.schedulers.local import machine
from unetsweep.schedulers.local.local_jobs import LocalJobs, is_reconciling
from unetsweep.schedulers.packed.packed_slurm import PackedSlurm
from unetsweep.schedulers.slurm import commands
from unetsweep.schedulers.slurm.accounting import accounts
from unetsweep.schedulers.slurm.partitions import time_limits, time_problems
from unetsweep.store.sweep_dir import SweepDir

QUERY_S = 20.0
"""How long a command waits for an answer of the scheduler that it can do without."""


def _refuse_requeue(job_id: str) -> None:
    raise SchedulerError(f"job {job_id} cannot be requeued")


@dataclass(frozen=True, slots=True)
class Executor:
    """One scheduler, and what a command must know about it. The defaults are those of a simple one."""

    name: str
    """In `--executor` and `sweep.json`. It is the `kind` of the scheduler."""
    title: str
    """Its name in messages."""
    scheduler: Callable[[Path], Scheduler]
    """Makes the scheduler of the sweep in this folder."""
    is_here: Callable[[], bool] = lambda: True
    """Whether this machine has it. SchedulerError if that is not known."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    """How long a reconciliation waits, and for what."""
    check_machine: Callable[[SweepSpec], None] = lambda spec: None
    """UsageError if a training needs something that this machine does not have."""
    warnings: Callable[[], Sequence[str]] = tuple
    """What a user should know about the scheduler before a sweep is submitted."""
    request_problems: Callable[[SweepSpec], Iterable[str]] = lambda spec: ()
    """Why jobs with these resources would never start."""
    default_parallel: Callable[[SweepSpec], int | None] = lambda spec: None
    """How many trainings run at once if `run.parallel` is not set; None: as many as the scheduler runs."""
    current_cluster: Callable[[], str | None] = lambda: None
    """The cluster to which this machine submits; None: there is none, or its name is not known."""
    cluster_variable: str | None = None
    """The environment variable that chooses the cluster; None: there is none."""
    accounts: Callable[[Collection[str]], tuple[Account, ...]] = lambda job_ids: ()
    """What accounting says about these jobs; empty without accounting."""
    path_patterns: str = ""
    """Characters that its jobs' paths must not have, because it reads them as parts of a pattern."""
    allocates_cpus: bool = True
    """Whether a job gets the CPUs that `slurm.cpus` requests. Otherwise a training uses those of its threads."""
    allocates_memory: bool = True
    """Whether a job gets the memory that `slurm.mem` requests. Otherwise a training uses that of this machine."""
    has_element_logs: bool = False
    """Whether a log is named by its element (`paths.element_log`), not by its job (`paths.job_log`)."""
    cancels_unrecognised: bool = True
    """Whether it can cancel a job whose state is not recognised."""
    is_reconciling: Callable[[Path], bool] = lambda root: False
    """Whether a job of the sweep in this folder, which the scheduler counts as ended, reconciles now or is about to."""
    own_job: Callable[[], str | None] = lambda: None
    """The id of the job that this process runs in; None: it runs in no job that can be requeued."""
    requeue: Callable[[str], None] = _refuse_requeue
    """Requeues a job; SchedulerError if that is refused."""


SLURM = Executor(
    "slurm",
    "SLURM",
    scheduler=lambda root: PackedSlurm(payload_of, root),
    is_here=commands.has_slurm,
    warnings=commands.unknown_limits,
    request_problems=lambda spec: time_problems(spec.slurm, time_limits(QUERY_S)),
    current_cluster=commands.current_cluster,
    cluster_variable="SLURM_CONF",
    path_patterns=commands.PATH_PATTERNS,
    accounts=accounts,
    own_job=commands.own_job,
    requeue=commands.requeue,
)
LOCAL = Executor(
    "local",
    "this machine",
    scheduler=LocalJobs,
    # a supervisor writes its record within a second or two, and no network file system is in between
    timeouts=Timeouts(unlisted_grace=timedelta(seconds=15), result_grace=timedelta(0), watch=timedelta(seconds=2)),
    check_machine=machine.check_gpus,
    default_parallel=machine.capacity,
    allocates_cpus=False,
    allocates_memory=False,
    has_element_logs=True,
    is_reconciling=is_reconciling,
    cancels_unrecognised=False,  # it is a process of another machine
)

EXECUTORS: Mapping[str, Executor] = {each.name: each for each in (SLURM, LOCAL)}
"""Every executor by its name. `--executor auto` takes the first that this machine has."""


def first_here() -> Executor:
    """The executor that `--executor auto` chooses on this machine."""
    return next(each for each in EXECUTORS.values() if each.is_here())


def executor_of(directory: SweepDir) -> Executor:
    """The executor of a sweep; StateError if its `sweep.json` names none that exists."""
    return executor_named(directory.executor, directory.root)


def executor_named(name: str, root: Path) -> Executor:
    """The executor with this name in the `sweep.json` of the folder `root`; StateError if there is none."""
    if name not in EXECUTORS:
        allowed = ", ".join(EXECUTORS)
        raise StateError(f"{root / paths.SWEEP}: executor: found {name!r}; allowed: {allowed}")
    return EXECUTORS[name]


def is_other_cluster(recorded: str | None, here: str | None) -> bool:
    """Whether the two are different clusters. A cluster whose name is not known (None) counts as the same."""
    return recorded is not None and here is not None and recorded.lower() != here.lower()


def check_cluster(executor: Executor, recorded: str | None) -> None:
    """UsageError if this machine submits to another cluster than the recorded one (None: not known).

    On another cluster, the ids of the sweep's jobs belong to jobs of other users.
    """
    here = None if recorded is None else executor.current_cluster()
    if not is_other_cluster(recorded, here):
        return
    variable = "" if executor.cluster_variable is None else f", or its {executor.cluster_variable}"
    raise UsageError(
        f"the sweep's jobs are on the cluster {recorded}, and {executor.title}'s commands here submit to {here}: use a "
        f"login node of {recorded}{variable}. To continue the sweep on {here} instead: `unetsweep adopt`, which "
        f"cancels no job on {recorded}"
    )
