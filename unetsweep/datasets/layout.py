"""The layout of a dataset: pairs of image and mask for training and test, matched by name.

Rule 1: all problems of a dataset are reported at once, and what is not read is named (`unread_files`).
Rule 2: names must be UTF-8 text, since splits, results and reports contain them.
Rule 3: a dataset may have no test part, or test images without masks: it trains, and gets no test score.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.datasets.file_names import KINDS_OF_FILES, location, masks_by_stem, printable, stem_of
from unetsweep.datasets.layout_advice import how_to_arrange
from unetsweep.datasets.part_folders import PARTS as PARTS
from unetsweep.datasets.part_folders import Folders, PartFolders, describe, find_folders
from unetsweep.datasets.part_folders import home_of as home_of
from unetsweep.datasets.unread_files import Judgement, Listing, judge, list_folder
from unetsweep.errors import DataError, Problem
from unetsweep.texts import counted


@dataclass(frozen=True, slots=True)
class Pair:
    """A photograph and the mask of its vessels; `name` is the image's stem."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The images of a dataset, and what is wrong with its files."""

    home: Path | None
    """The folder with the parts; None if there is none."""
    pairs: Mapping[str, tuple[Pair, ...]]
    """The pairs of `train` and `test`, sorted by name; a part that is missing or has no masks is not in it."""
    without_masks: Mapping[str, tuple[Path, ...]]
    """The images of a part that has no masks at all."""
    problems: tuple[Problem, ...]
    """Every folder, image and mask that is missing, duplicated or without a partner, and lost files."""
    warnings: tuple[Problem, ...]
    """Files that are not read although they look like images."""
    notes: tuple[Problem, ...]
    """Other files that are not read."""

    @property
    def no_test(self) -> str | None:
        """Why there are no test scores; None if there are, or if something is wrong with the test images."""
        if "test" in self.pairs or any(problem.field.startswith("test") for problem in self.problems):
            return None
        if images := self.without_masks.get("test"):
            found = f"{counted(len(images), 'test image')} without masks ({describe(images[0].parent.parent)})"
            return f"{found}: the table has no test score, and `unetsweep predict` segments them"
        found = f" ({describe(self.home)})" if self.home is not None else ""
        return f"no test images{found}: the table has no test score"


def find_pairs(root: Path) -> Mapping[str, tuple[Pair, ...]]:
    """Return the pairs of each part, sorted by name.

    Raises DataError with every folder, image and mask that is missing, duplicated or without a partner.
    """
    layout = read_layout(root)
    if layout.problems:
        raise DataError(str(root), layout.problems)
    return layout.pairs


def read_layout(root: Path) -> Layout:
    """Return the images of the dataset in `root`. What is wrong is in the result, not raised."""
    if not root.is_dir():
        return _nothing(Problem(how_to_arrange(root)))
    folders = find_folders(root)
    if problems := folders.problems():
        return _nothing(*problems)
    if "train" not in folders.parts:
        return _nothing(Problem(how_to_arrange(root)))
    return _read(folders, PARTS)


def read_part(root: Path, part: str) -> Layout:
    """Return the images of one part of the dataset in `root`, whatever is wrong with the other part."""
    folders = find_folders(root)
    problems = folders.problems([part])
    return _nothing(*problems) if problems else _read(folders, [part])


def _read(folders: Folders, parts: Collection[str]) -> Layout:
    reading = _Reading()
    for part, of_part in folders.parts.items():
        if part in parts:
            reading.read(part, of_part)
    warnings = (*reading.warnings, *folders.unread)
    return Layout(
        folders.home, reading.pairs, reading.without_masks, tuple(reading.problems), warnings, tuple(reading.notes)
    )


def _nothing(*problems: Problem) -> Layout:
    return Layout(None, {}, {}, problems, (), ())


def pairs_named(root: Path, names: Mapping[str, Collection[str]]) -> dict[str, dict[str, tuple[Pair, ...]]]:
    """Return, by part and name, every possible pair of the files with these names; ignore all other files.

    Raises DataError if `root` holds no dataset.
    """
    folders = find_folders(root)
    if not folders.parts:
        raise DataError(str(root), read_layout(root).problems)
    if problems := folders.problems([part for part, wanted in names.items() if wanted]):
        raise DataError(str(root), problems)
    return {part: _candidates(folders.parts.get(part), wanted) for part, wanted in names.items()}


def listed(folder: Path) -> tuple[Path, ...]:
    """Return the image files of a folder, sorted by name, without hidden files (`._01.png`) and folders."""
    return list_folder(folder).images


