"""What doctor's test job runs on its node: standard library only, by whatever Python the profile names.

Rule 1: run as a file, never imported there: unetsweep may be missing on the node, which is one of the questions.
Rule 2: each answer is written down at once, whole; a job that is killed half-way has told the first half.

PHASE FOLDER: `ask` (all questions), `step` (waits for SIGUSR2, under srun), `requeue` (the job queues itself again).
"""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

IMPORTS_S = 60
STEP_S = 25
COMMAND_S = 30

Answers = dict[str, object]


def write(folder: str, name: str, content: object) -> None:
    """Replace a file, whole."""
    path = os.path.join(folder, name)
    with open(path + ".tmp", "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)


def run(command: list[str], seconds: float, **more: str) -> Answers:
    """What a command said, with the PATH from before the profile's lines and without the job's variables: as a
    exit hook is run."""
    kept = {k: v for k, v in os.environ.items() if k == "SLURM_CONF" or not k.startswith(("SLURM", "SBATCH", "SRUN"))}
    environment = {**kept, "PATH": os.environ.get("US_PATH", os.environ.get("PATH", "")), **more}
    path = shutil.which(command[0], path=environment["PATH"])
    if path is None:
        return {"there": False}
    try:
        done = subprocess.run(
            [path, *command[1:]], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"there": True, "said": f"no answer within {seconds:g} s"}
    return {
        "there": True,
        "status": done.returncode,
        "out": done.stdout.strip()[-300:],
        "said": done.stderr.strip()[-300:],
    }


def reachable(host: str, port: int, seconds: float = 5.0) -> str:
    """Empty where a TCP connection is made, else why not."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return ""
    except OSError as error:
        return str(error) or type(error).__name__


def submission(folder: str) -> Answers:
    """A real sbatch of a held job, cancelled at once."""
    with open(os.path.join(folder, "inner.json")) as file:
        command = json.load(file)
    said = run(command, COMMAND_S)
    job = str(said.get("out", "")).partition(";")[0].strip()
    if said.get("status") == 0 and job.isdigit():
        said["job"] = job
        run(["scancel", job], COMMAND_S)
    return said


def trial_submission(folder: str) -> Answers:
    """The same, only asked whether it would be taken."""
    with open(os.path.join(folder, "inner.json")) as file:
        command = json.load(file)
    return run([command[0], "--test-only", *command[1:]], COMMAND_S)


def imports() -> Answers:
    """Version of each module, or why it cannot be imported; and how many GPUs torch sees."""
    text = (
        "import sys; sys.path[:] = [part for part in sys.path if part]\n"  # not the working directory
        "import importlib, json\n"
        "for name in ('unetsweep', 'torch', 'pytorch_lightning'):\n"
        "    try: said = {name: str(getattr(importlib.import_module(name), '__version__', 'there'))}\n"
        "    except BaseException as error: said = {name: None, name + '_error': repr(error)[:200]}\n"
        "    if said.get('torch'): said['gpus'] = sys.modules['torch'].cuda.device_count()\n"
        "    print(json.dumps(said), flush=True)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, timeout=IMPORTS_S, check=False
        )
        out = done.stdout
    except subprocess.TimeoutExpired as error:
        out = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else ""
    found: Answers = {}
    for line in out.splitlines():
        if line.startswith("{"):
            found.update(json.loads(line))
    if "pytorch_lightning" not in found:
        found["slow"] = f"not imported within {IMPORTS_S} s"
    return found


def ask(folder: str) -> None:
    """All the questions, in order of how long they take."""
    answers: Answers = {
        "python": sys.executable,
        "version": platform.python_version(),
        "node": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "end_time": os.environ.get("SLURM_JOB_END_TIME"),
    }
    wrote = time.time()
    write(folder, "marker.json", {"at": wrote})  # its time of change is the file server's
    questions: dict[str, Callable[[], object]] = {
        "node_mtime": lambda: os.stat(os.path.join(folder, "marker.json")).st_mtime,
        "node_time": lambda: wrote,
        "squeue": lambda: run(["squeue", "--noheader", "--me"], COMMAND_S),
        "scontrol": lambda: run(["scontrol", "ping"], COMMAND_S),
        "test_only": lambda: trial_submission(folder),
        "sbatch": lambda: submission(folder),
        "network": lambda: reachable("www.comet.com", 443),
        "imports": imports,
    }
    for name, question in questions.items():
        try:
            answers[name] = question()
        except Exception as error:
            answers[name] = {"error": f"{type(error).__name__}: {error}"}
        write(folder, "answers.json", answers)
    write(folder, "asked.json", answers)


def step(folder: str) -> None:
    """Wait for SIGUSR2 in a step of the job."""
    signal.signal(signal.SIGUSR2, lambda *_: write(folder, "usr2.json", {"at": time.time()}))
    write(folder, "step.json", {"at": time.time()})
    end = time.monotonic() + STEP_S
    while time.monotonic() < end and not os.path.exists(os.path.join(folder, "usr2.json")):
        time.sleep(0.1)


def requeue(folder: str) -> None:
    """Queue this job again; where that is accepted, this process is ended soon."""
    said = run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], COMMAND_S)
    write(folder, "requeue.json", said)


if __name__ == "__main__":
    {"ask": ask, "step": step, "requeue": requeue}[sys.argv[1]](sys.argv[2])
