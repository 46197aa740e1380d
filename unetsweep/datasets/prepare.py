"""Prepare a dataset for training: the one entry point of `submit`, `train`, `confirm` and `reproduce`.

Every file is read once, before anything is submitted or trained:

    layout, pairs   which images have which mask             layout.py, reading.py
    duplicates      which images show the same eye           duplicates.py
    split           which images train, which validate       splits.py
    leak            scored images that training has seen     leaks.py
    manifest        the split by name, with digests          manifest.py
"""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.contract import DataConfig
from unetsweep.datasets.duplicates import Duplicates, find_duplicates
from unetsweep.datasets.layout import PARTS, Layout, Pair, read_layout
from unetsweep.datasets.leaks import Leak, find_leak
from unetsweep.datasets.manifest import Manifest, divide, pin
from unetsweep.datasets.reading import read_pair, size_of
from unetsweep.datasets.splits import groups_of, split
from unetsweep.errors import DataError, Problem
from unetsweep.texts import counted

NO_GROUPS = (
    "no duplicates were found, but two photographs of the same eye or patient may be in training and validation "
    "(data.split.groups is none; use auto, a CSV file or a regular expression)"
)
PINNED_WITHOUT_TEST = (
    "the split was pinned when there were no test images, so the table has no test score; "
    "start a sweep with another name to score them"
)
LEAK_CONSEQUENCE = "a score on such images rewards memorisation, so it cannot choose a winner"
MAX_VESSEL_SHARE = 0.4
"""No retina has a larger share of vessel pixels: in four public sets the largest mean is 0.09."""
MAX_PROBLEMS = 20
"""More problems than these would fill the screen; `data check` shows all."""


@dataclass(frozen=True, slots=True)
class PreparedDataset:
    """A dataset whose files are all readable, split into training, validation and test images."""

    manifest: Manifest
    """The split by name, with a digest of each pair of files."""
    val_groups: Mapping[str, str]
    """The image group of each validation image, by name; with `groups: none` the one found from the pixels."""
    leak: Leak
    """Scored images with a duplicate in training; empty unless the config allows a leak."""
    warnings: tuple[str, ...]
    training_images: int
    validation_images: int
    test_images: int
    no_test: str | None
    """Why no test image is scored; None if some are."""
    image_groups: int
    """Number of image groups (eyes, patients) among the training and validation images."""
    sizes: Mapping[str, int]
    """Number of images of each size after `image_size`, `999x960`."""
    longest_side: int
    """The longest side of a training or validation image, in pixels."""
    vessel_share: float
    """Mean share of vessel pixels of all masks."""


@dataclass(frozen=True, slots=True)
class _PartContents:
    """What reading the files of one part (`train` or `test`) found."""

    readable: Sequence[Pair]
    names_by_size: Mapping[str, Sequence[str]]
    vessel_shares: Mapping[str, float]
    """By `part/name`."""
    problems: Sequence[Problem]


def prepare(config: DataConfig) -> PreparedDataset:
    """Read all images, split them, and check that no scored image has a duplicate in training.

    Raises DataError with all problems of the dataset at once, a leak among them unless the config allows it.
    """
    root = Path(config.root)
    pairs, set_problems, layout = _pairs(config)
    contents = {part: _read(part, some, config) for part, some in pairs.items()}
    set_problems += [problem for each in contents.values() for problem in each.problems]

    duplicates = find_duplicates({part: contents[part].readable for part in pairs})
    parts, split_problems = _split(config, pairs, duplicates, is_complete=not set_problems)
    leak = _leak(duplicates, parts, contents)
    if leak and not config.split.allow_leak:
        set_problems.append(Problem(_describe_refused_leak(config, leak), "data.split"))
    if split_problems or set_problems:
        raise DataError(str(root), [*split_problems, *_with_advice(set_problems, root)])

    groups, val_groups = _image_groups(config, parts, duplicates)
    shares = {name: share for each in contents.values() for name, share in each.vessel_shares.items()}
    return PreparedDataset(
        manifest=config.manifest or pin(parts["train"], parts["val"], parts["test"]),
        val_groups=val_groups,
        leak=leak,
        warnings=(*_warnings(config, shares, leak), *(p.text(str(root)) for p in layout.warnings)),
        no_test=None if parts["test"] else layout.no_test or PINNED_WITHOUT_TEST,
        training_images=len(parts["train"]),
        validation_images=len(parts["val"]),
        test_images=len(parts["test"]),
        image_groups=len(set(groups.values())),
        sizes=_count_sizes(contents.values()),
        longest_side=max(int(side) for size in contents["train"].names_by_size for side in size.split("x")),
        vessel_share=sum(shares.values()) / len(shares),
    )


