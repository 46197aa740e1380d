"""Duplicates of an eye are found however they are transformed, and different eyes are not grouped."""

import csv
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chase import CHASE, needs_chase
from images_drawn import make_set, write
from numpy.typing import NDArray

from unetsweep.contract import Split
from unetsweep.datasets.duplicates import Duplicates, find_duplicates, image_groups
from unetsweep.datasets.duplicates_cache import Match
from unetsweep.datasets.fingerprints import (
    DOUBTFUL,
    SURE,
    align,
    aligned,
    candidate_rotations,
    canvas_fingerprint,
    describe_transform,
)
from unetsweep.datasets.layout import Pair, find_pairs
from unetsweep.datasets.patients import left_right
from unetsweep.datasets.sample import draw_sample
from unetsweep.datasets.splits import split
from unetsweep.errors import DataError

Picture = NDArray[Any]


def truth(root: Path) -> set[frozenset[str]]:
    groups: dict[str, set[str]] = {}
    with (root / "groups.csv").open() as stream:
        for row in csv.DictReader(stream):
            groups.setdefault(row["group"], set()).add(f"train/{Path(row['file']).stem}")
    tests = {frozenset({f"test/{pair.name}"}) for pair in find_pairs(root)["test"]}
    return {frozenset(group) for group in groups.values()} | tests


def groups_of(duplicates: Duplicates) -> set[frozenset[str]]:
    return {frozenset(group) for group in duplicates.groups}


@pytest.mark.parametrize(
    ("size", "eyes", "seed"),
    [
        (64, 4, 0),
        pytest.param(128, 6, 1, marks=pytest.mark.thorough),
        (256, 2, 2),
        pytest.param(128, 12, 1, marks=pytest.mark.thorough),
        pytest.param(256, 6, 2, marks=pytest.mark.thorough),
    ],
)
def test_the_duplicates_of_a_sample_are_found_and_no_others(tmp_path: Path, size: int, eyes: int, seed: int) -> None:
    root = tmp_path / "sample"
    draw_sample(root, size=size, eyes=eyes, test_eyes=eyes, seed=seed)
    duplicates = find_duplicates(find_pairs(root))
    assert groups_of(duplicates) == truth(root)
    assert duplicates.suspicious == ()


def test_a_match_describes_how_the_duplicate_was_made(sample: Path) -> None:
    duplicates = find_duplicates(find_pairs(sample))
    transforms = [match.transform for match in duplicates.matches if match.a == "train/01"]
    assert transforms[:2] == ["mirrored left to right", "mirrored top to bottom"]
    assert transforms[2].startswith("rotated by ")
    assert 0.3 < abs(float(transforms[2].split()[2])) <= 45
    assert list(duplicates.groups) == sorted(duplicates.groups)


def rotated(image: Picture, angle: float, border: int = cv2.BORDER_REFLECT_101) -> Picture:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, 1.0)
    result = cv2.warpAffine(
        np.ascontiguousarray(image), matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border
    )
    return np.asarray(result)


