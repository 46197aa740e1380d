"""What lies where: pairs of image and mask in train/ and test/, by name.

Rule 1: files are listed by extension; anything else in a folder is not ours and is left alone.
Rule 2: every problem of a set is told at once.
Rule 3: names are text in UTF-8, since splits, results and reports name the images.
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
(ROOT/Data/train and so on is accepted too.) A set of 100 images: https://www.kaggle.com/datasets/{KAGGLE}
  kaggle datasets download -d {KAGGLE} --unzip -p data/retina     then use data/retina as root
  unetsweep data sample DIR                                       draws synthetic images instead"""

_SEPARATORS = "_-. "
_WORD_AT_END = re.compile(r"[_\-. ][A-Za-z]+$")


@dataclass(frozen=True, slots=True)
class Pair:
    """One photograph and its vessels; `name` is the image's stem."""

    name: str
    image: Path
    mask: Path


def find_pairs(root: Path) -> dict[str, tuple[Pair, ...]]:
    """The pairs of `train` and `test`, sorted by name.

    Raises DataError with every folder, image and mask that is missing, double or alone.
    """
    pairs, problems = pairs_and_problems(root)
    if problems:
        raise DataError(str(root), problems)
    return pairs


def pairs_and_problems(root: Path) -> tuple[dict[str, tuple[Pair, ...]], list[Problem]]:
    """What pairs, and every folder, image and mask that does not."""
    home = home_of(root)
    missing = [f"{part}/{kind}" for part in PARTS for kind in ("image", "mask") if not (home / part / kind).is_dir()]
    if not root.is_dir() or len(missing) == 2 * len(PARTS):
        found = "holds no train/ and test/" if root.is_dir() else "is no folder" if root.exists() else "is not there"
        return {}, [Problem(f"{found}; {EXPECTED}")]
    problems = [Problem(f"this folder is missing; {EXPECTED}" if not n else "this folder is missing", field)
                for n, field in enumerate(missing)]  # fmt: skip
    pairs: dict[str, tuple[Pair, ...]] = {}
    for part in PARTS:
        if f"{part}/image" not in missing and f"{part}/mask" not in missing:
            pairs[part] = _pairs_in(home, part, problems)
    return pairs, problems


def pairs_named(root: Path, names: Mapping[str, Collection[str]]) -> dict[str, dict[str, tuple[Pair, ...]]]:
    """By part and name, every pair that the files of these names can make; whatever else is there is let be.

    Raises DataError where there is no set at all.
    """
    home = home_of(root)
    if not any((home / part).is_dir() for part in PARTS):
        find_pairs(root)  # says so
    return {part: _possible(home / part, wanted) for part, wanted in names.items()}


def home_of(root: Path) -> Path:
    """The folder that holds train/ and test/: `root`, or its only `Data/`, as the 100-image set unpacks."""
    if not any((root / part).is_dir() for part in PARTS):
        for parent in ("Data", "data"):
            if any((root / parent / part).is_dir() for part in PARTS):
                return root / parent
    return root


def shown(name: object) -> str:
    r"""A name or path as text that can be printed, whatever its bytes are.

    >>> shown("01.png"), shown("\udce9.png")
    ('01.png', '\\udce9.png')
    """
    return str(name).encode("utf-8", "backslashreplace").decode()


def listed(folder: Path) -> tuple[Path, ...]:
    """The image files in a folder, sorted by name; hidden files (`._01.png`) are none."""
    files = (f for f in folder.iterdir() if f.suffix.lower() in EXTENSIONS and not f.name.startswith("."))
    return tuple(sorted(f for f in files if f.is_file()))


