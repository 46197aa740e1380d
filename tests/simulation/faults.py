"""What can go wrong, by name: each fault does one thing to the world."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from unetsweep.core.observation import JobState
from unetsweep.core.run_sharing import trains_past

from .files import seen_run

if TYPE_CHECKING:
    from .cluster import SimJob, Training
    from .world import Fault, World


def apply_fault(world: "World", fault: "Fault", training: "Training | None" = None) -> None:
    """Do it, to this training or to one of those that there are."""
    kind = fault.kind
    if kind in OF_TRAININGS:
        alive = [each for each in world.cluster.trainings if each.alive and _is_running(each.job)]
        if training is None and alive:
            training = alive[fault.which % len(alive)]
        if training is not None:
            _count(world, fault)
            OF_TRAININGS[kind](world, training)
    elif kind in OF_JOBS:
        jobs = [each for each in world.cluster.jobs if each.known and each.state.is_live and not each.is_reconciler]
        queued = kind == "scancel pending"
        jobs = [each for each in jobs if (each.state is JobState.QUEUED) == queued]
        if jobs:
            _count(world, fault)
            OF_JOBS[kind](world, jobs[fault.which % len(jobs)])
    else:
        _count(world, fault)
        OF_ALL[kind](world, fault.which)


def _count(world: "World", fault: "Fault") -> None:
    world.counts[f"fault: {fault.kind}"] += 1
    world.note(f"! {fault.kind} {fault.which}")


def _is_running(job: "SimJob") -> bool:
    return job.known and job.state is JobState.RUNNING


def _name(training: "Training") -> int:
    return training.attempt.run


# ---- to a training


def _node_fails(world: "World", training: "Training", *, again: bool, zombie: bool = False) -> None:
    job = training.job
    if not _is_running(job):
        return
    world.blame(_name(training), "requeue" if again else "node")
    if job.node:
        world.cluster.down[job.node] = world.time + 300
    world.at(301, world.cluster.kick)
    world.cluster.end(job, JobState.NODE_FAILED, "NODE_FAIL", zombie=zombie)
    if again:
        world.at(0.0, lambda: world.cluster.requeue(job, 10.0, zombie=zombie))


def _preempted(world: "World", training: "Training", *, again: bool) -> None:
    world.blame(_name(training), "requeue")
    if again:
        world.cluster.requeue(training.job, 20.0)
    else:
        world.cluster.end(training.job, JobState.NODE_FAILED, "PREEMPTED", status=143)


def _timeout(world: "World", training: "Training", how: str) -> None:
    world.blame(_name(training), "time")
    if how == "killed":
        world.cluster.end(training.job, JobState.ENDED, "TIMEOUT", status=143)
    else:
        world.cluster.go_on_later(training, in_place=how == "in place")


def _memory(world: "World", training: "Training") -> None:
    world.blame(_name(training), "memory")
    world.cluster.end(training.job, JobState.ENDED, "OUT_OF_MEMORY", status=137)


def _error(world: "World", training: "Training", kind: str) -> None:
    world.blame(_name(training), {"disk": "unexplained"}.get(kind, kind))
    world.cluster.fail(training, kind)


def _unexplained(world: "World", training: "Training") -> None:
    world.blame(_name(training), "unexplained")
    world.cluster.leave(training, status=1)


def _hang(world: "World", training: "Training") -> None:
    world.blame(_name(training), "hang")
    training.stuck = True


def _killed_hard(world: "World", training: "Training") -> None:
    """Its batch shell too: no exit hook."""
    world.blame(_name(training), "unexplained")
    world.cluster.end(training.job, JobState.ENDED, "FAILED")


OF_TRAININGS: dict[str, Callable[["World", "Training"], None]] = {
    "node failure": lambda w, t: _node_fails(w, t, again=False),
    "node failure, requeued": lambda w, t: _node_fails(w, t, again=True),
    "node lost, its processes run on": lambda w, t: _node_fails(w, t, again=False, zombie=True),
    "node lost, requeued, its processes run on": lambda w, t: _node_fails(w, t, again=True, zombie=True),
    "preempted, requeued": lambda w, t: _preempted(w, t, again=True),
    "preempted": lambda w, t: _preempted(w, t, again=False),
    "time limit, requeued in place": lambda w, t: _timeout(w, t, "in place"),
    "time limit, requeue refused": lambda w, t: _timeout(w, t, "refused"),
    "time limit, killed": lambda w, t: _timeout(w, t, "killed"),
    "out of memory": _memory,
    "out of GPU memory": lambda w, t: _error(w, t, "gpu_memory"),
    "disk full": lambda w, t: _error(w, t, "disk"),
    "exception": lambda w, t: _error(w, t, "exception"),
    "unexplained": _unexplained,
    "killed hard": _killed_hard,
    "hang": _hang,
}


# ---- to a job


def _scancel(world: "World", job: "SimJob") -> None:
    run, _ = world.files.tokens[job.token][job.index]
    world.check.scancelled.add(run)
    world.blame(run, "node")  # of a whole submission that never began nothing is left to tell who ended it
    world.cluster.scancel(job)


OF_JOBS: dict[str, Callable[["World", "SimJob"], None]] = {"scancel running": _scancel, "scancel pending": _scancel}


# ---- to everything


def _forget(world: "World", which: int) -> None:
    """The controller forgets a whole submission, and gives its id to another."""
    tokens = sorted({each.token for each in world.cluster.jobs if each.known and not each.is_reconciler})
    if tokens:
        token = tokens[which % len(tokens)]
        first = next(each.job_id for each in world.cluster.jobs if each.token == token)
        for run, _ in world.files.tokens[token]:
            world.blame(run, "node")
        world.cluster.forget(token)
        world.reuse(int(first.partition("_")[0]))


def _kill_all(world: "World", which: int) -> None:
    """Every job but the reconciler job dies at once, with no exit hook."""
    for job in [each for each in world.cluster.jobs if _is_running(each) and not each.is_reconciler]:
        world.blame(world.files.tokens[job.token][job.index][0], "node")
        world.cluster.end(job, JobState.NODE_FAILED, "NODE_FAIL")


def _purge(world: "World", which: int) -> None:
    """The queue forgets what has ended."""
    for job in [each for each in world.cluster.jobs if not each.state.is_live]:
        world.cluster.lose_sight(job)
        world.cluster.jobs.remove(job)


def _reconciler_dies(world: "World", which: int) -> None:
    """Its node fails: it is requeued."""
    for job in [each for each in world.cluster.jobs if each.is_reconciler and _is_running(each)]:
        world.cluster.requeue(job, 10.0)


def _user_cancels(world: "World", which: int) -> None:
    left = sorted(world.files.open)
    if left:
        world.files.trials[left[which % len(left)]].cancelled = world.time
        world.reconcile_sweep("cancel", interactive=True)


def _user_retries(world: "World", which: int) -> None:
    ended = [t for t in world.files.trials.values() if t.result is not None and t.result.state != "complete"]
    if not ended:
        return
    trial = ended[which % len(ended)]
    run = world.files.runs[trial.run]
    last = max(run.attempts, default=0)
    if run.saved > trial.epochs or trains_past(seen_run(run, world.time), trial.epochs):
        return  # it is refused
    shared = any(world.files.trials[number].run == trial.run for number in world.files.open)
    run.retries_reset_at = max(run.retries_reset_at, last - (shared and last > 0 and run.attempts[last].lost is None))
    run.milestones.pop(trial.epochs, None)
    if run.stopped is not None:
        left = tuple(epochs for epochs in run.stopped.milestones if epochs != trial.epochs)
        run.stopped = replace(run.stopped, milestones=left, is_lifted=run.stopped.attempt <= run.retries_reset_at)
    world.check.reopens(trial)
    trial.cancelled, trial.result = None, None
    world.files.open.add(trial.number)
    world.begin()


def _kill(world: "World", which: int) -> None:
    world.deaths.append(which % 17)


def _sleep(world: "World", which: int) -> None:
    world.sleeps.append((which % 11, 3.0 + which % 190))


def _clock(world: "World", which: int) -> None:
    """Passes' clocks are wrong for some minutes: up to a minute behind, up to five before."""
    world.check.wrong_clocks = True
    world.turn_on("clock", 300, (which % 361) - 60)


OF_ALL: dict[str, Callable[["World", int], None]] = {
    "kill": _kill,
    "sleep": _sleep,
    "clock": _clock,
    "scheduler_error": lambda w, n: w.turn_on("scheduler_error", 30 + n % 600),
    "refusal": lambda w, n: w.turn_on("refusal", 30 + n % 300),
    "limit": lambda w, n: w.turn_on("limit", 30 + n % 600),
    "late listing": lambda w, n: w.turn_on("late", 120, 5.0 + n % 60),
    "late files": lambda w, n: w.turn_on("nfs", 300, 1.0 + n % 40),
    "sbatch timed out, nothing sent": lambda w, n: w.arm("timeout before"),
    "sbatch timed out, sent": lambda w, n: w.arm("timeout after"),
    "bad start": lambda w, n: w.arm("bad start"),
    "forgotten, its id given away": _forget,
    "every job dies": _kill_all,
    "the queue forgets what has ended": _purge,
    "the reconciler job's node fails": _reconciler_dies,
    "the user cancels": _user_cancels,
    "the user retries": _user_retries,
}

ALL = (*OF_TRAININGS, *OF_JOBS, *OF_ALL)
"""Every kind."""
