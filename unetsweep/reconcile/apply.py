"""Apply the actions of a plan. Each intent is written before it is acted on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from unetsweep.contract import Result, TrialConfig
from unetsweep.core import checkpoint_gc, run_sharing
from unetsweep.core.actions import (
    Action,
    Cancel,
    CollectCheckpoints,
    Element,
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
from unetsweep.core.metric import result_problem
from unetsweep.core.missing_points import are_listed, trials_wanted
from unetsweep.core.space import Point
from unetsweep.core.trials import StoredTrial, trial_config
from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.pruning import pruned_result


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of an action, or of all actions of a plan."""

    done: tuple[Action, ...] = ()
    """What was done: of a submission, only what the scheduler accepted."""
    more: bool = False
    """Whether there may be more to do now."""
    limit: str | None = None
    """The scheduler's message, if it refused a submission for a limit on queued jobs; None: it did not."""
    has_restored: bool = False
    """Whether attempts whose files were deleted are there again: the scheduler must be asked for their jobs."""


def apply(
    actions: Sequence[Action], context: SweepContext, done: list[Action], notify: Callable[[Action], None]
) -> Applied:
    """Apply the actions in order. What was done is appended to `done` at once, so it is there if an action fails."""
    applied = []
    if any(isinstance(action, FinishTrial) for action in actions):
        context.study.mark_stale()
    for action in actions:
        if isinstance(action, Cancel) and action.reconciler_number is not None and context.study.is_stale():
            export_journal(context)  # now, while there is still a reconciler job that would do it if this process died
        applied.append(_apply_one(action, context))
        for each in applied[-1].done:
            done.append(each)
            context.directory.note(action=type(each).__name__, **_ledger_fields(each))
            notify(each)
    if context.study.is_export_due():
        export_journal(context)
    return Applied(
        tuple(action for each in applied for action in each.done),
        any(each.more for each in applied),
        next((each.limit for each in applied if each.limit is not None), None),
        any(each.has_restored for each in applied),
    )


def export_journal(context: SweepContext) -> None:
    """Bring Optuna's journal up to date. No decision reads it, so an error is only noted; the next reconciliation tries
    again."""
    try:
        context.study.export(context.spec, _with_params(context.directory.trials()), context.directory.progress)
    except Exception as error:
        context.directory.note(action="study", trouble=f"{type(error).__name__}: {error}")


def _apply_one(action: Action, context: SweepContext) -> Applied:
    match action:
        case Propose(count=count):
            return Applied((action,), more=True) if _propose(count, context) else Applied()
        case Submit():
            return _submit(action, context)
        case SubmitReconciler():
            return _submit_reconciler(action, context)
        case SetThrottle():
            return _set_throttle(action, context)
        case CollectCheckpoints():
            return Applied((action,)) if _collect_checkpoints(action, context) else Applied()
        case Cancel():
            _cancel(action, context)
            return Applied((action,))
        case Terminate(run=run, attempt=attempt, job_id=job_id, cause=cause, reason=reason):
            context.directory.end_attempt(run, attempt, cause.name, reason)
            context.scheduler.end(job_id)
            return Applied((action,))
        case FinishTrial(run=run, state="cancelled") if context.directory.restore_if_deleted(run):
            return Applied(more=True, has_restored=True)
        case RecordJob() | MarkLost() | FinishTrial() | Prune():
            _record(action, context)
            return Applied((action,), more=True)
        case _:
            assert_never(action)


def _record(action: RecordJob | MarkLost | FinishTrial | Prune, context: SweepContext) -> None:
    """Apply an action that only writes a file of the sweep."""
    match action:
        case RecordJob(run=run, attempt=attempt, job_id=job_id):
            context.directory.record_job(run, attempt, job_id)
        case MarkLost(run=run, attempt=attempt, reason=reason, cause=cause, node=node, epoch=epoch):
            context.directory.mark_lost(run, attempt, reason, cause=cause.name, node=node, epoch=epoch)
        case FinishTrial():
            _finish_trial(action, context)
        case Prune():
            context.directory.record_prune(action)


