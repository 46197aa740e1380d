"""What trainings cost: how long their jobs held their places, by the cluster's accounts, else by our own clocks.

Rule 1: accounts outrank our clocks, attempt by attempt; they also count what comes before a claim and after an end.
Rule 2: of a process that died with its node nothing tells the end: it counts up to its last sign of life.
Rule 3: costs are of runs. Trials that share one share its cost by the epochs that each adds, so their sum is right.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from unetsweep.core.spec import SweepSpec

JobKey = tuple[str, str]
"""Token and job id: an id alone may be another job's."""


@dataclass(frozen=True, slots=True)
class Account:
    """One time that a job held its place, as the cluster's accounting tells it; a requeued job has several."""

    token: str
    job_id: str
    begin: float
    """Seconds since 1970; so for all times here."""
    end: float | None
    """None: it is at work."""
    seconds: float
    gpus: int | None = None
    """None: the accounting does not count them. So for the next two."""
    cpus: int | None = None
    memory_mb: float | None = None
    """Most resident memory of a process on the host."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a run, by its files."""

    attempt: int
    begin: float
    """Its claim."""
    end: float | None = None
    """When all its processes were gone; None: not written down."""
    epochs: tuple[tuple[int, float], ...] = ()
    """Each epoch that it finished, and when. Read only where they matter: of several starts, or without an end."""
    goal: int = 0
    """Its longest milestone."""


@dataclass(frozen=True, slots=True)
class RunTimeline:
    """What a run's files tell of its attempts."""

    jobs: Mapping[int, Collection[JobKey]]
    """By attempt."""
    starts: tuple[Start, ...] = ()
    """In their order."""
    is_open: bool = False
    """A trial of it has not ended, and its last attempt was not given up: a start without an end may be at work."""


@dataclass(frozen=True, slots=True)
class JobResources:
    """What each training of a sweep holds."""

    gpus: float
    """Less than one where several trainings share a GPU."""
    cpus: int


@dataclass(frozen=True, slots=True)
class Cost:
    """A key of the JSON of `status` and `report` each."""

    attempts: int = 0
    seconds: float = 0.0
    """How long its jobs held their places, all attempts together."""
    gpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    lost_seconds: float = 0.0
    """Of `seconds`: work that a later start had to do again."""
    memory_mb: float | None = None
    """Most memory of a process on the host, by the accounts; None: they do not tell."""
    accounted_seconds: float = 0.0
    """Of `seconds`: by the accounts, not by our own clocks."""
    peak_memory_mb: float | None = None
    """As the finished trainings told it: most of a process, of the GPU, or resident where there is none."""
    unread_runs: int = 0
    """Runs that are not in it: a file of theirs cannot be read."""

    @property
    def lost_share(self) -> float:
        return self.lost_seconds / self.seconds if self.seconds else 0.0


def resources_of(spec: SweepSpec, executor: str) -> JobResources:
    """CPUs are what is asked for; where that is not said, the threads that compute."""
    cpus = spec.slurm.cpus if executor == "slurm" else None
    return JobResources(spec.slurm.gpus / spec.slurm.pack, spec.slurm.processes * (cpus or spec.trainer.threads))


def by_job(accounts: Iterable[Account], timelines: Iterable[RunTimeline]) -> dict[JobKey, list[Account]]:
    """Each job's, for the runs of these tracks. Runs that share a job pay equal parts of it."""
    users = Counter(key for timeline in timelines for key in {key for keys in timeline.jobs.values() for key in keys})
    found: dict[JobKey, list[Account]] = {}
    for account in accounts:
        key = (account.token, account.job_id)
        if key in users:
            found.setdefault(key, []).append(replace(account, seconds=account.seconds / users[key]))
    return found


def cost_of(
    timeline: RunTimeline, accounts: Mapping[JobKey, Sequence[Account]], place: JobResources, now: float
) -> Cost:
    """What one run has cost so far."""
    told = {number: [a for key in keys for a in accounts.get(key, ())] for number, keys in timeline.jobs.items()}
    flat = [account for some in told.values() for account in some]
    ends = _ends(timeline, told, now)
    own = sum(max(0.0, end - s.begin) for s, end in zip(timeline.starts, ends, strict=True) if not told.get(s.attempt))
    accounted = sum(account.seconds for account in flat)
    gpus = sum(a.seconds * (place.gpus if a.gpus is None else a.gpus) for a in flat)
    cpus = sum(a.seconds * (place.cpus if a.cpus is None else a.cpus) for a in flat)
    return Cost(
        attempts=len(timeline.jobs),
        seconds=accounted + own,
        gpu_seconds=gpus + own * place.gpus,
        cpu_seconds=cpus + own * place.cpus,
        lost_seconds=sum(lost_in(timeline.starts, ends)),
        memory_mb=_most(a.memory_mb for a in flat),
        accounted_seconds=accounted,
    )


