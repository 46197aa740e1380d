"""What a submit would do now: `submit --dry-run`. Nothing is written."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unetsweep.app.estimates import estimate_open
from unetsweep.app.events import Notify, WarningEvent
from unetsweep.app.executors import Executor
from unetsweep.app.new_trials import new_trials
from unetsweep.app.spending import LimitStatus, limit_status, spending_reader
from unetsweep.app.sweeps import with_images
from unetsweep.config.overrides import Override
from unetsweep.core.actions import Action, Propose, Submit
from unetsweep.core.capacity import Capacity
from unetsweep.core.describe import describe, describe_job
from unetsweep.core.estimate import Estimate
from unetsweep.core.forecast import forecast
from unetsweep.core.missing_points import describe_wanted, points_wanted, trials_wanted
from unetsweep.core.observation import Observation
from unetsweep.core.plan import Plan
from unetsweep.core.ports import Scheduler
from unetsweep.core.run_sharing import epochs_to_train, why_not_shared
from unetsweep.core.space import Point, Space
from unetsweep.core.space_size import PointCounts, count_points
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.errors import SchedulerError, UnetsweepError, UnsafePlan
from unetsweep.reconcile.evidence import ask, with_jobs
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a submit would do, and what the open trainings will take."""

    sweep: str
    executor: str
    root: Path
    trials: int
    """All trials of the sweep: those that exist, and those that it still asks for."""
    runs: int
    """The runs of all trials."""
    jobs: int
    """Jobs that would be submitted now."""
    arrays: int
    """Job arrays that would be submitted now."""
    epochs_asked: int | None
    """Sum over all trials; None: not known before the trials are proposed."""
    epochs_to_train: int | None
    """The same after sharing."""
    not_shared: str | None
    """Why no trials share a run; None: they may."""
    estimate: Estimate
    uses_gpus: bool
    actions: tuple[Action, ...]
    space: Space
    counts: PointCounts | None
    """The points of the space; None: there are infinitely many, or too many to look at each."""
    points: tuple[Point, ...]
    """Those of the trials that do not exist yet, in order, as far as they are known before they are proposed. With
    repeats each has the seed of its training."""
    refusals: tuple[UnetsweepError, ...]
    """Why the submit would refuse the sweep, or would submit nothing; empty if it would do what is above."""
    repeats: int = 1
    """Trainings of each point."""
    points_wanted: int = 0
    """All points of the sweep; each has `repeats` trials."""
    overrides: tuple[Override, ...] = ()
    """The keys of the file that have another value in this sweep."""
    limit: LimitStatus | None = None
    """None: the sweep has no limit."""
    job: str | None = None
    """What each job asks SLURM for; None: trainings are local processes."""
    only_listed: bool = False
    """Whether the sweep has no points but those that its file lists."""

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "sweep": self.sweep,
            "executor": self.executor,
            **({"points": self.points_wanted, "repeats": self.repeats} if self.repeats > 1 else {}),
            "trials": self.trials,
            "runs": self.runs,
            "jobs": self.jobs,
            "arrays": self.arrays,
            "epochs_asked": self.epochs_asked,
            "epochs_to_train": self.epochs_to_train,
            "not_shared": self.not_shared,
            **self.estimate.as_json(),
            "actions": [
                {"action": type(action).__name__.lower(), "reason": action.reason, "line": describe(action)}
                for action in self.actions
            ],
            **self._space(),
            **({} if self.limit is None else {"limit": self.limit.as_json()}),
            **({"overrides": [asdict(each) for each in self.overrides]} if self.overrides else {}),
            "refused": [str(error) for error in self.refusals],
        }

    def _space(self) -> dict[str, Any]:
        """The points of a space with conditions or exclusions; other spaces have all combinations of their values."""
        if self.counts is None or not (self.space.has_conditions or self.space.excluded):
            return {}
        return {"space": {"points": self.counts.points, **asdict(self.counts)}}


