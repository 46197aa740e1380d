"""The folders of a dataset: those of its images and masks, for training and test, under any of their usual names.

Rule 1: a folder is found by its name, without regard to case, `_`, `-` and spaces.
Rule 2: two folders that fit are an error, except that a field of view is known by its file names (DRIVE's
        `mask/21_training_mask.gif` beside `1st_manual/`).
Rule 3: a broken link of one of the names is an error: it is no folder that is missing.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.datasets.file_names import EXTENSIONS, composed, printable, stem_of
from unetsweep.errors import Problem
from unetsweep.texts import counted

PARTS = ("train", "test")
PART_NAMES: Mapping[str, Collection[str]] = {"train": ("train", "training"), "test": ("test", "testing")}
IMAGE_NAMES = frozenset({"image", "images", "img", "imgs", "original", "originals"})
MASK_NAMES = frozenset(
    {"mask", "masks", "label", "labels", "manual", "manual1", "1st manual", "ground truth", "groundtruth", "gt"}
    | {"annotation", "annotations"}
)
_FIELD_OF_VIEW = re.compile(r"[_\-. ](mask|fov)$", re.IGNORECASE)
_MAX_LISTED = 8


@dataclass(frozen=True, slots=True)
class PartFolders:
    """The folders of one part; None for one that is not there, or that several folders may be."""

    folder: Path
    image: Path | None
    mask: Path | None

    def how_to_make(self, kind: str) -> str:
        """Return what to do for a folder `image` or `mask` that is missing: rename another one if there is one."""
        others = [entry for entry in self.folder.iterdir() if entry.is_dir() and entry not in (self.image, self.mask)]
        if any(not entry.name.startswith(".") for entry in others):
            return f"rename the one with the {kind}s to {kind}"
        return f"make {kind}/ there, and move the {kind}s into it"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of a dataset."""

    home: Path
    """The folder with the parts."""
    parts: Mapping[str, PartFolders]
    """`train` and `test`, as far as they are there."""
    problems_of: Mapping[str, Sequence[Problem]]
    """By part: folders that fit twice, and broken links."""
    unread: tuple[Problem, ...]
    """Images in folders that are not read."""

    def problems(self, parts: Collection[str] = PARTS) -> tuple[Problem, ...]:
        """Return what is wrong with the folders of some parts."""
        return tuple(problem for part in PARTS if part in parts for problem in self.problems_of[part])


def find_folders(root: Path) -> Folders:
    """Return the folders of the dataset in `root`."""
    home = home_of(root)
    problems = {part: _broken_links(home, PART_NAMES[part]) for part in PARTS}
    found = {part: _not_empty(fitting(home, PART_NAMES[part])) for part in PARTS}
    folders = {part: some[0] for part, some in found.items() if some}
    for part, some in found.items():
        problems[part] += [_twice(some, f"{part} images")] if len(some) > 1 else []
    masks = _without_fields_of_view({part: _with_images(folder, MASK_NAMES) for part, folder in folders.items()})
    parts: dict[str, PartFolders] = {}
    for part, folder in folders.items():
        images = _with_images(folder, IMAGE_NAMES)
        problems[part] += [_twice(images, "images")] if len(images) > 1 else []
        problems[part] += [_twice(masks[part], "masks")] if len(masks[part]) > 1 else []
        problems[part] += [] if images else _broken_links(folder, IMAGE_NAMES)
        problems[part] += [] if masks[part] else _broken_links(folder, MASK_NAMES)
        parts[part] = PartFolders(folder, *(some[0] if len(some) == 1 else None for some in (images, masks[part])))
    return Folders(home, parts, problems, tuple(_unread(home, parts)))


def _broken_links(folder: Path, names: Collection[str]) -> list[Problem]:
    inside = folder.name if part_named(folder.name) else ""
    return [
        Problem(
            f"a broken link, to {printable(link.readlink())}; restore what is linked to, or remove the link",
            printable(f"{inside}/{link.name}" if inside else link.name),
        )
        for link in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if plain(link.name) in names and link.is_symlink() and not link.exists()
    ]


def _unread(home: Path, parts: Mapping[str, PartFolders]) -> Iterator[Problem]:
    """Yield a problem for other parts, such as `val/`, and for images beside the folders of images and masks."""
    if not parts:
        return
    others = (entry for entry in sorted(home.iterdir()) if part_named(entry.name) is None)
    for entry in others:
        if all(any(map(_holds_images, fitting(entry, names))) for names in (IMAGE_NAMES, MASK_NAMES)):
            text = "holds images and masks, and is not read: data.split takes the validation images from train"
            yield Problem(f"{text}; move them there to use them", printable(entry.name))
    for part in parts.values():
        if files := sorted(_image_files(part.folder)):
            text = f"{counted(len(files), 'image file')} beside the folders of images and masks, such as "
            text += f"{printable(files[0].name)}, not read; move into them, or away"
            yield Problem(text, printable(part.folder.name))


