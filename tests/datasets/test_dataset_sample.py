"""The sample dataset: complete or absent, a fair task, the same for a seed, structured like the 100 images."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from unetsweep.cli.data import command
from unetsweep.contract import DataConfig, Split
from unetsweep.datasets.baseline import green_threshold
from unetsweep.datasets.layout import find_pairs
from unetsweep.datasets.prepare import prepare
from unetsweep.datasets.reading import Images, read_pairs
from unetsweep.datasets.sample import draw_sample, variants
from unetsweep.errors import DataError, UsageError


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn") / "sample"
    assert draw_sample(root, size=64, eyes=4, test_eyes=3)
    return root


def test_each_training_eye_has_four_images_and_groups_csv_lists_them(sample: Path) -> None:
    dataset = prepare(DataConfig(str(sample), Split(0.25, 0, "groups.csv")))
    assert (dataset.training_images, dataset.validation_images, dataset.test_images, dataset.image_groups) == (
        12,
        4,
        3,
        4,
    )
    with (sample / "groups.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows][:2] == ["01.png", "02.png"]
    assert [row["group"] for row in rows[:8]] == ["eye-01"] * 4 + ["eye-02"] * 4


def test_the_variants_are_the_original_both_flips_and_a_rotation(sample: Path) -> None:
    for kind in ("image", "mask"):
        first, second, third, fourth = (
            cv2.imread(str(sample / "train" / kind / f"0{n}.png"), cv2.IMREAD_UNCHANGED).astype(int)
            for n in (1, 2, 3, 4)
        )
        assert np.abs(second - first[:, ::-1]).max() <= 1
        assert np.abs(third - first[::-1]).max() <= 1
        assert np.abs(fourth - first).mean() > 3


def test_a_rotated_mask_takes_the_nearest_pixel_like_those_of_the_100_images() -> None:
    rng = np.random.default_rng(0)
    mask = (rng.random((40, 40)) < 0.5).astype(np.uint8) * 255
    rotated = [m for _, m in variants(np.dstack([mask] * 3), mask, rng)][3]
    assert np.unique(rotated).tolist() == [0, 255]
    assert (rotated != mask).any()


def test_masks_have_grey_edges_and_images_are_a_bright_field_on_black(sample: Path) -> None:
    mask = cv2.imread(str(sample / "test" / "mask" / "01.png"), cv2.IMREAD_UNCHANGED)
    assert mask.ndim == 2
    assert len(np.unique(mask)) > 10
    assert (mask.min(), mask.max()) == (0, 255)
    image = read_pairs(find_pairs(sample)["test"], None, "half").images[0]
    assert image[:4, :4].max() < 16
    assert image[32, 32, 0] > image[32, 32, 1] > image[32, 32, 2]


def test_the_sample_is_a_fair_task(tmp_path: Path) -> None:
    draw_sample(tmp_path / "s", size=128, eyes=5, test_eyes=5)
    pairs = find_pairs(tmp_path / "s")
    train, test = (read_pairs(pairs[part], None, "half") for part in ("train", "test"))
    _, train_iou, test_iou = green_threshold(train, test)
    assert 0.05 < test_iou < 0.35
    assert train_iou < 0.35
    assert 0.07 <= np.mean(test.masks) <= 0.11


def test_a_seed_draws_the_same_set_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        draw_sample(tmp_path / name, size=32, eyes=2, test_eyes=1, seed=seed)
    a, b, c = ((tmp_path / name / "train" / "image" / "04.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_more_training_eyes_do_not_change_the_others(tmp_path: Path) -> None:
    draw_sample(tmp_path / "few", size=32, eyes=2, test_eyes=1)
    draw_sample(tmp_path / "more", size=32, eyes=3, test_eyes=2)
    for file in ("train/image/08.png", "test/mask/01.png"):
        assert (tmp_path / "few" / file).read_bytes() == (tmp_path / "more" / file).read_bytes()


def test_drawing_again_does_nothing_and_other_options_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "s"
    assert draw_sample(root, size=32, eyes=2, test_eyes=1)
    before = (root / "train" / "image" / "01.png").stat().st_mtime_ns
    assert not draw_sample(root, size=32, eyes=2, test_eyes=1)
    assert (root / "train" / "image" / "01.png").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="seed 0', not 'size 32, eyes 2, test eyes 1, seed 1'"):
        draw_sample(root, size=32, eyes=2, test_eyes=1, seed=1)
    (root / "groups.csv").unlink()
    with pytest.raises(DataError, match=r"and no groups\.csv"):
        draw_sample(root, size=32, eyes=2, test_eyes=1)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="is not a sample dataset"):
        draw_sample(tmp_path, size=32, eyes=2, test_eyes=1)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_killed_drawing_leaves_nothing_at_the_target(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from unetsweep.datasets.sample import draw_sample; "
    root = tmp_path / "s"
    drawing = subprocess.Popen([sys.executable, "-c", code + "draw_sample(Path(sys.argv[1]), 64, 500, 500)", str(root)])
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".s.*/train/image/*.png")):
            assert time.monotonic() < deadline
            assert drawing.poll() is None
            time.sleep(0.05)
    finally:
        drawing.kill()
        drawing.wait()
    assert not root.exists()
    assert draw_sample(root, size=32, eyes=2, test_eyes=1)


def test_numbers_that_are_too_small_or_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"found size 100000, 2 eyes, .* needs 32 to 4096 pixels"):
        draw_sample(tmp_path / "s", size=100_000, eyes=2)
    with pytest.raises(UsageError, match="1 eyes"):
        draw_sample(tmp_path / "s", size=32, eyes=1)
    assert not (tmp_path / "s").exists()


def test_the_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(1)
    mask = (rng.random((64, 64)) < 0.2).astype(np.uint8)
    image = np.clip(rng.normal(140, 25, (64, 64, 3)) - 50 * mask[:, :, None], 20, 255).astype(np.uint8)
    images = Images(("a",), (image,), (mask,))
    level, train_iou, test_iou = green_threshold(images, images)
    scores = {}
    for tried in range(1, 257):
        predicted = image[:, :, 1] < tried
        scores[tried] = (predicted & (mask == 1)).sum() / (predicted | (mask == 1)).sum()
    assert scores[level] == pytest.approx(max(scores.values()))
    assert train_iou == test_iou == pytest.approx(scores[level])


def test_the_commands_draw_and_score(tmp_path: Path) -> None:
    runner = CliRunner()
    root = str(tmp_path / "s")
    arguments = ["sample", root, "--size", "64", "--eyes", "2", "--seed", "1"]
    drawn = runner.invoke(command, arguments)
    assert drawn.exit_code == 0
    assert drawn.stdout == ""
    assert "drew 8 train and 2 test images of 64x64" in drawn.stderr
    assert "nothing to do" in runner.invoke(command, arguments).stderr
    scored = runner.invoke(command, ["baseline", root, "--image-size", "32"])
    assert scored.stdout.startswith("A global threshold of the green channel (below ")
    assert "fitted on train: IoU 0." in scored.stdout
    assert runner.invoke(command, ["baseline", root, "--mask-threshold", "300"]).exit_code == 2
