"""The split into training and validation, by whole image groups: no eye or patient is in both.

Rule 1: a split depends only on the seed and the groups' names, so it is the same on every machine, in every version,
        and for every order of the files.
"""

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from unetsweep.contract import Split
from unetsweep.datasets.duplicates import Duplicates, image_groups
from unetsweep.datasets.file_names import composed
from unetsweep.datasets.layout import Pair, home_of
from unetsweep.datasets.part_folders import part_named
from unetsweep.errors import DataError, Problem

FIELD = "data.split.groups"
MAX_NAMES = 8
"""More names than these would hide the rest of an error message."""


def split(
    pairs: Sequence[Pair], split: Split, root: Path, duplicates: Duplicates | None = None
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return (training, validation), both sorted by name.

    Validation gets the number of images nearest to the share `split.val` that whole groups allow, and each side at
    least one group. Raises DataError if an image has no group or all have the same one.
    """
    group_of = groups_of(pairs, split, root, duplicates)
    members: dict[str, list[Pair]] = {}
    for pair in pairs:
        members.setdefault(group_of[pair.name], []).append(pair)
    if len(members) < 2:
        found = f"all {len(pairs)} training images are in one group ({next(iter(members), 'none')!r})"
        raise DataError(str(root), [Problem(f"{found}; training and validation need one each", FIELD)])
    order = sorted(members, key=lambda group: _sort_key(split.seed, group))
    chosen = _nearest([len(members[group]) for group in order], split.val * len(pairs))
    names = {order[index] for index in chosen}
    training = tuple(sorted((p for p in pairs if group_of[p.name] not in names), key=lambda p: p.name))
    validation = tuple(sorted((p for p in pairs if group_of[p.name] in names), key=lambda p: p.name))
    return training, validation


def groups_of(pairs: Sequence[Pair], split: Split, root: Path, duplicates: Duplicates | None = None) -> dict[str, str]:
    """Return the group of each image, by the image's name; `duplicates` saves a search if it is known."""
    if split.groups == "none":
        return {pair.name: pair.name for pair in pairs}
    if split.groups == "auto":
        return image_groups(pairs, duplicates)
    if split.groups.lower().endswith(".csv"):
        return _from_csv(pairs, split.groups, root)
    return _from_regex(pairs, split.groups, root)


def _sort_key(seed: int, group: str) -> str:
    """Return a group's key in a random order: a hash, because a library may change its shuffle in a later version."""
    return hashlib.sha256(f"{seed}\0{group}".encode()).hexdigest()


def _nearest(sizes: Sequence[int], wanted: float) -> list[int]:
    """Return the indices of groups whose sizes add up nearest to `wanted`, preferring earlier groups.

    >>> _nearest([4, 4, 4, 4], 4.0), _nearest([5, 1, 2], 2.9), _nearest([1, 9], 0.1)
    ([0], [1, 2], [0])
    """
    total = sum(sizes)
    last: dict[int, int] = {0: -1}
    for index, size in enumerate(sizes):
        # Larger sums are never the best, and dropping them keeps thousands of images cheap.
        for reached in [s for s in last if s + size not in last and s + size < min(total, wanted + max(sizes) + 1)]:
            last[reached + size] = index
    best = min((s for s in last if 0 < s < total), key=lambda s: (abs(s - wanted), s))
    chosen: list[int] = []
    while best:
        chosen.append(last[best])
        best -= sizes[last[best]]
    return sorted(chosen)


def _from_regex(pairs: Sequence[Pair], text: str, root: Path) -> dict[str, str]:
    try:
        pattern = re.compile(composed(text))
    except re.error as error:
        found = f"found {text!r}, which is not a regular expression ({error}); {_allowed()}"
        raise DataError(str(root), [Problem(found, FIELD)]) from None
    if not pattern.groups:
        found = f"found {text!r}, which has no group in brackets, such as Image_(\\d+); {_allowed()}"
        raise DataError(str(root), [Problem(found, FIELD)])
    found_of = {pair.name: pattern.search(pair.name) for pair in pairs}
    groups = {name: match.group(1) for name, match in found_of.items() if match and match.group(1) is not None}
    missed = [pair.image.name for pair in pairs if pair.name not in groups]
    if missed:
        found = f"{text!r} finds nothing in {some_of(missed)}; it must match each image"
        raise DataError(str(root), [Problem(found, FIELD)])
    return groups


def _from_csv(pairs: Sequence[Pair], name: str, root: Path) -> dict[str, str]:
    """Return the groups of a CSV file in the root with columns file and group; rows of test images are ignored."""
    file = next((f for f in (root / name, home_of(root) / name) if f.is_file()), None)
    if file is None:
        raise DataError(str(root), [Problem(f"{name} is not there; {_allowed()}", FIELD)])
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or ()
            if not {"file", "group"} <= set(columns):
                found = f"its first line has {', '.join(columns) or 'nothing'}; columns file and group are expected"
                raise DataError(str(file), [Problem(found, line=1)])
            rows = [(reader.line_num, row["file"] or "", row["group"] or "") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(str(file), [f"is not CSV text in UTF-8 ({error})"]) from error
    return _groups_of_rows(pairs, rows, file)


def _groups_of_rows(pairs: Sequence[Pair], rows: Sequence[tuple[int, str, str]], file: Path) -> dict[str, str]:
    files = {composed(pair.image.name): pair.name for pair in pairs}
    names: Mapping[str, str] = files | {pair.name: pair.name for pair in pairs}
    groups: dict[str, str] = {}
    problems: list[Problem] = []
    for line, text, group in rows:
        path = PurePosixPath(text.strip().replace("\\", "/"))
        name = names.get(composed(path.name))
        if name is None or "test" in map(part_named, path.parts[:-1]):
            continue
        if not group.strip():
            problems.append(Problem(f"{text!r} has no group", line=line))
        elif groups.setdefault(name, group.strip()) != group.strip():
            problems.append(Problem(f"{text!r} is in group {groups[name]!r} already; keep only one row", line=line))
    missed = [pair.image.name for pair in pairs if pair.name not in groups]
    if missed and not problems:
        is_other = "" if groups else "; the list is for other images: use a list of yours, or groups: auto"
        problems.append(Problem(f"no row for {some_of(missed)}; each training image needs one{is_other}"))
    if problems:
        raise DataError(str(file), problems)
    return groups


def _allowed() -> str:
    csv_file, regex = "a CSV file in the root (columns file, group)", "a regular expression with a group"
    return f"allowed: auto (found from the images), {csv_file}, {regex}, or none"


def some_of(names: Sequence[str]) -> str:
    """Return the first names as text, and how many more there are."""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
