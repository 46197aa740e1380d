"""The baseline: a threshold of the green channel, on a folder of images or on the images of a sweep."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from unetsweep.app.data import fit_baseline
from unetsweep.cli.data import command
from unetsweep.datasets.layout import PARTS
from unetsweep.errors import UsageError

SPACE = "space: {epochs: [1], batch_size: [1], learning_rate: [1e-3]}\n"


def baseline(*arguments: object) -> str:
    done = CliRunner().invoke(command, ["baseline", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_baseline_of_a_sweep_is_that_of_its_images_at_its_size_and_threshold(sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"data: {{root: {sample}, image_size: 32, mask_threshold: 10}}\n" + SPACE)
    found = baseline(path)
    assert found == baseline(sample, "--image-size", 32, "--mask-threshold", 10)
    assert found != baseline(sample)
    assert baseline(path, "--image-size", 64) == baseline(sample, "--image-size", 64, "--mask-threshold", 10)


def test_without_score_test_no_test_image_is_read(sample: Path, tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / part).symlink_to(sample / part)
    (tmp_path / "test").unlink()
    for kind in ("image", "mask"):
        (tmp_path / "test" / kind).mkdir(parents=True)
        (tmp_path / "test" / kind / "01.png").write_bytes(b"not read")
    path = tmp_path / "s.yaml"
    path.write_text(f"data: {{root: {tmp_path}, image_size: 32}}\ntrainer: {{score_test: false}}\n" + SPACE)
    assert baseline(path).endswith(" on train\n")


def test_a_trainer_command_has_no_baseline(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("trainer: {command: 'train {config} {out}'}\n" + SPACE)
    assert "no baseline, because trainer.command reads its own images" in baseline(path)


def test_a_size_beyond_the_memory_is_refused(sample: Path) -> None:
    found = (
        "--image-size: found 2000000; reading an image of 2000000x2000000 needs 29,802 GiB of memory, and this machine"
    )
    with pytest.raises(UsageError, match=found):
        fit_baseline(sample, 2_000_000)
