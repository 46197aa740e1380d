"""Doing what was decided: exhaustive, dull, the intent before the deed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, assert_never

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
from unetsweep.core.spec import trials_wanted
from unetsweep.core.trials import trial_config
from unetsweep.errors import LimitError, RefusedError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.pruning import pruned


def apply(
    actions: Sequence[Action], context: SweepContext, done: list[Action], notify: Callable[[Action], None]
) -> bool:
    """Do all of it, in order; whether another look may find more to do."""
    more = False
    if any(isinstance(action, FinishTrial) for action in actions):
        context.study.fall_behind()
    for action in actions:
        if isinstance(action, Cancel) and action.reconciler is not None and context.study.is_behind():
            update_study(context)  # while there is still somebody who would reconcile next
        moved, more_of_it = _do(action, context)
        more |= more_of_it
        if moved:
            done.append(action)
            context.directory.note(action=type(action).__name__, **_words(action))
            notify(action)
    if context.study.is_due():  # by what was done now, or by a reconciliation that died
        update_study(context)
    return more


def update_study(context: SweepContext) -> None:
    """The study is an index: that it cannot be written now stops no sweep, and the next reconciliation tries again."""
    try:
        context.study.update(context.spec, _known(context.directory.trials()))
    except Exception as error:
        context.directory.note(action="study", trouble=f"{type(error).__name__}: {error}")


def _do(action: Action, context: SweepContext) -> tuple[bool, bool]:
    """Whether anything was done, and whether it may open the way for more."""
    match action:
        case Propose(count=count):
            proposed = _propose(count, context)
            return proposed, proposed
        case Submit():
            whole = _submit(action, context)
            return True, whole
        case RecordJob(run=run, attempt=attempt, job_id=job_id):
            context.directory.record_job(run, attempt, job_id)
        case MarkLost(run=run, attempt=attempt, reason=reason, cause=cause, node=node, epoch=epoch):
            context.directory.mark_lost(run, attempt, reason, cause=cause.name, node=node, epoch=epoch)
        case FinishTrial():
            _tell(action, context)
        case Prune():
            context.directory.stop_run(action)
        case Cancel():
            _cancel(action, context)
            return True, False
        case Terminate(run=run, attempt=attempt, job_id=job_id, cause=cause, reason=reason):
            context.directory.end_attempt(run, attempt, cause.name, reason)
            context.scheduler.end(job_id)
            return True, False
        case SubmitReconciler() | CollectCheckpoints():
            return _keep(action, context) if isinstance(action, SubmitReconciler) else _clear(action, context), False
        case _:
            assert_never(action)
    return True, True


def _propose(count: int, context: SweepContext) -> bool:
    """Whether there are new trials. Another reconciliation may have added some since our look, and may now:
    a number counts as ours only if it is still free after the trials that the study was told of."""
    trials = context.directory.trials()
    count = min(count, trials_wanted(context.spec) - len(trials))
    points = context.study.propose(context.spec, _known(trials), count) if count > 0 else []
    configs = [trial_config(context.spec, point) for point in points]
    origin = {"sampler": context.spec.study.sampler, "seed": context.spec.study.seed}
    first = max((trial["trial"] for trial in trials), default=-1) + 1
    runs = _runs(context, trials, configs, first)
    return bool(configs) and bool(context.directory.add_trials(configs, origin, first, runs))


def _runs(
    context: SweepContext, trials: Sequence[dict[str, Any]], configs: Sequence[TrialConfig], first: int
) -> Sequence[int] | None:
    """The run of each new trial; None: each has its own."""
    if run_sharing.why_not(context.spec) is not None:
        return None
    keys = [(run_key(config), config.epochs) for config in configs]
    there, kept = map(run_sharing.served, _known(list(trials))), not checkpoint_gc.is_enabled(context.spec)
    return run_sharing.runs_of(keys, first, there, context.directory.code(), is_kept=kept)


def _known(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose point is known: of the others every file is unreadable, and their numbers stay taken."""
    return [trial for trial in trials if trial["params"] is not None]


def _submit(action: Submit, context: SweepContext) -> bool:
    """Send it; where the cluster takes fewer at once, half of it, and so on. Whether all went out."""
    token, owned = context.directory.intend(action.elements, action.throttle, context.scheduler.kind)
    if not owned:
        return False
    try:
        job_ids = context.scheduler.submit(context.submission(token, action))
    except RefusedError as error:
        limit = isinstance(error, LimitError)
        for element in owned:
            context.directory.mark_lost(element.run, element.attempt, f"refused: {error}", refused=True, limit=limit)
        again = _smaller(action, owned, limit=limit)
        if again is not None:
            return _submit(again, context) and not limit
        if not limit:
            raise
        return False
    ids = dict(zip(action.elements, job_ids, strict=True))
    context.directory.record_jobs(owned, [ids[element] for element in owned])
    return True


def _smaller(action: Submit, owned: Sequence[Element], *, limit: bool) -> Submit | None:
    """What to try at once after a refusal: half of it where there is a limit; with every node where some
    were kept away from; None: nothing."""
    if limit and len(owned) > 1:
        owned = owned[: len(owned) // 2]
    elif limit or not action.exclude:
        return None
    elements = tuple(replace(element, attempt=element.attempt + 1) for element in owned)
    return replace(action, elements=elements, exclude=action.exclude if limit else ())


def _cancel(action: Cancel, context: SweepContext) -> None:
    if action.reconciler is not None:
        context.reconcilers.mark_lost(action.reconciler, action.reason)
    context.scheduler.cancel(action.job_ids)


def _keep(action: SubmitReconciler, context: SweepContext) -> bool:
    """Leave the reconciler job; a sweep without one goes on as long as a job of it lives."""
    token = context.reconcilers.intend(action.number)
    if token is None:
        return False
    try:
        context.reconcilers.record(
            action.number, context.scheduler.submit_reconciler(context.reconciler(token, action))
        )
    except RefusedError as error:
        context.reconcilers.mark_lost(action.number, str(error))
        context.directory.note(action="SubmitReconciler", trouble=str(error))
        return False
    return True


def _clear(action: CollectCheckpoints, context: SweepContext) -> bool:
    return context.collectable is not None and sum(context.collectable.clear(run) for run in action.runs) > 0


def _tell(action: FinishTrial, context: SweepContext) -> None:
    """The result as its run published it, or the words of why there is none."""
    published = context.directory.milestone(action.run, action.epochs) if action.state != "cancelled" else None
    result = (
        published
        or pruned(action, context)
        or Result(
            state=action.state,  # type: ignore[arg-type]  # the core's words are the contract's
            job_id=action.job_id,
            epochs=action.epochs,
            message=action.reason,
        )
    )
    if context.collectable is not None and result.state in checkpoint_gc.COLLECTABLE_STATES:
        context.collectable.mark(action.run)
    context.directory.end_trial(action.trial, replace(result, trial=action.trial))


def _words(action: Action) -> dict[str, object]:
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
        case SubmitReconciler(number=number, after=after, delay_s=delay_s):
            return {"reconciler": number, "after": after, "delay_s": delay_s}
        case Prune(run=run, attempt=attempt, trial=trial, milestones=milestones, reason=reason):
            return {"run": run, "attempt": attempt, "trial": trial, "milestones": milestones, "reason": reason}
        case CollectCheckpoints(runs=runs, reason=reason):
            return {"runs": runs, "reason": reason}
        case RecordJob(run=run, attempt=attempt, reason=reason) | MarkLost(run=run, attempt=attempt, reason=reason):
            return {"run": run, "attempt": attempt, "reason": reason}
