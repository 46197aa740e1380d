"""Cost: how long the jobs of trainings held their resources, from the cluster's accounting or from the sweep's files.

Rule 1: accounting outranks the files, attempt by attempt. It also counts the time before a claim and after an end.
Rule 2: no file says when a process died with its node. Such a start counts up to its last finished epoch.
Rule 3: a cost belongs to a run. Trials that share a run divide its cost by the epochs that each adds, so the costs of
        the trials add up to that of the run.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from unetsweep.core.spec import SweepSpec
from unetsweep.texts import counted

FILES = "the sweep's files"
"""Where times come from without accounting."""

JobKey = tuple[str, str]
"""Token and job id: a job id alone may be reused for another job."""


@dataclass(frozen=True, slots=True)
class Account:
    """One period in which a job held its resources, by the cluster's accounting. A requeued job has several."""

    token: str
    job_id: str
    begin: float
    """Seconds since 1970, like all times in this module."""
    end: float | None
    """None: it still runs."""
    seconds: float
    gpus: int | None = None
    """None: accounting does not count GPUs."""
    cpus: int | None = None
    """None: accounting does not count CPUs."""
    memory_mb: float | None = None
    """Most resident memory of a process on the host; None: not accounted."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a run, from its files."""

    attempt: int
    begin: float
    """When its process claimed the run."""
    end: float | None = None
    """When all its processes had ended; None: not recorded."""
    epochs: tuple[tuple[int, float], ...] = ()
    """Each epoch that it finished, with its time. Read only if there are several starts, or no recorded end."""
    goal: int = 0
    """Its longest milestone."""


@dataclass(frozen=True, slots=True)
class RunTimeline:
    """What a run's files say about its attempts."""

    jobs: Mapping[int, Collection[JobKey]]
    """The jobs of each attempt."""
    starts: tuple[Start, ...] = ()
    """In chronological order."""
    is_open: bool = False
    """Whether the last start may still run: a trial of the run is open, and its last attempt is not lost."""
    submitted: Mapping[int, float] = field(default_factory=dict)
    """When each attempt was submitted."""


