"""The folder layout of a dataset: pairs of image and mask in train/ and test/, matched by name.

Rule 1: files are listed by extension; other files in a folder are ignored.
Rule 2: all problems of a dataset are reported at once.
Rule 3: names must be UTF-8 text, since splits, results and reports contain them.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.errors import DataError, Problem

PARTS = ("train", "test")
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".ppm"})

KAGGLE = "abdallahwagih/retina-blood-vessel"
EXPECTED = f"""\
expected is
  ROOT/
  ├── train/
  │   ├── image/   01.png, 02.png, …  (PNG, JPEG, TIFF, GIF or PPM)
  │   └── mask/    01.png, 02.png, …  (paired by name; a suffix such as 01_manual1.png may follow)
  └── test/
      ├── image/
      └── mask/
(ROOT/Data/train and so on is accepted too.) A dataset of 100 images: https://www.kaggle.com/datasets/{KAGGLE}
  kaggle datasets download -d {KAGGLE} --unzip -p data/retina     then use data/retina as root
  unetsweep data sample DIR                                       draws synthetic images instead"""

_SEPARATORS = "_-. "
_WORD_AT_END = re.compile(r"[_\-. ][A-Za-z]+$")


@dataclass(frozen=True, slots=True)
class Pair:
    """A photograph and the mask of its vessels; `name` is the image's stem."""

    name: str
    image: Path
    mask: Path


def find_pairs(root: Path) -> dict[str, tuple[Pair, ...]]:
    """Return the pairs of `train` and `test`, sorted by name.

    Raises DataError with every folder, image and mask that is missing, duplicated or without a partner.
    """
    pairs, problems = pairs_and_problems(root)
    if problems:
        raise DataError(str(root), problems)
    return pairs


def pairs_and_problems(root: Path) -> tuple[dict[str, tuple[Pair, ...]], list[Problem]]:
    """Return the pairs of each part, and a problem for every missing folder and every file without a partner."""
    home = home_of(root)
    missing = [f"{part}/{kind}" for part in PARTS for kind in ("image", "mask") if not (home / part / kind).is_dir()]
    if not root.is_dir() or len(missing) == 2 * len(PARTS):
        found = "holds no train/ and test/" if root.is_dir() else "is not a folder" if root.exists() else "is not there"
        return {}, [Problem(f"{found}; {EXPECTED}")]
    problems = [Problem(f"this folder is missing; {EXPECTED}" if not n else "this folder is missing", field)
                for n, field in enumerate(missing)]  # fmt: skip
    pairs: dict[str, tuple[Pair, ...]] = {}
    for part in PARTS:
        if f"{part}/image" not in missing and f"{part}/mask" not in missing:
            pairs[part] = _pairs_in(home, part, problems)
    return pairs, problems


def pairs_named(root: Path, names: Mapping[str, Collection[str]]) -> dict[str, dict[str, tuple[Pair, ...]]]:
    """Return, by part and name, every possible pair of the files with these names; ignore all other files.

    Raises DataError if `root` holds no dataset.
    """
    home = home_of(root)
    if not any((home / part).is_dir() for part in PARTS):
        find_pairs(root)  # raises the error that says so
    return {part: _candidates(home / part, wanted) for part, wanted in names.items()}


def home_of(root: Path) -> Path:
    """Return the folder that holds train/ and test/: `root`, or its `Data/`, which the 100-image set unpacks to."""
    if not any((root / part).is_dir() for part in PARTS):
        for parent in ("Data", "data"):
            if any((root / parent / part).is_dir() for part in PARTS):
                return root / parent
    return root


def printable(name: object) -> str:
    r"""Return a name or path as UTF-8 text; bytes of another encoding become escapes.

    >>> printable("01.png"), printable("\udce9.png")
    ('01.png', '\\udce9.png')
    """
    return str(name).encode("utf-8", "backslashreplace").decode()


def listed(folder: Path) -> tuple[Path, ...]:
    """Return the image files of a folder, sorted by name, without hidden files (`._01.png`) and folders.

    DataError if one is a link to nothing, a pipe or the like: without it the dataset would silently be a smaller one.
    """
    files = [f for f in folder.iterdir() if f.suffix.lower() in EXTENSIONS and not f.name.startswith(".")]
    if wrong := sorted(f.name for f in files if not f.is_file() and not f.is_dir()):
        raise DataError(str(folder), [f"{printable(wrong[0])}: is no file, or a link to nothing; restore or remove it"])
    return tuple(sorted(f for f in files if f.is_file()))