def _pairs_in(home: Path, part: str, problems: list[Problem]) -> tuple[Pair, ...]:
    """The pairs of one part; what does not pair is added to `problems`."""
    images, masks = (_with_text(listed(home / part / kind), part, problems) for kind in ("image", "mask"))
    kinds = ", ".join(sorted(e[1:] for e in EXTENSIONS))
    for kind, files in (("image", images), ("mask", masks)):
        if not files:
            problems.append(Problem(f"holds no image file; read are {kinds}", f"{part}/{kind}"))
    if not images or not masks:
        return ()
    by_stem = _by_stem(images, part, problems)
    of = _masks_of(tuple(by_stem), masks)
    for mask in of.pop(None, []):
        problems.append(
            Problem(f"no image of this name; add {part}/image/{mask.stem}.png or take it away", _at(part, mask))
        )
    for stem, image in by_stem.items():
        found = of.get(stem, [])
        if not found:
            wanted = f"{stem}.png or {stem}_SUFFIX.png"
            problems.append(Problem(f"no mask; add {part}/mask/{wanted} or take the image away", _at(part, image)))
        elif len(found) > 1:
            names = ", ".join(m.name for m in found)
            text = f"{len(found)} masks ({names}); leave one of them in {part}/mask"
            problems.append(Problem(text, _at(part, image)))
    return tuple(Pair(s, i, of[s][0]) for s, i in sorted(by_stem.items()) if of.get(s))


def _possible(folder: Path, names: Collection[str]) -> dict[str, tuple[Pair, ...]]:
    there = [listed(folder / kind) if (folder / kind).is_dir() else () for kind in ("image", "mask")]
    images: dict[str, list[Path]] = {}
    for image in there[0]:
        if image.stem in names:
            images.setdefault(image.stem, []).append(image)
    of = _masks_of(tuple(images), there[1])
    return {n: tuple(Pair(n, image, mask) for image in some for mask in of.get(n, ())) for n, some in images.items()}


def _with_text(files: Sequence[Path], part: str, problems: list[Problem]) -> tuple[Path, ...]:
    """Those whose names are text in UTF-8; the others are told."""
    bad = [file for file in files if shown(file.name) != file.name]
    problems += [Problem("its name is no text in UTF-8; rename it", _at(part, file)) for file in bad]
    return tuple(file for file in files if file not in bad)


def _at(part: str, file: Path) -> str:
    return f"{part}/{file.parent.name}/{shown(file.name)}"


def _by_stem(images: Sequence[Path], part: str, problems: list[Problem]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for image in images:
        if image.stem in found:
            other = found[image.stem].name
            problems.append(Problem(f"has the name of {other}; leave one of the two", _at(part, image)))
        else:
            found[image.stem] = image
    return found


def _masks_of(stems: Sequence[str], masks: Sequence[Path]) -> dict[str | None, list[Path]]:
    """Each stem's masks; under None those of no image."""
    short = _shortened(stems)
    found: dict[str | None, list[Path]] = {}
    for mask in masks:
        found.setdefault(owner(mask.stem, stems, short), []).append(mask)
    return found


def _shortened(stems: Sequence[str]) -> dict[str, str]:
    """Stems without a word at their end (`21_training` is `21`), where that is still one image's."""
    cut: dict[str, list[str]] = {}
    for stem in stems:
        base = _WORD_AT_END.sub("", stem)
        if base and base != stem:
            cut.setdefault(base, []).append(stem)
    return {base: of[0] for base, of in cut.items() if len(of) == 1 and base not in stems}


def owner(mask: str, stems: Sequence[str], shortened: Mapping[str, str] | None = None) -> str | None:
    """The image whose mask has this stem: the same, else the longest that the mask's begins with.

    >>> owner("Image_12R_1stHO", ["Image_12L", "Image_12R"]), owner("im0235.ah", ["im0235"])
    ('Image_12R', 'im0235')
    >>> owner("21_manual1", ["21_training", "22_training"]), owner("10", ["1", "01"])
    ('21_training', None)
    """
    if mask in stems:
        return mask
    begins = [stem for stem in stems if mask.startswith(stem) and mask[len(stem)] in _SEPARATORS]
    if begins:
        return max(begins, key=len)
    short = _shortened(stems) if shortened is None else shortened
    fits = [base for base in short if mask == base or (mask.startswith(base) and mask[len(base)] in _SEPARATORS)]
    return short[max(fits, key=len)] if fits else None
