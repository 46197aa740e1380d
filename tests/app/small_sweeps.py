"""A results folder with small sweeps, whose files are written without a scheduler."""

from collections.abc import Sequence
from pathlib import Path

from unetsweep.clock import utc_now
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, Result, Split, TrainerConfig, TrialConfig
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.record_files import write_record
from unetsweep.records import ClaimFile, ErrorFile
from unetsweep.store.sweep_dir import SweepDir

DATA = DataConfig("images", split=Split(groups="none"))


def make_sweep(
    results: Path,
    name: str,
    epochs: Sequence[int],
    runs: Sequence[int] | None = None,
    trainer: TrainerConfig | None = None,
    repeats: int = 1,
) -> SweepDir:
    """A local sweep with a trial for each number of epochs. `runs`: the run of each; None: its own."""
    trainer = trainer or TrainerConfig()
    space = Space.of(
        epochs=Choices(tuple(dict.fromkeys(epochs))), batch_size=Choices((4,)), learning_rate=Choices((1e-3,))
    )
    directory = SweepDir(results / name)
    directory.create(as_yaml(SweepSpec(name, DATA, space, StudySpec(repeats=repeats), trainer=trainer)), "local")
    configs = [TrialConfig(DATA, each, 4, 1e-3, trainer=trainer, seed=at % repeats) for at, each in enumerate(epochs)]
    directory.add_trials(configs, {}, runs=runs)
    return directory


def submit(directory: SweepDir, run: int, job_id: str, *trials: tuple[int, int], attempt: int = 1) -> str:
    """Record that a run was submitted as this job, for trials with these epochs; return its token."""
    element = Element(run, attempt, trials)
    token, _ = directory.create_attempts([element], None, "local")
    directory.record_job(run, attempt, job_id)
    return token


def end(directory: SweepDir, trial: int, job_id: str | None, score: float | None = None, **more: object) -> None:
    """Record the result of a trial: complete with this score, or else failed."""
    state = "failed" if score is None else "complete"
    given = {"state": state, "val_iou": score, "epochs_run": 8, **more}
    directory.end_trial(trial, Result(trial=trial, job_id=job_id, **given))  # type: ignore[arg-type]


def make_results(folder: Path) -> Path:
    """Three sweeps: in `grid` trials 0 and 1 share a run, 2 has failed and 3 waits; `one` and `two` have a job 7."""
    results = folder / "results"
    grid = make_sweep(results, "grid", (8, 16, 32, 64), runs=(0, 0, 2, 3))
    submit(grid, 0, "18808_0", (0, 8), (1, 16))
    submit(grid, 2, "18808_2", (2, 32))
    checkpoint = grid.root / "runs/0000/checkpoints/best-8.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"weights")
    end(grid, 0, "18808_0", 0.75, checkpoint="checkpoints/best-8.ckpt", best_epoch=7)
    end(grid, 1, "18808_0", 0.5, best_epoch=9)
    end(grid, 2, "18808_2", message="CUDA error\x1b[31m")
    for name in ("one", "two"):
        submit(make_sweep(results, name, (8,)), 0, "7", (0, 8))
    return results


def claim(directory: SweepDir, run: int, job_id: str, attempt: int = 1, node: str = "node7") -> None:
    """Record that a job has started to train a run."""
    file = directory.root / paths.claim(run, attempt, 0)
    file.parent.mkdir(exist_ok=True)
    write_record(file, ClaimFile(job_id, utc_now(), node=node))


def fail(directory: SweepDir, run: int, message: str, attempt: int = 1) -> None:
    """Record that a training ended with an error."""
    error = ErrorFile("exception", message, attempt, traceback='File "t.py", line 3', at=utc_now())
    write_record(directory.root / paths.run_dir(run) / paths.error(0), error)
