"""Submitting through submitit: one sbatch call a token, and nothing that must happen after it.

Rule 1: all elements start from one pickle, written before sbatch; the job itself puts it in place, so
    that a submitter that dies right after sbatch leaves jobs that start like any other.
Rule 2: submitit's own states, results, time-outs and requeues are not used, nor are its signals.
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
from unetsweep.schedulers.slurm.sbatch import sbatch

_OWN = {
    "array": "run.parallel bounds it",
    "cpus-per-task": "use slurm.cpus",
    "error": "all goes to one log",
    "gpus-per-node": "use slurm.gpus",
    "job-name": "the job is found again by it",
    "nodes": "a training runs on one node",
    "ntasks": "use slurm.processes",
    "ntasks-per-node": "use slurm.processes",
    "open-mode": "a requeued job must not erase its log",
    "output": "`unetsweep logs` reads it",
    "wrap": "the job's script is ours",
}
"""sbatch options that a user may not set, and what to do instead."""


@dataclass(frozen=True, slots=True)
class PayloadWithoutSignalHandlers:
    """The payload as a job starts it: without submitit's signal handlers, which would swallow SIGTERM
    and requeue the job on SIGUSR2."""

    payload: Payload

    def __call__(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # until the payload listens: the default would end the job
            signal.signal(number, signal.SIG_IGN)
        self.payload()


def submit(submission: Submission, payload: Payload, *, timeout: float = 60.0) -> str:
    """Send `elements` equal payloads as one array (or a plain job, if there is one); its SLURM id.

    The folder `submissions/<token>` must be there. RefusedError: SLURM said no, there is no job;
    LimitError if only for now. SchedulerError: nobody knows, look for the token later.
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
    return sbatch(path, timeout)


def script(submission: Submission, folder: Path) -> str:
    """What sbatch is given: submitit's script for these resources, with our set-up lines.

    RefusedError where the resources name an option that is ours.
    """
    resources = _of_job(submission)
    if "%" in str(folder):
        raise RefusedError(f"{folder}: SLURM reads the % in it as a pattern; choose another folder with --results")
    if not str(folder).isprintable():  # a line of the script would end in it
        raise RefusedError(f"{str(folder)!r}: not a path on one line; choose another folder with --results")
    python = os.path.expanduser(resources.python or sys.executable)
    try:  # -P: a folder `unetsweep` where the job starts is not what was submitted
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
        signal_delay_s=lead_s(resources.time_min),
        wckey=None,  # submitit's default is refused where a cluster keeps a list of them
        srun_args=_srun_args(resources),
        additional_parameters=_options(resources, submission.exclude),
        setup=setup_lines(submission, folder, python),
    )
    if submission.elements > 1:
        executor.parameters["map_count"] = submission.elements
    text: str = executor._make_submission_file_text(executor._submitit_command_str, submission.token)
    return text


def _of_job(submission: Submission) -> Resources:
    """Of a packed job the one task that begins the trainings, which has the CPUs of all of them."""
    wanted = submission.resources
    if submission.pack == 1:
        return wanted
    return replace(wanted, processes=1, cpus=submission.pack * wanted.processes * (wanted.cpus or 1))


def lead_s(time_min: int) -> int:
    """How many seconds before its time limit a job is told: SLURM may be a minute early with it."""
    return min(commands.SIGNAL_LEAD_S, time_min * 60 // 4)


def _options(resources: Resources, exclude: Sequence[str] = ()) -> dict[str, Any]:
    """sbatch's options by long name; the user's `sbatch:` last, so that it wins."""
    options: dict[str, Any] = {
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "cpus_per_task": resources.cpus,
        "gpus_per_node": resources.gpus or None,
        "mem": resources.mem,
    }
    for name, value in resources.sbatch.items():
        key = str(name).lstrip("-").replace("_", "-")
        if key in _OWN:
            raise RefusedError(f"slurm.sbatch: {key!r} cannot be set there: {_OWN[key]}")
        options[key.replace("-", "_")] = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
    if exclude:
        options["exclude"] = ",".join(filter(None, (options.get("exclude"), *exclude)))
    return {key: value for key, value in options.items() if value is not None and value is not False}


def _srun_args(resources: Resources) -> list[str]:
    # one rank's failure ends the others, which would wait for it; its good end does not, whatever WaitTime the
    # cluster has; and since 22.05 srun does not take the job's CPUs per task by itself
    args = ["--kill-on-bad-exit=1", "--wait=0"]
    return args if resources.cpus is None else [*args, f"--cpus-per-task={resources.cpus}"]


def submit_reconciler(reconciler: ReconcilerRequest, *, timeout: float = 60.0) -> str:
    """Send a job of one CPU that reconciles; its id. Errors as for `submit`."""
    path = reconciler.sweep_dir / paths.RECONCILERS / f"{reconciler.token}.sh"
    with named(path):
        path.write_text(reconciler_script(reconciler))
        flush(path)
    return sbatch(path, timeout)
