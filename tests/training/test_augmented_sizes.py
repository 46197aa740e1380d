"""The sizes of training images after the augmentation: what fits in a batch, and what is refused in one line."""

from typing import Any

import pytest

from unetsweep.training.augmented_sizes import largest_size, least_side, size_problems

ONE = {(64, 48): ["01", "02", "03"]}
TWO = {(64, 48): ["01", "02"], (80, 60): ["03"]}


def lines(augmentation: object, sizes: dict[tuple[int, int], list[str]], batch_size: int = 2, **more: int) -> list[str]:
    return [p.text("s.yaml") for p in size_problems(augmentation, sizes, batch_size=batch_size, **more)]


def steps(*entries: Any) -> list[Any]:
    return list(entries)


RESIZE: dict[str, Any] = {"Resize": {"height": 32, "width": 32}}
SCALE: dict[str, Any] = {"RandomScale": {"scale_limit": [-0.3, 0.3], "p": 1}}
CROP: dict[str, Any] = {"RandomCrop": {"height": 30, "width": 40}}


@pytest.mark.parametrize(
    "augmentation",
    [
        "default",
        "none",
        steps("HorizontalFlip", "RandomRotate90", "Transpose", "SafeRotate", "Perspective"),  # a turned image is fitted
        steps(RESIZE),
        steps(SCALE, CROP),
        steps(SCALE, "HorizontalFlip", {"PadIfNeeded": {"min_height": 90, "min_width": 90}}, CROP),
        steps({"OneOf": {"transforms": [SCALE, "Transpose"]}}, RESIZE),
        steps({"SmallestMaxSize": {"max_size": 32}}),
        steps({"CropAndPad": {"px": [0, 9]}}),
    ],
)
def test_images_that_get_one_size_fit_in_a_batch(augmentation: object) -> None:
    assert lines(augmentation, ONE) == []


@pytest.mark.parametrize(
    ("augmentation", "number", "name"),
    [
        (steps("HorizontalFlip", SCALE), 1, "RandomScale"),
        (steps(SCALE, "HorizontalFlip", "CLAHE"), 0, "RandomScale"),
        (steps(CROP, SCALE), 1, "RandomScale"),
        (steps({"Resize": {"height": 32, "width": 32, "p": 0.5}}), 0, "Resize"),
        (steps({"CropAndPad": {"px": [0, 9], "keep_size": False}}), 0, "CropAndPad"),
        (steps({"RandomCropFromBorders": {}}, "HorizontalFlip"), 0, "RandomCropFromBorders"),
        (steps({"Affine": {"rotate": [-30, 30], "fit_output": True}}), 0, "Affine"),
        (steps({"OneOf": {"transforms": [RESIZE, "HorizontalFlip"], "p": 1}}), 0, "OneOf"),
        (steps({"PadIfNeeded": {"min_height": 50, "min_width": 50}}, SCALE), 1, "RandomScale"),
    ],
)
def test_a_transform_that_makes_several_sizes_is_named(augmentation: object, number: int, name: str) -> None:
    (line,) = lines(augmentation, ONE)
    assert line.startswith(f"s.yaml: trainer.augment[{number}]: {name} leaves images of different sizes (for example ")
    assert line.endswith("one size: add Resize or a crop with p: 1 after it, or use batch_size 1")
    assert lines(augmentation, ONE, 1) == []
    assert lines(augmentation, ONE, 2, processes=2) == []  # one image a process
    assert lines(augmentation, ONE, 4, processes=2)[0].endswith("or use batch_size 2 (one image a process)")


