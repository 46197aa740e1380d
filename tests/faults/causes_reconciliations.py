"""A reconciliation killed at each of its deeds, passes side by side, and the controller away while one submits."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from kinds import fault
from scene import CLOCKS, HERE, NotCaused, Scene, pause

FIRST = ("trials", "intent", "sbatch", "record", "reconciler")
"""What the first reconciliation of a sweep does."""


def _die(scene: Scene, when: str, deed: str, *words: str) -> bool:
    """Whether the reconciliation came to this deed, and was killed there."""
    script = [sys.executable, str(HERE / "dying_pass.py"), when, deed, "submit", f"{scene.name}.yaml"]
    process = scene.spawn([*script, "--executor", "slurm", *words])
    said, _ = process.communicate(timeout=120)
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"status {process.returncode}: {said}")
    scene.caused += process.returncode == -signal.SIGKILL
    return process.returncode == -signal.SIGKILL


def _submit_killed(scene: Scene, when: str, deed: str) -> None:
    """The user sees it die, and types it again."""
    scene.control()
    scene.write()
    if not _die(scene, when, deed):
        raise NotCaused(f"the first reconciliation never came to {deed}")
    scene.submit()


for _when in ("before", "after"):
    for _action in FIRST:
        fault(f"submit killed {_when} {_action}", trials=3, epochs=6, after="submit")(
            partial(_submit_killed, when=_when, deed=_action)
        )


@fault("submit killed at every deed in turn", epochs=16, after="submit", seconds=90)
def every_deed(scene: Scene) -> None:
    """One sweep, and in it a death at each deed, also at those that later passes do."""
    scene.control()
    scene.write()
    # after sbatch the next reconciliation finds the jobs: it records no submission, and the jobs leave a reconciler job
    deeds = [(when, deed) for deed in FIRST[: FIRST.index("sbatch") + 1] for when in ("before", "after")]
    missed = [f"{when} {deed}" for when, deed in deeds if not _die(scene, when, deed)]
    if missed:
        raise NotCaused(f"no reconciliation came to {', '.join(missed)}")
    scene.bed.run("scontrol", "requeue", scene.job_of(scene.victim(2)))
    scene.env["UNETSWEEP_CLOCKS"] = (
        f"{CLOCKS},watch=0.1"  # to see a result before the reconciliation of its own job does
    )
    told = [_die(scene, when, "tell", "--watch") for when in ("before", "after")]
    if not any(told):
        raise NotCaused("the jobs' own reconciliations told every result first")
    scene.submit()


@fault("two reconciliations at once, from two shells")
def two_shells(scene: Scene) -> None:
    scene.control()
    scene.write()
    words = ("submit", f"{scene.name}.yaml", "--executor", "slurm")
    for _ in range(2):
        shells = [scene.begin(*words) for _ in range(2)]
        for shell in shells:
            scene.end(shell)
        scene.caused += 1


@fault("the controller stopped during sbatch", after="submit")
def stopped_controller(scene: Scene) -> None:
    """sbatch says that it timed out, and the jobs are there all the same."""
    pid = scene.bed.pid("slurmctld")
    _sbatch(scene, f'kill -STOP {pid}; (sleep 15; kill -CONT {pid}) >/dev/null 2>&1 & command -p true; {{real}} "$@"')
    scene.submit(status=None)
    _put_back(scene)
    scene.submit()


@fault("the controller killed 1 s after sbatch", after="submit", seconds=60)
def forgetful_controller(scene: Scene) -> None:
    """It may have forgotten the jobs when it comes back, and give their ids to others."""
    pid = scene.bed.pid("slurmctld")
    _sbatch(scene, f'{{real}} "$@"; status=$?; (sleep 1; kill -KILL {pid}) >/dev/null 2>&1 & exit $status')
    scene.submit(status=None)
    _put_back(scene)
    scene.wait(lambda: not scene.bed.pid("slurmctld"), "the controller is gone", 10)
    _back_again(scene)


@fault("the controller away for 15 s", epochs=20, seconds=50)
def controller_away(scene: Scene) -> None:
    scene.submit()
    scene.victim(3)
    scene.bed.kill("slurmctld", signal.SIGSTOP)
    scene.caused += 1
    scene.kill(scene.at_work()[0]["pid"])
    pause(15)
    scene.bed.kill("slurmctld", signal.SIGCONT)


@fault("the controller killed and started again", epochs=16, after="submit")
def controller_killed(scene: Scene) -> None:
    """Its state may be older than the jobs and the reconciler: then it has forgotten all of them."""
    scene.submit()
    scene.victim(3)
    scene.bed.kill("slurmctld")
    scene.caused += 1
    pause(3)
    _back_again(scene)


@fault("the accounting away", needs=("dbd",), epochs=14)
def accounting_away(scene: Scene) -> None:
    """Just when it would be asked: a training has died."""
    scene.submit()
    fact = scene.victim()
    scene.bed.kill("slurmdbd")
    scene.caused += 1
    scene.kill(fact["pid"])
    pause(12)
    scene.bed.boot("slurmdbd")


def _back_again(scene: Scene) -> None:
    scene.bed.boot("slurmctld")
    scene.wait(lambda: scene.bed.run("sinfo", check=False), "the controller is back", 30)
    scene.expected.queued = True
    scene.wait(lambda: _looked_after(scene), "all has ended, with a user who looks on", 240)


def _looked_after(scene: Scene) -> bool:
    """A user who types submit now and then: jobs and reconciler job may be forgotten, so nobody else is there."""
    pause(4)
    scene.unetsweep("submit", f"{scene.name}.yaml", "--executor", "slurm", status=None)
    return scene.ended()


def _sbatch(scene: Scene, body: str) -> None:
    """A script in the place of sbatch that does something to the controller, and calls the real one."""
    real = next(p for p in ("/usr/bin/sbatch", "/usr/local/bin/sbatch") if os.path.exists(p))
    script = scene.folder / "bin" / "sbatch"
    script.parent.mkdir()
    mark = scene.folder / "meddled"
    first = f'if [ -e {mark} ]; then exec {real} "$@"; fi; touch {mark}\n'
    script.write_text(f"#!/bin/bash\n{first}{body.replace('{real}', real)}\n")
    script.chmod(0o755)
    scene.env["PATH"] = f"{script.parent}:{scene.bed.env['PATH']}"


def _put_back(scene: Scene) -> None:
    if not Path(scene.folder / "meddled").exists():
        raise NotCaused("sbatch was never called")
    scene.caused += 1
    scene.env.clear()
