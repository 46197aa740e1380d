"""Doctor's test job: one small job that asks on its node what works there.

Rule 1: its name is unique, and every job of that name is cancelled whatever happens here.
Rule 2: its answers are read from a file as they appear, so a job that dies early still counts for what it answered.
"""

import contextlib
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unetsweep.core.observation import Job
from unetsweep.core.paths import job_name
from unetsweep.core.spec import Resources
from unetsweep.doctor import payload
from unetsweep.errors import RefusedError, SchedulerError
from unetsweep.schedulers.slurm import commands
from unetsweep.schedulers.slurm.batch_script import environment_lines
from unetsweep.schedulers.slurm.resource_options import gpu_options
from unetsweep.schedulers.slurm.sbatch import sbatch

NAME = "unetsweep-doctor"
MINUTES = 2  # the payload needs half a minute, unless SLURM or the file system is slow
SBATCH_S = 60.0  # as long as a sweep waits for sbatch
SQUEUE_S = 10.0
POLL_S = 0.3
QUEUE_S = 2.0  # between two calls of squeue: few enough for a busy controller
GRACE_S = 10.0  # files may still show here after the job has left the queue
CANCEL_S = 15.0
UNSURE_S = 3.0  # the job of an interrupted sbatch may appear a moment later


@dataclass(frozen=True, slots=True)
class JobReport:
    """What became of the test job."""

    refused: str = ""
    """sbatch's message if it refused the job."""
    job: Job | None = None
    """The job as squeue listed it last."""
    starts: int = 0
    """How often it started, as far as its files show here."""
    answers: Mapping[str, Any] = field(default_factory=dict)
    """The payload's answers, by the names of `rules.Check`."""
    python_error: str | None = None
    """Why the node cannot run the profile's Python (another one gave the answers); None: it can."""
    marker_age_s: float | None = None
    """How old a file of the node was when it showed here: this machine's clock minus the file's time."""
    leftovers: tuple[str, ...] = ()
    """Ids of jobs that could not be cancelled."""


def run(folder: Path, token: str, resources: Resources, timeout: float) -> JobReport:
    """Submit the test job, wait at most `timeout` seconds for its answers, and cancel it."""
    shutil.copy(payload.__file__, folder / "payload.py")
    script = folder / "job.sh"
    script.write_text(_script(folder, job_name(NAME, token), resources))
    is_submitted = False
    try:
        sbatch(script, token, resources, SBATCH_S)
        is_submitted = True
        report = _follow(folder, token, timeout)
    except RefusedError as error:
        report = JobReport(refused=str(error))
    finally:
        leftovers = cancel(token, is_submitted=is_submitted)
    return replace(report, leftovers=leftovers)


def _jobs(token: str) -> tuple[Job, ...]:
    return commands.list_jobs({token}, SQUEUE_S)


def cancel(token: str, *, is_submitted: bool) -> tuple[str, ...]:
    """Cancel all jobs of this token; return the ids of those that are still alive after CANCEL_S seconds."""
    began = time.monotonic()
    left: tuple[str, ...] = ()
    while (waited := time.monotonic() - began) < CANCEL_S:
        try:
            left = tuple(job.job_id for job in _jobs(token) if job.state.is_live)
            if not left and (is_submitted or waited > UNSURE_S):
                break
            if left:
                commands.ask(("scancel", "--quiet", *left), 30.0)
        except SchedulerError:
            pass  # the next iteration asks again
        time.sleep(0.5)
    return left


def _script(folder: Path, name: str, resources: Resources) -> str:
    """Return the job's script: the first start asks everything and requeues the job, the second only leaves a file."""
    here = shlex.quote(str(folder))
    options: dict[str, object] = {
        "job-name": name,
        "output": "/dev/null",
        "ntasks": 1,
        "cpus-per-task": 1,
        "time": min(MINUTES, resources.time_min),
        "mem" if resources.mem_per_cpu is None and resources.mem_per_gpu is None else "mem-per-cpu": "2G",
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
    }
    for key, value in resources.sbatch.items():
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        options.setdefault(str(key).lstrip("-").replace("_", "-"), text)
    options |= gpu_options(resources, tasks=1, gpus=min(1, resources.gpus))
    return "\n".join(
        [
            "#!/bin/bash",
            *(
                f"#SBATCH {shlex.quote(f'--{key}' if value is True else f'--{key}={value}')}"
                for key, value in options.items()
                if value is not None and value is not False
            ),
            *environment_lines(os.environ),
            f"cd {here} || exit 1",
            ': >"start-${SLURM_RESTART_COUNT:-0}"',
            '[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || exit 0',
            'export US_PATH="$PATH"',
            *resources.setup,
            f"cd {here}",
            f"US_PYTHON={shlex.quote(resources.python or sys.executable)}",
            'if ! "$US_PYTHON" -c "" 2>python-error; then mv python-error no-python; US_PYTHON=python3; fi',
            '"$US_PYTHON" payload.py',
            "sleep 20  # SLURM ends the job here if it accepted the requeue",
            "",
        ]
    )


def _follow(folder: Path, token: str, timeout: float) -> JobReport:
    """Watch the job until it has answered everything, is gone or time is up; return what is known then."""
    end = time.monotonic() + timeout
    asked_at = gone_since = 0.0
    report = JobReport()
    while True:
        report = _read(folder, report)
        is_gone = gone_since > 0 and time.monotonic() - gone_since > GRACE_S
        is_done = report.starts > 1 or report.answers.get("REQUEUE")  # a problem: the job will not start again
        if is_done or is_gone or time.monotonic() > end:
            return report
        if time.monotonic() - asked_at > QUEUE_S:
            asked_at = time.monotonic()
            with contextlib.suppress(SchedulerError):  # the next iteration asks again
                job = next(iter(_jobs(token)), None)
                gone_since = 0.0 if job and job.state.is_live else gone_since or asked_at
                report = replace(report, job=job or report.job)
        time.sleep(POLL_S)


def _read(folder: Path, report: JobReport) -> JobReport:
    """Return the report with what the job's files say now."""
    with contextlib.suppress(OSError, ValueError):  # over NFS, a file that is replaced cannot be read for a moment
        names = {path.name for path in folder.iterdir()}
        report = replace(report, starts=len(names & {"start-0", "start-1"}))
        if "marker" in names and report.marker_age_s is None:
            report = replace(report, marker_age_s=time.time() - (folder / "marker").stat().st_mtime)
        if "no-python" in names:
            report = replace(report, python_error=(folder / "no-python").read_text(errors="replace").strip()[-300:])
        if "answers.json" in names:
            report = replace(report, answers=json.loads((folder / "answers.json").read_text()))
    return report