def dry_run(
    spec: SweepSpec,
    directory: SweepDir,
    executor: Executor,
    notify: Notify,
    refusals: Sequence[UnetsweepError] = (),
    *,
    force: bool = False,
) -> DryRun:
    """What the first reconciliation of a submit would do now, and what the sweep will take.

    `refusals`: what the checks of the sweep have found. `force`: as for a submit, an unsafe plan is applied.
    """
    jobs = executor.scheduler(directory.root)
    capacity, limits_error = _capacity(spec, jobs, executor)
    now = datetime.now(UTC)
    observation = _with_spending(_observe(spec, directory, jobs, notify), spec, directory, executor, now)
    known, wanted = directory.trials(), trials_wanted(spec)
    there = [(trial.run, trial.epochs) for trial in known]
    # an adaptive search, and one with a limit, proposes only the first of them now
    expected = new_trials(with_images(spec, directory), known, max(0, wanted - len(there)), len(there))
    plan, proposed = forecast(
        spec,
        observation,
        capacity,
        now,
        lambda count, _: [(trial.run, trial.epochs or 0) for trial in expected[:count]],
    )
    every = [*there, *((trial.run, trial.epochs or 0) for trial in expected)]
    are_known = all(epochs for _, epochs in every)
    submits = _submits(plan)
    return DryRun(
        sweep=spec.name,
        executor=executor.name,
        root=directory.root,
        trials=wanted,
        runs=len({run for run, _ in every}),
        jobs=sum(each.jobs for each in submits),
        arrays=sum(each.jobs > 1 for each in submits) if jobs.queues else 0,
        epochs_asked=sum(epochs for _, epochs in every) if are_known else None,
        epochs_to_train=epochs_to_train(every) if are_known else None,
        not_shared=why_not_shared(spec),
        estimate=estimate_open(spec, directory, known, executor, observation, expected),
        uses_gpus=bool(spec.slurm.gpus),
        actions=_actions(plan, proposed, describe_wanted(spec)),
        space=spec.space,
        counts=count_points(spec.space),
        points=tuple(trial.point for trial in expected if trial.point is not None),
        refusals=tuple(refusals or reconciliation_errors(plan, limits_error, force=force)),
        limit=limit_status(spec.study.limits, observation.spending, plan.limit),
        repeats=spec.study.repeats,
        points_wanted=points_wanted(spec) if spec.study.repeats > 1 else 0,
        job=describe_job(spec.slurm) if jobs.queues else None,
        only_listed=spec.study.sampler == NO_SAMPLER,
    )


def reconciliation_errors(plan: Plan, limits_error: SchedulerError | None, *, force: bool) -> Iterator[UnetsweepError]:
    """The errors with which the reconciliation of a submit would end."""
    if limits_error is not None and _submits(plan):
        yield limits_error
    if not force:
        try:
            plan.raise_if_unsafe()
        except UnsafePlan as error:
            yield error


def _capacity(spec: SweepSpec, jobs: Scheduler, executor: Executor) -> tuple[Capacity, SchedulerError | None]:
    """The capacity, and the error if the scheduler's limits are not known."""
    parallel = spec.run.parallel if spec.run.parallel is not None else executor.default_parallel(spec)
    try:
        return Capacity(
            jobs.queues,
            parallel,
            jobs.max_elements(),
            jobs.remaining_submissions(spec.slurm),
            slots=spec.slurm.slots if jobs.queues else None,
        ), None
    except SchedulerError as error:
        return Capacity(jobs.queues, parallel), error


def _observe(spec: SweepSpec, directory: SweepDir, jobs: Scheduler, notify: Notify) -> Observation:
    """The sweep as it is, except that it is not cancelled: a submit resumes it."""
    files = replace(directory.observe(spec.metric), cancelled=False)
    observation = with_jobs(files, *ask(jobs, files))
    if observation.scheduler_error is not None:
        error = observation.scheduler_error
        notify(WarningEvent(f"the queue does not answer, so nothing would be submitted: {error}"))
    return observation


def _with_spending(
    observation: Observation, spec: SweepSpec, directory: SweepDir, executor: Executor, now: datetime
) -> Observation:
    """The observation, with what the sweep has used if it has a limit."""
    read = spending_reader(spec, directory, executor)
    return observation if read is None else replace(observation, spending=read(observation, now))


def _actions(plan: Plan, proposed: int, wanted: str) -> tuple[Action, ...]:
    """What is done, with one action for all proposals."""
    first = [Propose(proposed, f"the sweep asks for {wanted}")] if proposed else []
    return (*first, *(action for action in plan.actions if not isinstance(action, Propose)))


def _submits(plan: Plan) -> Sequence[Submit]:
    return [action for action in plan.actions if isinstance(action, Submit)]