CHANGES: Mapping[str, tuple[Callable[[Picture], Picture], str]] = {
    "nothing": (lambda p: p, "the same picture"),
    "left to right": (lambda p: p[:, ::-1], "mirrored left to right"),
    "top to bottom": (lambda p: p[::-1], "mirrored top to bottom"),
    "a quarter": (lambda p: np.rot90(p), "rotated by 90 degrees"),
    "a quarter back": (lambda p: np.rot90(p, -1), "rotated by -90 degrees"),
    "half": (lambda p: np.rot90(p, 2), "rotated by 180 degrees"),
    "mirrored quarter": (lambda p: np.rot90(p[:, ::-1]), "mirrored, then rotated by 90 degrees"),
    "some degrees": (lambda p: rotated(p, 23.4), "rotated by 23.4 degrees"),
    "many, black": (lambda p: rotated(p, -140.0, cv2.BORDER_CONSTANT), "rotated by -140.0 degrees"),
    "mirrored, some": (lambda p: rotated(p[:, ::-1], -12.0), "mirrored, then rotated by -12.0 degrees"),
    "light": (lambda p: np.clip(p * 0.6 + 20.0, 0, 255).astype(np.uint8), "the same picture"),
    "jpeg": (lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1), "the same picture"),
    "smaller": (lambda p: cv2.resize(p, (100, 100), interpolation=cv2.INTER_AREA), "the same picture"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_transform_is_recognized_and_described(sample: Path, name: str) -> None:
    change, expected = CHANGES[name]
    image = cv2.imread(str(sample / "train" / "image" / "05.png"))
    prints = [canvas_fingerprint(np.ascontiguousarray(each[:, :, ::-1])) for each in (image, change(image))]
    (rotation,) = candidate_rotations(prints)
    best = align(*prints, rotation)
    assert best.correlation > 0.8
    described = describe_transform(best.pose, best.mirrored)
    if expected.endswith("degrees"):
        assert described.split()[:-2] == expected.split()[:-2]
        assert float(described.split()[-2]) == pytest.approx(float(expected.split()[-2]), abs=0.5)
    else:
        assert described == expected


@pytest.mark.parametrize("level", [60, 255])
def test_a_bright_border_does_not_make_different_eyes_similar(sample: Path, level: int) -> None:
    prints = []
    for name in ("01", "05", "09", "12"):
        image = cv2.imread(str(sample / "train" / "image" / f"{name}.png"))
        image = np.roll(image, 6, axis=1)  # off the centre, the field's edge is alike in all
        image[image.max(axis=2) < 30] = level
        prints += [canvas_fingerprint(each) for each in (image, rotated(image, 25.0, cv2.BORDER_CONSTANT))]
    fits = {(each.a, each.b): align(prints[each.a], prints[each.b], each) for each in candidate_rotations(prints)}
    sure = {pair for pair, best in fits.items() if best.correlation >= SURE}
    assert sure == {(0, 1), (2, 3), *((a, b) for a in range(4, 8) for b in range(a + 1, 8))}
    assert all(best.correlation < DOUBTFUL for pair, best in fits.items() if pair not in sure)


def test_an_aligned_duplicate_matches_the_first() -> None:
    rng = np.random.default_rng(0)
    spots = cv2.GaussianBlur(rng.integers(0, 255, (160, 160, 3)).astype(np.uint8), (0, 0), 3)
    image = cv2.normalize(spots, None, 40, 220, cv2.NORM_MINMAX)
    back = aligned(image, rotated(image[:, ::-1], 30.0))
    middle = (slice(50, 110), slice(50, 110))
    assert np.abs(back[middle].astype(int) - image[middle]).mean() < 6


def test_images_without_vessels_are_not_duplicates(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=4, test=2)
    write(root / "train" / "image" / "01.png", np.zeros((32, 32, 3), np.uint8))
    write(root / "train" / "image" / "02.png", np.full((32, 32, 3), 90, np.uint8))
    assert all(len(group) == 1 for group in find_duplicates(find_pairs(root)).groups)


def test_identical_files_are_grouped_whatever_they_show(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=3, test=2)
    write(root / "train" / "image" / "01.png", np.zeros((32, 32, 3), np.uint8))
    shutil.copy(root / "train" / "image" / "01.png", root / "test" / "image" / "02.png")
    duplicates = find_duplicates(find_pairs(root))
    assert ("test/02", "train/01") in duplicates.groups
    (match,) = duplicates.matches
    assert match == Match("train/01", "test/02", 1.0, "the same file")


def test_every_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pairs = find_pairs(make_set(tmp_path))
    pairs["train"][0].image.write_bytes(b"no image")
    pairs["test"][1].image.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        find_duplicates(pairs)
    assert [("train/image/01.png" in p.message, "test/image/02.png" in p.message) for p in caught.value.problems] == [
        (True, False),
        (False, True),
    ]


# Image groups with `groups: auto`.


def test_auto_keeps_the_image_groups_of_a_sample_on_one_side(sample: Path) -> None:
    pairs = find_pairs(sample)["train"]
    assert set(image_groups(pairs).values()) == {"01", "05", "09"}
    training, validation = split(pairs, Split(0.3, 0, "auto"), sample)
    assert (len(training), len(validation)) == (8, 4)
    groups = image_groups(pairs)
    assert not {groups[p.name] for p in training} & {groups[p.name] for p in validation}


def test_auto_groups_left_and_right_eyes_with_their_duplicates(sample: Path, tmp_path: Path) -> None:
    first = find_pairs(sample)["train"]
    names = ["05L", "05R", "x", "y"]  # 01 and 05 are the eyes of one patient by name; x duplicates 05R
    chosen = [first[0], first[4], first[5], first[8]]
    pairs = [Pair(name, pair.image, pair.mask) for name, pair in zip(names, chosen, strict=True)]
    assert image_groups(pairs) == {"05L": "05L", "05R": "05L", "x": "05L", "y": "y"}


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (["Image_01L", "Image_01R", "Image_02L"], {"Image_01L": "Image_01", "Image_01R": "Image_01"}),
        (["12_left", "12_right", "13_left"], {"12_left": "12", "12_right": "12"}),
        (["01_OD", "01_OS", "02_OD", "03_OS"], {"01_OD": "01", "01_OS": "01"}),
        (["left-7", "right-7"], {"left-7": "-7", "right-7": "-7"}),
        (["21_training", "22_training", "Paul", "Paur", "al", "ar"], {}),
        (["01_l", "01_right"], {}),
        (["01", "02"], {}),
    ],
)
def test_left_and_right_are_read_from_names(names: Sequence[str], patients: Mapping[str, str]) -> None:
    assert left_right(names) == patients


