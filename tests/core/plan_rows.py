"""Short builders of observations, jobs and plans for the table tests of tests/core."""

from datetime import UTC, datetime, timedelta
from typing import Any

from unetsweep.contract import DataConfig
from unetsweep.core.actions import (
    Action,
    Cancel,
    CollectCheckpoints,
    FinishTrial,
    MarkLost,
    Propose,
    Prune,
    RecordJob,
    SetThrottle,
    Submit,
    SubmitReconciler,
    Terminate,
)
from unetsweep.core.capacity import Capacity
from unetsweep.core.observation import Attempt, Ending, Job, JobState, Observation, Run, Trial
from unetsweep.core.plan import Plan, plan
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import RunSpec, StudySpec, SweepSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JUST_NOW = NOW - timedelta(seconds=10)
LONG_AGO = NOW - timedelta(hours=1)
TOKEN = "a" * 12
OTHER = "b" * 12

QUEUE = Capacity(queues=True, parallel=None)
LOCAL = Capacity(queues=False, parallel=2)


def grid(trials: int = 1, **run: Any) -> SweepSpec:
    """A grid of this many trials."""
    rates = tuple(1e-3 * (k + 1) for k in range(trials))
    space = Space.of(epochs=Choices((8,)), batch_size=Choices((4,)), learning_rate=Choices(rates))
    return SweepSpec("grid", DataConfig("images"), space, run=RunSpec(**{"driver": "cli", **run}))


def adaptive(trials: int, parallel: int | None) -> SweepSpec:
    """A search that learns from its results."""
    space = Space.of(epochs=Choices((8,)), batch_size=Choices((4,)), learning_rate=Range(1e-5, 1e-2, log=True))
    run = RunSpec(parallel, "cli")
    return SweepSpec("tpe", DataConfig("images"), space, StudySpec("tpe", trials=trials), run=run)


def job(state: JobState, *, token: str = TOKEN, index: int = 0, **more: Any) -> Job:
    word = {JobState.QUEUED: "PENDING", JobState.NODE_FAILED: "NODE_FAIL"}.get(state, state.name)
    return Job("18808", token, index, state, word, **more)


def attempt(number: int = 1, at: datetime = LONG_AGO, *, run: int = 0, **more: Any) -> Attempt:
    return Attempt(run, number, more.pop("token", TOKEN), more.pop("index", 0), at, **more)


def element(k: int, state: JobState | None, **more: Any) -> Attempt:
    """The k-th element of one array."""
    listed = None if state is None else job(state, index=k)
    return attempt(run=k, index=k, job_id=f"18808_{k}", job=listed, **more)


def failing(kind: str = "exception", status: int | None = None, **more: Any) -> Ending:
    return Ending(kind, "ValueError: no", "runs/0000/error-0.json", status, **more)


def observation(*attempts: Attempt, result: str | None = None, cancelled: bool = False, **more: Any) -> Observation:
    """The observation of a sweep with one trial, the run of which had these attempts."""
    run = Run(0, {8: result} if result else {}, attempts)
    return Observation(0, (Trial(0, 0, 8, cancelled),), {0: run}, **more)


def many(*last: Attempt | None, **more: Any) -> Observation:
    """The observation of a sweep with one trial for each of these last attempts; None: never submitted."""
    runs = {k: Run(k, {}, (each,) if each else ()) for k, each in enumerate(last)}
    return Observation(more.pop("ended", 0), tuple(Trial(k, k, 8) for k in runs), runs, **more)


def decide(found: Observation, spec: SweepSpec | None = None, capacity: Capacity = QUEUE) -> Plan:
    """The plan of a sweep that proposes no more trials."""
    spec = spec or grid(len(found.trials) + found.ended)
    return plan(spec, found, capacity, NOW)


def format_action(action: Action) -> str:  # noqa: C901
    """The action in one line, such as `submit 0.2` or `finish 0 failed`, to compare plans by."""
    match action:
        case Propose(count=count):
            return f"propose {count}"
        case Submit(elements=elements, throttle=bound, mem=mem, exclude=exclude):
            numbers = " ".join(f"{each.run}.{each.attempt}" for each in elements)
            more = (f" %{bound}" if bound else "") + (f" mem={mem}" if mem else "") + "".join(f" -{n}" for n in exclude)
            return f"submit {numbers}{more}"
        case FinishTrial(trial=trial, state=state):
            return f"finish {trial} {state}"
        case RecordJob(run=run, attempt=attempt, job_id=job_id):
            return f"record {run}.{attempt} {job_id}"
        case MarkLost(run=run, attempt=attempt):
            return f"lost {run}.{attempt}"
        case Terminate(run=run, attempt=attempt, cause=cause):
            return f"terminate {run}.{attempt} {cause.name}"
        case SubmitReconciler(after=after):
            return f"reconciler {' '.join(after)}".strip()
        case Prune(run=run, attempt=attempt):
            return f"prune {run}.{attempt}"
        case SetThrottle(job_id=job_id, throttle=throttle):
            return f"throttle {job_id} %{throttle}"
        case Cancel(job_ids=job_ids):
            return f"cancel {' '.join(job_ids)}"
        case CollectCheckpoints(runs=runs):
            return f"collect {' '.join(map(str, runs))}"


def lines(decided: Plan) -> list[str]:
    return [format_action(action) for action in decided.actions]
