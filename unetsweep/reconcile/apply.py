"""Apply the actions of a plan. Each intent is written before it is acted on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from unetsweep.contract import Result, TrialConfig, run_key
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
    Submit,
    SubmitReconciler,
    Terminate,
)
from unetsweep.core.space import Point
from unetsweep.core.spec import trials_wanted
from unetsweep.core.trials import StoredTrial, trial_config
from unetsweep.errors import LimitError, RefusedError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.pruning import pruned_result


def apply(
    actions: Sequence[Action], context: SweepContext, done: list[Action], notify: Callable[[Action], None]
) -> bool:
    """Apply the actions in order and append the applied ones to `done`. Return whether there may be more to do now."""
    more = False
    if any(isinstance(action, FinishTrial) for action in actions):
        context.study.mark_stale()
    for action in actions:
        if isinstance(action, Cancel) and action.reconciler_number is not None and context.study.is_stale():
            export_journal(context)  # now, while there is still a reconciler job that would do it if this process died
        was_applied, more_follows = _apply_one(action, context)
        more |= more_follows
        if was_applied:
            done.append(action)
            context.directory.note(action=type(action).__name__, **_ledger_fields(action))
            notify(action)
    if context.study.is_export_due():
        export_journal(context)
    return more


def export_journal(context: SweepContext) -> None:
    """Bring Optuna's journal up to date. No decision reads it, so an error is only noted; the next reconciliation tries
    again."""
    try:
        context.study.export(context.spec, _with_params(context.directory.trials()), context.directory.progress)
    except Exception as error:
        context.directory.note(action="study", trouble=f"{type(error).__name__}: {error}")


def _apply_one(action: Action, context: SweepContext) -> tuple[bool, bool]:
    """Apply one action. Return whether anything was done, and whether more may have become possible."""
    match action:
        case Propose(count=count):
            proposed = _propose(count, context)
            return proposed, proposed
        case Submit():
            return True, _submit(action, context)
        case SubmitReconciler():
            return _submit_reconciler(action, context), False
        case CollectCheckpoints():
            return _collect_checkpoints(action, context), False
        case Cancel():
            _cancel(action, context)
            return True, False
        case Terminate(run=run, attempt=attempt, job_id=job_id, cause=cause, reason=reason):
            context.directory.end_attempt(run, attempt, cause.name, reason)
            context.scheduler.end(job_id)
            return True, False
        case RecordJob() | MarkLost() | FinishTrial() | Prune():
            _record(action, context)
            return True, True
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
    runs, parameters = _runs(context, trials, configs, first), context.spec.space.paths
    return bool(configs) and bool(context.directory.add_trials(configs, origin, first, runs, parameters))


def _points(context: SweepContext, trials: Sequence[StoredTrial], count: int) -> Sequence[Point]:
    return context.study.propose(context.spec, _with_params(trials), count, context.directory.progress)


def _runs(
    context: SweepContext, trials: Sequence[StoredTrial], configs: Sequence[TrialConfig], first: int
) -> Sequence[int] | None:
    """The run of each new trial; None: no runs are shared."""
    if run_sharing.why_not_shared(context.spec) is not None:
        return None
    keys = [(run_key(config), config.epochs) for config in configs]
    known = map(run_sharing.ExistingTrial.of, _with_params(trials))
    keeps_checkpoints = not checkpoint_gc.is_enabled(context.spec)
    return run_sharing.assign_runs(keys, first, known, context.directory.code(), keeps_checkpoints=keeps_checkpoints)


def _with_params(trials: Sequence[StoredTrial]) -> list[StoredTrial]:
    """The trials whose point is known. Files of the others cannot be read; their numbers stay taken."""
    return [trial for trial in trials if trial.params is not None]


def _submit(action: Submit, context: SweepContext) -> bool:
    """Submit the runs. If the scheduler refuses that many, submit half of them, and so on.

    Return whether the scheduler accepted all of them.
    """
    token, owned = context.directory.create_attempts(action.elements, action.throttle, context.scheduler.kind)
    if not owned:
        return False
    try:
        job_ids = context.scheduler.submit(context.submission(token, action))
    except RefusedError as error:
        limit = isinstance(error, LimitError)
        for element in owned:
            context.directory.mark_lost(element.run, element.attempt, f"refused: {error}", refused=True, limit=limit)
        instead = _after_refusal(action, owned, limit=limit)
        if instead is not None:
            return _submit(instead, context) and not limit
        if not limit:
            raise
        return False
    ids = dict(zip(action.elements, job_ids, strict=True))
    context.directory.record_jobs(owned, [ids[element] for element in owned])
    return True


def _after_refusal(action: Submit, owned: Sequence[Element], *, limit: bool) -> Submit | None:
    """What to submit now instead: half of the runs after a limit, else all of them, without excluding nodes.

    None: nothing.
    """
    if limit and len(owned) > 1:
        owned = owned[: len(owned) // 2]
    elif limit or not action.exclude:
        return None
    elements = tuple(replace(element, attempt=element.attempt + 1) for element in owned)
    return replace(action, elements=elements, exclude=action.exclude if limit else ())


def _cancel(action: Cancel, context: SweepContext) -> None:
    if action.reconciler_number is not None:
        context.reconciler_files.mark_lost(action.reconciler_number, action.reason)
    context.scheduler.cancel(action.job_ids)


def _submit_reconciler(action: SubmitReconciler, context: SweepContext) -> bool:
    """Submit the reconciler job: if one with one CPU is refused, one that asks for what a training asks for.

    If that is refused too, the sweep still continues while a training job lives.
    """
    token = context.reconciler_files.create_intent(action.number, as_training=action.as_training)
    if token is None:
        return False
    request = context.reconciler_request(token, action)
    refusals: list[RefusedError] = []
    for each in dict.fromkeys((action.as_training, True)):
        try:
            job_id = context.scheduler.submit_reconciler(replace(request, as_training=each))
        except RefusedError as error:
            refusals.append(error)
            if isinstance(error, LimitError):  # the queue is full, whatever the job asks for
                break
        else:
            context.reconciler_files.record(action.number, job_id)
            return True
    reason = "; and with the request of a training: ".join(dict.fromkeys(map(str, refusals)))
    context.reconciler_files.mark_lost(action.number, reason, refused=True)
    context.directory.note(action="SubmitReconciler", trouble=reason)
    return False


def _collect_checkpoints(action: CollectCheckpoints, context: SweepContext) -> bool:
    collectable = context.collectable
    return collectable is not None and sum(collectable.collect(run) for run in action.runs) > 0


def _finish_trial(action: FinishTrial, context: SweepContext) -> None:
    """Write the trial's result: the one that its run has published, else one that says why there is none."""
    published = context.directory.milestone(action.run, action.epochs) if action.state != "cancelled" else None
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
        case Submit(elements=elements, throttle=throttle, reason=reason):
            return {"runs": len(elements), "throttle": throttle, "reason": reason}
        case Propose(count=count, reason=reason):
            return {"count": count, "reason": reason}
        case Cancel(job_ids=job_ids, reason=reason):
            return {"job_ids": job_ids, "reason": reason}
        case FinishTrial(trial=trial, state=state, reason=reason):
            return {"trial": trial, "state": state, "reason": reason}
        case Terminate(run=run, attempt=attempt, job_id=job_id, reason=reason):
            return {"run": run, "attempt": attempt, "job_id": job_id, "reason": reason}
        case SubmitReconciler(number=number, after=after, delay_s=delay_s, as_training=as_training):
            return {"reconciler": number, "after": after, "delay_s": delay_s, "as_training": as_training}
        case Prune(run=run, attempt=attempt, trial=trial, milestones=milestones, reason=reason):
            return {"run": run, "attempt": attempt, "trial": trial, "milestones": milestones, "reason": reason}
        case CollectCheckpoints(runs=runs, reason=reason):
            return {"runs": runs, "reason": reason}
        case RecordJob(run=run, attempt=attempt, reason=reason) | MarkLost(run=run, attempt=attempt, reason=reason):
            return {"run": run, "attempt": attempt, "reason": reason}
