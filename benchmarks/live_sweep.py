"""A sweep with many trials, for `live_view`. Its files are real, the queue that lists its jobs is not."""

import json
import random
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.report_ratio import made_up_result
from unetsweep.atomic import link_all
from unetsweep.clock import utc_now
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, Split, TrialConfig, encode
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.core.observation import Job, JobState
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import RunSpec, StudySpec, SweepSpec
from unetsweep.store.sweep_dir import SweepDir

EPOCHS, DONE = 50, 30
"""Of each trial: those that it asks for, and those that a running one has finished."""


def make_sweep(root: Path, trials: int, running: int) -> None:
    """Make a sweep whose last `running` trials run, each with progress; all before them are complete."""
    at = utc_now() - timedelta(minutes=DONE + 1)
    directory = SweepDir(root, lambda: at)
    data = DataConfig("images", split=Split(groups="none"))
    space = Space.of(epochs=Choices((EPOCHS,)), batch_size=Choices((4,)), learning_rate=Range(1e-5, 1e-1, log=True))
    study = StudySpec("random", trials=trials)
    directory.create(as_yaml(SweepSpec("many", data, space, study, run=RunSpec(running))), "slurm")
    directory.add_trials([TrialConfig(data, EPOCHS, 4, 1e-3 + 1e-8 * number) for number in range(trials)])
    elements = [Element(run, 1, ((run, EPOCHS),)) for run in range(trials)]
    directory.create_attempts(elements, None, "slurm")
    directory.record_jobs(elements, [f"18808_{index}" for index in range(trials)])
    draw = random.Random(0)  # noqa: S311 - made-up numbers
    results = []
    for run in range(trials):
        folder = root / paths.run_dir(run)
        (folder / "claims").mkdir()
        _write(folder / "claims" / "1-0", {"job_id": f"18808_{run}", "at": at.isoformat(), "node": f"n{run % 40}"})
        epochs = DONE if run >= trials - running else EPOCHS
        (folder / "progress-1-0.jsonl").write_text("".join(_progress(at, epochs)))
        if run < trials - running:
            ended = {"status": 0, "at": (at + timedelta(minutes=EPOCHS)).isoformat()}
            _write(root / paths.attempt_exit(run, 1, 0), ended)
            results.append((root / paths.trial_dir(run) / paths.RESULT, encode(made_up_result(run, draw))))
    link_all(results)


def _progress(at: datetime, epochs: int) -> Sequence[str]:
    """The lines of a training that finishes an epoch every minute."""
    known = {"val_loss": 0.1, "train_loss": 0.1, "learning_rate": 1e-3, "seconds": 60.0, "val_dice": 0.8}
    return [
        json.dumps(
            {"epoch": epoch, "val_iou": 0.7 - 0.4 / epoch, **known, "at": (at + timedelta(minutes=epoch)).isoformat()}
        )
        + "\n"
        for epoch in range(1, epochs + 1)
    ]


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps({"schema": 1, **content}))


def listed_jobs(tokens: Collection[str], trials: int, running: int) -> tuple[Job, ...]:
    """The jobs of the trials that run, as squeue would list them."""
    return tuple(
        Job(f"18808_{index}", token, index, JobState.RUNNING, "RUNNING", node=f"n{index % 40}")
        for token in tokens
        for index in range(trials - running, trials)
    )
