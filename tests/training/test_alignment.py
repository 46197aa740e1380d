"""Every transform of albumentations moves image and mask together: the image is the mask, and must stay it."""

import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import albumentations
import cv2
import numpy as np
import pytest

from unetsweep.training import augment

SIDE, DRAWS, MOST = 192, 4, 0.1
"""MOST: the largest shift between image and mask, in pixels of the result."""

KEEPS_PIXELS = [
    "D4", "HorizontalFlip", "Morphological", "RandomGridShuffle", "RandomRotate90", "SquareSymmetry", "Transpose",
    "VerticalFlip",
]  # fmt: skip
CROPS = {name: [{"height": 97, "width": 130}] for name in ("CenterCrop", "CropNonEmptyMaskIfExists", "RandomCrop")}
DROPS = {
    "CoarseDropout": {"fill_mask": 0},
    "ConstrainedCoarseDropout": {"fill_mask": 0, "mask_indices": [1]},
    "Erasing": {"fill_mask": 0},
    "GridDropout": {"fill_mask": 0},
    "MaskDropout": {},
    "PixelDropout": {},  # the mask keeps the pixels
    "XYMasking": {"num_masks_x": 2, "mask_x_length": 20, "num_masks_y": 1, "mask_y_length": 20, "fill_mask": 0},
}
SIZES = [(2 * SIDE, 2 * SIDE), (301, 250), (191, 193), (97, 131), (3 * SIDE // 2, 3 * SIDE // 2), (96, 96), (144, 144)]
"""Height and width: enlarged and shrunk, odd and even, with and without source pixels that are equally near."""
DISTORTIONS: dict[str, list[dict[str, Any]]] = {
    "Affine": [
        {"rotate": [-30, 30], "scale": [0.7, 1.3], "shear": [-15, 15]},
        {"scale": [0.5, 0.5]},
        {"scale": [0.7, 0.7], "fit_output": True},
        {"rotate": [-30, 30], "border_mode": 4},
        {"translate_px": [3, 7]},
    ],
    "ElasticTransform": [{"alpha": 100, "sigma": 10}, {"alpha": 100, "sigma": 10, "approximate": True}],
    "GridDistortion": [{}],
    "GridElasticDeform": [{"num_grid_xy": [4, 4], "magnitude": 8}],
    "OpticalDistortion": [{"distort_limit": [-0.5, -0.4]}, {"distort_limit": [0.4, 0.5], "mode": "fisheye"}],
    "Perspective": [{}, {"keep_size": False}, {"fit_output": True}],
    "Rotate": [{}, {"limit": [45, 45]}, {"limit": [45, 45], "crop_border": True}],
    "SafeRotate": [{}, {"limit": [45, 45]}, {"limit": [0, 0]}],
    "ThinPlateSpline": [{}],
}
RESIZES: dict[str, list[dict[str, Any]]] = {
    "CropAndPad": [{"percent": -0.2}, {"percent": 0.2}, {"px": 13}],
    "LongestMaxSize": [{"max_size": 100}, {"max_size": 300}, {"max_size": 96, "area_for_downscale": "image_mask"}],
    "RandomResizedCrop": [{"size": size, "scale": [0.4, 1]} for size in ([96, 96], [97, 131], [300, 300])],
    "RandomScale": [{"scale_limit": [-0.5, -0.3]}, {"scale_limit": [0.4, 0.8]}],
    "RandomSizedCrop": [{"min_max_height": [90, 180], "size": size} for size in ([97, 131], [192, 192], [300, 300])],
    "Resize": [{"height": height, "width": width} for height, width in SIZES],
    "SmallestMaxSize": [{"max_size": 100}, {"max_size": 300}],
}
GEOMETRIC: dict[str, list[dict[str, Any]]] = {
    **{name: [{}] for name in KEEPS_PIXELS},
    **{name: [arguments] for name, arguments in DROPS.items()},
    **CROPS,
    "AtLeastOneBBoxRandomCrop": [{"height": 97, "width": 130}],
    "Crop": [{"x_min": 5, "y_min": 9, "x_max": 150, "y_max": 170}],
    "Pad": [{"padding": 9}, {"padding": [3, 8], "border_mode": 4}],
    "PadIfNeeded": [{"min_height": 223, "min_width": 200}],
    "RandomCropFromBorders": [{}],
    **DISTORTIONS,
    **RESIZES,
}
REFUSED = {
    **dict.fromkeys(
        ["CenterCrop3D", "CoarseDropout3D", "CubicSymmetry", "Pad3D", "PadIfNeeded3D", "RandomCrop3D"], "is for volumes"
    ),
    **dict.fromkeys(["BBoxSafeRandomCrop", "RandomSizedBBoxSafeCrop"], "needs bboxes, which a sweep cannot give it"),
    "Lambda": "needs Python functions",
    "RandomCropNearBBox": "needs cropping_bbox",
    "Mosaic": "needs mosaic_metadata",
    "OverlayElements": "needs overlay_metadata",
    "FrequencyMasking": "is a specialized version of XYMasking",
    "TimeMasking": "is a specialized version of XYMasking",
    "PiecewiseAffine": "is very slow",
    "ShiftScaleRotate": "Please use Affine",
    "TimeReverse": "is an alias for HorizontalFlip",
}
NEEDED = {
    "BBoxSafeRandomCrop": {},
    "RandomSizedBBoxSafeCrop": {"height": 64, "width": 64},
    "CenterCrop3D": {"size": [8, 8, 8]},
    "Pad3D": {"padding": 3},
    "PadIfNeeded3D": {"min_zyx": [8, 8, 8]},
    "RandomCrop3D": {"size": [8, 8, 8]},
}
"""Arguments without which a refused transform cannot be built."""


@functools.cache
def vessels(seed: int) -> np.ndarray:
    """A mask of 0 and 1: winding vessels, 2 to 8 pixels wide."""
    rng, mask = np.random.default_rng(seed), np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(20):
        point, angle = rng.uniform(0, SIDE, 2), rng.uniform(0, 2 * np.pi)
        points = [point]
        for _ in range(25):
            angle += rng.normal(0, 0.25)
            point = point + np.array([np.cos(angle), np.sin(angle)]) * SIDE / 20
            points.append(point)
        cv2.polylines(mask, [np.round(points).astype(np.int32)], False, 1, int(rng.integers(2, 9)))
    return mask


def shift_of(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """How far (x, y) the second pictures are shifted against the first, in pixels: least squares (Lucas, Kanade 1981).

    One shift for all pairs: a single crop may hold vessels of one direction only.
    """
    left, right = np.zeros((2, 2)), np.zeros(2)
    for pair in pairs:
        first, second = (cv2.GaussianBlur(each.astype(np.float64), (0, 0), 2) for each in pair)
        along_y, along_x = (each[8:-8, 8:-8].ravel() for each in np.gradient((first + second) / 2))
        slopes = np.stack([along_x, along_y])
        left += slopes @ slopes.T
        right += slopes @ (first - second)[8:-8, 8:-8].ravel()
    return np.linalg.solve(left, right)


def moved(augmentation: list[Any], draws: int = DRAWS) -> list[tuple[np.ndarray, np.ndarray]]:
    """Image (above half) and mask after an augmentation that got the mask as image too."""
    transform, pairs = augment.build(augmentation), []
    for draw in range(draws):
        mask = vessels(draw)
        image = np.repeat(mask[..., None] * 255, 3, axis=2).astype(np.uint8)
        image, mask = augment.apply(transform, image, mask, (0, 0, draw))
        assert image.shape[:2] == mask.shape
        assert set(np.unique(mask)) <= {0, 1}
        pairs.append((image[..., 0] > 127, mask))
    return pairs


def test_the_shift_is_measured() -> None:
    mask = vessels(0)
    assert shift_of([(mask, np.roll(mask, 1, axis=1))]) == pytest.approx([1, 0], abs=0.1)
    finer = cv2.resize(mask, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST).astype(np.float32)
    half = cv2.resize(np.roll(finer, 2, axis=0), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert shift_of([(mask, half)]) == pytest.approx([0, 0.5], abs=0.05)


def classes(base: type) -> dict[str, type]:
    every = {name: getattr(albumentations, name) for name in dir(albumentations)}
    return {
        n: c for n, c in every.items() if inspect.isclass(c) and issubclass(c, base) and ".core." not in c.__module__
    }


def test_every_geometric_transform_is_tested_or_has_a_reason() -> None:
    known = [*GEOMETRIC, *REFUSED]
    assert sorted(known) == sorted(classes(albumentations.DualTransform))


CASES = [(name, arguments) for name, several in GEOMETRIC.items() for arguments in several]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=[f"{name}-{a}" for name, a in CASES])
def test_a_geometric_transform_moves_image_and_mask_together(name: str, arguments: dict[str, Any]) -> None:
    pairs = moved([{name: {**arguments, "p": 1}}])
    assert np.abs(shift_of(pairs)).max() < MOST
    differing = sum(np.count_nonzero(image != mask) for image, mask in pairs)
    assert differing < 0.12 * sum(image.sum() for image, _ in pairs)  # a factor of 2: as many as along the edges
    if name not in {**DISTORTIONS, **RESIZES, "PixelDropout": []}:
        assert differing == 0


@pytest.mark.parametrize("name", REFUSED)
def test_a_transform_that_cannot_work_is_refused(name: str) -> None:
    (problem,) = augment.check_augment([{name: NEEDED.get(name, {})}])
    assert REFUSED[name] in problem.message


@pytest.mark.parametrize("outer", [[], ["OneOf"], ["Sequential"], ["SomeOf", "RandomOrder"]])
def test_a_group_of_transforms_aligns_them_too(outer: list[str]) -> None:
    entry: dict[str, Any] = {"Resize": {"height": 96, "width": 96, "p": 1}}
    for name in outer:
        entry = {name: {"transforms": [entry], "p": 1}}
    assert np.abs(shift_of(moved([entry]))).max() < MOST


@pytest.mark.parametrize(
    ("chosen", "least"),
    [
        ({"mask_interpolation": cv2.INTER_NEAREST}, 0.4),
        ({"mask_interpolation": cv2.INTER_NEAREST_EXACT}, 0.0),
        ({"mask_interpolation": cv2.INTER_LINEAR}, 0.0),
        ({"interpolation": cv2.INTER_NEAREST}, 0.0),  # the mask is taken from the same pixels
        ({"interpolation": cv2.INTER_NEAREST_EXACT}, 0.0),
    ],
)
def test_what_a_user_chooses_is_used(chosen: dict[str, int], least: float) -> None:
    shift = np.abs(shift_of(moved([{"Resize": {"height": 97, "width": 131, **chosen}}]))).max()
    assert least <= shift < least + MOST + 0.1
    if "interpolation" in chosen:
        for image, mask in moved([{"Resize": {"height": 96, "width": 97, **chosen}}]):
            np.testing.assert_array_equal(image, mask)


@pytest.mark.parametrize("fill", [1, 255])
def test_a_border_that_is_filled_with_vessel_is_1(fill: int) -> None:
    augmentation = [{"Affine": {"scale": [0.5, 0.5], "fill": 255, "fill_mask": fill, "p": 1}}]
    for image, mask in moved(augmentation, 1):
        assert mask[0].all()
        assert np.count_nonzero(image != mask) < 0.05 * mask.size


@pytest.mark.parametrize("size", [96, 144, 180])
def test_a_shrunk_mask_keeps_its_share_of_vessels(size: int) -> None:
    """Also that of vessels of one pixel, which a threshold after linear interpolation makes thinner."""
    rng, share, expected = np.random.default_rng(0), 0.0, 0.0
    transform = augment.build([{"Rotate": {"limit": [-90, 90], "p": 1}}, {"Resize": {"height": size, "width": size}}])
    for draw in range(6):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(20):
            cv2.line(mask, rng.integers(0, SIDE, 2).tolist(), rng.integers(0, SIDE, 2).tolist(), 1, 1)
        image, small = augment.apply(transform, np.repeat(mask[..., None] * 255, 3, axis=2), mask, (0, 0, draw))
        share += small.mean()
        expected += image.mean() / 255
    assert share == pytest.approx(expected, rel=0.05)


NOT_MOVED = {
    "Emboss": "draws edges beside the vessels",
    "InvertImg": "turns light and dark round",
    "Solarize": "turns light and dark round",
    **dict.fromkeys(
        ["RandomFog", "RandomGravel", "RandomRain", "RandomShadow", "RandomSnow", "RandomSunFlare", "Spatter"],
        "draws over the image",
    ),
    **dict.fromkeys(["FromFloat", "Normalize", "ToFloat"], "is refused: the image is no uint8 image afterwards"),
    **dict.fromkeys(["FDA", "HistogramMatching", "PixelDistributionAdaptation", "TextImage"], "is refused"),
    **dict.fromkeys(["GlassBlur", "ZoomBlur"], "is refused: it moves the image, and not its mask"),
    **dict.fromkeys(["ToRGB", "ToGray", "ToSepia", "ChannelDropout", "ChannelShuffle"], "changes colours only"),
}
CHANGES_IMAGES = sorted(set(classes(albumentations.ImageOnlyTransform)) - set(NOT_MOVED))


@pytest.mark.parametrize("name", CHANGES_IMAGES)
def test_a_transform_of_the_image_alone_does_not_move_it(name: str) -> None:
    assert np.abs(shift_of(list(_filtered(name)))).max() < MOST


def _filtered(name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Normalised grey levels of images before and after a transform; vessels are darker than their surroundings."""
    transform = augment.build([{name: {"p": 1}}])
    for draw in range(3):
        mask = vessels(draw)
        image = np.repeat((170 - 70 * mask)[..., None], 3, axis=2).astype(np.uint8)
        after, _ = augment.apply(transform, image, mask, (0, 0, draw))
        levels = [each.astype(np.float64).mean(axis=2) for each in (image, after)]
        first, second = ((each - each.mean()) / each.std() for each in levels)
        yield first, second


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("GlassBlur", "and not its mask; use GaussianBlur or Defocus"),
        ("ZoomBlur", "and not its mask; use GaussianBlur or Defocus"),
        ({"PixelDropout": {"mask_drop_value": 0}}, "would drop other pixels of the mask than of the image"),
    ],
)
def test_a_transform_that_changes_other_pixels_of_the_image_than_of_the_mask_is_refused(
    entry: Any, message: str
) -> None:
    (problem,) = augment.check_augment([entry])
    assert message in problem.message