def _pairs_in(home: Path, part: str, problems: list[Problem]) -> tuple[Pair, ...]:
    """Return the pairs of one part; add every file without a partner to `problems`."""
    images, masks = (_with_utf8_names(listed(home / part / kind), part, problems) for kind in ("image", "mask"))
    kinds = ", ".join(sorted(e[1:] for e in EXTENSIONS))
    for kind, files in (("image", images), ("mask", masks)):
        if not files:
            problems.append(Problem(f"holds no image file; supported are {kinds}", f"{part}/{kind}"))
    if not images or not masks:
        return ()
    by_stem = _by_stem(images, part, problems)
    masks_of = _masks_by_stem(tuple(by_stem), masks)
    for mask in masks_of.pop(None, []):
        text = f"no image of this name; add {part}/image/{mask.stem}.png or remove the mask"
        problems.append(Problem(text, _location(part, mask)))
    for stem, image in by_stem.items():
        found = masks_of.get(stem, [])
        if not found:
            text = f"no mask; add {part}/mask/{stem}.png or {stem}_SUFFIX.png, or remove the image"
            problems.append(Problem(text, _location(part, image)))
        elif len(found) > 1:
            text = f"{len(found)} masks ({', '.join(m.name for m in found)}); keep only one of them in {part}/mask"
            problems.append(Problem(text, _location(part, image)))
    return tuple(Pair(s, i, masks_of[s][0]) for s, i in sorted(by_stem.items()) if masks_of.get(s))


def _candidates(folder: Path, names: Collection[str]) -> dict[str, tuple[Pair, ...]]:
    images, masks = (listed(folder / kind) if (folder / kind).is_dir() else () for kind in ("image", "mask"))
    images_of: dict[str, list[Path]] = {}
    for image in images:
        if image.stem in names:
            images_of.setdefault(image.stem, []).append(image)
    masks_of = _masks_by_stem(tuple(images_of), masks)
    return {
        name: tuple(Pair(name, image, mask) for image in found for mask in masks_of.get(name, ()))
        for name, found in images_of.items()
    }


def _with_utf8_names(files: Sequence[Path], part: str, problems: list[Problem]) -> tuple[Path, ...]:
    """Return the files with UTF-8 names; add the others to `problems`."""
    bad = [file for file in files if printable(file.name) != file.name]
    problems += [Problem("its name is not UTF-8 text; rename it", _location(part, file)) for file in bad]
    return tuple(file for file in files if file not in bad)


def _location(part: str, file: Path) -> str:
    return f"{part}/{file.parent.name}/{printable(file.name)}"


def _by_stem(images: Sequence[Path], part: str, problems: list[Problem]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for image in images:
        if image.stem in found:
            other = found[image.stem].name
            problems.append(Problem(f"has the same name as {other}; keep only one of them", _location(part, image)))
        else:
            found[image.stem] = image
    return found


def _masks_by_stem(stems: Sequence[str], masks: Sequence[Path]) -> dict[str | None, list[Path]]:
    """Return the masks of each image stem; masks of no image are under None."""
    short = _shortened(stems)
    found: dict[str | None, list[Path]] = {}
    for mask in masks:
        found.setdefault(owner(mask.stem, stems, short), []).append(mask)
    return found


def _shortened(stems: Sequence[str]) -> dict[str, str]:
    """Map stems without their last word (`21` for `21_training`) to the stems, if that is unambiguous."""
    stems_of: dict[str, list[str]] = {}
    for stem in stems:
        base = _WORD_AT_END.sub("", stem)
        if base and base != stem:
            stems_of.setdefault(base, []).append(stem)
    return {base: some[0] for base, some in stems_of.items() if len(some) == 1 and base not in stems}


def owner(mask: str, stems: Sequence[str], shortened: Mapping[str, str] | None = None) -> str | None:
    """Return the stem of the image that a mask belongs to: the same stem, else the longest one that it starts with.

    >>> owner("Image_12R_1stHO", ["Image_12L", "Image_12R"]), owner("im0235.ah", ["im0235"])
    ('Image_12R', 'im0235')
    >>> owner("21_manual1", ["21_training", "22_training"]), owner("10", ["1", "01"])
    ('21_training', None)
    """
    if mask in stems:
        return mask
    prefixes = [stem for stem in stems if mask.startswith(stem) and mask[len(stem)] in _SEPARATORS]
    if prefixes:
        return max(prefixes, key=len)
    short = _shortened(stems) if shortened is None else shortened
    fits = [base for base in short if mask == base or (mask.startswith(base) and mask[len(base)] in _SEPARATORS)]
    return short[max(fits, key=len)] if fits else None