class _Reading:
    """Collects what the parts of a dataset hold."""

    def __init__(self) -> None:
        self.pairs: dict[str, tuple[Pair, ...]] = {}
        self.without_masks: dict[str, tuple[Path, ...]] = {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.notes: list[Problem] = []

    def read(self, part: str, folders: PartFolders) -> None:
        """Read one part. Training needs images and masks; a test part may have no masks, or be empty."""
        images, masks = (list_folder(folder) if folder else None for folder in (folders.image, folders.mask))
        if images is not None:
            self._add(judge(images, masks))
        if masks is not None:
            self._add(judge(masks, images))
        has_images, has_masks = bool(images and images.images), bool(masks and masks.images)
        if has_images and has_masks and images and masks:
            self.pairs[part] = _paired(images, masks, self.problems)
        elif part == "test" and not has_masks:
            if images and images.images:
                self.without_masks[part] = images.images
        else:
            self._name_what_is_missing(folders, has_images=has_images, has_masks=has_masks)

    def _name_what_is_missing(self, folders: PartFolders, *, has_images: bool, has_masks: bool) -> None:
        kinds = (("image", folders.image, has_images), ("mask", folders.mask, has_masks))
        for kind, folder, has_files in kinds:
            if folder is None:
                where = f"{printable(folders.folder.name)}/{kind}"
                text = f"this folder is missing; {describe(folders.folder)}: {folders.how_to_make(kind)}"
                self.problems.append(Problem(text, where))
            elif not has_files:
                where = location(folder / "x").rpartition("/")[0]
                text = f"holds no image file that is read ({KINDS_OF_FILES}); {describe(folder)}"
                self.problems.append(Problem(text, where))

    def _add(self, judgement: Judgement) -> None:
        self.problems += judgement.errors
        self.warnings += judgement.warnings
        self.notes += judgement.notes


def _paired(image_files: Listing, mask_files: Listing, problems: list[Problem]) -> tuple[Pair, ...]:
    """Return the pairs of one part; add every file without a partner to `problems`."""
    images, masks = (_with_utf8_names(files.images, problems) for files in (image_files, mask_files))
    by_stem = _by_stem(images, problems)
    masks_of = masks_by_stem(tuple(by_stem), masks)
    image_folder, mask_folder = (location(files.images[0]).rpartition("/")[0] for files in (image_files, mask_files))
    for mask in masks_of.pop(None, []):
        text = f"no image of this name; add {image_folder}/{mask.stem}.png or remove the mask"
        problems.append(Problem(text, location(mask)))
    for stem, image in by_stem.items():
        found = masks_of.get(stem, [])
        if not found:
            text = f"no mask; add {mask_folder}/{stem}.png or {stem}_SUFFIX.png, or remove the image"
            problems.append(Problem(text, location(image)))
        elif len(found) > 1:
            text = f"{len(found)} masks ({', '.join(m.name for m in found)}); keep only one of them in {mask_folder}"
            problems.append(Problem(text, location(image)))
    return tuple(Pair(s, i, masks_of[s][0]) for s, i in sorted(by_stem.items()) if masks_of.get(s))


def _candidates(folders: PartFolders | None, names: Collection[str]) -> dict[str, tuple[Pair, ...]]:
    if folders is None:
        return {}
    images, masks = (listed(folder) if folder else () for folder in (folders.image, folders.mask))
    images_of: dict[str, list[Path]] = {}
    for image in images:
        if stem_of(image) in names:
            images_of.setdefault(stem_of(image), []).append(image)
    masks_of = masks_by_stem(tuple(images_of), masks)
    return {
        name: tuple(Pair(name, image, mask) for image in found for mask in masks_of.get(name, ()))
        for name, found in images_of.items()
    }


def _with_utf8_names(files: Sequence[Path], problems: list[Problem]) -> tuple[Path, ...]:
    """Return the files with UTF-8 names; add the others to `problems`."""
    bad = [file for file in files if printable(file.name) != file.name]
    problems += [Problem("its name is not UTF-8 text; rename it", location(file)) for file in bad]
    return tuple(file for file in files if file not in bad)


def _by_stem(images: Sequence[Path], problems: list[Problem]) -> dict[str, Path]:
    """Return the image of each name; add a problem for every name that several images have."""
    found: dict[str, list[Path]] = {}
    for image in images:
        found.setdefault(stem_of(image), []).append(image)
    for same in found.values():
        if len(same) > 1:
            names = ", ".join(image.name for image in same)
            forms = len({stem_of(image) + image.suffix for image in same}) < len({image.name for image in same})
            note = " (an accented letter is written in two ways)" if forms else ""
            text = f"{len(same)} images have this name: {names}{note}; keep only one of them, or rename"
            problems.append(Problem(text, location(same[0])))
    return {stem: same[0] for stem, same in found.items()}
