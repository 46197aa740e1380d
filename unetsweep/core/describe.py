"""Descriptions of actions, and of what reconciles next, for the output of a command."""

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
from unetsweep.core.reconciler_job import NextReconciliation, ReconciledBy
from unetsweep.core.spec import Resources
from unetsweep.texts import counted


def describe(action: Action) -> str:
    """Return the action as one line: what is done, to what, and why."""
    match action:
        case Propose(count=count, reason=reason):
            return f"propose  {counted(count, 'trial')}: {reason}"
        case Submit(slots=slots, throttle=throttle, reason=reason):
            packed = (
                "" if slots is None else f" of up to {slots} runs each" if slots > 1 else " for one run after another"
            )
            bound = f", at most {throttle} at once" if throttle else ""
            return f"submit   {_runs(action)} ({counted(action.jobs, 'job')}{packed}{bound}): {reason}"
        case RecordJob(run=run, job_id=job_id, reason=reason):
            return f"record   job {job_id} as run {run:04d}: {reason}"
        case MarkLost(run=run, attempt=attempt, reason=reason):
            return f"lost     run {run:04d} attempt {attempt}: {reason}"
        case FinishTrial(trial=trial, state=state, reason=reason):
            return f"{state:8s} trial {trial:04d}: {reason}"
        case Prune(trial=trial, milestones=milestones, reason=reason):
            return f"prune    trial {trial:04d} (epochs {', '.join(map(str, milestones))}): {reason}"
        case Terminate(run=run, attempt=attempt, job_id=job_id, reason=reason):
            return f"end      run {run:04d} attempt {attempt} (job {job_id}): {reason}"
        case SubmitReconciler() | CollectCheckpoints() | Cancel() | SetThrottle():
            return _describe_sweep_action(action)


def _describe_sweep_action(action: SubmitReconciler | CollectCheckpoints | Cancel | SetThrottle) -> str:
    match action:
        case SetThrottle(job_id=job_id, throttle=throttle, reason=reason):
            bound = "all" if throttle is None else f"at most {throttle}"
            return f"throttle array {job_id}: {bound} at once: {reason}"
        case SubmitReconciler(number=number, delay_s=delay_s, reason=reason):
            return f"submit   reconciler job {number}, to start in {delay_s} s: {reason}"
        case CollectCheckpoints(runs=runs, reason=reason):
            return f"delete   last checkpoints of {counted(len(runs), 'run')}: {reason}"
        case Cancel(job_ids=job_ids, reason=reason):
            return f"cancel   {' '.join(job_ids[:8])}{' …' if len(job_ids) > 8 else ''}: {reason}"


def describe_problem(found: NextReconciliation) -> str | None:
    """Return what the user should know about how the sweep continues by itself, and do; None: nothing."""
    why = "".join(f"{mark} {part}" for mark, part in ((":", found.problem), (";", found.advice)) if part)
    match found.by:
        case ReconciledBy.NOBODY:
            return f"the sweep does not continue by itself{why or '; run `unetsweep submit` again'}"
        case ReconciledBy.ONLY_COMMANDS:
            return "run.driver is cli, so only commands continue the sweep: keep `unetsweep submit … --watch` running"
        case ReconciledBy.ONLY_PLACE:
            return (
                "the queue accepts one job of the sweep now. It is a training, which counts until after it has "
                "reconciled, and there is no reconciler job: keep `unetsweep submit … --watch` running"
            )
        case ReconciledBy.TRAININGS | ReconciledBy.QUEUED_TRAININGS if found.problem:
            return f"if its trainings are killed, the sweep does not continue by itself{why}"
        case ReconciledBy.RECONCILER_JOB if found.problem:
            return f"reconciler job {found.job_id or 'of the sweep'} starts again, without a successor{why}"
        case _:
            return None


def describe_job(asked: Resources) -> str:
    """What a training job asks SLURM for, on one line.

    >>> describe_job(Resources(gpus=2, gpu_type="h100", processes=2, cpus=8, mem="32G", time_min=90, partition="long"))
    '2 GPUs (h100), 2 processes of 8 CPUs, 90 min, mem 32G, partition long (profile default)'
    """
    gpus = f"{counted(asked.gpus, 'GPU')}{f' ({asked.gpu_type})' if asked.gpu_type else ''}"
    cpus = f" of {counted(asked.cpus, 'CPU')}" if asked.cpus is not None else ""
    memory = {"mem": asked.mem, "mem-per-cpu": asked.mem_per_cpu, "mem-per-gpu": asked.mem_per_gpu}
    named = {**memory, "partition": asked.partition, "account": asked.account, "qos": asked.qos}
    parts = [
        *([f"{asked.pack} trainings side by side"] if asked.pack > 1 else []),
        gpus,
        f"{counted(asked.processes, 'process', 'processes')}{cpus}",
        f"{asked.time_min} min",
        *(f"{name} {value}" for name, value in {**named, "constraint": asked.constraint}.items() if value is not None),
        *(f"{name} {value}" for name, value in asked.sbatch.items()),
    ]
    return f"{', '.join(parts)} (profile {asked.profile})"


def _runs(action: Submit) -> str:
    numbers = [f"{element.run:04d}" for element in action.elements]
    return ("run " if len(numbers) == 1 else "runs ") + (
        " ".join(numbers) if len(numbers) <= 8 else f"{numbers[0]} … {numbers[-1]}"
    )
