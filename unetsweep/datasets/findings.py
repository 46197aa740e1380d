"""The findings of an inspection: what is wrong with a dataset, how serious it is, and what to do."""

import itertools
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from unetsweep.datasets.duplicates import SAME_FILE, connect
from unetsweep.datasets.file_names import location
from unetsweep.datasets.inspection import VAL, Finding, Inspection
from unetsweep.datasets.pair_inspection import MAX_GROWTH
from unetsweep.texts import counted

LEVELS = ("error", "warning", "note")


def findings(inspection: Inspection) -> tuple[Finding, ...]:
    """Return all findings, errors first."""
    rules = (_one_group, _test_duplicates, _duplicates, _identical_files, _suspicious, _patients, _masks, _sizes)
    found = [*inspection.file_findings, *(finding for rule in rules for finding in rule(inspection))]
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))


def describe_group_sizes(groups: Sequence[Sequence[str]]) -> str:
    """Describe how many groups have which size: `20 groups of 4, 3 single images`."""
    counts = Counter(len(group) for group in groups)
    texts = [f"{counted(counts[size], 'group')} of {size}" for size in sorted(counts, reverse=True) if size > 1]
    return ", ".join([*texts, *([counted(counts[1], "single image")] if counts[1] else [])])


def _one_group(inspection: Inspection) -> Iterator[Finding]:
    """Both eyes of a patient are one group, as with `groups: auto`."""
    images = inspection.images("train")
    groups = (*inspection.groups("train"), *inspection.patients)
    links = [link for group in groups for link in itertools.pairwise(group) if set(link) <= set(images)]
    if len(connect(images, links)) == 1:
        text = f"{counted(len(images), 'image')} of one eye or patient; training and validation need one each: add more"
        yield Finding("error", "one-group", "train", text)


def _test_duplicates(inspection: Inspection) -> Iterator[Finding]:
    for match in inspection.test_duplicates():
        text = f"shows the same eye as {_image(inspection, match.a)} ({match.transform}, "
        text += f"correlation {match.correlation:.2f})"
        others = sum(name.startswith("train/") for name in _group_of(inspection, match.b)) - 1
        if others:
            text += f" and {counted(others, 'other training image')}; remove it, or all {others + 1} of them"
        else:
            text += "; remove one of the two"
        yield Finding("error", "test-duplicates", _image(inspection, match.b), text)


def _duplicates(inspection: Inspection) -> Iterator[Finding]:
    for part in ("train", "test"):
        groups, images = inspection.groups(part), inspection.images(part)
        if len(groups) == len(images):
            continue
        text = (
            f"{counted(len(images), 'image')} in {counted(len(groups), 'image group')} ({describe_group_sizes(groups)})"
        )
        if part == "test":
            text += "; duplicates count more than once in test_iou"
            yield Finding("note", "duplicates", part, text)
        else:
            text += f"; a random split (val {VAL}) would leave {inspection.random_split_leak():.1%} of the validation "
            text += "images with a duplicate in training: keep duplicates together with data.split.groups: auto"
            yield Finding("warning", "duplicates", part, text)


def _identical_files(inspection: Inspection) -> Iterator[Finding]:
    links = [(match.a, match.b) for match in inspection.duplicates.matches if match.transform == SAME_FILE]
    for group in connect(list(inspection.pairs), links):
        if len(group) > 1:
            first, second, *others = group
            same = ", ".join(_image(inspection, name) for name in (first, *others))
            text = f"is identical to {same}; keep one of the {len(group)}"
            yield Finding("warning", "identical-files", _image(inspection, second), text)


def _suspicious(inspection: Inspection) -> Iterator[Finding]:
    for match in inspection.duplicates.suspicious:
        text = f"is similar to {_image(inspection, match.a)} ({match.transform}, correlation {match.correlation:.2f}), "
        text += "but not enough to be grouped with it; compare both by eye (--report shows them)"
        yield Finding("warning", "suspicious", _image(inspection, match.b), text)


def _patients(inspection: Inspection) -> Iterator[Finding]:
    if not inspection.patients:
        return
    names = ", ".join(inspection.files(inspection.patients[0]))
    text = f"names of {counted(len(inspection.patients), 'pair')} differ only in left and right (for example {names}): "
    yield Finding("note", "patients", "", f"{text}both eyes of a patient; data.split.groups: auto keeps them together")
    for patient in inspection.patients:
        if len({name.partition("/")[0] for name in patient}) > 1:
            names = " and ".join(_image(inspection, name) for name in patient)
            yield Finding("warning", "patients", "", f"{names} are of one patient; put both into the same part")


def _masks(inspection: Inspection) -> Iterator[Finding]:
    if inspection.mask_threshold != "half" or any(f.kind == "mask-levels" for f in inspection.file_findings):
        return  # the user has chosen, or half of the range means nothing there
    masks = inspection.masks
    half = statistics.fmean(mask.half for mask in masks.values()) if masks else 0
    if not half:
        return
    above_zero = statistics.fmean(mask.above_zero for mask in masks.values())
    growth = above_zero / half - 1
    if growth > MAX_GROWTH:
        grey = sum(mask.between > 0 for mask in masks.values())
        text = f"{grey} of {counted(len(masks), 'mask')} with grey edges: a threshold of > 0 would make vessels "
        text += f"{growth:.0%} wider ({above_zero:.1%} of the pixels, {half:.1%} at half)"
        yield Finding("warning", "mask-threshold", "", f"{text}; keep data.mask_threshold: half")


def _sizes(inspection: Inspection) -> Iterator[Finding]:
    """Only training images are put into batches; the others are scored one by one."""
    sizes = inspection.sizes.get("train", {})
    if len(sizes) > 1:
        text = ", ".join(f"{size} ({counted(number, 'image')})" for size, number in sorted(sizes.items()))
        text = f"{len(sizes)} sizes: {text}; training images of a batch must have one size, so set data.image_size"
        yield Finding("warning", "sizes", "train", text)


def _group_of(inspection: Inspection, name: str) -> Sequence[str]:
    """Return all images of the eye that an image shows."""
    return next(group for group in inspection.duplicates.groups if name in group)


def _image(inspection: Inspection, name: str) -> str:
    """Return the path of an image below the root, `train/image/01.png`."""
    return location(inspection.pairs[name].image)
