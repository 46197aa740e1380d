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
from unetsweep.reconcile.context import World
from unetsweep.reconcile.pruning import pruned


def apply(actions: Sequence[Action], world: World, done: list[Action], told: Callable[[Action], None]) -> bool:
    """Do all of it, in order; whether another look may find more to do."""
    more = False
    if any(isinstance(action, FinishTrial) for action in actions):
        world.study.mark_stale()
    for action in actions:
        if isinstance(action, Cancel) and action.reconciler is not None and world.study.is_stale():
            export_journal(world)  # while there is still somebody who would reconcile next
        moved, more_of_it = _do(action, world)
        more |= more_of_it
        if moved:
            done.append(action)
            world.directory.note(action=type(action).__name__, **_words(action))
            told(action)
    if world.study.is_export_due():  # by what was done now, or by a reconciliation that died
        export_journal(world)
    return more


def export_journal(world: World) -> None:
    """Export the study's journal. A failure stops no sweep: it is logged, and the next reconciliation tries again."""
    try:
        world.study.export(world.spec, _known(world.directory.trials()))
    except Exception as error:
        world.directory.note(action="study", trouble=f"{type(error).__name__}: {error}")


def _do(action: Action, world: World) -> tuple[bool, bool]:
    """Whether anything was done, and whether it may open the way for more."""
    match action:
        case Propose(count=count):
            proposed = _propose(count, world)
            return proposed, proposed
        case Submit():
            whole = _submit(action, world)
            return True, whole
        case RecordJob(run=run, attempt=attempt, job_id=job_id):
            world.directory.record_job(run, attempt, job_id)
        case MarkLost(run=run, attempt=attempt, reason=reason, cause=cause, node=node, epoch=epoch):
            world.directory.mark_lost(run, attempt, reason, cause=cause.name, node=node, epoch=epoch)
        case FinishTrial():
            _tell(action, world)
        case Prune():
            world.directory.stop_run(action)
        case Cancel():
            _cancel(action, world)
            return True, False
        case Terminate(run=run, attempt=attempt, job_id=job_id, cause=cause, reason=reason):
            world.directory.end_attempt(run, attempt, cause.name, reason)
            world.scheduler.end(job_id)
            return True, False
        case SubmitReconciler() | CollectCheckpoints():
            return _keep(action, world) if isinstance(action, SubmitReconciler) else _clear(action, world), False
        case _:
            assert_never(action)
    return True, True


def _propose(count: int, world: World) -> bool:
    """Whether there are new trials. Another reconciliation may have added some since our look, and may now:
    a number counts as ours only if it is still free after the trials that the study was told of."""
    trials = world.directory.trials()
    count = min(count, trials_wanted(world.spec) - len(trials))
    points = world.study.propose(world.spec, _known(trials), count) if count > 0 else []
    configs = [trial_config(world.spec, point) for point in points]
    origin = {"sampler": world.spec.study.sampler, "seed": world.spec.study.seed}
    first = max((trial["trial"] for trial in trials), default=-1) + 1
    runs = _runs(world, trials, configs, first)
    return bool(configs) and bool(world.directory.add_trials(configs, origin, first, runs))


def _runs(
    world: World, trials: Sequence[dict[str, Any]], configs: Sequence[TrialConfig], first: int
) -> Sequence[int] | None:
    """The run of each new trial; None: each has its own."""
    if run_sharing.why_not(world.spec) is not None:
        return None
    keys = [(run_key(config), config.epochs) for config in configs]
    there, kept = map(run_sharing.served, _known(list(trials))), not checkpoint_gc.is_enabled(world.spec)
    return run_sharing.runs_of(keys, first, there, world.directory.code(), is_kept=kept)


def _known(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose point is known: of the others every file is unreadable, and their numbers stay taken."""
    return [trial for trial in trials if trial["params"] is not None]


def _submit(action: Submit, world: World) -> bool:
    """Send it; where the cluster takes fewer at once, half of it, and so on. Whether all went out."""
    token, owned = world.directory.intend(action.elements, action.throttle, world.scheduler.kind)
    if not owned:
        return False
    try:
        job_ids = world.scheduler.submit(world.submission(token, action))
    except RefusedError as error:
        limit = isinstance(error, LimitError)
        for element in owned:
            world.directory.mark_lost(element.run, element.attempt, f"refused: {error}", refused=True, limit=limit)
        again = _smaller(action, owned, limit=limit)
        if again is not None:
            return _submit(again, world) and not limit
        if not limit:
            raise
        return False
    ids = dict(zip(action.elements, job_ids, strict=True))
    world.directory.record_jobs(owned, [ids[element] for element in owned])
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


def _cancel(action: Cancel, world: World) -> None:
    if action.reconciler is not None:
        world.reconcilers.mark_lost(action.reconciler, action.reason)
    world.scheduler.cancel(action.job_ids)


def _keep(action: SubmitReconciler, world: World) -> bool:
    """Leave the reconciler job; a sweep without one goes on as long as a job of it lives."""
    token = world.reconcilers.intend(action.number)
    if token is None:
        return False
    try:
        world.reconcilers.record(action.number, world.scheduler.submit_reconciler(world.reconciler(token, action)))
    except RefusedError as error:
        world.reconcilers.mark_lost(action.number, str(error))
        world.directory.note(action="SubmitReconciler", trouble=str(error))
        return False
    return True


def _clear(action: CollectCheckpoints, world: World) -> bool:
    return world.collectable is not None and sum(world.collectable.clear(run) for run in action.runs) > 0


def _tell(action: FinishTrial, world: World) -> None:
    """The result as its run published it, or the words of why there is none."""
    published = world.directory.milestone(action.run, action.epochs) if action.state != "cancelled" else None
    result = (
        published
        or pruned(action, world)
        or Result(
            state=action.state,  # type: ignore[arg-type]  # the core's words are the contract's
            job_id=action.job_id,
            epochs=action.epochs,
            message=action.reason,
        )
    )
    if world.collectable is not None and result.state in checkpoint_gc.COLLECTABLE_STATES:
        world.collectable.mark(action.run)
    world.directory.end_trial(action.trial, replace(result, trial=action.trial))


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
