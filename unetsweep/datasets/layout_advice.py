"""What to do with a folder that is not arranged as a dataset: which command to run, or which folders to rename."""

import difflib
import os
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from unetsweep.datasets.file_names import KINDS_OF_FILES, composed, printable
from unetsweep.datasets.part_folders import (
    IMAGE_NAMES,
    MASK_NAMES,
    PART_NAMES,
    describe,
    fitting,
    has_parts,
    part_named,
    plain,
)
from unetsweep.datasets.public_sets import recognise

KAGGLE = "abdallahwagih/retina-blood-vessel"
EXPECTED = (
    f"expected is train/image/01.png, … ({KINDS_OF_FILES}) and train/mask/01.png, … (paired by name; a suffix such as "
    "01_manual1.png may follow), and test/image and test/mask likewise, which may be missing. To get images: "
    "`unetsweep data import SET FOLDER` arranges DRIVE, STARE, CHASE_DB1, HRF or FIVES as distributed, "
    f"`unetsweep data download` gets the set of 100 images (https://www.kaggle.com/datasets/{KAGGLE}), "
    "`unetsweep data sample DIR` draws synthetic images"
)
MAX_FILES = 20_000
"""More files than these are in no folder of one set; a home directory must not be searched to its end."""
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".7z", ".rar", ".gz"})


def how_to_arrange(root: Path) -> str:
    """Return what was found in a folder without training images, and what to do."""
    if not root.is_dir():
        found = "is not a folder" if root.exists() else "is not there"
        return next(_why_not_there(root), f"{found}; {EXPECTED}")
    advice = next(_advice(root), None)
    return f"holds no train/; {advice}" if advice else f"holds no train/; {describe(root)}; {EXPECTED}"


def files_below(folder: Path) -> list[Path]:
    """Return the paths of the files below a folder, relative to it, without hidden ones; some MAX_FILES at most."""
    files: list[Path] = []
    seen = {os.path.realpath(folder)}  # links to folders are followed, each folder once
    for parent, folders, names in os.walk(folder, followlinks=True):
        named = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        real = {os.path.realpath(Path(parent, name)): name for name in reversed(named)}
        folders[:] = sorted(name for path, name in real.items() if path not in seen)
        seen |= real.keys()
        inside = Path(parent).relative_to(folder)
        files += [inside / name for name in sorted(names) if not name.startswith(".")]
        if len(files) > MAX_FILES or len(seen) > MAX_FILES:
            break
    return files


def _why_not_there(root: Path) -> Iterator[str]:
    if root.is_symlink():
        yield f"is a broken link, to {printable(root.readlink())}; restore what is linked to"
    for entry in root.parent.iterdir() if root.parent.is_dir() and not root.exists() else ():
        if composed(entry.name) == composed(root.name) and entry.is_dir():
            text = (
                "is not there, but a folder is whose name looks the same: its accented letters are written in another"
            )
            yield f"{text} way (NFC or NFD); rename the folder, or copy its name from the output of ls"
    if not root.exists() and root.parent.is_dir():
        names = [entry.name for entry in root.parent.iterdir() if entry.is_dir()]
        for near in difflib.get_close_matches(root.name, names, 1):
            yield f"is not there; did you mean {printable(root.parent / near)}?"


def _advice(root: Path) -> Iterator[str]:
    """Yield pieces of advice, the most certain one first."""
    if part_named(root.name) is not None and has_parts(root.parent):
        yield f"it is a part of a set; use {printable(root.parent)} as the folder"
    if plain(root.name) in IMAGE_NAMES | MASK_NAMES and part_named(root.parent.name) is not None:
        yield f"it is one folder of a set; use {printable(root.parent.parent)} as the folder"
    public = recognise(files_below(root))
    if public is not None:
        to = f"data/{public.key}"
        command = f"unetsweep data import {public.key} {shlex.quote(printable(root))} {to}"
        yield f"it is {public.title} as distributed: run `{command}`, then use {to}"
    turned = [kind for names in (IMAGE_NAMES, MASK_NAMES) for kind in fitting(root, names)]
    if moves := [*(move for kind in turned for move in _moves(root, kind)), *_moves_of_joined(root)]:
        folders = " ".join(sorted({str(Path(move.split()[-1]).parent) for move in moves}))
        yield f"{describe(root)}; run in it: mkdir -p {folders} && {' && '.join(moves)}"
    if inner := next((some for depth in ("*", "*/*", "*/*/*") if (some := _with_parts(root, depth))), None):
        names = " or ".join(printable(entry) for entry in inner[:3])
        yield f"{describe(root)}; use {names} as the folder"
    if archives := sorted(entry.name for entry in root.iterdir() if entry.suffix.lower() in _ARCHIVES):
        yield f"{describe(root)}; unpack {', '.join(printable(name) for name in archives[:4])} first"


def _with_parts(root: Path, depth: str) -> list[Path]:
    return sorted(entry for entry in islice(root.glob(depth), MAX_FILES) if entry.is_dir() and has_parts(entry))


def _moves_of_joined(root: Path) -> Iterator[str]:
    """Yield the commands that move `train_images` or `images_train` to `train/image`."""
    kinds = (("image", IMAGE_NAMES), ("mask", MASK_NAMES))
    for entry in sorted(entry for entry in root.iterdir() if entry.is_dir()):
        pieces = plain(entry.name).split()
        first, last = part_named(pieces[0]) if pieces else None, part_named(pieces[-1]) if pieces else None
        part, rest = (first, pieces[1:]) if first else (last, pieces[:-1])
        for kind, names in kinds:
            if part is not None and " ".join(rest) in names and not (root / part / kind).exists():
                yield f"mv {shlex.quote(entry.name)} {part}/{kind}"


def _moves(root: Path, kind: Path) -> Iterator[str]:
    """Yield the commands that move `images/train` to `train/image`, or `images` without parts to `train/image`."""
    name = "image" if kind in fitting(root, IMAGE_NAMES) else "mask"
    inner = [entry for names in PART_NAMES.values() for entry in fitting(kind, names)]
    for entry in inner:
        yield f"mv {shlex.quote(f'{kind.name}/{entry.name}')} {part_named(entry.name)}/{name}"
    if not inner:
        yield f"mv {shlex.quote(kind.name)} train/{name}"