def _ends(timeline: RunTimeline, told: Mapping[int, Sequence[Account]], now: float) -> list[float]:
    """When each start was over, by the best evidence; never later than the next one's begin."""
    found = []
    for at, start in enumerate(timeline.starts):
        is_last = at + 1 == len(timeline.starts)
        there = [a for a in told.get(start.attempt, ()) if a.begin <= start.begin and (a.end or now) >= start.begin]
        end = there[-1].end or now if there else start.end
        if end is None:
            end = now if is_last and timeline.is_open else max((time for _, time in start.epochs), default=start.begin)
        found.append(max(start.begin, end if is_last else min(end, timeline.starts[at + 1].begin)))
    return found


def lost_in(starts: Sequence[Start], ends: Sequence[float]) -> list[float]:
    """Of each start the time for nothing: after its last epoch that no later start trained again. The last start has
    lost nothing yet, and one that came to its goal only went down after it.

    >>> first, second = Start(1, 0, epochs=((1, 10), (2, 20), (3, 30)), goal=9), Start(1, 50, epochs=((3, 70),), goal=9)
    >>> lost_in([first, second], [35, 70])
    [15, 0.0]
    """
    found = []
    for at, start in enumerate(starts):
        later = [epoch for other in starts[at + 1 :] for epoch, _ in other.epochs]
        kept = [(epoch, time) for epoch, time in start.epochs if epoch < min(later, default=epoch + 1)]
        reached, since = kept[-1] if kept else (0, start.begin)
        is_lost = at + 1 < len(starts) and not (start.goal and reached >= start.goal)
        found.append(max(0.0, ends[at] - since) if is_lost else 0.0)
    return found


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def total(costs: Iterable[Cost]) -> Cost:
    """Of several runs."""
    costs = list(costs)
    return Cost(
        sum(cost.attempts for cost in costs),
        sum(cost.seconds for cost in costs),
        sum(cost.gpu_seconds for cost in costs),
        sum(cost.cpu_seconds for cost in costs),
        sum(cost.lost_seconds for cost in costs),
        _most(cost.memory_mb for cost in costs),
        sum(cost.accounted_seconds for cost in costs),
        _most(cost.peak_memory_mb for cost in costs),
    )


def share(cost: Cost, part: float) -> Cost:
    """A trial's part of what its run cost; attempts and memory are the run's."""
    return replace(
        cost,
        seconds=cost.seconds * part,
        gpu_seconds=cost.gpu_seconds * part,
        cpu_seconds=cost.cpu_seconds * part,
        lost_seconds=cost.lost_seconds * part,
        accounted_seconds=cost.accounted_seconds * part,
    )


def parts(epochs: Sequence[int]) -> list[float]:
    """The part of each trial of a run, by the epochs that it adds to the next shorter one; equals share theirs.

    >>> parts([8]), parts([4, 8, 8]), parts([])
    ([1.0], [0.5, 0.25, 0.25], [])
    """
    longest = max(epochs, default=0)
    if longest <= 0:
        return [1 / len(epochs) for _ in epochs]
    below = {each: max((other for other in epochs if other < each), default=0) for each in epochs}
    return [(each - below[each]) / epochs.count(each) / longest for each in epochs]


def sentence(cost: Cost, *, gpus: bool) -> str:
    """On one line, for a person.

    >>> sentence(Cost(3, 7200.0, 28800.0, 7200.0, 720.0, accounted_seconds=7200.0), gpus=True)
    'cost so far: 8.00 GPU-hours in 3 attempts, by sacct; 0.80 of them (10.0%) had to be done again'
    >>> sentence(Cost(1, 36.0, 0.0, 72.0, peak_memory_mb=512.3), gpus=False)
    'cost so far: 0.02 CPU-hours in 1 attempt, by our own clocks; nothing had to be done again; peak memory 512 MB'
    """
    hours, unit = (cost.gpu_seconds, "GPU") if gpus else (cost.cpu_seconds, "CPU")
    hours /= 3600
    lost = f"{hours * cost.lost_share:.2f} of them ({cost.lost_share:.1%})" if cost.lost_seconds else "nothing"
    host = cost.peak_memory_mb if cost.memory_mb is None and not gpus else cost.memory_mb
    peaks = [(host, "" if not gpus else " on the host"), (cost.peak_memory_mb if gpus else None, " on the GPU")]
    memory = ", ".join(f"{peak:.0f} MB{where}" for peak, where in peaks if peak is not None)
    attempts = f"{cost.attempts} attempt" + ("" if cost.attempts == 1 else "s")
    said = f"cost so far: {hours:.2f} {unit}-hours in {attempts}, {_source(cost)}; {lost} had to be done again"
    said += f"; peak memory {memory}" if memory else ""
    if cost.unread_runs:
        said += f"; without {cost.unread_runs} runs whose files cannot be read: unetsweep repair"
    return said


def _source(cost: Cost) -> str:
    if not cost.accounted_seconds:
        return "by our own clocks"
    return "by sacct" if cost.accounted_seconds >= cost.seconds else "by sacct and our own clocks"
