"""Faults of our own trainer with two DDP processes: its results must equal those of an uninterrupted training.

Rule: it writes no fact log, so the facts are read from its claims, progress and requeue files.
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
TIMEOUTS = "unlisted_grace=15,result_grace=3,hang_after=600,exit_timeout=30,reconciler=5"
TRAINS_S = 600.0
"""A bound: two processes train on two cores that other tests use too."""


@fault("one of two DDP ranks killed", **OURS)
def ddp_rank(scene: Scene) -> None:
    """The other rank is ended with it, and the run is resubmitted."""
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


@fault("SIGUSR2 to our trainer, exact resume", **OURS)
def signalled(scene: Scene) -> None:
    """After SIGUSR2, as before a time limit, it saves a checkpoint, exits, is requeued, and repeats nothing."""
    run = _submit(scene)
    _wait_lines(scene, run, 3)
    scene.bed.run("scancel", "--signal=USR2", json.loads(_claims(run)[0].read_bytes())["job_id"])
    scene.wait(lambda: list(run.glob("requeue-*.json")), "it stops with a checkpoint", TRAINS_S)
    scene.caused += 1
    _judge(scene, run)
    if not any(fact["event"] == "checkpoint" for fact in scene.facts()):
        raise NotCaused("it saved nothing")


@fault("our trainer diverges", **{**OURS, "epochs": 4})
def diverged(scene: Scene) -> None:
    """No loss stays finite at this learning rate: the trial ends as diverged, and is not retried."""
    run = _submit(scene, rates="1e6")
    scene.wait(scene.ended, "it ends", TRAINS_S)
    scene.caused += 1
    scene.expect("diverged", "0000")
    scene.expected.twins = {0: {}}
    _write_facts(scene, run)
    if scene.starts(run.name) != 1:
        raise NotCaused(f"it was started {scene.starts(run.name)} times")


def _submit(scene: Scene, rates: str = "1e-2") -> Path:
    scene.env["UNETSWEEP_TIMEOUTS"] = TIMEOUTS  # importing torch is no hang
    scene.unetsweep("data", "sample", "eyes", "--size", "48", "--eyes", "4")
    text = SWEEP.format(name=scene.name, epochs=scene.epochs, rates=rates, parallel=1)
    (scene.folder / f"{scene.name}.yaml").write_text(text)
    scene.unetsweep("submit", f"{scene.name}.yaml", "--executor", "slurm")
    return scene.root / "runs" / "0000"


def _judge(scene: Scene, run: Path) -> None:
    """Wait for the end of the sweep, and expect the numbers of an uninterrupted training."""
    scene.wait(scene.ended, "it ends", TRAINS_S)
    uninterrupted = _uninterrupted(scene)
    scene.expected.twins = {0: {name: uninterrupted[name] for name in SAME}}
    _write_facts(scene, run)


def _uninterrupted(scene: Scene) -> dict[str, Any]:
    """The result of an uninterrupted training. It is equal for all cases, so only the first one trains it."""
    known = scene.shared / f"uninterrupted-{scene.epochs}.json"
    if not known.exists():
        scene.unetsweep("train", str(scene.root / "trials/0000/config.json"), "--out", "uninterrupted")
        os.replace(scene.folder / "uninterrupted" / "result.json", known)
    result: dict[str, Any] = json.loads(known.read_bytes())
    return result


def _claims(run: Path) -> list[Path]:
    """The claim files of a run, the oldest first."""
    return sorted((run / "claims").glob("*"), key=lambda path: tuple(map(int, path.name.split("-"))))


def _wait_lines(scene: Scene, run: Path, count: int) -> None:
    """Wait until the run has finished so many epochs; NotCaused if it has ended by then."""

    def lines() -> int:
        return sum(path.read_text().count("\n") for path in run.glob("progress-*.jsonl"))

    scene.wait(lambda: lines() >= count, f"{count} epochs are finished", TRAINS_S)
    if scene.ended():
        raise NotCaused("it had ended by then")


def _rank(pid: int) -> str:
    """The rank of a process of a SLURM step."""
    for each in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if each.startswith(b"SLURM_PROCID="):
            return each.partition(b"=")[2].decode()
    return ""


def _write_facts(scene: Scene, run: Path) -> None:
    """Append what the files of the run say to the fact log."""
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
        for path_of_requeue in run.glob(f"requeue-{path.name}.json"):
            requeue = json.loads(path_of_requeue.read_bytes())
            saved = requeue["epoch"]
            append(scene.facts_path, {**who, "event": "checkpoint", "epoch": saved, "time": _seconds(requeue["at"])})


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
