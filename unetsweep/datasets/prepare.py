"""Prepare a dataset for training: the one entry point of `submit`, `train`, `confirm` and `reproduce`.

Every file is read once, before anything is submitted or trained:

    layout, pairs   which images have which mask             layout.py
    content         whether images and masks can be right    pair_inspection.py
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
from unetsweep.datasets.odd_masks import describe_names
from unetsweep.datasets.pair_inspection import Finding, PairFacts, inspect_pair, set_findings
from unetsweep.datasets.reading import cut_of
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
    training_sizes: Mapping[tuple[int, int], Sequence[str]]
    """The names of the training images of each size (width, height) after `image_size`."""
    vessel_share: float
    """Mean share of vessel pixels of all masks."""


@dataclass(frozen=True, slots=True)
class _PartContents:
    """What reading the files of one part (`train` or `test`) found."""

    readable: Sequence[Pair]
    size_of: Mapping[str, tuple[int, int]]
    """Width and height after `image_size`, by name."""


def prepare(config: DataConfig) -> PreparedDataset:
    """Read all images, split them, and check that no scored image has a duplicate in training.

    Raises DataError with all problems of the dataset at once, a leak among them unless the config allows it.
    """
    root = Path(config.root)
    pairs, set_problems, layout = _pairs(config)
    facts = {f"{part}/{pair.name}": _inspect(pair, config) for part, some in pairs.items() for pair in some}
    contents = {part: _contents(part, some, config, facts) for part, some in pairs.items()}
    content_findings = set_findings(facts, cut_of(config), allow_odd_masks=config.allow_odd_masks)
    set_problems += [Problem(f.message, f.where) for f in content_findings if f.level == "error"]

    duplicates = find_duplicates({part: contents[part].readable for part in pairs})
    parts, split_problems = _split(config, pairs, duplicates, is_complete=not set_problems)
    leak = _leak(duplicates, parts, contents)
    if leak and not config.split.allow_leak:
        set_problems.append(Problem(_describe_refused_leak(config, leak), "data.split"))
    if split_problems or set_problems:
        raise DataError(str(root), [*split_problems, *_with_advice(set_problems, root)])

    groups, val_groups = _image_groups(config, parts, duplicates)
    return PreparedDataset(
        manifest=config.manifest or pin(parts["train"], parts["val"], parts["test"]),
        val_groups=val_groups,
        leak=leak,
        warnings=(
            *_warnings(config, facts, content_findings, leak),
            *(problem.text(str(root)) for problem in layout.warnings),
        ),
        no_test=None if parts["test"] else layout.no_test or PINNED_WITHOUT_TEST,
        training_images=len(parts["train"]),
        validation_images=len(parts["val"]),
        test_images=len(parts["test"]),
        image_groups=len(set(groups.values())),
        sizes=_count_sizes(contents.values()),
        training_sizes=_names_by_size(parts["train"], contents["train"]),
        vessel_share=sum(each.vessel_share for each in facts.values()) / len(facts),
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


def _inspect(pair: Pair, config: DataConfig) -> PairFacts:
    return inspect_pair(pair, cut_of(config), config.image_size)


def _contents(part: str, pairs: Sequence[Pair], config: DataConfig, facts: Mapping[str, PairFacts]) -> _PartContents:
    readable: list[Pair] = []
    sizes: dict[str, tuple[int, int]] = {}
    for pair in pairs:
        each = facts[f"{part}/{pair.name}"]
        if each.measures and each.size:
            readable.append(pair)
            width, height = (int(side) for side in each.size.split("x"))
            sizes[pair.name] = (config.image_size, config.image_size) if config.image_size else (width, height)
    return _PartContents(readable, sizes)


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
        counts.update(f"{width}x{height}" for width, height in part.size_of.values())
    return dict(counts)


def _names_by_size(pairs: Sequence[Pair], contents: _PartContents) -> dict[tuple[int, int], list[str]]:
    names: dict[tuple[int, int], list[str]] = {}
    for pair in pairs:
        names.setdefault(contents.size_of[pair.name], []).append(pair.name)
    return names


def _describe_refused_leak(config: DataConfig, leak: Leak) -> str:
    if leak.test:
        advice = "Remove the duplicates from test or train"
    elif config.split.groups == "auto":  # a pinned split whose images were exchanged
        advice = "Start a sweep with another name"
    else:
        advice = f"`groups: auto` keeps duplicates together (found: {config.split.groups})"
    leaks = "; ".join(leak.messages().values())
    return f"{leaks}: {LEAK_CONSEQUENCE}. {advice}; `allow_leak: true` trains anyway, and every report says so"


def _warnings(
    config: DataConfig, facts: Mapping[str, PairFacts], content_findings: Iterable[Finding], leak: Leak
) -> tuple[str, ...]:
    warnings = [f"LEAKED: {message}: {LEAK_CONSEQUENCE}" for message in leak.messages().values()]
    if config.split.groups == "none" and not leak:
        warnings.append(NO_GROUPS)
    warnings += [f"{f.where}: {f.message}" if f.where else f.message for f in content_findings if f.level == "warning"]
    lost = [name for name, each in facts.items() if not each.vessel_share and each.levels and each.levels.chosen]
    if lost:
        where = f"{counted(len(lost), 'mask')} ({describe_names(lost)})"
        warnings.append(f"no vessel is left in {where} at image_size {config.image_size}; use a larger one")
    return tuple(warnings)
