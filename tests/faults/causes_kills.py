"""Faults that kill processes with SIGKILL, one of them or all at once."""

import contextlib
import os
import signal
import time
from pathlib import Path

from bed import until
from kinds import fault
from scene import NotCaused, Scene, command_of, pause


@fault("kill -9 of the trainer")
def trainer(scene: Scene) -> None:
    scene.submit()
    scene.kill(scene.victim()["pid"])


@fault("kill -9 of the rank")
def rank(scene: Scene) -> None:
    scene.submit()
    _kill_in_job(scene, "submitit.core._submit")


@fault("kill -9 of the batch shell")
def shell(scene: Scene) -> None:
    scene.submit()
    _kill_in_job(scene, "slurm_script")


@fault("kill -9 of slurmstepd", trials=2, epochs=60, seconds=60)
def stepd(scene: Scene) -> None:
    """The training's processes may survive without the slurmstepd of their step."""
    scene.submit()
    fact = scene.victim()
    parents = _parents(fact["pid"])
    pids = [pid for pid in parents if "slurmstepd" in command_of(pid)]
    if not pids:
        raise NotCaused(f"no slurmstepd above {fact['pid']}: {[command_of(pid) for pid in parents]}")
    scene.kill(pids[0])


@fault("kill -9 of the trainer in each start", epochs=14, seconds=70)
def trainer_twice(scene: Scene) -> None:
    """The same run dies twice: after one more death `run.retries.unexplained` gives it up."""
    scene.submit()
    first = scene.victim()
    scene.kill(first["pid"])
    scene.wait(
        lambda: [f for f in scene.training_now() if f["run"] == first["run"] and f["epoch"] > 8], "it trains again"
    )
    scene.kill(next(f for f in scene.training_now() if f["run"] == first["run"])["pid"])


@fault("every reconciliation in the jobs killed", trials=4)
def reconciliations(scene: Scene) -> None:
    """For 10 s every exit hook, periodic reconciliation and reconciler job is killed."""
    scene.submit()
    scene.wait_epochs(2)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for pid, command in list(scene.bed.processes()):
            if "-m unetsweep " in command and not command.startswith(("env", "timeout", "/bin/bash")):
                with contextlib.suppress(OSError):
                    scene.kill(pid)
        time.sleep(0.05)
    if not scene.caused:
        raise NotCaused("there was no reconciliation to kill")


@fault("every live job killed, nobody logged in", trials=4, seconds=50)
def everything(scene: Scene) -> None:
    """All processes of all jobs die at once; only the reconciler job is left, which had not begun."""
    scene.submit()
    scene.victim()
    for pid, command in list(scene.bed.processes()):
        if "unetsweep reconciler-job" not in command:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    scene.caused += 1


@fault("the reconciler job cancelled")
def reconciler(scene: Scene) -> None:
    """The reconciler job is cancelled; the reconciliations of the trainings submit another one."""
    scene.submit()
    scene.wait_epochs(2)
    queue = [line.split() for line in scene.bed.queue("%i %j")]
    tokens = {path.name.partition(".")[0] for path in scene.root.glob("submissions/*")}
    reconcilers = [job for job, name in queue if name.rpartition(".")[2] not in tokens]
    if not reconcilers:
        raise NotCaused(f"no reconciler job in {queue}")
    scene.bed.run("scancel", *reconcilers)
    scene.caused += 1
    pause(0.5)
    scene.kill(scene.victim()["pid"])


def _kill_in_job(scene: Scene, text: str) -> None:
    """Kill the processes of a training's job with this text on their command line."""
    fact = scene.victim()
    pids = scene.pids_of(fact["job"], text)
    if not pids:
        raise NotCaused(f"job {fact['job']} has no process with {text}")
    for pid in pids:
        with contextlib.suppress(OSError):
            scene.kill(pid)
    until(lambda: not command_of(fact["pid"]), 5)


def _parents(pid: int) -> list[int]:
    """The ancestors of a process, the nearest first."""
    found = []
    while pid > 1:
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        pid = int(text.rpartition(")")[2].split()[1])
        found.append(pid)
    return found
