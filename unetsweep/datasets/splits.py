"""Training and validation never show the same eye: the split goes by whole groups.

Rule 1: a split depends on the seed and the groups' names only, so it is the same on every machine,
        in every version, and whatever order the files were listed in.
"""

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from unetsweep.contract import Split
from unetsweep.datasets.duplicates import Duplicates, eyes
from unetsweep.datasets.layout import Pair, home_of
from unetsweep.errors import DataError, Problem

FIELD = "data.split.groups"


def split(
    pairs: Sequence[Pair], split: Split, root: Path, duplicates: Duplicates | None = None
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """(training, validation), both sorted by name.

    Validation gets the number of images nearest to `split.val` of all that whole groups can make,
    and each side at least one group. Raises DataError where groups are missing or only one is there.
    """
    group_of = groups_of(pairs, split, root, duplicates)
    members: dict[str, list[Pair]] = {}
    for pair in pairs:
        members.setdefault(group_of[pair.name], []).append(pair)
    if len(members) < 2:
        found = f"all {len(pairs)} training images are in one group ({next(iter(members), 'none')!r})"
        raise DataError(str(root), [Problem(f"{found}; training and validation need one each", FIELD)])
    order = sorted(members, key=lambda group: _drawn(split.seed, group))
    chosen = _nearest([len(members[group]) for group in order], split.val * len(pairs))
    names = {order[index] for index in chosen}
    training = tuple(sorted((p for p in pairs if group_of[p.name] not in names), key=lambda p: p.name))
    validation = tuple(sorted((p for p in pairs if group_of[p.name] in names), key=lambda p: p.name))
    return training, validation


def groups_of(pairs: Sequence[Pair], split: Split, root: Path, duplicates: Duplicates | None = None) -> dict[str, str]:
    """The group of each image, by the image's name; `duplicates`, where they were looked for already."""
    if split.groups == "none":
        return {pair.name: pair.name for pair in pairs}
    if split.groups == "auto":
        return eyes(pairs, duplicates)
    if split.groups.lower().endswith(".csv"):
        return _from_csv(pairs, split.groups, root)
    return _from_regex(pairs, split.groups, root)


def _drawn(seed: int, group: str) -> str:
    """A group's lot: a hash, since no library promises its shuffle for ever."""
    return hashlib.sha256(f"{seed}\0{group}".encode()).hexdigest()


def _nearest(sizes: Sequence[int], wanted: float) -> list[int]:
    """Indices of groups whose sizes add up nearest to `wanted`, the earlier ones first.

    >>> _nearest([4, 4, 4, 4], 4.0), _nearest([5, 1, 2], 2.9), _nearest([1, 9], 0.1)
    ([0], [1, 2], [0])
    """
    total = sum(sizes)
    last: dict[int, int] = {0: -1}
    for index, size in enumerate(sizes):
        # Sums beyond the largest useful one are dropped, so that thousands of images stay cheap.
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
        pattern = re.compile(text)
    except re.error as error:
        found = f"found {text!r}, which is no regular expression ({error}); {_allowed()}"
        raise DataError(str(root), [Problem(found, FIELD)]) from None
    if not pattern.groups:
        found = f"found {text!r}, which has no group in brackets, as Image_(\\d+) has; {_allowed()}"
        raise DataError(str(root), [Problem(found, FIELD)])
    found_of = {pair.name: pattern.search(pair.name) for pair in pairs}
    groups = {name: match.group(1) for name, match in found_of.items() if match and match.group(1) is not None}
    missed = [pair.image.name for pair in pairs if pair.name not in groups]
    if missed:
        raise DataError(
            str(root), [Problem(f"{text!r} finds nothing in {_some(missed)}; it must fit each image", FIELD)]
        )
    return groups


def _from_csv(pairs: Sequence[Pair], name: str, root: Path) -> dict[str, str]:
    """Groups of a CSV file in the root with columns file and group; rows of test images are let be."""
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
        raise DataError(str(file), [f"is no CSV text in UTF-8 ({error})"]) from error
    return _grouped(pairs, rows, file)


def _grouped(pairs: Sequence[Pair], rows: Sequence[tuple[int, str, str]], file: Path) -> dict[str, str]:
    names: Mapping[str, str] = {pair.image.name: pair.name for pair in pairs} | {pair.name: pair.name for pair in pairs}
    groups: dict[str, str] = {}
    problems: list[Problem] = []
    for line, said, group in rows:
        path = PurePosixPath(said.strip().replace("\\", "/"))
        name = names.get(path.name)
        if name is None or "test" in path.parts[:-1]:
            continue
        if not group.strip():
            problems.append(Problem(f"{said!r} has no group", line=line))
        elif groups.setdefault(name, group.strip()) != group.strip():
            problems.append(Problem(f"{said!r} is in group {groups[name]!r} already; leave one row", line=line))
    missed = [pair.image.name for pair in pairs if pair.name not in groups]
    if missed and not problems:
        problems.append(Problem(f"no row for {_some(missed)}; each training image needs one"))
    if problems:
        raise DataError(str(file), problems)
    return groups


def _allowed() -> str:
    csv_file, regex = "a CSV file in the root (columns file, group)", "a regular expression with a group"
    return f"allowed: auto (found from the images), {csv_file}, {regex}, or none"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
