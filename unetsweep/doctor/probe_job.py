"""Doctor's test job: one small job that tells from its node what works there.

Rule 1: it is found by its name, which no other job has; whatever happens here, all jobs of that name are cancelled.
Rule 2: what it tells is read from files as they come; a job that never starts, or dies, has told what it had.
"""

import getpass
import json
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from unetsweep.core.observation import JobState
from unetsweep.core.spec import Resources
from unetsweep.doctor import payload
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands, parse
from unetsweep.schedulers.slurm.sbatch import sbatch

POLL_S = 0.3
QUEUE_S = 2.0
GRACE_S = 10.0
"""How long files may still show after the job has left the queue."""
UNSURE_S = 3.0
MINUTES = 2


def run(folder: Path, token: str, resources: Resources, timeout: float) -> dict[str, Any]:
    """What the job told: names of files and their content, `submitted`, `seen` (name -> when), `queue`, `refused`.

    All times are seconds since 1970 by this machine's clock. The job's name ends with `token`.
    """
    name = job_name(token)
    shutil.copy(payload.__file__, folder / "payload.py")
    script, inner = folder / "job.sh", folder / "inner.sh"
    script.write_text(_script(folder, name, resources))
    inner.write_text("#!/bin/bash\ntrue\n")
    held = ["sbatch", "--parsable", "--hold", "--output=/dev/null", f"--job-name={name}", *_asked(resources)]
    (folder / "inner.json").write_text(json.dumps([*held, str(inner)]))
    told: dict[str, Any] = {"submitted": time.time(), "seen": {}}
    try:
        job_id = told["job_id"] = sbatch(script, 60.0)
        _follow(folder, job_id, told, time.monotonic() + timeout)
    except SchedulerError as error:
        told["refused"] = str(error)
    finally:
        told |= _read(folder)
        told["left"] = clear(name, sure="job_id" in told)
    return told


def job_name(token: str) -> str:
    """
    >>> job_name("0f3a9c2e11d7")
    'unetsweep-doctor.0f3a9c2e11d7'
    """
    return f"unetsweep-doctor.{token}"


def clear(name: str, *, sure: bool, patience: float = 15.0) -> list[str]:
    """Cancel all jobs of this name, and wait until none is alive; the ids of those that still are.

    `sure` is False where an sbatch was broken off: its job may show a moment later.
    """
    began = time.monotonic()
    left: list[str] = []
    while time.monotonic() - began < patience:
        try:
            left = _alive(name)
            if not left and (sure or time.monotonic() - began > UNSURE_S):
                return []
            if left:
                commands.ask(("scancel", "--quiet", *left), 30.0)
        except SchedulerError:
            pass  # the next turn asks again
        time.sleep(0.5)
    return left


def _alive(name: str) -> list[str]:
    command = ("squeue", "--noheader", f"--user={getpass.getuser()}", f"--name={name}", "--format=%A")
    return commands.ask(command, 10.0).split()


def _asked(resources: Resources) -> list[str]:
    """sbatch's options for one CPU (and one GPU, where the profile has them)."""
    options: dict[str, object] = {
        "ntasks": 1,
        "cpus-per-task": 1,
        "time": MINUTES,
        "mem": "2G",
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "gpus-per-node": 1 if resources.gpus else None,
    }
    for key, value in resources.sbatch.items():
        told = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        options.setdefault(str(key).lstrip("-").replace("_", "-"), told)
    return [
        f"--{key}" if value is True else f"--{key}={value}"
        for key, value in options.items()
        if value is not None and value is not False
    ]


def _script(folder: Path, name: str, resources: Resources) -> str:
    """The job: at its first start all questions, then it queues itself again; the second start only says so."""
    here, python = shlex.quote(str(folder)), shlex.quote(resources.python or sys.executable)
    log = "/dev/null" if "%" in str(folder) else str(folder / "log")
    program = f'"$US_PYTHON" {here}/payload.py'
    options = [*_asked(resources), f"--job-name={name}", f"--output={log}", "--open-mode=append", "--requeue"]
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {shlex.quote(option)}" for option in options),
            f"cd {here} || exit 1",
            'date "+%s.%N" >"start-${SLURM_RESTART_COUNT:-0}"',
            '[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || exit 0',
            'export US_PATH="$PATH"',
            *resources.setup,
            f"US_PYTHON={python}",
            'if ! "$US_PYTHON" -c "" 2>python-said; then mv python-said no-python; US_PYTHON=python3; fi',
            f"{program} ask {here}",
            f"srun --ntasks=1 {program} step {here} 2>srun-said || mv srun-said no-srun",
            f"{program} requeue {here}",
            "echo done >done",
            "sleep 20  # where the requeue was accepted, SLURM ends us here",
            "",
        ]
    )


def _follow(folder: Path, job_id: str, told: dict[str, Any], end: float) -> None:
    """Look until the job has told all, is gone, or the time is over; and send it SIGUSR2 when it listens."""
    seen: dict[str, float] = told["seen"]
    asked, gone = 0.0, None
    while time.monotonic() < end and not _complete(folder):
        for path in folder.iterdir():
            seen.setdefault(path.name, time.time())
        if "step.json" in seen and "signalled" not in told:
            told["signalled"] = _signal(job_id)
        if time.monotonic() - asked > QUEUE_S:
            asked = time.monotonic()
            told["queue"] = _queue(job_id)
            gone = (gone or asked) if told["queue"].get("over") else None
        if gone is not None and time.monotonic() - gone > GRACE_S:
            return
        time.sleep(POLL_S)


def _complete(folder: Path) -> bool:
    """Whether there is nothing more to come."""
    said = _read(folder).get("requeue")
    return (folder / "start-1").exists() or (said is not None and said.get("status") != 0)


def _signal(job_id: str) -> str:
    """Empty where scancel took it, else its words."""
    try:
        commands.ask(("scancel", "--quiet", "--signal=USR2", job_id), 30.0)
    except SchedulerError as error:
        return str(error)
    return ""


def _queue(job_id: str) -> dict[str, Any]:
    """State word and reason, as squeue tells them."""
    command = ("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T|%r")
    try:
        word, _, reason = commands.ask(command, 10.0).strip().partition("|")
    except SchedulerError as error:
        return {"error": str(error), "over": "Invalid job id" in str(error)}
    state = parse.state_of(word)
    return {"word": word, "reason": reason, "over": not state.is_live, "waits": state is JobState.QUEUED}


def _read(folder: Path) -> dict[str, Any]:
    """Content of the files that the job left; those of JSON without their ending."""
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.name in ("payload.py", "job.sh", "inner.sh", "inner.json") or path.is_dir():
            continue
        try:
            text = path.read_text(errors="replace")
            found[path.stem if path.suffix == ".json" else path.name] = (
                json.loads(text) if path.suffix == ".json" else text.strip()[-500:]
            )
        except (OSError, ValueError):
            continue  # it is being written, or was taken away
    return found
