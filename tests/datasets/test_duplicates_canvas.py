"""Duplicates are found at any position on the canvas; a cut field does not make different eyes similar."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chase import CHASE, needs_chase
from images_drawn import write
from numpy.typing import NDArray

from unetsweep.datasets.duplicates import find_duplicates
from unetsweep.datasets.fingerprints import aligned
from unetsweep.datasets.frames import find_field
from unetsweep.datasets.layout import Pair, find_pairs

Picture = NDArray[Any]
Change = Callable[[Picture], Picture]
BLACK = cv2.BORDER_CONSTANT


def expanded(image: Picture, angle: float) -> Picture:
    """Rotated on a canvas enlarged to fit, as by scipy.ndimage.rotate and PIL with expand=True."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, 1.0)
    c, s = np.abs(matrix[0, :2])
    size = int(height * s + width * c), int(height * c + width * s)
    matrix[:, 2] += (np.array(size) - (width, height)) / 2
    return np.asarray(cv2.warpAffine(image, matrix, size))


def zoomed(image: Picture, factor: float, border: int = BLACK) -> Picture:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), 0, factor)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=border))


def shifted(image: Picture, right: float, down: float = 0.0) -> Picture:
    height, width = image.shape[:2]
    matrix = np.array([[1, 0, right * width], [0, 1, down * height]], np.float32)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height)))


