"""Faults of our own trainer: two DDP processes a training, and what it must equal is an uninterrupted one.

Rule: what it did is read from its claims and progress, for it writes no fact log; a checkpoint shows where it said so.
"""

import json
import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

from kinds import fault
from scene import NotCaused, Scene
from trainer import append

SWEEP = """\
name: {name}
data: {{root: eyes, image_size: 32, split: {{groups: groups.csv}}}}
space: {{epochs: [{epochs}], batch_size: [4], learning_rate: [{rates}]}}
model: {{base: 4, depth: 2}}
run: {{parallel: {parallel}, reconcile_interval: 5}}
slurm: {{processes: 2, time: 10m, mem: 3G}}
"""
SAME = ("val_iou", "val_loss", "test_iou", "test_loss", "best_epoch", "test_per_image")
OURS: dict[str, Any] = {"trials": 1, "epochs": 40, "needs": ("torch",), "seconds": 120}
CLOCKS = "unseen=15,result=3,hang=600,exit_timeout=30,reconciler=5"
TRAINS_S = 600.0
"""Two processes on two cores, of which others want some too."""


@fault("one of two DDP ranks killed", **OURS)
def ddp_rank(scene: Scene) -> None:
    """The other one is ended with it; the run is sent again."""
    run = _submit(scene)
    _wait_lines(scene, run, 3)
    fact = {"job": json.loads(_claims(run)[0].read_bytes())["job_id"].partition("_")[0]}
    ranks = [pid for pid in scene.pids_of(fact["job"], "submitit.core._submit") if _rank(pid) == "1"]
    if not ranks:
        raise NotCaused("rank 1 has no process")
    for pid in ranks:
        os.kill(pid, signal.SIGKILL)
    scene.caused += 1
    _judge(scene, run)


@fault("the end announced to our trainer, exact resume", **OURS)
def announced(scene: Scene) -> None:
    """SIGUSR2 as before a time limit or a preemption: it saves, leaves, is requeued, and repeats nothing."""
    run = _submit(scene)
    _wait_lines(scene, run, 3)
    scene.bed.run("scancel", "--signal=USR2", json.loads(_claims(run)[0].read_bytes())["job_id"])
    scene.wait(lambda: list(run.glob("requeue-*.json")), "it leaves in good order", TRAINS_S)
    scene.caused += 1
    _judge(scene, run)
    if not any(fact["event"] == "checkpoint" for fact in scene.facts()):
        raise NotCaused("it saved nothing")


@fault("our trainer diverges", **{**OURS, "epochs": 4})
def diverged(scene: Scene) -> None:
    """A learning rate at which no loss stays finite: told as diverged, and not tried again."""
    run = _submit(scene, rates="1e30")
    scene.wait(scene.ended, "it ends", TRAINS_S)
    scene.caused += 1
    scene.expect("diverged", "0000")
    scene.expected.twins = {0: {}}
    _write_facts(scene, run)
    if scene.starts(run.name) != 1:
        raise NotCaused(f"it was started {scene.starts(run.name)} times")


def _submit(scene: Scene, rates: str = "1e-2") -> Path:
    scene.env["UNETSWEEP_CLOCKS"] = CLOCKS  # importing torch is no hang
    scene.unetsweep("data", "sample", "eyes", "--size", "48", "--eyes", "4")
    text = SWEEP.format(name=scene.name, epochs=scene.epochs, rates=rates, parallel=1)
    (scene.folder / f"{scene.name}.yaml").write_text(text)
    scene.unetsweep("submit", f"{scene.name}.yaml", "--executor", "slurm")
    return scene.root / "runs" / "0000"


def _judge(scene: Scene, run: Path) -> None:
    """Wait for its end, and train the same by hand: the numbers must be equal."""
    scene.wait(scene.ended, "it ends", TRAINS_S)
    alone = _alone(scene)
    scene.expected.twins = {0: {name: alone[name] for name in SAME}}
    _write_facts(scene, run)


def _alone(scene: Scene) -> dict[str, Any]:
    """The result of a training that nobody disturbs. It is the same for all cases, so one of them trains it."""
    known = scene.shared / f"alone-{scene.epochs}.json"
    if not known.exists():
        scene.unetsweep("train", str(scene.root / "trials/0000/config.json"), "--out", "alone")
        os.replace(scene.folder / "alone" / "result.json", known)
    alone: dict[str, Any] = json.loads(known.read_bytes())
    return alone


def _claims(run: Path) -> list[Path]:
    return sorted((run / "claims").glob("*"), key=lambda path: tuple(map(int, path.name.split("-"))))


def _wait_lines(scene: Scene, run: Path, count: int) -> None:
    def lines() -> int:
        return sum(path.read_text().count("\n") for path in run.glob("progress-*.jsonl"))

    scene.wait(lambda: lines() >= count, f"{count} epochs are finished", TRAINS_S)
    if scene.ended():
        raise NotCaused("it had ended by then")


def _rank(pid: int) -> str:
    for each in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if each.startswith(b"SLURM_PROCID="):
            return each.partition(b"=")[2].decode()
    return ""


def _write_facts(scene: Scene, run: Path) -> None:
    """What its files say that it did, in the words of the fact log."""
    saved = 0
    for path in _claims(run):
        claim = json.loads(path.read_bytes())
        who = {"run": run.name, "claim": path.name, "pid": claim["pid"], "node": claim["node"]}
        progress = run / f"progress-{path.name}.jsonl"
        lines = [json.loads(line) for line in progress.read_text().splitlines()] if progress.exists() else []
        begin = lines[0]["epoch"] - 1 if lines else saved
        append(scene.facts_path, {**who, "event": "start", "epoch": begin, "time": _seconds(claim["at"])})
        for line in lines:
            append(scene.facts_path, {**who, "event": "epoch", "epoch": line["epoch"], "time": _seconds(line["at"])})
        for again in run.glob(f"requeue-{path.name}.json"):
            said = json.loads(again.read_bytes())
            saved = said["epoch"]
            saved = {"event": "checkpoint", "epoch": said["epoch"], "time": _seconds(said["at"])}
            append(scene.facts_path, {**who, **saved})


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
