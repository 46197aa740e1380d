"""Faults of disks, files, environments, code and the trainer."""

import shutil
import subprocess
import sys
from pathlib import Path

from kinds import fault
from scene import PATIENCE_S, NotCaused, Scene, pause

import unetsweep
from unetsweep.core import paths


@fault("out of memory", shape={"mem": "300M", "slurm": ", mem_max: 1200M"}, trials=2, epochs=6, seconds=80)
def memory(scene: Scene) -> None:
    """One trial needs more memory than its job has; twice as much is enough."""
    scene.control(_0001={"allocate_mb": 320})
    scene.submit()
    scene.wait(lambda: scene.starts("0001") > 1, "it is resubmitted")
    scene.caused += 1


@fault("time limit", trials=2, epochs=140, shape={"time": "1m"}, seconds=110)
def time_limit(scene: Scene) -> None:
    """The training takes longer than a job may run: it stops with a checkpoint and continues, as often as necessary."""
    scene.control(seconds=0.5)
    scene.submit()
    scene.wait(lambda: any(f["reason"] == "requeue" for f in scene.facts("leave")), "it stops before the limit")
    scene.caused += 1


@fault("time limit, and the trainer ignores it", trials=1, epochs=200, shape={"time": "1m"}, seconds=130)
def ignored_time_limit(scene: Scene) -> None:
    scene.control(seconds=0.5)
    text = (scene.folder / "trainer.py").read_text()
    (scene.folder / "trainer.py").write_text(text.replace("reason = self.pruned() or self.late()", "reason = None"))
    scene.submit()
    # until then SLURM needs the 60 s of the job, up to 30 s to notice that they are over, and KillWait
    scene.wait(lambda: scene.starts("0000") > 1, "it is killed at the limit and resubmitted", 2 * PATIENCE_S)
    scene.caused += 1


@fault("a hang")
def hang(scene: Scene) -> None:
    scene.control(_0001={"hang_at": 6, "claims": ["1-0"]})
    scene.submit()
    scene.wait(lambda: scene.facts("hang"), "it hangs")
    scene.caused += 1


@fault("a full disk", needs=("root",), after="submit", epochs=14)
def disk(scene: Scene) -> None:
    """The results are on a small tmpfs that is full for some seconds; then the user frees space and submits."""
    results = scene.folder / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "none", results], check=True)
    scene.submit()
    scene.victim()
    _fill(results / "ballast")
    scene.caused += 1
    pause(4)
    (results / "ballast").unlink()
    pause(1)
    scene.unetsweep("submit", f"{scene.name}.yaml", "--executor", "slurm")
    if scene.bed.queue():
        return
    scene.unetsweep("retry", scene.name, status=None)


@fault("corrupt files")
def corrupt(scene: Scene) -> None:
    """What a crashed node leaves: the trainer is gone, and its files lack their last bytes."""
    scene.submit()
    fact = scene.victim()
    scene.kill(fact["pid"])
    run = scene.root / "runs" / fact["run"]
    for path in (run / "checkpoint.json", run / f"progress-{fact['claim']}.jsonl", scene.root / "ledger.jsonl"):
        path.write_bytes(path.read_bytes()[:-7])
        scene.caused += 1
    scene.expected.corrupt = True


@fault("a corrupt journal")
def journal(scene: Scene) -> None:
    scene.submit()
    scene.wait(lambda: (scene.root / paths.STUDY).exists(), "the journal is there")
    path = scene.root / paths.STUDY
    path.write_bytes(path.read_bytes()[:-9])
    scene.caused += 1


@fault("a bad venv", after="retry", epochs=6, seconds=100)
def bad_venv(scene: Scene) -> None:
    """The Python of the jobs has no packages; the sweep is paused, the user repairs the setting and retries."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", scene.folder / "venv"], check=True)
    scene.submit(slurm=f", python: {scene.folder / 'venv/bin/python'}")
    scene.wait(lambda: "the sweep is paused" in _status(scene) or scene.ended(), "the sweep is paused")
    if scene.facts():
        raise NotCaused("its jobs trained nevertheless")
    scene.caused += 1
    scene.expected.retried = len(scene.results())
    scene.write()
    scene.unetsweep("submit", f"{scene.name}.yaml", "--executor", "slurm")
    scene.unetsweep("retry", scene.name)


@fault("an error in the trainer's code", after="retry")
def bug(scene: Scene) -> None:
    scene.control(raise_at=3)
    scene.submit()
    scene.wait(lambda: "the sweep is paused" in _status(scene) or scene.ended(), "the sweep is paused")
    scene.caused += len(scene.facts("raise"))
    scene.wait(lambda: not scene.training_now(), "nothing trains")
    pause(3)
    scene.expected.retried = scene.trials
    scene.control()
    scene.unetsweep("retry", scene.name)


@fault("a loss that is not finite")
def diverged(scene: Scene) -> None:
    scene.control(_0001={"diverge_at": 4})
    scene.submit()
    scene.expect("diverged", "0001")
    scene.caused += 1


@fault("the checkout edited during the sweep", trials=4, epochs=12)
def edited(scene: Scene) -> None:
    """The checkout that submitted the sweep breaks while array elements are pending."""
    package = scene.folder / "checkout" / "unetsweep"
    shutil.copytree(Path(unetsweep.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    scene.env["PYTHONPATH"] = str(package.parent)
    scene.submit()
    scene.wait_epochs(2)
    if not (scene.root / paths.CODE).exists():
        raise NotCaused("jobs do not run a copy of the package")
    for name in ("worker/claim.py", "cli/exit_hook.py", "core/plan.py"):
        (package / name).write_text("an unfinished edit")
    scene.env.clear()
    scene.caused += 1


def _status(scene: Scene) -> str:
    return scene.unetsweep("status", scene.name, status=None)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as stream:
        size = 65536
        while size:
            try:
                stream.write(b"0" * size)
            except OSError:
                size //= 2