def check_files(config: DataConfig) -> None:
    """Raise DataError with what is missing. No image is read."""
    _, problems, _ = _pairs(config)
    if problems:
        raise DataError(config.root, _with_advice(problems, Path(config.root)))


def count_images(config: DataConfig, *, test: bool) -> int:
    """Return how many images a training holds, with those of `test` or without them. No image is read."""
    if config.manifest is not None:
        counts = {part: len(names) for part, names in config.manifest.items()}
    else:
        counts = {part: len(pairs) for part, pairs in read_layout(Path(config.root)).pairs.items()}
    return sum(count for part, count in counts.items() if test or part != "test")


def verify_pinned(config: DataConfig, *, test: bool = True) -> None:
    """Raise DataError unless all images that the manifest names are present and unchanged; `test` ones if asked for."""
    divide(config, test=test)


def _pairs(config: DataConfig) -> tuple[Mapping[str, tuple[Pair, ...]], list[Problem], Layout]:
    """Return the pairs of `train` and `test`, all or those that the manifest names, what is missing, and the layout.

    Raises DataError if there is no dataset, or if images of the manifest are missing or have changed.
    """
    root = Path(config.root)
    layout = read_layout(root)
    if config.manifest is None:
        if not layout.pairs:
            raise DataError(str(root), layout.problems)
        return layout.pairs, list(layout.problems), layout
    parts = divide(config)
    train = tuple(sorted((*parts["train"], *parts["val"]), key=lambda p: p.name))
    return {"train": train, "test": parts["test"]}, [], layout


def _read(part: str, pairs: Sequence[Pair], config: DataConfig) -> _PartContents:
    readable: list[Pair] = []
    names_by_size: dict[str, list[str]] = {}
    shares: dict[str, float] = {}
    problems: list[Problem] = []
    for pair in pairs:
        try:
            image, mask = read_pair(pair, config.image_size, config.mask_threshold)
        except DataError as error:
            problems += [Problem(f"{p.field}: {p.message}", part) for p in error.problems]
        else:
            readable.append(pair)
            names_by_size.setdefault(size_of(image), []).append(pair.name)
            shares[f"{part}/{pair.name}"] = float(mask.mean())
    if len(names_by_size) > 1:
        problems.append(Problem(_describe_sizes(names_by_size), part))
    return _PartContents(readable, names_by_size, shares, problems)


def _split(
    config: DataConfig, pairs: Mapping[str, tuple[Pair, ...]], duplicates: Duplicates, *, is_complete: bool
) -> tuple[dict[str, tuple[Pair, ...]], list[Problem]]:
    """Return the pairs of `train`, `val` and `test`, or why there is no split.

    `is_complete`: every file is paired and readable. Otherwise the images of a group may be unknown.
    """
    root = Path(config.root)
    if config.manifest is not None:
        pair_of = {pair.name: pair for pair in pairs["train"]}
        halves = {part: tuple(pair_of[name] for name in sorted(config.manifest[part])) for part in ("train", "val")}
        return {**halves, "test": pairs.get("test", ())}, []
    if not is_complete and (config.split.groups == "auto" or not pairs.get("train")):
        return {}, []
    try:
        train, val = split(pairs["train"], config.split, root, duplicates)
    except DataError as error:
        return {}, [p if error.source == str(root) else Problem(p.text(error.source)) for p in error.problems]
    return ({"train": train, "val": val, "test": pairs.get("test", ())} if is_complete else {}), []


