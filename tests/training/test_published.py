"""The page of a sweep's results: its table, learning curves, and the best and worst images of the best trial."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import published
from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml
from unetsweep.contract import Result
from unetsweep.core import paths
from unetsweep.core.trials import trial_config
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.training.checkpoints import ArtifactWriter, BestEpoch
from unetsweep.training.unet import UNet

YAML = """\
name: small
data: {{root: {root}}}
space: {{epochs: 3, batch_size: 2, learning_rate: 1e-3}}
model: {{base: 2, depth: 1}}
slurm: {{gpus: 0}}
"""


@pytest.fixture
def sweep(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepDir:
    """A sweep with one complete trial, of an untrained network; the working folder is that of the test."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(YAML.format(root=root))
    spec = spec_from(YAML.format(root=root), "small.yaml")
    config = trial_config(spec, {"epochs": 3, "batch_size": 2, "learning_rate": 1e-3})
    directory = SweepDir(tmp_path / "results" / "small")
    directory.create(as_yaml(spec), "local")
    directory.add_trials([config])
    run = directory.root / paths.run_dir(0)
    torch.manual_seed(0)
    ArtifactWriter(run, "1-0", lambda: True).save_weights(
        "checkpoints/best-3.ckpt", UNet(config.model).state_dict(), config, BestEpoch(2, 0.5, 0.5)
    )
    lines = [{"schema": 1, "epoch": epoch, "val_iou": epoch / 10} for epoch in (1, 2, 3)]
    (run / "progress-1-0.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    directory.end_trial(
        0,
        Result(
            trial=0,
            job_id="7",
            val_iou=0.3,
            epochs=3,
            best_epoch=3,
            seconds=600.0,
            checkpoint="checkpoints/best-3.ckpt",
            versions={"torch": "2.9"},
            hardware={"cpu": "x"},
        ),
    )
    return directory


@pytest.mark.train
def test_a_page_shows_table_curves_pictures_and_the_machine_and_is_the_same_when_it_is_made_again(
    sweep: SweepDir, tmp_path: Path
) -> None:
    page = published.make_page(Path("small.yaml"), sweep.root, tmp_path / "out")
    text = page.read_text()
    assert "Trained on a CPU (x, 1 thread a training) with PyTorch 2.9: 1 training, 10 minutes" in text
    assert "|  **3** |      **2** |     **1e-03** | **0.3000** |" in text
    pictures = sorted(path.name for path in (tmp_path / "out" / "small").iterdir())
    assert [name for name in pictures if f"(small/{name})" not in text] == []
    assert len(pictures) == 1 + 2 + 3  # curves; two validation images; three test images
    first = {path: path.read_bytes() for path in tmp_path.glob("out/**/*.*")}
    assert published.make_page(Path("small.yaml"), sweep.root, tmp_path / "out") == page
    assert {path: path.read_bytes() for path in tmp_path.glob("out/**/*.*")} == first


def test_a_sweep_without_a_complete_trial_has_no_page(sweep: SweepDir, tmp_path: Path) -> None:
    (sweep.root / paths.trial_dir(0) / paths.RESULT).unlink()
    with pytest.raises(SystemExit, match="no trial is complete"):
        published.make_page(Path("small.yaml"), sweep.root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
