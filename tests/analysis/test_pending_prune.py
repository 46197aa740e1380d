"""What a report says of a trial that is to be pruned, while its trainer obeys or continues."""

from pathlib import Path

import pytest

from unetsweep.analysis.records import read_sweep_record
from unetsweep.atomic import write_json
from unetsweep.contract import DataConfig, TrialConfig
from unetsweep.core.actions import Element, Prune
from unetsweep.store.sweep_dir import SweepDir

SPEC = """\
name: s
data: {root: images}
space: {epochs: [8], batch_size: [4], learning_rate: [1e-3]}
"""


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (3, "to be pruned: poor"),
        (5, "to be pruned: poor"),
        (6, "was to be pruned at epoch 3, but its trainer continues (epoch 6): poor"),
    ],
)
def test_a_trainer_that_does_not_obey_is_not_called_about_to_end(tmp_path: Path, epochs: int, expected: str):
    made = SweepDir(tmp_path / "s")
    made.create(SPEC, "local")
    made.add_trials([TrialConfig(DataConfig("images"), 8, 4, 1e-3)], {"sampler": "grid", "study_seed": 0})
    made.create_attempts([Element(0, 1, ((0, 8),))], None, "local")
    run = made.root / "runs/0000"
    (run / "claims").mkdir()
    write_json(run / "claims/1-0", {"job_id": "1", "at": "2026-01-01T00:00:00+00:00"})
    (run / "progress-1-0.jsonl").write_text("".join(f'{{"epoch": {epoch}}}\n' for epoch in range(1, epochs + 1)))
    made.record_prune(Prune(0, 1, 0, (8,), 3, "poor"))
    (trial,) = read_sweep_record(made.root).trials
    assert (trial.state, trial.reason) == ("running", expected)
