"""What doctor's test job asks on its node. Standard library only, for any Python from 3.7 that the profile names.

It runs as a file in the job's folder and is never imported on the node: unetsweep may be missing there, which is one of
the questions. The answers are written after each question: a job that is killed halfway has answered the first half.
"""

from __future__ import annotations  # an old Python must not evaluate them

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time

IMPORTS_S = 60  # half of the job's two minutes; from a network file system, torch may take ten seconds
STEP_S = 20  # a step starts within a second or two, and its signal arrives at once
COMMAND_S = 30  # a busy controller may need several seconds


def run_command(*command: str) -> tuple[str, str]:
    """Return the output and the problem (empty: none) of a command that runs as a job's exit hook would run it:
    with the PATH from before the profile's set-up, and without the job's variables."""
    outer = {k: v for k, v in os.environ.items() if k == "SLURM_CONF" or not k.startswith(("SLURM", "SBATCH", "SRUN"))}
    environment = dict(outer, PATH=os.environ.get("US_PATH", os.environ.get("PATH", "")))
    path = shutil.which(command[0], path=environment["PATH"])
    if path is None:
        return "", "not on PATH there"
    try:
        done = subprocess.run(
            [path, *command[1:]], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=COMMAND_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"no answer within {COMMAND_S} s"
    problem = "" if done.returncode == 0 else done.stderr.strip()[-300:] or f"exit status {done.returncode}"
    return done.stdout.strip(), problem


def reachable(host: str, port: int) -> str:
    """Return why no TCP connection can be made; empty if one can."""
    try:
        with socket.create_connection((host, port), timeout=5.0):
            return ""
    except OSError as error:
        return str(error) or type(error).__name__


def clock_offset() -> float:
    """Return how many seconds the node's clock is ahead of the file server's."""
    now = time.time()
    with open("marker", "w"):
        return now - os.stat("marker").st_mtime


def sbatch_problem() -> str:
    """Submit this job once more, held, and cancel that at once; return why the node cannot (empty: it can)."""
    output, problem = run_command("sbatch", "--parsable", "--hold", "job.sh")
    job_id = output.partition(";")[0]
    if job_id.isdigit():
        run_command("scancel", job_id)
    return problem or ("" if job_id.isdigit() else f"it printed no job id: {output[-300:]}")


def import_modules() -> dict[str, object]:
    """Return why a training's packages cannot be imported (empty: they can), how many GPUs torch sees, and why no
    network can be trained on them (empty: one can). Another process tries it: a broken GPU may end or block it."""
    with open("imports-output", "w") as output, open("imports-errors", "w") as errors:
        command = [sys.executable, os.path.abspath(__file__), "imports"]
        try:
            status = subprocess.run(command, stdout=output, stderr=errors, timeout=IMPORTS_S, check=False).returncode
        except subprocess.TimeoutExpired:
            status = None
    with open("imports-output") as output, open("imports-errors") as errors:
        lines, messages = output.read().splitlines(), errors.read().strip().splitlines()
    last = messages[-1][-300:] if messages else f"exit status {status}"
    if not lines:
        slow = {"error": f"not imported within {IMPORTS_S} s: the file system is slow"}
        return {"MODULES": slow if status is None else last}
    problem = f"no step within {IMPORTS_S} s" if status is None else "" if status == 0 else last
    found = {"MODULES": "", "GPUS": int(lines[0])}
    return found if not found["GPUS"] else {**found, "GPU_STEP": problem}


def train_on_every_gpu() -> None:
    """Import what a training needs, print the number of GPUs, and train on each for a step."""
    import pytorch_lightning  # noqa: F401
    import torch

    import unetsweep  # noqa: F401

    print(torch.cuda.device_count(), flush=True)  # noqa: T201
    for number in range(torch.cuda.device_count()):
        try:
            train_step(f"cuda:{number}")
        except RuntimeError as error:
            major, minor = torch.cuda.get_device_capability(number)
            builds = " ".join(torch.cuda.get_arch_list()) or "no GPU"
            sys.exit(
                f"{torch.cuda.get_device_name(number)} (sm_{major}{minor}): {str(error).splitlines()[0][:150]}; "
                f"torch {torch.__version__} is built for {builds}"
            )


def train_step(device: str) -> None:
    """Compute a convolution and its gradient."""
    import torch

    layer = torch.nn.Conv2d(3, 4, 3, padding=1).to(device)
    loss = layer(torch.rand(2, 3, 32, 32, device=device)).square().mean()
    loss.backward()
    if not bool(torch.isfinite(loss)) or layer.weight.grad is None:  # reading the loss also waits for the GPU
        raise RuntimeError(f"the loss is {float(loss)}")


def signal_step() -> str | dict[str, object]:
    """Return why SIGUSR2 does not reach a step of this job (empty: it does). The step waits for it like a training."""
    with open("srun-error", "w") as errors:
        step = subprocess.Popen(["srun", "--ntasks=1", sys.executable, "payload.py", "step"], stderr=errors)
    end = time.monotonic() + STEP_S
    while step.poll() is None and time.monotonic() < end and not os.path.exists("waiting"):
        time.sleep(0.1)
    problem = run_command("scancel", "--signal=USR2", os.environ["SLURM_JOB_ID"])[1]
    try:
        step.wait(STEP_S)
    except subprocess.TimeoutExpired:
        step.kill()
    if os.path.exists("signalled"):
        return ""
    if not os.path.exists("waiting"):
        with open("srun-error") as errors:
            problem = f"srun started no step: {errors.read().strip()[-300:]}"
    return {"SIGNAL": {"error": problem}} if problem else "does not reach the job's step"


def wait_for_signal() -> None:
    """Be the step: wait for SIGUSR2."""
    signal.signal(signal.SIGUSR2, lambda *_: open("signalled", "w").close())
    open("waiting", "w").close()
    end = time.monotonic() + STEP_S
    while time.monotonic() < end and not os.path.exists("signalled"):
        time.sleep(0.1)


QUESTIONS = {
    "NODE_NAME": lambda: os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
    "PYTHON_VERSION": platform.python_version,
    "NODE_CLOCK": clock_offset,
    "NODE_SQUEUE": lambda: run_command("squeue", "--noheader", "--me")[1],
    "NODE_SCONTROL": lambda: run_command("scontrol", "ping")[1],
    "NODE_SBATCH": sbatch_problem,
    "NODE_NETWORK": lambda: reachable("www.comet.com", 443),
    "MODULES": import_modules,
    "SIGNAL": signal_step,
    "REQUEUE": lambda: run_command("scontrol", "requeue", os.environ["SLURM_JOB_ID"])[1],
}
"""By the names of `rules.Check`: each returns the value of a fact, or several by name. The last one ends the job."""


def main() -> None:
    """Ask all questions, and write the answers so far after each."""
    answers: dict[str, object] = {}
    for name, question in QUESTIONS.items():
        try:
            answer: object = question()  # type: ignore[no-untyped-call] # each returns a type of its own
        except Exception as error:
            answer = {name: {"error": f"{type(error).__name__}: {error}"}}
        answers.update(answer if isinstance(answer, dict) else {name: answer})
        with open("answers.tmp", "w") as file:  # atomic by hand, since nodes may lack the package
            json.dump(answers, file)
        os.replace("answers.tmp", "answers.json")


if __name__ == "__main__":
    {"step": wait_for_signal, "imports": train_on_every_gpu}.get((sys.argv[1:] or [""])[0], main)()
