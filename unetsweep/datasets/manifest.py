"""The manifest of a dataset: the split by name, with a digest of each pair of files.

Rule 1: a config with a manifest is split by it, and its `data.split` is ignored.
Rule 2: a pair that is missing or has changed is an error that names it; files outside the manifest are ignored.
        If an image has several masks, the pinned one is used.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unetsweep.contract import DataConfig
from unetsweep.datasets.layout import Pair, find_pairs, pairs_named
from unetsweep.datasets.splits import some_of, split
from unetsweep.errors import DataError, Problem

_NEW_SPLIT = ", or start a sweep with another name (for `unetsweep train`: another --out) for a new split"

Manifest = Mapping[str, Mapping[str, str]]
"""`train`, `val` and `test`: the digest of each pair by its name."""


def divide(data: DataConfig, *, test: bool = True) -> dict[str, tuple[Pair, ...]]:
    """Return the pairs of `train`, `val` and `test`: those of the manifest, else of a new split. Raises DataError.

    Without `test` the test images of a manifest are not read, and need not be there.
    """
    root = Path(data.root)
    if data.manifest is not None:
        return pinned(data.manifest if test else {**data.manifest, "test": {}}, root)
    pairs = find_pairs(root)
    train, val = split(pairs["train"], data.split, root)
    return {"train": train, "val": val, "test": pairs.get("test", ())}


def pin(train: Sequence[Pair], val: Sequence[Pair], test: Sequence[Pair]) -> dict[str, dict[str, str]]:
    """Return the manifest of a split. Raises DataError for a file that cannot be read."""
    parts = {"train": train, "val": val, "test": test}
    return {part: {pair.name: digest(pair) for pair in pairs} for part, pairs in parts.items()}


def pinned(manifest: Mapping[str, Any], root: Path) -> dict[str, tuple[Pair, ...]]:
    """Return the pairs that the manifest names, as `train`, `val` and `test`.

    Raises DataError with the names of those that are missing or have changed.
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
    """Return 32 hexadecimal digits of a hash over the bytes of image and mask."""
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
    changed = [name for name, pair in same.items() if pair is None and name not in missing]
    if missing:
        text = f"missing: {some_of(missing)}; the split names them, so restore image and mask{_NEW_SPLIT}"
        problems.append(Problem(text, part))
    if changed:
        text = f"changed since the split was pinned: {some_of(changed)}; restore them{_NEW_SPLIT}"
        problems.append(Problem(text, part))
    return tuple(pair for _, pair in sorted(same.items()) if pair is not None)