def _leak(duplicates: Duplicates, parts: Mapping[str, Sequence[Pair]], contents: Mapping[str, _PartContents]) -> Leak:
    """Return what leaks; without a split, only the test images that have a duplicate in `train`."""
    if parts:
        train, val, test = ([pair.name for pair in parts[part]] for part in ("train", "val", "test"))
    else:
        read = {part: [pair.name for pair in contents[part].readable] if part in contents else [] for part in PARTS}
        train, val, test = read["train"], [], read["test"]
    return find_leak(duplicates, train, val, test)


def _with_advice(problems: Sequence[Problem], root: Path) -> list[Problem]:
    """Return the first problems of a set, and the command that shows all."""
    if not problems:
        return []
    count = counted(len(problems), "problem")
    first = f", of which the first {MAX_PROBLEMS} are above" if len(problems) > MAX_PROBLEMS else ""
    advice = (
        f"{count}{first}; `unetsweep data check {shlex.quote(str(root))}` shows all that is wrong with these images"
    )
    return [*problems[:MAX_PROBLEMS], Problem(advice)]


def _image_groups(
    config: DataConfig, parts: Mapping[str, Sequence[Pair]], duplicates: Duplicates
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the groups that the split kept together, and those of the validation images; both by image name."""
    root, training = Path(config.root), [*parts["train"], *parts["val"]]
    from_pixels = groups_of(training, replace(config.split, groups="auto"), root, duplicates)
    try:
        groups = groups_of(training, config.split, root, duplicates)
    except DataError:  # the CSV file is gone; a pinned split no longer needs it
        if config.manifest is None:
            raise
        groups = from_pixels
    of_val = from_pixels if config.split.groups == "none" else groups
    return groups, {pair.name: of_val[pair.name] for pair in parts["val"]}


def _count_sizes(contents: Iterable[_PartContents]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for part in contents:
        counts.update({size: len(names) for size, names in part.names_by_size.items()})
    return dict(counts)


def _describe_refused_leak(config: DataConfig, leak: Leak) -> str:
    if leak.test:
        advice = "Remove the duplicates from test or train"
    elif config.split.groups == "auto":  # a pinned split whose images were exchanged
        advice = "Start a sweep with another name"
    else:
        advice = f"`groups: auto` keeps duplicates together (found: {config.split.groups})"
    leaks = "; ".join(leak.messages().values())
    return f"{leaks}: {LEAK_CONSEQUENCE}. {advice}; `allow_leak: true` trains anyway, and every report says so"


def _describe_sizes(names_by_size: Mapping[str, Sequence[str]]) -> str:
    rarest_first = sorted(names_by_size.items(), key=lambda item: len(item[1]))
    sizes = ", ".join(
        f"{size} ({counted(len(names), 'image')}, for example {names[0]})" for size, names in rarest_first[:4]
    )
    return f"found {len(names_by_size)} sizes: {sizes}; images of a batch must have one size, so set data.image_size"


def _warnings(config: DataConfig, vessel_shares: Mapping[str, float], leak: Leak) -> tuple[str, ...]:
    warnings = [f"LEAKED: {message}: {LEAK_CONSEQUENCE}" for message in leak.messages().values()]
    if config.split.groups == "none" and not leak:
        warnings.append(NO_GROUPS)
    empty = [name for name, share in vessel_shares.items() if share == 0]
    full = [name for name, share in vessel_shares.items() if share > MAX_VESSEL_SHARE]
    if empty:
        where = f"{counted(len(empty), 'mask')} at mask_threshold {config.mask_threshold}"
        warnings.append(f"no vessel in {where}, for example {empty[0]}")
    if full:
        text = f"more than {MAX_VESSEL_SHARE:.0%} vessel in {counted(len(full), 'mask')}, for example {full[0]}"
        warnings.append(f"{text}; invert the masks if their vessels are black")
    return tuple(warnings)