def _propose(count: int, context: SweepContext) -> bool:
    """Add up to `count` trials and return whether there are any.

    Another process may add trials at the same time. So the new ones are numbered after the trials that the study was
    given. If the other process takes one of these numbers first, our trial of that number is dropped.
    """
    trials = context.directory.trials()
    count = min(count, trials_wanted(context.spec) - len(trials))
    points = _points(context, trials, count) if count > 0 else []
    configs = [trial_config(context.spec, point) for point in points]
    origin = {"sampler": context.spec.study.sampler, "study_seed": context.spec.study.seed}
    first = max((trial.number for trial in trials), default=-1) + 1
    runs, space = _runs(context, trials, configs, first), context.spec.space
    listed = are_listed(context.spec, trials, points)
    return bool(configs) and bool(context.directory.add_trials(configs, origin, first, runs, space, listed))


def _points(context: SweepContext, trials: Sequence[StoredTrial], count: int) -> Sequence[Point]:
    return context.study.propose(context.spec, _with_params(trials), count, context.directory.progress)


def _runs(
    context: SweepContext, trials: Sequence[StoredTrial], configs: Sequence[TrialConfig], first: int
) -> Sequence[int] | None:
    """The run of each new trial; None: no runs are shared."""
    if run_sharing.why_not_shared(context.spec) is not None:
        return None
    keys = [(run_sharing.sharing_key(config), config.epochs) for config in configs]
    known = map(run_sharing.ExistingTrial.of, _with_params(trials))
    keeps_checkpoints = not checkpoint_gc.is_enabled(context.spec)
    return run_sharing.assign_runs(keys, first, known, context.directory.code(), keeps_checkpoints=keeps_checkpoints)


def _with_params(trials: Sequence[StoredTrial]) -> list[StoredTrial]:
    """The trials whose point is known. Files of the others cannot be read; their numbers stay taken."""
    return [trial for trial in trials if trial.params is not None]


def _submit(action: Submit, context: SweepContext) -> Applied:
    """Submit the runs. If the scheduler refuses that many, submit half of them, and so on."""
    token, owned = context.directory.create_attempts(action.elements, action.throttle, context.scheduler.kind)
    if not owned:
        return Applied()
    try:
        job_ids = context.scheduler.submit(context.submission(token, action))
    except RefusedError as error:
        limit = isinstance(error, LimitError)
        for element in owned:
            context.directory.mark_lost(element.run, element.attempt, f"refused: {error}", refused=True, limit=limit)
        instead = _after_refusal(action, owned, limit=limit)
        applied = Applied() if instead is None else _submit(instead, context)
        if instead is None and not limit:
            raise
        return replace(applied, more=False, limit=str(error)) if limit else applied
    ids = dict(zip(action.elements, job_ids, strict=True))
    context.directory.record_jobs(owned, [ids[element] for element in owned])
    return Applied((action,), more=True)


