"""Processes killed with -9, one by one and all at once."""

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
    _kill_of_job(scene, "submitit.core._submit")


@fault("kill -9 of the batch shell")
def shell(scene: Scene) -> None:
    scene.submit()
    _kill_of_job(scene, "slurm_script")


@fault("kill -9 of the step's supervisor", trials=2, epochs=60, seconds=60)
def stepd(scene: Scene) -> None:
    """slurmstepd of the step in which the training runs: its processes may live on, and nobody holds them."""
    scene.submit()
    fact = scene.victim()
    parents = _parents(fact["pid"])
    pids = [pid for pid in parents if "slurmstepd" in command_of(pid)]
    if not pids:
        raise NotCaused(f"no slurmstepd above {fact['pid']}: {[command_of(pid) for pid in parents]}")
    scene.kill(pids[0])


@fault("kill -9 of the trainer in each start", epochs=14, seconds=70)
def trainer_twice(scene: Scene) -> None:
    """Two times the same run: more is what `run.retries.unexplained` gives up."""
    scene.submit()
    first = scene.victim()
    scene.kill(first["pid"])
    scene.wait(lambda: [f for f in scene.at_work() if f["run"] == first["run"] and f["epoch"] > 8], "it comes again")
    scene.kill(next(f for f in scene.at_work() if f["run"] == first["run"])["pid"])


@fault("every reconciliation in the jobs killed", trials=4)
def passes(scene: Scene) -> None:
    """Exit hooks, periodic reconciliations and reconciler jobs, for as long as there are some."""
    scene.submit()
    scene.wait_epochs(2)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for pid, words in list(scene.bed.processes()):
            if "-m unetsweep " in words and not words.startswith(("env", "timeout", "/bin/bash")):
                with contextlib.suppress(OSError):
                    scene.kill(pid)
        time.sleep(0.05)
    if not scene.caused:
        raise NotCaused("no reconciliation was at work")


@fault("every live job killed, nobody logged in", trials=4, seconds=50)
def everything(scene: Scene) -> None:
    """All that the jobs are, at once: only the reconciler job is left, which had not begun."""
    scene.submit()
    scene.victim()
    for pid, words in list(scene.bed.processes()):
        if "unetsweep reconciler-job" not in words:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    scene.caused += 1


@fault("the reconciler job cancelled")
def reconciler(scene: Scene) -> None:
    """The queue loses the one job that looks after the sweep; the trainings' own reconciliations leave another."""
    scene.submit()
    scene.wait_epochs(2)
    names = [line.split() for line in scene.bed.queue("%i %j")]
    mine = {path.name.partition(".")[0] for path in scene.root.glob("submissions/*")}
    reconcilers = [job for job, name in names if name.rpartition(".")[2] not in mine]
    if not reconcilers:
        raise NotCaused(f"no reconciler job in {names}")
    scene.bed.run("scancel", *reconcilers)
    scene.caused += 1
    pause(0.5)
    scene.kill(scene.victim()["pid"])


def _kill_of_job(scene: Scene, word: str) -> None:
    fact = scene.victim()
    pids = scene.pids_of(fact["job"], word)
    if not pids:
        raise NotCaused(f"job {fact['job']} has no process with {word}")
    for pid in pids:
        with contextlib.suppress(OSError):
            scene.kill(pid)
    until(lambda: not command_of(fact["pid"]), 5)


def _parents(pid: int) -> list[int]:
    found = []
    while pid > 1:
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        pid = int(text.rpartition(")")[2].split()[1])
        found.append(pid)
    return found
