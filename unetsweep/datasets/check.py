"""Before anything is submitted, every file has been read once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.contract import DataConfig
from unetsweep.datasets.duplicates import Duplicates, find_duplicates
from unetsweep.datasets.layout import Pair, find_pairs
from unetsweep.datasets.leaks import Leak, leak_of
from unetsweep.datasets.manifest import divide, pin
from unetsweep.datasets.reading import read_pair, size_of
from unetsweep.datasets.splits import groups_of, split
from unetsweep.errors import DataError, Problem

NO_GROUPS = (
    "no two images are copies, but two photographs of one eye or person may be on both sides of the split "
    "(data.split.groups is none; use auto, a CSV file or a regular expression)"
)
LEAKS = "a score on such images rewards memory, and a winner chosen by it is none"
_MUCH = 0.4
"""Share of vessel pixels that no retina has; the largest of four public sets is 0.09 in the mean."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the images are, as far as a person wants to know before a sweep."""

    train: int
    val: int
    test: int
    groups: int
    """Groups (eyes, children) among the training and validation images."""
    sizes: Mapping[str, int]
    """Images of each size as read, `999x960` or after the resize `128x128`: how many."""
    side: int
    """Longer side of the training images as read, in pixels."""
    vessel_share: float
    """Share of vessel pixels in all masks."""
    manifest: Mapping[str, Mapping[str, str]]
    """The split by name, with a digest of each pair of files."""
    val_groups: Mapping[str, str]
    """Group of each validation image by its name, as the split has it; with `groups: none` the eye that it shows."""
    leak: Leak
    """Which images have a copy where they must not; nothing, unless the config allows it."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    sizes: Mapping[str, Sequence[str]]
    """Names of the images of each size."""
    shares: Mapping[str, float]
    """Share of vessel pixels of each mask, by the mask's name in its part."""


def check(data: DataConfig) -> Checked:
    """Find, divide and read all, and look for copies of one eye on both sides.

    Raises DataError with every problem of the set at once, or with the leak where the config allows none.
    """
    root = Path(data.root)
    pairs = _pairs(data)
    problems: list[Problem] = []
    split_problems: list[Problem] = []
    parts: dict[str, tuple[Pair, ...]] = {}
    seen = {part: _read(part, there, data, problems) for part, there in pairs.items()}
    for part, of in seen.items():
        if len(of.sizes) > 1:
            problems.append(Problem(_many_sizes(of.sizes), part))
    duplicates = None if problems else find_duplicates(pairs)
    try:
        parts = _divided(data, pairs, root, duplicates)
    except DataError as error:
        split_problems = [p if error.source == str(root) else Problem(p.text(error.source)) for p in error.problems]
    if duplicates is None or split_problems:
        raise DataError(str(root), [*split_problems, *problems])
    names = {part: [pair.name for pair in there] for part, there in parts.items()}
    leak = leak_of(duplicates, names["train"], names["val"], names["test"])
    if leak and not data.split.allow_leak:
        raise DataError(str(root), [Problem(_refusal(data, leak), "data.split")])
    return _checked(data, parts, seen, leak, duplicates)


def _pairs(data: DataConfig) -> dict[str, tuple[Pair, ...]]:
    """The images of `train` and `test`: what is there, or of it what the manifest names."""
    if data.manifest is None:
        return find_pairs(Path(data.root))
    parts = divide(data)
    return {"train": tuple(sorted((*parts["train"], *parts["val"]), key=lambda p: p.name)), "test": parts["test"]}


def _divided(
    data: DataConfig, pairs: Mapping[str, tuple[Pair, ...]], root: Path, duplicates: Duplicates | None
) -> dict[str, tuple[Pair, ...]]:
    if data.manifest is not None:
        of = {pair.name: pair for pair in pairs["train"]}
        halves = {part: tuple(of[name] for name in sorted(data.manifest[part])) for part in ("train", "val")}
        return {**halves, "test": pairs["test"]}
    if data.split.groups == "auto" and duplicates is None:
        return {}  # the pictures have problems of their own, which are told
    train, val = split(pairs["train"], data.split, root, duplicates)
    return {"train": train, "val": val, "test": pairs["test"]}