def padded(image: Picture, width: int, height: int) -> Picture:
    down, right = height - image.shape[0], width - image.shape[1]
    return np.asarray(cv2.copyMakeBorder(image, down // 2, down - down // 2, right // 2, right - right // 2, BLACK))


def wide(image: Picture) -> Picture:
    """3:2, with black sides."""
    height, width = image.shape[:2]
    return padded(image, max(width, 3 * height // 2), height)


def cut(image: Picture) -> Picture:
    """3:2, the field cut at top and bottom, as most cameras do."""
    height, width = image.shape[:2]
    top = (height - 2 * width // 3) // 2
    return image[top : height - top]


def square(image: Picture) -> Picture:
    return np.asarray(cv2.resize(image, (512, 512), interpolation=cv2.INTER_AREA))


def to_square(image: Picture) -> Picture:
    return padded(image, max(image.shape[:2]), max(image.shape[:2]))


CHANGES: Mapping[str, tuple[Change, Change]] = {
    **{f"rotated by {angle}": (lambda p: p, lambda p, angle=angle: expanded(p, angle)) for angle in (15, 30, 45, 110)},
    **{f"shifted by {share}": (lambda p: p, lambda p, share=share: shifted(p, share)) for share in (0.03, -0.06)},
    **{f"zoomed by {zoom}": (lambda p: p, lambda p, zoom=zoom: zoomed(p, zoom)) for zoom in (0.8, 1.2)},
    "3:2 squashed": (wide, lambda p: square(wide(p))),
    "3:2 padded": (wide, lambda p: to_square(wide(p))),
    "cut 3:2 squashed": (cut, lambda p: square(cut(p))),
    "cut 3:2 padded": (cut, lambda p: to_square(cut(p))),
    "cut 3:2 rotated, then squashed": (cut, lambda p: square(expanded(cut(p), 30))),
    "cut at top and bottom": (lambda p: p, cut),
    "all at once": (lambda p: p, lambda p: square(shifted(zoomed(expanded(p[:, ::-1], 20), 1.1), 0.05, -0.03))),
}

thorough = functools.partial(pytest.param, marks=pytest.mark.thorough)
SOME = ("rotated by 110", "cut 3:2 padded", "all at once")
"""Real photographs take a second for each change; the synthetic ones have all."""


def pairs_of(folder: Path, pictures: Mapping[str, Picture]) -> list[Pair]:
    return [Pair(name, write(folder / f"{name}.bmp", image), folder / "none") for name, image in pictures.items()]


@pytest.fixture(scope="module")
def photographs() -> Mapping[str, Picture]:
    """Both eyes of 14 children, at half their size."""
    every = [pair for pairs in find_pairs(CHASE).values() for pair in pairs]
    return {pair.name: cv2.resize(cv2.imread(str(pair.image)), (500, 480)) for pair in every}


@needs_chase
@pytest.mark.parametrize("name", [*SOME, *(thorough(each) for each in CHANGES if each not in SOME)])
def test_real_duplicates_are_found_at_any_position_on_the_canvas(
    photographs: Mapping[str, Picture], tmp_path: Path, name: str
) -> None:
    first, second = CHANGES[name]
    pictures = {
        f"{eye}-{side}": np.ascontiguousarray(change(image))
        for eye, image in list(photographs.items())[:12]
        for side, change in (("a", first), ("b", second))
    }
    duplicates = find_duplicates({"train": pairs_of(tmp_path, pictures)}, use_cache=False)
    assert set(duplicates.groups) == {(f"train/{eye}-a", f"train/{eye}-b") for eye in list(photographs)[:12]}
    assert min(match.correlation for match in duplicates.matches) > 0.9
    assert duplicates.suspicious == ()


@needs_chase
@pytest.mark.parametrize(
    "change",
    [
        thorough(cut, id="cut"),
        thorough(lambda p: to_square(cut(p)), id="cut, padded"),
        thorough(lambda p: square(wide(p)), id="squashed"),
        pytest.param(lambda p: p[100:380, 110:390], id="no border"),
        thorough(lambda p: zoomed(p, 0.7, cv2.BORDER_REFLECT_101), id="mirrored border"),
        thorough(lambda p: np.where(p.max(axis=2, keepdims=True) < 30, 255, p), id="white"),
        pytest.param(
            lambda p: np.roll(np.where(p.max(axis=2, keepdims=True) < 30, 255, p), 30, axis=1),
            id="white, off the centre",
        ),
    ],
)
def test_different_real_eyes_are_not_grouped_however_all_were_framed(
    photographs: Mapping[str, Picture], tmp_path: Path, change: Change
) -> None:
    pictures = {eye: np.asarray(change(image), np.uint8) for eye, image in photographs.items()}
    duplicates = find_duplicates({"train": pairs_of(tmp_path, pictures)}, use_cache=False)
    assert len(duplicates.groups) == 28
    assert len(duplicates.suspicious) <= 1


def test_synthetic_duplicates_are_found_at_any_position_on_the_canvas(sample: Path, tmp_path: Path) -> None:
    pictures = {}
    for eye in ("01", "05", "09"):
        image = cv2.imread(str(sample / "train" / "image" / f"{eye}.png"))
        pictures[f"{eye}-a"] = image
        pictures |= {f"{eye}-{n}": change(first(image)) for n, (first, change) in enumerate(CHANGES.values(), 10)}
    duplicates = find_duplicates({"train": pairs_of(tmp_path, pictures)}, use_cache=False)
    assert [{name[6:8] for name in group} for group in duplicates.groups] == [{"01"}, {"05"}, {"09"}]


def test_groups_do_not_depend_on_names(sample: Path, tmp_path: Path) -> None:
    pairs = find_pairs(sample)["train"]
    for order in ("abc", "cab"):
        renamed = {f"{order[n % 3]}{n:02d}": pair for n, pair in enumerate(pairs)}
        again = [Pair(name, pair.image, pair.mask) for name, pair in sorted(renamed.items())]
        duplicates = find_duplicates({"train": again}, tmp_path)  # one cache for all: it must not confuse names
        assert duplicates == find_duplicates({"train": again}, use_cache=False)
        groups = {frozenset(renamed[name[6:]].name for name in group) for group in duplicates.groups}
        assert groups == {frozenset(f"{n + k:02d}" for k in range(4)) for n in (1, 5, 9)}


def disc(width: int, height: int, centre: tuple[float, float], radii: tuple[float, float]) -> Picture:
    y, x = np.mgrid[:height, :width]
    inside = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1]) <= 1
    return np.asarray(inside[:, :, None] * np.array([180, 90, 60]), np.uint8)


@pytest.mark.parametrize(
    ("size", "centre", "radii"),
    [
        ((400, 400), (200, 190), (150, 150)),
        ((600, 400), (300, 200), (230, 230)),  # cut at top and bottom
        ((400, 400), (120, 230), (170, 170)),  # cut at the left
        ((400, 400), (200, 200), (120, 180)),  # squashed
        ((200, 200), (99.5, 99.5), (118, 118)),  # only its corners are cut off
        ((800, 300), (600, 140), (100, 100)),
    ],
)
def test_the_field_is_found(size: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> None:
    image = disc(*size, centre, radii)
    cv2.circle(image, (int(centre[0]), int(centre[1] - radii[1])), 8, (0, 0, 0), -1)  # a notch
    found = find_field(image)
    assert found is not None
    assert (found.x, found.y) == pytest.approx(centre, abs=2.5)
    assert (found.across, found.down) == pytest.approx(radii, rel=0.02)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.full((64, 96, 3), 120, np.uint8),
        np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8),
        cv2.rectangle(np.zeros((200, 200, 3), np.uint8), (20, 30), (170, 180), (180, 90, 60), -1),
        np.zeros((1, 1, 3), np.uint8),
    ],
    ids=["black", "grey", "noise", "a square", "a pixel"],
)
def test_an_image_without_a_round_field_has_none(image: Picture) -> None:
    assert find_field(image) is None


def test_a_duplicate_on_another_canvas_is_aligned_to_the_first(sample: Path) -> None:
    image = cv2.imread(str(sample / "train" / "image" / "01.png"))
    result = aligned(image, expanded(zoomed(image, 0.9), 30))
    expected = cv2.resize(image, (160, 160), interpolation=cv2.INTER_LINEAR)
    middle = (slice(40, 120), slice(40, 120))
    assert np.abs(result[middle].astype(int) - expected[middle]).mean() < 6
