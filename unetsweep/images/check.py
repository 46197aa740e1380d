"""Before anything is submitted, every file has been read once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.contract import DataConfig
from unetsweep.errors import DataError, Problem
from unetsweep.images.layout import Pair, find_pairs
from unetsweep.images.read import read_pair, size_of
from unetsweep.images.split import groups_of, split

NO_GROUPS = (
    "images of one eye may fall on both sides of the split, which makes val_iou look better than it is "
    "(data.split.groups is none; name a CSV file or a regular expression)"
)
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
    vessel_share: float
    """Share of vessel pixels in all masks."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    sizes: Mapping[str, Sequence[str]]
    """Names of the images of each size."""
    shares: Mapping[str, float]
    """Share of vessel pixels of each mask, by the mask's name in its part."""


def check(data: DataConfig) -> Checked:
    """Find, split and read all; raises DataError with every problem of the set at once."""
    root = Path(data.root)
    parts = find_pairs(root)
    problems: list[Problem] = []
    training: tuple[Pair, ...] = ()
    validation: tuple[Pair, ...] = ()
    try:
        training, validation = split(parts["train"], data.split, root)
    except DataError as error:
        problems += [p if error.source == str(root) else Problem(p.text(error.source)) for p in error.problems]
    seen = {part: _read(part, pairs, data, problems) for part, pairs in parts.items()}
    for part, of in seen.items():
        if len(of.sizes) > 1:
            problems.append(Problem(_many_sizes(of.sizes), part))
    if problems:
        raise DataError(str(root), problems)
    return _checked(data, training, validation, seen)


def _checked(
    data: DataConfig, training: Sequence[Pair], validation: Sequence[Pair], seen: Mapping[str, _Seen]
) -> Checked:
    shares = {name: share for of in seen.values() for name, share in of.shares.items()}
    sizes: Counter[str] = Counter()
    for of in seen.values():
        sizes.update({size: len(names) for size, names in of.sizes.items()})
    return Checked(
        train=len(training),
        val=len(validation),
        test=len(seen["test"].shares),
        groups=len(set(groups_of([*training, *validation], data.split, Path(data.root)).values())),
        sizes=dict(sizes),
        vessel_share=sum(shares.values()) / len(shares),
        warnings=_warnings(data, shares),
    )


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


def _warnings(data: DataConfig, shares: Mapping[str, float]) -> tuple[str, ...]:
    found = [NO_GROUPS] if data.split.groups == "none" else []
    empty = [name for name, share in shares.items() if share == 0]
    much = [name for name, share in shares.items() if share > _MUCH]
    if empty:
        found.append(f"{len(empty)} masks hold no vessel at mask_threshold {data.mask_threshold}, as {empty[0]}")
    if much:
        found.append(f"{len(much)} masks are more than {_MUCH:.0%} vessel, as {much[0]}; is black vessel there?")
    return tuple(found)