def _refusal(data: DataConfig, leak: Leak) -> str:
    said = f"{'; '.join(leak.parts().values())}: {LEAKS}. "
    if leak.test:
        said += "Take the copies out of test or train; "
    elif data.split.groups == "auto":  # a manifest of an older version, or images moved since
        said += "Start a sweep of another name; "
    else:
        said += f"`groups: auto` keeps copies together (found: {data.split.groups}); "
    return said + "`allow_leak: true` trains all the same, and every report says so"


def _checked(
    data: DataConfig, parts: Mapping[str, Sequence[Pair]], seen: Mapping[str, _Seen], leak: Leak, duplicates: Duplicates
) -> Checked:
    shares = {name: share for of in seen.values() for name, share in of.shares.items()}
    sizes: Counter[str] = Counter()
    for of in seen.values():
        sizes.update({size: len(names) for size, names in of.sizes.items()})
    training, by_eye = [*parts["train"], *parts["val"]], replace(data.split, groups="auto")
    groups = _groups(training, data, duplicates)
    shows = groups_of(training, by_eye, Path(data.root), duplicates) if data.split.groups == "none" else groups
    return Checked(
        train=len(parts["train"]),
        val=len(parts["val"]),
        test=len(parts["test"]),
        groups=len(set(groups.values())),
        sizes=dict(sizes),
        side=max(int(side) for size in seen["train"].sizes for side in size.split("x")),
        vessel_share=sum(shares.values()) / len(shares),
        manifest=data.manifest or pin(parts["train"], parts["val"], parts["test"]),
        val_groups={pair.name: shows[pair.name] for pair in parts["val"]},
        leak=leak,
        warnings=_warnings(data, shares, leak),
    )


def _groups(training: Sequence[Pair], data: DataConfig, duplicates: Duplicates) -> dict[str, str]:
    """Where the split is pinned, the groups need no longer be told: those that the pictures show will do."""
    try:
        return groups_of(training, data.split, Path(data.root), duplicates)
    except DataError:
        if data.manifest is None:
            raise
        return groups_of(training, replace(data.split, groups="auto"), Path(data.root), duplicates)


def _read(part: str, pairs: Sequence[Pair], data: DataConfig, problems: list[Problem]) -> _Seen:
    sizes: dict[str, list[str]] = {}
    shares: dict[str, float] = {}
    for pair in pairs:
        try:
            image, mask = read_pair(pair, data.image_size, data.mask_threshold)
        except DataError as error:
            problems += [Problem(f"{p.field}: {p.message}", part) for p in error.problems]
        else:
            sizes.setdefault(size_of(image), []).append(pair.name)
            shares[f"{part}/{pair.name}"] = float(mask.mean())
    return _Seen(sizes, shares)


def _many_sizes(sizes: Mapping[str, Sequence[str]]) -> str:
    few_first = sorted(sizes.items(), key=lambda item: len(item[1]))
    shown = ", ".join(f"{size} ({len(names)} images, as {names[0]})" for size, names in few_first[:4])
    return f"found {len(sizes)} sizes: {shown}; images of one batch must be of one size, so set data.image_size"


def _warnings(data: DataConfig, shares: Mapping[str, float], leak: Leak) -> tuple[str, ...]:
    found = [f"LEAKED: {text}: {LEAKS}" for text in leak.parts().values()]
    if data.split.groups == "none" and not leak:
        found.append(NO_GROUPS)
    empty = [name for name, share in shares.items() if share == 0]
    much = [name for name, share in shares.items() if share > _MUCH]
    if empty:
        found.append(f"{len(empty)} masks hold no vessel at mask_threshold {data.mask_threshold}, as {empty[0]}")
    if much:
        found.append(f"{len(much)} masks are more than {_MUCH:.0%} vessel, as {much[0]}; is black vessel there?")
    return tuple(found)
