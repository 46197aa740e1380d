"""Submits jobs with submitit: one sbatch call per token, after which nothing has to happen.

Rule 1: all elements start from one pickle, which is written before sbatch. The job links it to the name that submitit
        expects, so jobs also start if the submitter is killed right after sbatch.
Rule 2: submitit's states, results, time-outs, requeues and signals are not used.
"""

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from submitit import SlurmExecutor
from submitit.core.utils import DelayedSubmission

from unetsweep.atomic import flush, named
from unetsweep.core import paths
from unetsweep.core.ports import Payload, ReconcilerRequest, Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import RefusedError, SchedulerError
from unetsweep.schedulers.slurm import commands
from unetsweep.schedulers.slurm.batch_script import GENERIC, reconciler_script, setup_lines
from unetsweep.schedulers.slurm.resource_options import gpu_options, memory_options
from unetsweep.schedulers.slurm.sbatch import sbatch

_RESERVED = {
    "array": "use run.parallel",
    "cpus-per-task": "use slurm.cpus",
    "error": "all output goes to one log",
    "gpus": "use slurm.gpus",
    "gpus-per-node": "use slurm.gpus",
    "gpus-per-task": "use slurm.gpus",
    "job-name": "unetsweep finds the job by its name",
    "nodes": "a training runs on one node",
    "ntasks": "use slurm.processes",
    "ntasks-per-node": "use slurm.processes",
    "open-mode": "a requeued job must keep its log",
    "output": "`unetsweep logs` reads it",
    "wrap": "unetsweep writes the job's script",
}
"""The sbatch options that a user cannot set, and why, or what to do instead."""


@dataclass(frozen=True, slots=True)
class PayloadWithoutSignalHandlers:
    """Runs a payload without submitit's signal handlers, which ignore SIGTERM and requeue the job on SIGUSR2."""

    payload: Payload

    def __call__(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # until the payload handles it: the default would end the job
            signal.signal(number, signal.SIG_IGN)
        self.payload()


def submit(submission: Submission, payload: Payload, *, timeout: float = 60.0) -> str:
    """Submit `elements` equal payloads as one array, or as a plain job if there is only one; return its id.

    The folder `submissions/<token>` must exist. Errors are as for `sbatch`.
    """
    folder = submission.sweep_dir / paths.submission(submission.token)
    text = script(submission, folder)
    delayed = DelayedSubmission(PayloadWithoutSignalHandlers(payload))
    delayed.set_timeout(submission.resources.time_min, 0)
    pickle = folder / GENERIC
    with named(pickle):
        delayed.dump(pickle)
        flush(pickle)
    path = folder / f"{submission.token}.sh"
    with named(path):
        path.write_text(text)
        flush(path)
    flush(folder)
    return sbatch(path, submission.token, submission.resources, timeout)


def script(submission: Submission, folder: Path) -> str:
    """Return the batch script: submitit's script for these resources, with our set-up lines.

    Raises RefusedError if the resources name a reserved option.
    """
    resources = _job_resources(submission)
    if special := [each for each in commands.PATH_PATTERNS if each in str(folder)]:
        raise RefusedError(
            f"{folder}: SLURM reads the {special[0]} in it as a part of a pattern, so jobs could not write their logs; "
            "choose another folder with --results"
        )
    if not str(folder).isprintable():  # a line break would end a line of the script
        raise RefusedError(f"{str(folder)!r}: not a path on one line; choose another folder with --results")
    python = os.path.expanduser(resources.python or sys.executable)
    try:  # -P: do not import a folder `unetsweep` in the directory where the job starts
        executor = SlurmExecutor(folder=folder, python=f"{shlex.quote(python)} -P")
    except RuntimeError as error:
        raise SchedulerError(f"srun is not on PATH: {error}") from error
    executor.update_parameters(
        job_name=paths.job_name(submission.sweep, submission.token),
        time=resources.time_min,
        nodes=1,
        ntasks_per_node=resources.processes,
        array_parallelism=submission.throttle or submission.elements,
        stderr_to_stdout=True,
        signal_delay_s=signal_lead_s(resources.time_min),
        wckey=None,  # submitit's default is refused if a cluster keeps a list of them
        srun_args=_srun_args(resources),
        additional_parameters=_options(resources, submission.exclude),
        setup=setup_lines(submission, folder, python),
    )
    if submission.elements > 1:
        executor.parameters["map_count"] = submission.elements
    text: str = executor._make_submission_file_text(executor._submitit_command_str, submission.token)
    return text


def _job_resources(submission: Submission) -> Resources:
    """Return the resources of one job. A packed job has one task, with the CPUs of all its trainings."""
    return _for_slots(submission.resources, submission.slots)


def _for_slots(wanted: Resources, slots: int | None) -> Resources:
    if slots is None:
        return wanted
    return replace(wanted, processes=1, cpus=slots * wanted.processes * (wanted.cpus or 1))


def signal_lead_s(time_min: int) -> int:
    """Return how many seconds before its time limit SLURM sends a job the signal; it may come a minute earlier."""
    return min(commands.SIGNAL_LEAD_S, time_min * 60 // 4)


def _options(resources: Resources, exclude: Sequence[str] = ()) -> dict[str, Any]:
    """Return sbatch's options by long name. The user's `sbatch:` comes last and takes precedence."""
    options: dict[str, Any] = {
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "cpus_per_task": resources.cpus,
    }
    for name, value in memory_options(resources).items():
        options[name.replace("-", "_")] = value
    for name, value in resources.sbatch.items():
        key = str(name).lstrip("-").replace("_", "-")
        if key in _RESERVED:
            raise RefusedError(f"slurm.sbatch: {key!r} cannot be set there: {_RESERVED[key]}")
        options[key.replace("-", "_")] = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
    for name, value in gpu_options(resources, resources.processes).items():
        options[name.replace("-", "_")] = value
    if exclude:
        options["exclude"] = ",".join(filter(None, (options.get("exclude"), *exclude)))
    return {key: value for key, value in options.items() if value is not None and value is not False}


def _srun_args(resources: Resources) -> list[str]:
    # kill-on-bad-exit: a failed rank ends the others, which would wait for it forever. wait=0: a rank that exits with
    # status 0 does not, whatever the cluster's WaitTime. export=ALL: with `sbatch --export=NONE` srun would give the
    # processes no environment. Since 22.05 srun no longer inherits the CPUs per task.
    args = ["--kill-on-bad-exit=1", "--wait=0", "--export=ALL"]
    return args if resources.cpus is None else [*args, f"--cpus-per-task={resources.cpus}"]


def submit_reconciler(request: ReconcilerRequest, *, timeout: float = 60.0) -> str:
    """Submit a reconciler job; return its id. Errors are as for `sbatch`."""
    training = None
    if request.as_training:
        resources = _for_slots(request.resources, request.resources.slots)
        training = {"nodes": 1, "ntasks-per-node": resources.processes, **_options(resources)}
    path = request.sweep_dir / paths.RECONCILERS / f"{request.token}.sh"
    with named(path):
        path.write_text(reconciler_script(request, training))
        flush(path)
    return sbatch(path, request.token, request.resources, timeout)
