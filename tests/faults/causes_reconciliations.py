"""Reconciliations that are killed at each action or run at the same time, and a controller that fails meanwhile."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from kinds import fault
from scene import HERE, TIMEOUTS, NotCaused, Scene, pause

FIRST = ("trials", "intent", "sbatch", "record", "reconciler")
"""The actions of a sweep's first reconciliation, in order; keys of `dying_reconciliation.ACTIONS`."""


def _die(scene: Scene, when: str, action: str, *options: str) -> bool:
    """Run `submit`, which is killed before or after its first such action; return whether it was."""
    script = [sys.executable, str(HERE / "dying_reconciliation.py"), when, action, "submit", f"{scene.name}.yaml"]
    process = scene.spawn([*script, "--executor", "slurm", *options])
    output, _ = process.communicate(timeout=120)
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"status {process.returncode}: {output}")
    scene.caused += process.returncode == -signal.SIGKILL
    return process.returncode == -signal.SIGKILL


def _submit_killed(scene: Scene, when: str, action: str) -> None:
    """A submit dies, and the user repeats it."""
    scene.control()
    scene.write()
    if not _die(scene, when, action):
        raise NotCaused(f"the first reconciliation did not reach the action {action}")
    scene.submit()


for _when in ("before", "after"):
    for _action in FIRST:
        fault(f"submit killed {_when} {_action}", trials=3, epochs=6, after="submit")(
            partial(_submit_killed, when=_when, action=_action)
        )


@fault("submit killed at every action in turn", epochs=16, after="submit", seconds=90)
def every_action(scene: Scene) -> None:
    """In one sweep a submit dies at each action, also at those of later reconciliations."""
    scene.control()
    scene.write()
    # after sbatch the next reconciliation finds the jobs, so it records no submission; a job submits the reconciler job
    deaths = [(when, action) for action in FIRST[: FIRST.index("sbatch") + 1] for when in ("before", "after")]
    missed = [f"{when} {action}" for when, action in deaths if not _die(scene, when, action)]
    if missed:
        raise NotCaused(f"no reconciliation reached {', '.join(missed)}")
    scene.bed.run("scontrol", "requeue", scene.job_of(scene.victim(2)))
    # --watch must find a result before the reconciliation of its job does
    scene.env["UNETSWEEP_TIMEOUTS"] = f"{TIMEOUTS},watch=0.1"
    died = [_die(scene, when, "finish", "--watch") for when in ("before", "after")]
    if not any(died):
        raise NotCaused("the jobs' reconciliations recorded every result first")
    scene.submit()


@fault("two reconciliations at once, from two shells")
def two_shells(scene: Scene) -> None:
    scene.control()
    scene.write()
    arguments = ("submit", f"{scene.name}.yaml", "--executor", "slurm")
    for _ in range(2):
        shells = [scene.begin(*arguments) for _ in range(2)]
        for shell in shells:
            scene.end(shell)
        scene.caused += 1


@fault("the controller stopped during sbatch", after="submit")
def stopped_controller(scene: Scene) -> None:
    """sbatch reports a timeout, although the jobs were submitted."""
    pid = scene.bed.pid("slurmctld")
    _replace_sbatch(
        scene, f'kill -STOP {pid}; (sleep 15; kill -CONT {pid}) >/dev/null 2>&1 & command -p true; {{real}} "$@"'
    )
    scene.submit(status=None)
    _restore_sbatch(scene)
    scene.submit()


@fault("the controller killed 1 s after sbatch", after="submit", seconds=60)
def controller_killed_after_sbatch(scene: Scene) -> None:
    """After its restart it may have forgotten the jobs, and give their ids to other jobs."""
    pid = scene.bed.pid("slurmctld")
    _replace_sbatch(scene, f'{{real}} "$@"; status=$?; (sleep 1; kill -KILL {pid}) >/dev/null 2>&1 & exit $status')
    scene.submit(status=None)
    _restore_sbatch(scene)
    scene.wait(lambda: not scene.bed.pid("slurmctld"), "the controller is gone", 10)
    _restart_controller(scene)


@fault("the controller away for 15 s", epochs=20, seconds=50)
def controller_away(scene: Scene) -> None:
    scene.submit()
    scene.victim(3)
    scene.bed.kill("slurmctld", signal.SIGSTOP)
    scene.caused += 1
    scene.kill(scene.training_now()[0]["pid"])
    pause(15)
    scene.bed.kill("slurmctld", signal.SIGCONT)


@fault("the controller killed and started again", epochs=16, after="submit")
def controller_killed(scene: Scene) -> None:
    """If its saved state is older than the jobs and the reconciler job, it has forgotten all of them."""
    scene.submit()
    scene.victim(3)
    scene.bed.kill("slurmctld")
    scene.caused += 1
    pause(3)
    _restart_controller(scene)


@fault("the accounting away", needs=("dbd",), epochs=14)
def accounting_away(scene: Scene) -> None:
    """The accounting fails when it is needed, because a training has died."""
    scene.submit()
    fact = scene.victim()
    scene.bed.kill("slurmdbd")
    scene.caused += 1
    scene.kill(fact["pid"])
    pause(12)
    scene.bed.boot("slurmdbd")


def _restart_controller(scene: Scene) -> None:
    """Start the controller again, and submit now and then until the sweep has ended."""
    scene.bed.boot("slurmctld")
    scene.wait(lambda: scene.bed.run("sinfo", check=False), "the controller is back", 30)
    scene.expected.queued = True
    scene.wait(lambda: _submit_and_check(scene), "all has ended, with a user who submits again", 240)


def _submit_and_check(scene: Scene) -> bool:
    """Submit as a user would, and return whether the sweep has ended. No job may be left that reconciles."""
    pause(4)
    scene.unetsweep("submit", f"{scene.name}.yaml", "--executor", "slurm", status=None)
    return scene.ended()


def _replace_sbatch(scene: Scene, body: str) -> None:
    """Put a script before sbatch on PATH. Its first call runs `body`, which calls the real one as `{real}`."""
    real = next(p for p in ("/usr/bin/sbatch", "/usr/local/bin/sbatch") if os.path.exists(p))
    script = scene.folder / "bin" / "sbatch"
    script.parent.mkdir()
    mark = scene.folder / "sbatch-was-called"
    first = f'if [ -e {mark} ]; then exec {real} "$@"; fi; touch {mark}\n'
    script.write_text(f"#!/bin/bash\n{first}{body.replace('{real}', real)}\n")
    script.chmod(0o755)
    scene.env["PATH"] = f"{script.parent}:{scene.bed.env['PATH']}"


def _restore_sbatch(scene: Scene) -> None:
    """Take the script off PATH; NotCaused if it was never called."""
    if not Path(scene.folder / "sbatch-was-called").exists():
        raise NotCaused("sbatch was never called")
    scene.caused += 1
    scene.env.clear()
