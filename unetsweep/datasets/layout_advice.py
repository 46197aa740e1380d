"""What to do with a folder that is not arranged as a dataset: which command to run, or which folders to rename."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from unetsweep.datasets.file_names import KINDS_OF_FILES, printable
from unetsweep.datasets.part_folders import (
    IMAGE_NAMES,
    MASK_NAMES,
    PART_NAMES,
    describe,
    fitting,
    has_parts,
    part_named,
)
from unetsweep.datasets.public_sets import recognise

KAGGLE = "abdallahwagih/retina-blood-vessel"
EXPECTED = f"""\
expected is
  ROOT/
  ├── train/
  │   ├── image/   01.png, 02.png, …  ({KINDS_OF_FILES})
  │   └── mask/    01.png, 02.png, …  (paired by name; a suffix such as 01_manual1.png may follow)
  └── test/        (may be missing)
      ├── image/
      └── mask/
(ROOT/Data/train and so on is accepted too.) Where to get images:
  unetsweep data import SET FOLDER      arranges DRIVE, STARE, CHASE_DB1, HRF or FIVES as distributed
  unetsweep data download               gets the set of 100 images, https://www.kaggle.com/datasets/{KAGGLE}
  unetsweep data sample DIR             draws synthetic images instead"""
MAX_FILES = 20_000
"""More files than these are in no folder of one set; a home directory must not be searched to its end."""
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".7z", ".rar", ".gz"})


def how_to_arrange(root: Path) -> str:
    """Return what was found in a folder without training images, and what to do."""
    if not root.is_dir():
        return EXPECTED
    advice = next(_advice(root), None)
    return f"holds no train/; {advice}" if advice else f"holds no train/; {describe(root)}; {EXPECTED}"


def files_below(folder: Path) -> list[Path]:
    """Return the paths of the files below a folder, relative to it, without hidden ones; some MAX_FILES at most."""
    files: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        inside = Path(parent).relative_to(folder)
        files += [inside / name for name in sorted(names) if not name.startswith(".")]
        if len(files) > MAX_FILES:
            break
    return files


def _advice(root: Path) -> Iterator[str]:
    """Yield pieces of advice, the most certain one first."""
    if part_named(root.name) is not None and has_parts(root.parent):
        yield f"it is a part of a set; use {printable(root.parent)} as the folder"
    public = recognise(files_below(root))
    if public is not None:
        to = f"data/{public.key}"
        command = f"unetsweep data import {public.key} {shlex.quote(printable(root))} {to}"
        yield f"it is {public.title} as distributed: run `{command}`, then use {to}"
    turned = [kind for names in (IMAGE_NAMES, MASK_NAMES) for kind in fitting(root, names)]
    if moves := [move for kind in turned for move in _moves(root, kind)]:
        folders = " ".join(sorted({str(Path(move.split()[-1]).parent) for move in moves}))
        yield f"{describe(root)}; run in it: mkdir -p {folders} && {' && '.join(moves)}"
    if inner := sorted(entry for entry in root.iterdir() if entry.is_dir() and has_parts(entry)):
        names = " or ".join(printable(entry) for entry in inner[:3])
        yield f"{describe(root)}; use {names} as the folder"
    if archives := sorted(entry.name for entry in root.iterdir() if entry.suffix.lower() in _ARCHIVES):
        yield f"{describe(root)}; unpack {', '.join(printable(name) for name in archives[:4])} first"


def _moves(root: Path, kind: Path) -> Iterator[str]:
    """Yield the commands that move `images/train` to `train/image`, or `images` without parts to `train/image`."""
    name = "image" if kind in fitting(root, IMAGE_NAMES) else "mask"
    inner = [entry for names in PART_NAMES.values() for entry in fitting(kind, names)]
    for entry in inner:
        yield f"mv {shlex.quote(f'{kind.name}/{entry.name}')} {part_named(entry.name)}/{name}"
    if not inner:
        yield f"mv {shlex.quote(kind.name)} train/{name}"
