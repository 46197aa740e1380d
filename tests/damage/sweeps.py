"""Three sweeps with every kind of file: one that has ended, one with trials in all states, and one that is paused."""

import json
import zipfile
from collections.abc import Callable, Mapping

import numpy as np

from unetsweep.atomic import write_json
from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml
from unetsweep.contract import Result, config_id, encode
from unetsweep.core import paths
from unetsweep.core.actions import Prune
from unetsweep.core.observation import JobState
from unetsweep.datasets.mask_png import encode_mask
from unetsweep.datasets.predicted_masks import PredictionsFile
from unetsweep.records import DataFile
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import read_config

from .bench import Bench

YAML = """\
name: s
data: {root: eyes}
space: {epochs: [8], batch_size: [4], learning_rate: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4]}
run: {keep_checkpoints: best}
"""
SPLIT = {part: {f"{part}-{k}": f"{k:064x}" for k in range(2)} for part in ("train", "val", "test")}
SUBMIT = ("submit", "results/s/sweep.yaml")


def make_finished(bench: Bench) -> None:
    """A sweep of which every trial is complete."""
    _begin(bench)
    for _ in range(8):
        _train(bench)
        _call(bench, *SUBMIT)
    assert not bench.cluster.live()


def make_running(bench: Bench) -> None:
    """Trial 0 is complete, 1 failed, 2 is in its second attempt, 3 and 4 run, and 5 and 6 were cancelled."""
    directory = _begin(bench)
    for each in bench.cluster.live():
        bench.cluster.start(each)
        _write_run(bench, each)
    jobs = {bench.cluster.run_of(each)[0]: each for each in bench.cluster.live()}
    _finish(bench, 0)
    _fail(bench, 1, "found nothing to train on")
    bench.cluster.die(jobs[1])
    bench.cluster.die(jobs[2])
    directory.record_exit(2, 1, 0, 137, None)
    directory.cancel_trial(5)
    directory.cancel_trial(6)
    _call(bench, *SUBMIT)
    _call(bench, "retry", "s", "1")
    for each in bench.cluster.live():
        if bench.cluster.run_of(each)[0] in (1, 2):
            bench.cluster.start(each)
    run = bench.root / paths.run_dir(3)
    write_json(run / "requeue-1-0.json", {"reason": "time", "epoch": 1, "at": bench.cluster.clock.now().isoformat()})
    directory.end_attempt(4, 1, "HANG", "no progress for an hour")
    directory.record_prune(Prune(4, 1, 4, (8,), 4, "worse than the median"))
    _call(bench, *SUBMIT)


def make_paused(bench: Bench) -> None:
    """All trials that have ended failed with the same error, so the sweep is paused; others wait."""
    _begin(bench, parallel=4)
    for each in bench.cluster.live()[:4]:
        bench.cluster.start(each)
        _write_run(bench, each)
        _fail(bench, bench.cluster.run_of(each)[0], "No module named 'torch'")
        bench.cluster.die(each)
    _call(bench, *SUBMIT)
    assert "paused" in _call(bench, "status", "s")


SWEEPS: Mapping[str, Callable[[Bench], None]] = {
    "finished": make_finished,
    "running": make_running,
    "paused": make_paused,
}


def _begin(bench: Bench, parallel: int = 7) -> SweepDir:
    spec = spec_from(f"{YAML}slurm: {{gpus: 0}}\n".replace("run: {", f"run: {{parallel: {parallel}, "), "s.yaml")
    directory = SweepDir(bench.root)
    directory.create(as_yaml(spec), "slurm", DataFile(SPLIT, val_groups={name: name for name in SPLIT["val"]}))
    _call(bench, *SUBMIT)
    return directory


def _call(bench: Bench, *arguments: str) -> str:
    answer = bench.call(*arguments)
    assert (answer.status, answer.bug) == (0, ""), answer
    return answer.out


def _train(bench: Bench) -> None:
    for each in bench.cluster.live():
        bench.cluster.start(each)
        _write_run(bench, each)
        _finish(bench, bench.cluster.run_of(each)[0])


def _write_run(bench: Bench, each: object) -> None:
    """What a training leaves after four epochs: progress, checkpoints and a log."""
    run, attempt = bench.cluster.run_of(each)  # type: ignore[arg-type]
    folder = bench.root / paths.run_dir(run)
    at = bench.cluster.clock.now().isoformat()
    lines = [{"schema": 1, "epoch": k, "val_iou": (k + run) / 10, "seconds": 2.0, "at": at} for k in range(1, 5)]
    (folder / f"progress-{attempt}-0.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / "checkpoints").mkdir(exist_ok=True)
    for name in ("last.ckpt", "best-8.ckpt", "candidate-4.ckpt"):
        with zipfile.ZipFile(folder / "checkpoints" / name, "w") as archive:
            archive.writestr("weights", bytes(500))
    job = each.job  # type: ignore[attr-defined]
    (bench.root / paths.job_log(job.token, job.job_id)).write_text("training\n")
    (bench.root / paths.awaited(job.token, job.index)).write_text(f"{folder}/{paths.milestone(8)}\n")


def _finish(bench: Bench, run: int) -> None:
    """Publish the run's result and end its job."""
    root = bench.root
    config = config_id(read_config(root / paths.trial_dir(run)))
    scores = {"dice": 0.5, "precision": 0.5, "sensitivity": 0.5, "image_iou_mean": 0.5, "image_iou_sd": 0.1}
    result = Result(
        config_id=config,
        epochs=8,
        epochs_run=8,
        best_epoch=4,
        val_iou=0.5 + run / 100,
        val_loss=0.1,
        test_iou=0.4,
        test_loss=0.2,
        val_scores=scores,
        test_scores=scores,
        val_per_image=({"image": "val-0", "tp": 1, "fp": 1, "fn": 0, "iou": 0.5, "loss": 0.1},),
        also_scored={"0": {"val_iou": 0.4, "test_iou": 0.3}},
        seconds=16.0,
        gpu_seconds=16.0,
        peak_memory_mb=100.0,
        checkpoint="checkpoints/best-8.ckpt",
        weights_sha256="0" * 64,
        versions={"torch": "2.9"},
        hardware={"cpu": "x"},
        host="n1",
    )
    folder = root / paths.run_dir(run) / "milestones"
    folder.mkdir(exist_ok=True)
    write_json(folder / "8.json", encode(result))
    kept = PredictionsFile("0" * 64, (encode_mask("val-0", np.eye(20, dtype=np.uint8)),))
    write_json(folder / "8.predictions.json", encode(kept))
    for each in bench.cluster.running():
        if bench.cluster.run_of(each)[0] == run:
            SweepDir(root).record_exit(run, bench.cluster.run_of(each)[1], 0, 0, None)
            bench.cluster._become(each, JobState.ENDED, "COMPLETED")


def _fail(bench: Bench, run: int, message: str) -> None:
    error = {"kind": "environment", "message": message, "attempt": 1, "restart": 0, "traceback": "", "rank": 0}
    write_json(bench.root / paths.run_dir(run) / "error-0.json", {**error, "at": bench.cluster.clock.now().isoformat()})
    SweepDir(bench.root).record_exit(run, 1, 0, 1, None)
