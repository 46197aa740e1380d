"""A dataset is prepared: counted, warned about, or refused with all its problems."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from chase import CHASE, needs_chase
from images_drawn import make_set, write

from unetsweep.contract import DataConfig, Split
from unetsweep.datasets import duplicates
from unetsweep.datasets.fingerprints import Fingerprints, Pixels
from unetsweep.datasets.layout import find_pairs
from unetsweep.datasets.prepare import MAX_PROBLEMS, PINNED_WITHOUT_TEST, prepare
from unetsweep.datasets.reading import read_pairs
from unetsweep.datasets.splits import split
from unetsweep.errors import DataError


def test_a_good_set_is_counted(tmp_path: Path) -> None:
    dataset = prepare(DataConfig(str(make_set(tmp_path)), Split(groups=r"(\d+)")))
    assert (dataset.training_images, dataset.validation_images, dataset.test_images, dataset.image_groups) == (
        3,
        1,
        2,
        4,
    )
    assert dict(dataset.sizes) == {"48x48": 6}
    assert dataset.warnings == ()


def test_no_groups_are_warned_about(tmp_path: Path) -> None:
    warnings = prepare(DataConfig(str(make_set(tmp_path)), Split(groups="none"))).warnings
    assert len(warnings) == 1
    assert "two photographs of the same eye or patient may be in training and validation" in warnings[0]


def test_masks_without_vessels_or_with_too_many_are_warned_about(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    write(root / "train" / "mask" / "01.png", np.zeros((48, 48), np.uint8))
    wide = np.full((48, 48), 255, np.uint8)
    wide[:, :20] = 0
    write(root / "test" / "mask" / "02.png", wide)
    warnings = prepare(DataConfig(str(root), Split(groups=r"(\d+)"))).warnings
    assert [w.split(";")[0] for w in warnings] == [
        "train/mask/01.png: no vessel",
        "test/mask/02.png: more than 40% vessel",
    ]


def _resize(folder: Path, name: str) -> None:
    """Write an image of 48x40 in the place of one of 48x48."""
    rng = np.random.default_rng([len(folder.name), int(name)])
    write(folder / "image" / f"{name}.png", rng.integers(0, 256, (40, 48, 3)).astype(np.uint8))
    write(folder / "mask" / f"{name}.png", np.eye(40, 48, dtype=np.uint8))


def test_only_the_training_images_of_a_split_count_for_the_sizes_of_a_batch(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    data = DataConfig(str(root), Split(groups="none"))
    validation, test = next(iter(prepare(data).val_groups)), "01"
    _resize(root / "train", validation)
    _resize(root / "test", test)
    dataset = prepare(data)
    training = sorted({"01", "02", "03", "04"} - {validation})
    assert dataset.training_sizes == {(48, 48): training}
    assert dict(dataset.sizes) == {"48x48": 4, "48x40": 2}
    _resize(root / "train", training[1])
    expected = {(48, 48): [training[0], training[2]], (48, 40): [training[1]]}
    assert prepare(data).training_sizes == expected
    assert set(prepare(DataConfig(str(root), data.split, image_size=16)).training_sizes) == {(16, 16)}


def _problems(config: DataConfig) -> list[str]:
    with pytest.raises(DataError) as caught:
        prepare(config)
    return [f"{p.field}: {p.message}" if p.field else p.message for p in caught.value.problems]


def test_all_problems_of_a_set_are_reported_together_with_the_command_that_shows_more(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    (root / "train" / "mask" / "01.png").unlink()
    (root / "test" / "image" / "01.png").write_bytes(b"no image")
    write(root / "test" / "image" / "02.png", cv2.imread(str(root / "train" / "image" / "02.png")))
    groups, mask, image, leak, advice = _problems(DataConfig(str(root), Split(groups="eyes.csv")))
    assert groups.startswith("data.split.groups: eyes.csv is not there")
    assert mask.startswith("train/image/01.png: no mask")
    assert image.startswith("test/image/01.png: found 8 bytes that are not a complete PNG image")
    assert leak.startswith("data.split: 1 of 1 test image has a duplicate in training or validation (for example 02")
    assert advice == f"3 problems; `unetsweep data check {root}` shows all that is wrong with these images"


def test_only_the_first_of_many_problems_are_reported(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    for number in range(MAX_PROBLEMS + 5):
        write(root / "train" / "image" / f"x{number}.png", np.zeros((32, 32, 3), np.uint8))
    found = _problems(DataConfig(str(root), Split(groups="none")))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1].startswith("25 problems, of which the first 20 are above; `unetsweep data check ")


def test_a_missing_training_part_is_the_only_problem(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    shutil.rmtree(root / "train")
    (problem,) = _problems(DataConfig(str(root), Split(groups="none")))
    assert problem.startswith("holds no train/; found there: test/; expected is")


def _without_test(root: Path) -> None:
    shutil.rmtree(root / "test")


def _without_test_masks(root: Path) -> None:
    shutil.rmtree(root / "test" / "mask")


def _empty_test_masks(root: Path) -> None:
    for mask in (root / "test" / "mask").iterdir():
        mask.unlink()


def _empty_test(root: Path) -> None:
    shutil.rmtree(root / "test")
    (root / "test").mkdir()


@pytest.mark.parametrize("change", [_without_test, _empty_test, _without_test_masks, _empty_test_masks])
def test_a_set_without_test_scores_is_prepared_and_says_so(tmp_path: Path, change: Callable[[Path], None]) -> None:
    root = make_set(tmp_path, train=4, test=3)
    change(root)
    prepared = prepare(DataConfig(str(root)))
    assert (prepared.training_images, prepared.validation_images, prepared.test_images) == (3, 1, 0)
    assert prepared.manifest["test"] == {}
    has_images = change in (_without_test_masks, _empty_test_masks)
    assert (prepared.no_test or "").startswith("3 test images without masks (" if has_images else "no test images (")
    assert "the table has no test score" in (prepared.no_test or "")
    assert prepare(DataConfig(str(root), manifest=prepared.manifest)).no_test == prepared.no_test


def test_test_images_that_were_added_after_the_split_are_not_scored(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=4, test=3)
    (root / "test").rename(root / "later")
    pinned = DataConfig(str(root), manifest=prepare(DataConfig(str(root))).manifest)
    (root / "later").rename(root / "test")
    assert (prepare(pinned).test_images, prepare(pinned).no_test) == (0, PINNED_WITHOUT_TEST)
    assert prepare(DataConfig(str(root))).no_test is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda root: (root / "test/mask/02.png").unlink(), "test/image/02.png: no mask; add test/mask/02.png"),
        (lambda root: shutil.rmtree(root / "test/image"), "test/image: this folder is missing; found there: mask/ (3"),
    ],
)
def test_a_test_part_that_is_damaged_is_refused(tmp_path: Path, change: Callable[[Path], object], problem: str) -> None:
    root = make_set(tmp_path, train=4, test=3)
    change(root)
    assert _problems(DataConfig(str(root)))[0].startswith(problem)


@pytest.mark.parametrize("groups", ["auto", "none"])
def test_each_image_gets_its_fingerprints_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str) -> None:
    calls: list[str] = []
    original = duplicates.take_fingerprints

    def counted(image: Pixels) -> Fingerprints:
        calls.append("an image")
        return original(image)

    monkeypatch.setattr(duplicates, "take_fingerprints", counted)
    monkeypatch.setattr(duplicates, "default_folder", lambda: None)  # a cache would hide a second call
    prepare(DataConfig(str(make_set(tmp_path)), Split(groups=groups)))
    assert len(calls) == 6


@needs_chase
def test_chase_db1_works_as_distributed_grouped_by_child() -> None:
    data = DataConfig(str(CHASE), Split(0.25, 0, r"Image_(\d+)"), image_size=256)
    dataset = prepare(data)
    assert (dataset.training_images, dataset.validation_images, dataset.test_images, dataset.image_groups) == (
        16,
        4,
        8,
        10,
    )
    assert 0.06 < dataset.vessel_share < 0.08
    pairs = find_pairs(CHASE)
    assert all(pair.mask.name == f"{pair.name}_1stHO.png" for part in pairs.values() for pair in part)
    training, validation = split(pairs["train"], data.split, CHASE)
    assert len({p.name[:-1] for p in training}) == 8
    assert not {p.name[:-1] for p in training} & {p.name[:-1] for p in validation}
    own_size = read_pairs(validation[:1], None, "half")
    assert own_size.images[0].shape == (960, 999, 3)
    assert np.unique(own_size.masks[0]).tolist() == [0, 1]