@dataclass(frozen=True, slots=True)
class JobResources:
    """What each training of a sweep holds."""

    gpus: float
    """Less than one if several trainings share a GPU."""
    cpus: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run, a trial or a sweep has cost. Each field is a key in the JSON of `status` and `report`."""

    attempts: int = 0
    seconds: float = 0.0
    """How long its jobs held their resources, all attempts together."""
    gpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    lost_seconds: float = 0.0
    """Part of `seconds`: work that a later start had to repeat."""
    memory_mb: float | None = None
    """Most memory of a process on the host, from accounting; None: not accounted."""
    accounted_seconds: float = 0.0
    """Part of `seconds`: what comes from accounting."""
    peak_memory_mb: float | None = None
    """Most memory of a process as the finished trainings reported it: of the GPU, or on the host if there is none."""
    unread_runs: int = 0
    """Runs that are not included, because a file of theirs cannot be read."""

    @property
    def lost_share(self) -> float:
        """The lost part of the time, from 0 to 1."""
        return self.lost_seconds / self.seconds if self.seconds else 0.0


def training_resources(spec: SweepSpec, *, allocates_cpus: bool) -> JobResources:
    """Return what each training holds. CPUs are those that the sweep requests, or else the threads that compute.

    `allocates_cpus`: whether a job gets the CPUs that it requests.
    """
    cpus = spec.slurm.cpus if allocates_cpus else None
    return JobResources(spec.slurm.gpus / spec.slurm.pack, spec.slurm.processes * (cpus or spec.trainer.threads))


def accounts_by_job(accounts: Iterable[Account], timelines: Iterable[RunTimeline]) -> dict[JobKey, tuple[Account, ...]]:
    """Return the accounts of the jobs of these runs. Runs that share a job get equal parts of its seconds."""
    runs_of_job = Counter(key for timeline in timelines for key in set[JobKey]().union(*timeline.jobs.values()))
    found: dict[JobKey, tuple[Account, ...]] = {}
    for account in accounts:
        key = (account.token, account.job_id)
        if key in runs_of_job:
            share = replace(account, seconds=account.seconds / runs_of_job[key])
            found[key] = (*found.get(key, ()), share)
    return found


def run_cost(
    timeline: RunTimeline, accounts: Mapping[JobKey, Sequence[Account]], resources: JobResources, now: float
) -> Cost:
    """Return what one run has cost so far."""
    by_attempt = {
        number: [account for key in keys for account in accounts.get(key, ())] for number, keys in timeline.jobs.items()
    }
    ends = _ends(timeline, by_attempt, now)
    unaccounted = sum(
        max(0.0, end - start.begin)
        for start, end in zip(timeline.starts, ends, strict=True)
        if not by_attempt.get(start.attempt)
    )
    accounted = [account for group in by_attempt.values() for account in group]
    accounted_seconds = sum(a.seconds for a in accounted)
    gpu_seconds = sum(a.seconds * (resources.gpus if a.gpus is None else a.gpus) for a in accounted)
    cpu_seconds = sum(a.seconds * (resources.cpus if a.cpus is None else a.cpus) for a in accounted)
    return Cost(
        attempts=len(timeline.jobs),
        seconds=accounted_seconds + unaccounted,
        gpu_seconds=gpu_seconds + unaccounted * resources.gpus,
        cpu_seconds=cpu_seconds + unaccounted * resources.cpus,
        lost_seconds=sum(lost_seconds(timeline.starts, ends)),
        memory_mb=_max(a.memory_mb for a in accounted),
        accounted_seconds=accounted_seconds,
    )


def _ends(timeline: RunTimeline, accounts: Mapping[int, Sequence[Account]], now: float) -> list[float]:
    """When each start ended, by the best evidence, but not after the next start began. `accounts`: by attempt."""
    ends = []
    for index, start in enumerate(timeline.starts):
        is_last = index + 1 == len(timeline.starts)
        covering = [
            a for a in accounts.get(start.attempt, ()) if a.begin <= start.begin and (a.end or now) >= start.begin
        ]
        end = covering[-1].end or now if covering else start.end
        if end is None:
            last_epoch = max((time for _, time in start.epochs), default=start.begin)
            end = now if is_last and timeline.is_open else last_epoch
        ends.append(max(start.begin, end if is_last else min(end, timeline.starts[index + 1].begin)))
    return ends


def lost_seconds(starts: Sequence[Start], ends: Sequence[float]) -> list[float]:
    """Return the time that each start has lost: the time after its last epoch that no later start had to repeat.

    The last start has lost nothing yet. A start that reached its goal has lost nothing either: it only had to end.

    >>> first, second = Start(1, 0, epochs=((1, 10), (2, 20), (3, 30)), goal=9), Start(1, 50, epochs=((3, 70),), goal=9)
    >>> lost_seconds([first, second], [35, 70])
    [15, 0.0]
    """
    lost = []
    for index, start in enumerate(starts):
        repeated = [epoch for later in starts[index + 1 :] for epoch, _ in later.epochs]
        kept = [(epoch, time) for epoch, time in start.epochs if epoch < min(repeated, default=epoch + 1)]
        last_kept, since = kept[-1] if kept else (0, start.begin)
        has_reached_goal = start.goal > 0 and last_kept >= start.goal
        is_last = index + 1 == len(starts)
        lost.append(0.0 if is_last or has_reached_goal else max(0.0, ends[index] - since))
    return lost


def _max(values: Iterable[float | None]) -> float | None:
    """The largest known value; None if none is known."""
    return max((value for value in values if value is not None), default=None)


def total(costs: Iterable[Cost]) -> Cost:
    """Return what several runs have cost together."""
    costs = list(costs)
    return Cost(
        sum(cost.attempts for cost in costs),
        sum(cost.seconds for cost in costs),
        sum(cost.gpu_seconds for cost in costs),
        sum(cost.cpu_seconds for cost in costs),
        sum(cost.lost_seconds for cost in costs),
        _max(cost.memory_mb for cost in costs),
        sum(cost.accounted_seconds for cost in costs),
        _max(cost.peak_memory_mb for cost in costs),
    )


def share_of_run(cost: Cost, part: float) -> Cost:
    """Return a trial's part of the cost of its run. Attempts and memory are the run's."""
    return replace(
        cost,
        seconds=cost.seconds * part,
        gpu_seconds=cost.gpu_seconds * part,
        cpu_seconds=cost.cpu_seconds * part,
        lost_seconds=cost.lost_seconds * part,
        accounted_seconds=cost.accounted_seconds * part,
    )


def trial_parts(epochs: Sequence[int]) -> list[float]:
    """Return the part of each trial of a run: the epochs that it adds to the next shorter trial. Trials of the same
    length divide theirs equally.

    >>> trial_parts([8]), trial_parts([4, 8, 8]), trial_parts([])
    ([1.0], [0.5, 0.25, 0.25], [])
    """
    longest = max(epochs, default=0)
    if longest <= 0:
        return [1 / len(epochs) for _ in epochs]
    shorter = {each: max((other for other in epochs if other < each), default=0) for each in epochs}
    return [(each - shorter[each]) / epochs.count(each) / longest for each in epochs]


def format_cost(cost: Cost, *, gpus: bool) -> str:
    """Return the cost as one line for the user.

    >>> format_cost(Cost(3, 7200.0, 28800.0, 7200.0, 720.0, accounted_seconds=7200.0), gpus=True)
    'cost so far: 8.00 GPU-hours in 3 attempts (from sacct); 0.80 of them (10.0%) had to be repeated'
    >>> format_cost(Cost(1, 36.0, 0.0, 72.0, peak_memory_mb=512.3), gpus=False)
    "cost so far: 0.02 CPU-hours in 1 attempt (from the sweep's files); nothing had to be repeated; peak memory 512 MB"
    """
    seconds, unit = (cost.gpu_seconds, "GPU") if gpus else (cost.cpu_seconds, "CPU")
    hours = seconds / 3600
    attempts = counted(cost.attempts, "attempt")
    lost = f"{hours * cost.lost_share:.2f} of them ({cost.lost_share:.1%})" if cost.lost_seconds else "nothing"
    text = f"cost so far: {hours:.2f} {unit}-hours in {attempts} (from {cost_source(cost)}); {lost} had to be repeated"
    if memory := _format_memory(cost, gpus=gpus):
        text += f"; peak memory {memory}"
    if cost.unread_runs:
        text += f"; not counting {counted(cost.unread_runs, 'run')} with unreadable files: run `unetsweep repair`"
    return text


def cost_source(cost: Cost) -> str:
    """Return where the seconds of a cost come from."""
    if not cost.accounted_seconds:
        return FILES
    return "sacct" if cost.accounted_seconds >= cost.seconds else f"sacct and {FILES}"


def _format_memory(cost: Cost, *, gpus: bool) -> str:
    if gpus:
        peaks = [(cost.memory_mb, " on the host"), (cost.peak_memory_mb, " on the GPU")]
    else:
        peaks = [(cost.peak_memory_mb if cost.memory_mb is None else cost.memory_mb, "")]
    return ", ".join(f"{peak:.0f} MB{where}" for peak, where in peaks if peak is not None)