def home_of(root: Path) -> Path:
    """Return the folder that holds the parts: `root`, or its `Data/`, which the 100-image set unpacks to."""
    for home in (root, root / "Data", root / "data"):
        if has_parts(home):
            return home
    return root


def has_parts(folder: Path) -> bool:
    """Return whether a folder holds a folder for training or test images."""
    return any(_not_empty(fitting(folder, names)) for names in PART_NAMES.values())


def part_named(name: str) -> str | None:
    """Return the part that a folder of this name holds.

    >>> part_named("Training"), part_named("train2")
    ('train', None)
    """
    return next((part for part, names in PART_NAMES.items() if plain(name) in names), None)


def masks_beside(images: Path) -> Path | None:
    """Return the only folder of masks beside a folder of images; None if there is none, or no telling which."""
    images = images.absolute()
    if plain(images.name) not in IMAGE_NAMES:
        return None
    for part in find_folders(images.parent.parent).parts.values():  # the other part tells what is a field of view
        if part.image == images:
            return part.mask
    found = _without_fields_of_view({"": _with_images(images.parent, MASK_NAMES)})[""]
    return found[0] if len(found) == 1 else None


def images_in(folder: Path) -> Path | None:
    """Return the folder of images in a folder, such as `image/`."""
    return next(iter(_with_images(folder, IMAGE_NAMES)), None)


def describe(folder: Path) -> str:
    """Return what a folder holds, for a message.

    Folders come first, each with the number of its image files.
    """
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    folders = [f"{printable(entry.name)}/{_count_images(entry)}" for entry in entries if entry.is_dir()]
    files = [printable(entry.name) for entry in entries if not entry.is_dir()]
    names = [*folders, *files]
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"found there: {', '.join(names[:_MAX_LISTED])}{more}" if names else "it is empty"


def _count_images(folder: Path) -> str:
    try:
        number = sum(file.suffix.lower() in EXTENSIONS for file in folder.iterdir())
    except OSError:
        return ""
    return f" ({counted(number, 'image file')})" if number else ""


def fitting(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the folders in `folder` that have one of the names; none if it cannot be listed."""
    try:
        return sorted(entry for entry in folder.iterdir() if plain(entry.name) in names and entry.is_dir())
    except (NotADirectoryError, FileNotFoundError, PermissionError):
        return []


def _not_empty(folders: Sequence[Path]) -> list[Path]:
    return [folder for folder in folders if any(folder.iterdir())]


def _with_images(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the folders in `folder` that have one of the names and hold images; if none does, the first of them."""
    found = fitting(folder, names)
    return [entry for entry in found if _holds_images(entry)] or found[:1]


def plain(name: str) -> str:
    """Return the name of a folder as names are compared."""
    return re.sub(r"[_\- ]+", " ", composed(name).lower())


def _twice(folders: Sequence[Path], what: str) -> Problem:
    names = " and ".join(printable(folder.name) for folder in folders)
    where = folders[0].parent.name if what in ("images", "masks") else ""
    return Problem(f"{names} may both hold the {what}; rename or move away the one that does not", where)


def _without_fields_of_view(candidates: Mapping[str, Sequence[Path]]) -> dict[str, list[Path]]:
    """Return the folders of masks of each part without those that hold fields of view.

    Files that all end in `_mask` or `_fov` are fields of view if another folder of the part holds masks, and in the
    other part too. Otherwise they are masks of vessels: `01_mask.png`.
    """
    views = {part: [folder for folder in some if _is_field_of_view(folder)] for part, some in candidates.items()}
    known = {plain(view.name) for part, some in views.items() if len(some) < len(candidates[part]) for view in some}
    return {
        part: [folder for folder in some if folder not in views[part] or plain(folder.name) not in known]
        for part, some in candidates.items()
    }


def _is_field_of_view(folder: Path) -> bool:
    stems = [stem_of(file) for file in _image_files(folder)]
    return bool(stems) and all(_FIELD_OF_VIEW.search(stem) for stem in stems)


def _holds_images(folder: Path) -> bool:
    return any(_image_files(folder))


def _image_files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in EXTENSIONS and not file.name.startswith("."))
