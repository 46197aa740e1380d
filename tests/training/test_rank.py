"""One rank of a training in a job, from its claim to the files that it writes."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import training_scenes as scenes

from unetsweep.atomic import write_json
from unetsweep.contract import TrialConfig
from unetsweep.core.actions import Element
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.worker.claim import ElementStart
from unetsweep.worker.rank import run_rank

pytestmark = pytest.mark.train

SWEEP = """\
name: eyes
data: {root: ROOT}
space: {epochs: [3], batch_size: [4], learning_rate: [1e-3]}
slurm: {time: 10m}
"""


class Sweep:
    """A sweep with one submitted trial."""

    def __init__(self, folder: Path, config: TrialConfig, **attempt: Any) -> None:
        self.directory = SweepDir(folder / "eyes")
        self.directory.create(SWEEP.replace("ROOT", config.data.root), "slurm")
        self.directory.add_trials([config], {})
        self.token, _ = self.directory.create_attempts([Element(0, 1, ((0, config.epochs),))], None, "array")
        self.run = self.directory.root / "runs/0000"
        intent = self.run / "attempts/1.json"
        if attempt:
            write_json(intent, {**json.loads(intent.read_text()), **attempt})

    def start(self, restart: int = 0) -> ElementStart:
        return ElementStart(self.directory.root, self.token, 0, restart, "7")

    def read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run / name).read_text())
        return found


def rank(context: Any, out: Path, start: ElementStart, ends_in: float | None = None, fails_in: int = 0) -> None:
    """`run_rank` in a job that ends in `ends_in` seconds, and runs out of memory in epoch `fails_in`."""
    from unetsweep.training import lightning_compat, module

    os.environ["SLURMD_NODENAME"] = "n1"
    if ends_in is not None:
        os.environ["SLURM_JOB_END_TIME"] = f"{time.time() + ends_in:.0f}"
        os.environ["PATH"] = ""  # there is no squeue
    whole = module.Segmentation.training_step

    def step(self: Any, batch: Any, batch_idx: int) -> Any:
        if lightning_compat.epochs_done(self.trainer) + 1 == fails_in:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(self, batch, batch_idx)

    module.Segmentation.training_step = step  # type: ignore[method-assign]
    run_rank(start, context.rank, context.size, limited=ends_in is not None)


def test_running_out_of_gpu_memory_is_recorded_with_the_finished_epochs(root: Path, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, scenes.config(root))
    assert scenes.run(rank, tmp_path / "out", sweep.start(), fails_in=2) == [1]
    record = sweep.read("error-0.json")
    assert (record["kind"], record["epochs_done"], record["attempt"]) == ("gpu_memory", 1, 1)
    assert record["message"].startswith("OutOfMemoryError: CUDA out of memory")


def test_the_micro_batch_of_the_attempt_is_used_and_recorded(root: Path, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, scenes.config(root, epochs=1), micro_batch=2)
    assert scenes.run(rank, tmp_path / "out", sweep.start()) == [0]
    assert sweep.read("milestones/1.json")["micro_batch"] == 2
    assert sweep.read("claims/1-0")["node"] == "n1"


def test_a_training_stops_after_an_epoch_if_the_end_of_its_job_is_near_and_continues_in_the_next_start(
    root: Path, tmp_path: Path
) -> None:
    sweep = Sweep(tmp_path, scenes.config(root))
    for restart in range(2):
        assert scenes.run(rank, tmp_path / "out", sweep.start(restart), ends_in=5) == [0]
        record = sweep.read(f"requeue-1-{restart}.json")
        assert record["epoch"] == restart + 1
        assert record["reason"].startswith("the time limit is near")
    assert scenes.run(rank, tmp_path / "out", sweep.start(2), ends_in=3600) == [0]
    assert sweep.read("milestones/3.json")["state"] == "complete"
    assert not list(sweep.run.glob("error-*"))


def test_a_signal_far_from_the_time_limit_stops_the_training_at_the_end_of_the_epoch(
    root: Path, tmp_path: Path
) -> None:
    sweep = Sweep(tmp_path, scenes.config(root, epochs=2000))
    ranks = scenes.start(rank, tmp_path / "out", sweep.start(), ends_in=3600)
    log = sweep.run / "progress-1-0.jsonl"
    while not log.exists() or not log.read_text():
        assert ranks[0].is_alive()
        time.sleep(0.01)
    os.kill(ranks[0].pid, signal.SIGUSR2)
    assert scenes.wait(ranks) == [0]
    record = sweep.read("requeue-1-0.json")
    assert record["reason"] == "preemption announced"
    assert record["epoch"] == len(log.read_text().splitlines()) < 2000


def test_the_error_of_a_corrupt_checkpoint_says_how_its_run_can_be_trained_again(root: Path, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, scenes.config(root))
    (sweep.run / "checkpoints").mkdir()
    (sweep.run / "checkpoints/last.ckpt").write_bytes(b"PK\x03\x04 corrupt")
    assert scenes.run(rank, tmp_path / "out", sweep.start()) == [1]
    record = sweep.read("error-0.json")
    assert (record["kind"], record["epochs_done"]) == ("environment", 0)
    assert "last.ckpt is no checkpoint of a run" in record["message"]
    advice = "; move it away, then run `unetsweep retry eyes --failed` to train from the first epoch"
    assert record["message"].endswith(advice)


def test_a_third_start_after_two_that_the_time_limit_ended_fails_with_that_reason(root: Path, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, scenes.config(root))
    for restart, at in enumerate(("00:00", "00:10")):
        write_json(sweep.run / f"attempts/1.exit-{restart}.json", {"at": f"2026-01-01T{at}:59+00:00", "status": 143})
        (sweep.run / "claims").mkdir(exist_ok=True)
        begin = f"2026-01-01T00:0{restart}:00+00:00" if restart else "2025-12-31T23:51:00+00:00"
        write_json(sweep.run / f"claims/1-{restart}", {"job_id": "7", "at": begin})
        write_json(sweep.run / f"requeue-1-{restart}.json", {"reason": "the time limit is near: 9 s are left"})
    assert scenes.run(rank, tmp_path / "out", sweep.start(2), ends_in=600) == [1]
    record = sweep.read("error-0.json")
    assert record["kind"] == "time"
    assert "and the limit of the job is 10 min; raise slurm.time" in record["message"]


def test_the_config_of_another_trial_is_not_trained(root: Path, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, scenes.config(root, epochs=1))
    path = sweep.directory.root / "trials/0000/config.json"
    write_json(path, {**json.loads(path.read_text()), "learning_rate": 0.5})
    assert scenes.run(rank, tmp_path / "out", sweep.start()) == [1]
    assert (
        sweep.read("error-0.json")["message"] == f"{path} is the config of another trial; run `unetsweep repair eyes`"
    )
