"""The split by name with a digest of each pair of files: what a sweep pins, and a training holds on to.

Rule 1: where a manifest is, it is the split; nothing is divided anew.
Rule 2: a pair that is missing or has changed is refused by name; a file that the manifest does not name is let be.
        Of several masks of an image, the one that was pinned is taken.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unetsweep.contract import DataConfig
from unetsweep.datasets.layout import Pair, find_pairs, pairs_named
from unetsweep.datasets.splits import split
from unetsweep.errors import DataError, Problem

SHOWN = 8
"""Files that are named before `and … more`."""

_ANEW = ", or start a sweep of another name (by hand: another --out) to split anew"

Manifest = Mapping[str, Mapping[str, str]]
"""`train`, `val` and `test`: the digest of each pair by its name."""


def divide(data: DataConfig) -> dict[str, tuple[Pair, ...]]:
    """`train`, `val` and `test` as the manifest says, or divided anew where there is none. Raises DataError."""
    root = Path(data.root)
    if data.manifest is not None:
        return pinned(data.manifest, root)
    pairs = find_pairs(root)
    train, val = split(pairs["train"], data.split, root)
    return {"train": train, "val": val, "test": pairs["test"]}


def pin(train: Sequence[Pair], val: Sequence[Pair], test: Sequence[Pair]) -> dict[str, dict[str, str]]:
    """The manifest of a split. DataError where a file cannot be read."""
    parts = {"train": train, "val": val, "test": test}
    return {part: {pair.name: digest(pair) for pair in pairs} for part, pairs in parts.items()}


def pinned(manifest: Mapping[str, Any], root: Path) -> dict[str, tuple[Pair, ...]]:
    """The pairs that the manifest names, as `train`, `val` and `test`.

    DataError names each that is missing or has changed.
    """
    problems: list[Problem] = []
    pairs = pairs_named(root, {"train": [*manifest["train"], *manifest["val"]], "test": manifest["test"]})
    found = {
        part: _matching(part, pairs["test" if part == "test" else "train"], manifest[part], problems)
        for part in ("train", "val", "test")
    }
    if problems:
        raise DataError(str(root), problems)
    return found


def digest(pair: Pair) -> str:
    """32 hexadecimal digits over the bytes of image and mask."""
    total = hashlib.sha256()
    for file in (pair.image, pair.mask):
        try:
            total.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise DataError(str(file), [f"cannot be read ({error.strerror or error}); check the file"]) from error
    return total.hexdigest()[:32]


def _matching(
    part: str, pairs: Mapping[str, Sequence[Pair]], wanted: Mapping[str, str], problems: list[Problem]
) -> tuple[Pair, ...]:
    missing = [name for name in wanted if not pairs.get(name)]
    same = {name: next((p for p in pairs.get(name, ()) if digest(p) == wanted[name]), None) for name in wanted}
    other = [name for name, pair in same.items() if pair is None and name not in missing]
    if missing:
        text = f"missing: {_some(missing)}; the split names them, so put image and mask back{_ANEW}"
        problems.append(Problem(text, part))
    if other:
        text = f"changed since the split was pinned: {_some(other)}; put them back{_ANEW}"
        problems.append(Problem(text, part))
    return tuple(pair for _, pair in sorted(same.items()) if pair is not None)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