def test_training_images_of_several_sizes_do_not_fit_in_a_batch_unless_the_augmentation_resizes_them() -> None:
    (line,) = lines("default", TWO)
    assert line == (
        "s.yaml: data.image_size: found null, and the training images have 2 sizes: 80x60 (1 image, for example 03), "
        "64x48 (2 images, for example 01); images of a batch must have one size, so set data.image_size, or use "
        "batch_size 1"
    )
    assert lines("default", TWO, 1) == lines("default", TWO, 3, processes=3) == []
    assert lines([CROP], TWO) == lines([RESIZE], TWO) == []
    assert len(lines([{"LongestMaxSize": {"max_size": 32}}], TWO)) == 0  # both have the same shape
    assert len(lines(["HorizontalFlip"], {(64, 48): ["01"], (48, 64): ["02"]})) == 1


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_transform_that_fails_on_the_images_is_refused_before_the_training(batch_size: int) -> None:
    (line,) = lines(["HorizontalFlip", {"CenterCrop": {"height": 640, "width": 640}}], ONE, batch_size)
    assert line.startswith("s.yaml: trainer.augment[1]: CenterCrop fails on an image of 64x48: ")
    assert "\n" not in line
    (line,) = lines([SCALE, {"RandomCrop": {"height": 48, "width": 64}}], ONE, batch_size)
    assert "trainer.augment[1]: RandomCrop fails on an image of" in line
    assert line.endswith("use other sizes, or pad or resize the image before it")


RARE: dict[str, Any] = {"RandomScale": {"p": 0.01}}


@pytest.mark.parametrize(
    "augmentation",
    [
        steps({"RandomScale": {"scale_limit": [0, 0.022], "p": 1}}),  # only near its end
        steps({"OneOf": {"transforms": ["HorizontalFlip", RARE]}}),
        steps({"SomeOf": {"transforms": ["HorizontalFlip", "VerticalFlip", RARE], "n": 1}}),
        steps({"Sequential": {"transforms": ["HorizontalFlip", RARE], "p": 1}}),
        steps({"OneOf": {"transforms": [*["CLAHE"] * 9, {"Sequential": {"transforms": [RARE], "p": 0.01}}]}}),
        steps("RandomRotate90", {"LongestMaxSize": {"max_size": 30}}),  # two directions that are not fitted
        steps("HorizontalFlip", {"RandomCrop": {"height": 30, "width": 20}}, "RandomRotate90"),
    ],
)
def test_sizes_that_are_rare_are_found(augmentation: object) -> None:
    assert "leaves images of different sizes" in lines(augmentation, ONE)[0]


def test_a_transform_after_a_turn_gets_the_turned_image() -> None:
    (line,) = lines(["RandomRotate90", {"RandomCrop": {"height": 48, "width": 64}}], ONE, 1)
    assert "trainer.augment[1]: RandomCrop fails on an image of 48x64: " in line
    assert lines(["RandomRotate90", {"RandomCrop": {"height": 40, "width": 40}}], ONE) == []


def test_a_message_of_opencv_has_no_place_in_its_sources() -> None:
    (line,) = lines([{"RandomScale": {"scale_limit": [-0.999, -0.999]}}], ONE)
    assert "fails on an image of 64x48: OpenCV: inv_scale_x > 0 in function 'resize'; use other sizes" in line


@pytest.mark.parametrize(
    ("value", "side"),
    [
        ("default", 64),
        ([{"RandomCrop": {"height": 16, "width": 20}}], 20),
        ([{"Resize": {"height": 8, "width": 8, "p": 0.1}}], 8),
        ([{"Resize": {"height": 200, "width": 100}}], 200),
        ([{"CenterCrop": {"height": 640, "width": 640}}], 64),  # it is refused elsewhere
    ],
)
def test_the_side_of_the_smallest_image_is_known(value: object, side: int) -> None:
    assert least_side(value, [*TWO]) == side


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("default", (64, 48)),
        ([{"Resize": {"height": 20, "width": 30, "p": 0.1}}, "HorizontalFlip"], (64, 48)),
        ([{"Resize": {"height": 200, "width": 300, "p": 0.1}}, "HorizontalFlip"], (300, 200)),
        ([{"CenterCrop": {"height": 640, "width": 640}}], (64, 48)),  # it is refused elsewhere
    ],
)
def test_the_largest_size_is_known(value: object, size: tuple[int, int]) -> None:
    assert largest_size(value, 64, 48) == size
