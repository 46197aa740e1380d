"""A dry run: its estimate for the open trainings, from the files of finished ones, and the errors it ends with."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from unetsweep.app.dry_run import reconciliation_errors
from unetsweep.app.estimates import estimate_open
from unetsweep.app.executors import SLURM
from unetsweep.app.new_trials import NewTrial, new_trials
from unetsweep.atomic import write_json
from unetsweep.cli.submit import _format_estimate, command
from unetsweep.contract import DataConfig, Result, TrialConfig
from unetsweep.core.actions import Element, Submit
from unetsweep.core.estimate import Estimate, TrainingSample, settings_of
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.plan import Plan
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import Resources, StudySpec, SweepSpec
from unetsweep.errors import SchedulerError, UnsafePlan
from unetsweep.store.finished_runs import measure_finished_runs
from unetsweep.store.sweep_dir import SweepDir

DATA = DataConfig("images")
BATCH = settings_of({}, 4)
GRID = SweepSpec(
    "s",
    DATA,
    Space.of(epochs=Choices((8, 16)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,))),
    slurm=Resources(gpus=4, processes=4),
)


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    """A sweep with one ended trial of 8 epochs, which took 2 s each and 14 s besides."""
    made = SweepDir(tmp_path / "s")
    made.create("name: s\n", "slurm")
    made.add_trials([TrialConfig(DATA, 8, 4, 1e-3)], {})
    made.create_attempts([Element(0, 1, ((0, 8),))], None, "slurm")
    run = made.root / "runs/0000"
    for folder in ("claims", "checkpoints"):
        (run / folder).mkdir()
    write_json(run / "claims/1-0", {"job_id": "7", "at": at(100)})
    write_json(run / "attempts/1.exit-0.json", {"at": at(130), "status": 0})
    lines = [json.dumps({"epoch": epoch, "seconds": 2.0, "at": at(100 + 3 * epoch)}) for epoch in range(1, 9)]
    (run / "progress-1-0.jsonl").write_text("\n".join(lines))
    (run / "checkpoints/last.ckpt").write_bytes(b"x" * 1000)
    (run / "checkpoints/candidate-7.ckpt").write_bytes(b"x" * 300)
    (run / "checkpoints/best-8.ckpt").hardlink_to(run / "checkpoints/candidate-7.ckpt")
    made.end_trial(0, Result(val_iou=0.5, epochs_run=8))
    return made


def estimate(spec: SweepSpec, sweep: SweepDir) -> Estimate:
    """The estimate for everything that the sweep still asks for."""
    known = sweep.trials()
    new = new_trials(spec, known, trials_wanted(spec) - len(known), len(known))
    return estimate_open(spec, sweep, known, SLURM, sweep.observe(), new)


def test_a_finished_training_gives_the_time_per_epoch_the_other_time_and_its_disk_usage(sweep: SweepDir):
    assert list(measure_finished_runs(sweep.root, sweep.trials())) == [TrainingSample(BATCH, 2.0, 14.0, 1300)]


def test_the_rest_of_a_grid_is_estimated_in_gpu_hours_and_bytes(sweep: SweepDir):
    found = estimate(GRID, sweep)
    assert found.gpu_hours == pytest.approx(4 * (16 * 2 + 14) / 3600)
    assert found.disk_bytes == 1300


def test_a_shared_training_is_estimated_once_and_only_for_its_additional_epochs(sweep: SweepDir):
    longer = [NewTrial(0, 12, 4), NewTrial(0, 16, 4)]
    found = estimate_open(GRID, sweep, sweep.trials(), SLURM, sweep.observe(), longer)
    assert found.gpu_hours == pytest.approx(4 * (8 * 2 + 14) / 3600)


def test_only_the_remaining_epochs_of_a_training_that_continues_count(sweep: SweepDir):
    sweep.add_trials([TrialConfig(DATA, 16, 4, 1e-3)], {})
    run = sweep.root / "runs/0001"
    run.mkdir()
    (run / "progress-1-0.jsonl").write_text('{"epoch": 10}\n')
    assert estimate(GRID, sweep).gpu_hours == pytest.approx(4 * (6 * 2 + 14) / 3600)


@pytest.mark.parametrize(
    ("epochs", "low", "middle"),
    [(Choices((8,)), 8 * 2 + 14, 8 * 2 + 14), (Range(4, 8), 4 * 2 + 14, 6 * 2 + 14)],
)
def test_a_search_may_take_from_the_fewest_to_the_most_epochs_of_its_space(
    sweep: SweepDir, epochs: Choices | Range, low: float, middle: float
):
    space = Space.of(epochs=epochs, batch_size=Choices((4,)), learning_rate=Range(1e-5, 1e-2, log=True))
    search = SweepSpec("s", DATA, space, StudySpec("tpe", trials=3), slurm=GRID.slurm)
    found, hours = estimate(search, sweep), 4 * 2 / 3600
    assert found.gpu_hours == pytest.approx(hours * middle)
    assert found.gpu_hours_range == pytest.approx((hours * low, hours * (8 * 2 + 14)))
    assert "of the same settings" not in found.estimated_from, "a learning rate does not change the time of an epoch"


def test_a_search_over_the_width_is_compared_with_all_finished_trials_until_they_are_proposed(sweep: SweepDir):
    space = GRID.space.domains() | {"model.base": Range(16, 64, step=16)}
    found = estimate(SweepSpec("s", DATA, Space.of(**space), StudySpec("tpe", trials=3), slurm=GRID.slurm), sweep)
    assert "for 2 trainings without a finished trial of the same settings" in found.estimated_from
    assert found.gpu_hours_range is not None


def test_without_progress_the_time_of_the_job_is_divided_by_its_epochs(sweep: SweepDir):
    (sweep.root / "runs/0000/progress-1-0.jsonl").unlink()
    assert list(measure_finished_runs(sweep.root, sweep.trials())) == [TrainingSample(BATCH, 30 / 8, 0.0, 1300)]


def test_a_dry_run_ends_with_the_error_that_the_reconciliation_would_raise():
    unsafe = Plan(vanished=20)
    assert [type(error) for error in reconciliation_errors(unsafe, None, force=False)] == [UnsafePlan]
    assert list(reconciliation_errors(unsafe, None, force=True)) == []
    no_answer = SchedulerError("scontrol does not answer")  # the limits are needed only to submit something
    assert list(reconciliation_errors(Plan(), no_answer, force=False)) == []
    submits = Plan((Submit((Element(0, 1, ((0, 8),)),), None, "1 ready"),))
    assert list(reconciliation_errors(submits, no_answer, force=False)) == [no_answer]


def dry_run_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> list[str]:
    """The lines of a dry run of a program of the user's own, which is not called."""
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text("\n".join([*more, 'trainer: {command: "true {a} {b} {out}"}']))
    done = CliRunner().invoke(command, ["s.yaml", "--dry-run", "--executor", "local"])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_a_dry_run_of_listed_points_alone_counts_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    study = "study: {metric: score, direction: maximize}"
    listed = dry_run_of(tmp_path, monkeypatch, "points: [{a: 1, b: 1}, {a: 2, b: 2}]", study)
    assert not [line for line in listed if line.startswith("space:")]
    assert "  a 1, b 1, seed 0" in listed
    combined = dry_run_of(tmp_path, monkeypatch, "space: {a: [1, 2], b: [1, 2]}", study)
    assert "space: 4 points" in combined


def test_what_an_estimate_rests_on_has_a_line_of_its_own(sweep: SweepDir):
    known = estimate(GRID, sweep)
    found = SimpleNamespace(estimate=known, uses_gpus=True)
    first, second = _format_estimate(found)  # type: ignore[arg-type]
    assert first.startswith("GPU-hours ")
    assert first.endswith("disk 0.0 MB")
    assert second == f"  estimated from {known.estimated_from}"