def _after_refusal(action: Submit, owned: Sequence[Element], *, limit: bool) -> Submit | None:
    """What to submit now instead: half of the runs after a limit, else all of them, without excluding nodes.

    None: nothing.
    """
    if limit and len(owned) > 1:
        owned = owned[: len(owned) // 2]
    elif limit or not action.exclude:
        return None
    elements = tuple(replace(element, attempt=element.attempt + 1) for element in owned)
    reason = f"{len(elements)} of {len(action.elements)} ready" if limit else action.reason
    return replace(action, elements=elements, exclude=action.exclude if limit else (), reason=reason)


def _set_throttle(action: SetThrottle, context: SweepContext) -> Applied:
    """Change the throttle of an array. If that is refused, the array keeps the one it has."""
    try:
        context.scheduler.set_throttle(action.job_id, action.throttle)
    except SchedulerError as error:
        context.directory.note(action="SetThrottle", trouble=str(error))
        return Applied()
    context.directory.record_throttle(action.attempts, action.throttle)
    return Applied((action,), more=True)


def _cancel(action: Cancel, context: SweepContext) -> None:
    if action.reconciler_number is not None:
        context.reconciler_files.mark_lost(action.reconciler_number, action.reason)
    context.scheduler.cancel(action.job_ids)


def _submit_reconciler(action: SubmitReconciler, context: SweepContext) -> Applied:
    """Submit the reconciler job: if one with one CPU is refused, one that asks for what a training asks for. Neither
    avoids a node if that was refused.

    If that is refused too, the sweep still continues while a training job lives.
    """
    token = context.reconciler_files.create_intent(action.number, as_training=action.as_training)
    if token is None:
        return Applied()
    request = context.reconciler_request(token, action)
    refusals: list[RefusedError] = []
    for as_training, exclude in dict.fromkeys(
        [(action.as_training, action.exclude), (action.as_training, ()), (True, ())]
    ):
        try:
            job_id = context.scheduler.submit_reconciler(replace(request, as_training=as_training, exclude=exclude))
        except RefusedError as error:
            refusals.append(error)
            if isinstance(error, LimitError):  # the queue is full, whatever the job asks for
                break
        else:
            context.reconciler_files.record(action.number, job_id)
            return Applied((action,))
    reason = "; and with the request of a training: ".join(dict.fromkeys(map(str, refusals)))
    limit = isinstance(refusals[-1], LimitError)
    context.reconciler_files.mark_lost(action.number, reason, refused=True, limit=limit)
    context.directory.note(action="SubmitReconciler", trouble=reason)
    return Applied(limit=reason if limit else None)


def _collect_checkpoints(action: CollectCheckpoints, context: SweepContext) -> bool:
    collectable = context.collectable
    return collectable is not None and sum(collectable.collect(run) for run in action.runs) > 0


def _finish_trial(action: FinishTrial, context: SweepContext) -> None:
    """Write the trial's result: the one that its run has published, else one that says why there is none."""
    published = context.directory.milestone(action.run, action.epochs) if action.state != "cancelled" else None
    if published is not None and result_problem(context.spec.metric, published) is not None:
        published = replace(published, state="failed", message=action.reason)
    result = (
        published
        or pruned_result(action, context)
        or Result(
            state=action.state,  # type: ignore[arg-type]  # the states of the core are those of the contract
            job_id=action.job_id,
            epochs=action.epochs,
            message=action.reason,
        )
    )
    if context.collectable is not None and result.state in checkpoint_gc.COLLECTABLE_STATES:
        context.collectable.mark(action.run)
    context.directory.end_trial(action.trial, replace(result, trial=action.trial))


def _ledger_fields(action: Action) -> dict[str, object]:
    """What `ledger.jsonl` says of an action."""
    match action:
        case SubmitReconciler() | SetThrottle() | Cancel():
            return _ledger_fields_of_jobs(action)
        case Submit(elements=elements, throttle=throttle, reason=reason):
            return {"runs": len(elements), "throttle": throttle, "reason": reason}
        case Propose(count=count, reason=reason):
            return {"count": count, "reason": reason}
        case FinishTrial(trial=trial, state=state, reason=reason):
            return {"trial": trial, "state": state, "reason": reason}
        case Terminate(run=run, attempt=attempt, job_id=job_id, reason=reason):
            return {"run": run, "attempt": attempt, "job_id": job_id, "reason": reason}
        case Prune(run=run, attempt=attempt, trial=trial, milestones=milestones, reason=reason):
            return {"run": run, "attempt": attempt, "trial": trial, "milestones": milestones, "reason": reason}
        case CollectCheckpoints(runs=runs, reason=reason):
            return {"runs": runs, "reason": reason}
        case RecordJob(run=run, attempt=attempt, reason=reason) | MarkLost(run=run, attempt=attempt, reason=reason):
            return {"run": run, "attempt": attempt, "reason": reason}


def _ledger_fields_of_jobs(action: SubmitReconciler | SetThrottle | Cancel) -> dict[str, object]:
    match action:
        case SubmitReconciler(number=number, after=after, delay_s=delay_s, as_training=as_training):
            return {"reconciler": number, "after": after, "delay_s": delay_s, "as_training": as_training}
        case SetThrottle(job_id=job_id, throttle=throttle, reason=reason):
            return {"job_id": job_id, "throttle": throttle, "reason": reason}
        case Cancel(job_ids=job_ids, reason=reason):
            return {"job_ids": job_ids, "reason": reason}
