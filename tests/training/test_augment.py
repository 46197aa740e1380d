"""Augmentations: what `trainer.augment` accepts, and what it does to images and masks."""

import subprocess
import sys

import numpy as np
import pytest

from unetsweep.errors import ConfigError
from unetsweep.training import augment


def lines(value: object) -> list[str]:
    return [problem.text("config.json") for problem in augment.check_augment(value)]


@pytest.mark.parametrize(
    "value",
    [
        "default",
        "none",
        ["HorizontalFlip"],
        [{"Affine": {"rotate": [-30, 30]}}, "CLAHE"],
        [{"RandomGamma": None}],
        [{"OneOf": {"transforms": ["VerticalFlip", {"Sequential": {"transforms": ["CLAHE"]}}], "p": 1}}],
    ],
)
def test_usable_augmentations_have_no_problems(value: object) -> None:
    assert lines(value) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("defalt", "trainer.augment: found 'defalt'; did you mean 'default'?"),
        (3, "allowed: default, none, or a list"),
        (["HorizontalFlop"], "augment[0]: albumentations has no 'HorizontalFlop'; did you mean 'HorizontalFlip'?"),
        (["VerticalFlip", {"Affine": {"rotat": 3}}], "augment[1]: Affine has no argument 'rotat'; did you mean"),
        ([{"Affine": {"rotate": "x"}}], "Affine: rotate"),
        ([{"RandomCrop": {"width": 8}}], "RandomCrop: height: Field required"),
        (["Normalize"], "Normalize does not return a uint8 image"),
        ([{"OneOf": {"transforms": ["Flop"]}}], "augment[0].OneOf.transforms[0]: albumentations has no 'Flop'"),
        ([{"OneOf": {"p": 1}}], "OneOf needs a list of transforms; write {OneOf: {transforms: [HorizontalFlip]}}"),
        ([{"SomeOf": {"transforms": ["Transpose"], "k": 1}}], "SomeOf has no argument 'k'"),
        ([["HorizontalFlip"]], "a name or {Name: {argument: value}} is expected"),
        (["Compose"], "albumentations has no 'Compose'; use Sequential"),
        ([{"OneOf": {"transforms": ["Transpose"], "p": 2}}], "augment[0]: OneOf: p: found 2; a number from 0 to 1"),
        ([{"Sequential": {"transforms": ["Transpose"], "p": "x"}}], "Sequential: p: found 'x'; a number from 0 to 1"),
        ([{"OneOf": {"transforms": ["Transpose"], "p": None}}], "OneOf: p: found None"),
        ([{"OneOf": {"transforms": [{"Transpose": {"p": 0}}]}}], "OneOf: each of its transforms has p: 0"),
        ([{"SomeOf": {"transforms": ["Transpose"], "n": 0}}], "SomeOf: n: found 0; a whole number of transforms"),
        ([{"SomeOf": {"transforms": ["Transpose"], "n": [1, 2]}}], "SomeOf: n: found [1, 2]; a whole number"),
        ([{"RandomOrder": {"transforms": ["Transpose"], "replace": "no"}}], "replace: found 'no'; true or false"),
        ([{"Resize": {"height": 100000, "width": 100000}}], "Resize needs more than 2 GiB of memory"),
        ([{"PadIfNeeded": {"min_height": 90000, "min_width": 90000}}], "PadIfNeeded needs more than 2 GiB of memory"),
        ([{"RandomScale": {"scale_limit": [900, 1000]}}], "RandomScale needs more than 2 GiB of memory"),
    ],
)  # fmt: skip
def test_unusable_augmentations_are_refused_with_a_suggestion(value: object, message: str) -> None:
    assert any(message in line for line in lines(value)), lines(value)
    with pytest.raises(ConfigError):
        augment.build(value)


def test_all_problems_are_reported_at_once() -> None:
    assert len(lines(["Nope", {"Affine": {"rotat": 3, "scal": 2}}])) == 3


def test_names_that_need_no_library_are_checked_without_importing_one() -> None:
    code = (
        "import sys\nfrom unetsweep.training.augment import build, check_augment\n"
        "check_augment('default'), check_augment('nome'), build('none')\n"
        "print([m for m in ('albumentations', 'torch', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_image_and_mask_are_transformed_together() -> None:
    rng = np.random.default_rng(0)
    mask = (rng.random((40, 40)) > 0.7).astype(np.uint8)
    image = np.repeat(mask[..., None] * 255, 3, axis=2)
    exact = augment.build(["HorizontalFlip", "VerticalFlip", "RandomRotate90", "Transpose"])
    smooth = np.zeros((40, 40), np.uint8)
    smooth[5:20, 8:30] = 1
    default = augment.build("default")
    moved = 0
    for n in range(40):
        turned, its_mask = augment.apply(exact, image, mask, (0, 0, n))
        np.testing.assert_array_equal(turned[..., 0], its_mask * 255)
        moved += not np.array_equal(its_mask, mask)
        picture, its_mask = augment.apply(default, np.repeat(smooth[..., None] * 200, 3, axis=2), smooth, (0, 0, n))
        bright = picture[..., 0] > (int(picture.max()) + int(picture.min())) / 2
        assert its_mask.dtype == np.uint8
        assert set(np.unique(its_mask)) <= {0, 1}
        assert (bright & (its_mask > 0)).sum() / (bright | (its_mask > 0)).sum() > 0.85
    assert moved > 20


def test_an_augmentation_depends_only_on_its_key() -> None:
    image = np.random.default_rng(1).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    mask = (image[..., 0] > 128).astype(np.uint8)
    one, other = augment.build("default"), augment.build("default")
    keys = [(s, e, i) for s in range(2) for e in range(3) for i in range(4)]
    forward = {key: augment.apply(one, image, mask, key)[0].tobytes() for key in keys}
    backward = {key: augment.apply(other, image, mask, key)[0].tobytes() for key in reversed(keys)}
    assert forward == backward
    assert len(set(forward.values())) > len(keys) * 3 // 4


def test_the_two_flips_are_independent() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    flips = augment.build(["HorizontalFlip", "VerticalFlip"])
    flipped = [augment.apply(flips, image, image[..., 0], (0, 0, n))[1].tobytes() for n in range(200)]
    counts = sorted(flipped.count(each) for each in set(flipped))
    assert len(counts) == 4
    assert counts[0] > 30


def test_a_quarter_turn_of_an_oblong_image_keeps_its_shape() -> None:
    image = np.random.default_rng(2).integers(0, 255, (20, 26, 3)).astype(np.uint8)
    turn = augment.build([{"RandomRotate90": {"p": 1}}])
    image = image // 128 * 255
    for n in range(20):
        turned, mask = augment.apply(turn, image, image[..., 0] // 255, (0, 0, n))
        assert turned.shape == (20, 26, 3)
        np.testing.assert_array_equal(turned[..., 0], mask * 255)
