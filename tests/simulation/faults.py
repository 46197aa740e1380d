"""All faults by name; each changes one thing in the simulated world."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from unetsweep.core.observation import JobState
from unetsweep.core.run_sharing import trains_past

from .files import observed_run

if TYPE_CHECKING:
    from .cluster import SimJob, Training
    from .world import Fault, SimulatedWorld


def apply_fault(world: "SimulatedWorld", fault: "Fault", training: "Training | None" = None) -> None:
    """Apply the fault to this training, or to a target selected by `fault.which`."""
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


def _count(world: "SimulatedWorld", fault: "Fault") -> None:
    world.counts[f"fault: {fault.kind}"] += 1
    world.note(f"! {fault.kind} {fault.which}")


def _is_running(job: "SimJob") -> bool:
    return job.known and job.state is JobState.RUNNING


def _run(training: "Training") -> int:
    return training.attempt.run


# ---- faults of a training


def _node_fails(world: "SimulatedWorld", training: "Training", *, requeued: bool, zombie: bool = False) -> None:
    job = training.job
    if not _is_running(job):
        return
    world.blame(_run(training), "requeue" if requeued else "node")
    if job.node:
        world.cluster.down[job.node] = world.time + 300
    world.at(301, world.cluster.start_jobs)
    if zombie:
        world.check.unlisted.add(_run(training))
    world.cluster.end(job, JobState.NODE_FAILED, "NODE_FAIL", zombie=zombie)
    if requeued:
        world.at(0.0, lambda: world.cluster.requeue(job, 10.0, zombie=zombie))


def _preempted(world: "SimulatedWorld", training: "Training", *, requeued: bool) -> None:
    world.blame(_run(training), "requeue")
    if requeued:
        world.cluster.requeue(training.job, 20.0)
    else:
        world.cluster.end(training.job, JobState.NODE_FAILED, "PREEMPTED", status=143)


def _timeout(world: "SimulatedWorld", training: "Training", how: str) -> None:
    world.blame(_run(training), "time")
    if how == "killed":
        world.cluster.end(training.job, JobState.ENDED, "TIMEOUT", status=143)
    else:
        world.cluster.stop_for_requeue(training, in_place=how == "in place")


def _memory(world: "SimulatedWorld", training: "Training") -> None:
    world.blame(_run(training), "memory")
    world.cluster.end(training.job, JobState.ENDED, "OUT_OF_MEMORY", status=137)


def _error(world: "SimulatedWorld", training: "Training", kind: str) -> None:
    world.blame(_run(training), {"disk": "unexplained", "device": "node"}.get(kind, kind))
    world.cluster.fail(training, kind)


def _unexplained(world: "SimulatedWorld", training: "Training") -> None:
    world.blame(_run(training), "unexplained")
    world.cluster.end_processes(training, status=1)


def _hang(world: "SimulatedWorld", training: "Training") -> None:
    world.blame(_run(training), "hang")
    training.stuck = True


def _killed_without_hook(world: "SimulatedWorld", training: "Training") -> None:
    """Kill the batch shell as well, so that no exit hook runs."""
    world.blame(_run(training), "unexplained")
    world.cluster.end(training.job, JobState.ENDED, "FAILED")


OF_TRAININGS: dict[str, Callable[["SimulatedWorld", "Training"], None]] = {
    "node failure": lambda w, t: _node_fails(w, t, requeued=False),
    "node failure, requeued": lambda w, t: _node_fails(w, t, requeued=True),
    "node lost, its processes continue": lambda w, t: _node_fails(w, t, requeued=False, zombie=True),
    "node lost, requeued, its processes continue": lambda w, t: _node_fails(w, t, requeued=True, zombie=True),
    "preempted, requeued": lambda w, t: _preempted(w, t, requeued=True),
    "preempted": lambda w, t: _preempted(w, t, requeued=False),
    "time limit, requeued in place": lambda w, t: _timeout(w, t, "in place"),
    "time limit, requeue refused": lambda w, t: _timeout(w, t, "refused"),
    "time limit, killed": lambda w, t: _timeout(w, t, "killed"),
    "out of memory": _memory,
    "out of GPU memory": lambda w, t: _error(w, t, "gpu_memory"),
    "disk full": lambda w, t: _error(w, t, "disk"),
    "GPU error": lambda w, t: _error(w, t, "device"),
    "exception": lambda w, t: _error(w, t, "exception"),
    "unexplained": _unexplained,
    "killed without exit hook": _killed_without_hook,
    "hang": _hang,
}


# ---- faults of a job


def _scancel(world: "SimulatedWorld", job: "SimJob") -> None:
    run, attempt = world.files.tokens[job.token][job.index]
    world.check.scancelled.add((run, attempt))
    world.blame(run, "node")  # of a submission that never began no record says who ended it
    world.cluster.scancel(job)


OF_JOBS: dict[str, Callable[["SimulatedWorld", "SimJob"], None]] = {
    "scancel running": _scancel,
    "scancel pending": _scancel,
}


# ---- faults of everything else


def _forget(world: "SimulatedWorld", which: int) -> None:
    """Let the controller forget a submission and reuse its job id."""
    tokens = sorted({each.token for each in world.cluster.jobs if each.known and not each.is_reconciler})
    if tokens:
        token = tokens[which % len(tokens)]
        first = next(each.job_id for each in world.cluster.jobs if each.token == token)
        for run, _ in world.files.tokens[token]:
            world.blame(run, "node")
            world.check.unlisted.add(run)
        world.cluster.forget(token)
        world.reuse(int(first.partition("_")[0]))


def _kill_all(world: "SimulatedWorld", which: int) -> None:
    """Kill every job except the reconciler job at once, without exit hooks."""
    for job in [each for each in world.cluster.jobs if _is_running(each) and not each.is_reconciler]:
        world.blame(world.files.tokens[job.token][job.index][0], "node")
        world.cluster.end(job, JobState.NODE_FAILED, "NODE_FAIL")


def _purge(world: "SimulatedWorld", which: int) -> None:
    """Let the queue forget all ended jobs."""
    for job in [each for each in world.cluster.jobs if not each.state.is_live]:
        world.cluster.unlist(job)
        world.cluster.jobs.remove(job)


def _reconciler_dies(world: "SimulatedWorld", which: int) -> None:
    """Let the node of the reconciler job fail, which requeues the job."""
    for job in [each for each in world.cluster.jobs if each.is_reconciler and _is_running(each)]:
        world.cluster.requeue(job, 10.0)


def _user_cancels(world: "SimulatedWorld", which: int) -> None:
    open_trials = sorted(world.files.open)
    if open_trials:
        world.files.trials[open_trials[which % len(open_trials)]].cancelled = world.time
        world.reconcile_sweep("cancel", interactive=True)


def _user_retries(world: "SimulatedWorld", which: int) -> None:
    ended = [t for t in world.files.trials.values() if t.result is not None and t.result.state != "complete"]
    if not ended:
        return
    trial = ended[which % len(ended)]
    run = world.files.runs[trial.run]
    last = max(run.attempts, default=0)
    if run.saved > trial.epochs or trains_past(observed_run(run, world.time), trial.epochs):
        return  # the retry is refused
    shared = any(world.files.trials[number].run == trial.run for number in world.files.open)
    continues = shared and last > 0 and run.attempts[last].lost is None
    if continues:
        run.attempts[last].retry_exempt = True
    run.retries_reset_at = max(run.retries_reset_at, last - continues)
    run.published_states.pop(trial.epochs, None)
    decision = run.prune_decision
    if decision is not None:
        milestones = tuple(epochs for epochs in decision.milestones if epochs != trial.epochs)
        run.prune_decision = replace(
            decision, milestones=milestones, is_lifted=decision.attempt <= run.retries_reset_at
        )
    world.check.reopens(trial)
    trial.cancelled, trial.result = None, None
    world.files.open.add(trial.number)
    world.begin()


def _kill(world: "SimulatedWorld", which: int) -> None:
    world.deaths.append(which % 17)


def _sleep(world: "SimulatedWorld", which: int) -> None:
    world.sleeps.append((which % 11, 3.0 + which % 190))


def _clock(world: "SimulatedWorld", which: int) -> None:
    """Set the clocks of reconciliations wrong for five minutes: up to one minute behind or five minutes ahead."""
    world.check.wrong_clocks = True
    world.turn_on("clock", 300, (which % 361) - 60)


OF_ALL: dict[str, Callable[["SimulatedWorld", int], None]] = {
    "kill": _kill,
    "sleep": _sleep,
    "clock": _clock,
    "scheduler_error": lambda w, n: w.turn_on("scheduler_error", 30 + n % 600),
    "refusal": lambda w, n: w.turn_on("refusal", 30 + n % 300),
    "limit": lambda w, n: w.turn_on("limit", 30 + n % 600),
    "late listing": lambda w, n: w.turn_on("late", 120, 5.0 + n % 60),
    "late files": lambda w, n: w.turn_on("nfs", 300, 1.0 + n % 40),
    "sbatch timed out, not submitted": lambda w, n: w.arm("timeout before"),
    "sbatch timed out, submitted": lambda w, n: w.arm("timeout after"),
    "bad start": lambda w, n: w.arm("bad start"),
    "forgotten, its id reused": _forget,
    "every job dies": _kill_all,
    "the queue forgets what has ended": _purge,
    "the reconciler job's node fails": _reconciler_dies,
    "the user cancels": _user_cancels,
    "the user retries": _user_retries,
}

ALL = (*OF_TRAININGS, *OF_JOBS, *OF_ALL)
"""The names of all faults."""