# Real photographs.


@needs_chase
def test_real_photographs_of_28_eyes_have_no_duplicates() -> None:
    duplicates = find_duplicates(find_pairs(CHASE))
    assert all(len(group) == 1 for group in duplicates.groups)
    assert (len(duplicates.groups), duplicates.suspicious) == (28, ())
    children = image_groups(find_pairs(CHASE)["train"])
    assert all(children[f"Image_{n:02d}L"] == children[f"Image_{n:02d}R"] == f"Image_{n:02d}L" for n in range(1, 11))


def recipe(image: Picture, rng: np.random.Generator) -> Iterator[tuple[str, Picture]]:
    """The four variants of the 100-image set, made at native size; and harder ones."""
    yield from (("original", image), ("left", image[:, ::-1]), ("top", image[::-1]))
    yield "rotated", rotated(image, rng.uniform(-45, 45))
    yield "black", rotated(image, rng.uniform(-45, 45), cv2.BORDER_CONSTANT)
    yield "quarter", np.rot90(image[:, ::-1])
    yield "mirrored", rotated(image[:, ::-1], rng.uniform(-45, 45))
    yield "any", rotated(image[::-1], rng.uniform(-180, 180), cv2.BORDER_CONSTANT)


@needs_chase
@pytest.mark.parametrize(
    ("eyes", "seed"),
    [(4, 0), pytest.param(20, 0, marks=pytest.mark.thorough), pytest.param(20, 1, marks=pytest.mark.thorough)],
)
def test_the_recipe_of_the_100_images_is_recognized_on_real_photographs(tmp_path: Path, eyes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = []
    for pair in find_pairs(CHASE)["train"][:eyes]:
        for name, image in recipe(cv2.imread(str(pair.image)), rng):
            file = tmp_path / f"{pair.name}-{name}.jpg"
            small = cv2.resize(np.ascontiguousarray(image), (512, 512), interpolation=cv2.INTER_LINEAR)
            pairs.append(Pair(file.stem, write(file, small), pair.mask))
    duplicates = find_duplicates({"train": pairs}, tmp_path)
    assert len(duplicates.groups) == eyes
    assert all(len({name.split("-")[0] for name in group}) == 1 for group in duplicates.groups)
    assert min(match.correlation for match in duplicates.matches) > 0.8
    assert duplicates.suspicious == ()
