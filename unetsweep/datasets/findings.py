"""What follows from a look at a set of images: what is wrong, how much it matters, what to do next."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from unetsweep.datasets.duplicates import SAME_FILE, joined
from unetsweep.datasets.inspection import VAL, Inspection

MUCH = 0.4
"""Share of vessel pixels that no retina has."""
FATTER = 0.1
"""How much fatter vessels may become by another threshold before it is told."""
ALIKE = "the same eye cannot be told from another by a machine here: look at both (--report shows them)"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know."""

    level: Literal["error", "warning", "note"]
    """error: must be mended before a number means anything; warning: think about it; note: good to know"""
    kind: str
    where: str
    """An image or mask, `train/image/01.png`, a part, or nothing for the whole set."""
    message: str


def findings(seen: Inspection) -> tuple[Finding, ...]:
    """All of them, errors first."""
    found = [
        *(Finding("error", trouble.kind, trouble.where, trouble.message) for trouble in seen.troubles),
        *_one_group(seen),
        *_test_duplicates(seen),
        *_duplicates(seen),
        *_identical_files(seen),
        *_suspicious(seen),
        *_patients(seen),
        *_masks(seen),
        *_sizes(seen),
    ]
    return tuple(sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.level)))


def image(seen: Inspection, name: str) -> str:
    """Where an image lies, `train/image/01.png`."""
    return f"{name.partition('/')[0]}/image/{seen.pairs[name].image.name}"


def group_sizes(groups: Sequence[Sequence[str]]) -> str:
    """`20 groups of 4, 3 by themselves`."""
    counted = Counter(len(group) for group in groups)
    said = [f"{_count(counted[size], 'group')} of {size}" for size in sorted(counted, reverse=True) if size > 1]
    return ", ".join([*said, *([f"{counted[1]} by themselves"] if counted[1] else [])])


def _test_duplicates(seen: Inspection) -> Iterator[Finding]:
    for match in seen.test_copies():
        text = f"shows the eye of {image(seen, match.a)} ({match.how}, correlation {match.correlation:.2f})"
        yield Finding("error", "test-copies", image(seen, match.b), f"{text}; take one of the two away")


def _one_group(seen: Inspection) -> Iterator[Finding]:
    """Eyes of one person count as one, as they do for `groups: auto`."""
    images = seen.of("train")
    links = [pair for group in (*seen.groups("train"), *seen.patients) for pair in itertools.pairwise(group)]
    known = [(a, b) for a, b in links if a in images and b in images]
    if len(joined(images, known)) == 1:
        text = f"{_count(len(images), 'image')} of one eye or person; training and validation need one each: add others"
        yield Finding("error", "one-group", "train", text)


def _duplicates(seen: Inspection) -> Iterator[Finding]:
    groups = seen.groups("train")
    images = len(seen.of("train"))
    if len(groups) < images:
        eyes = f"{images} images show {_count(len(groups), 'eye')} ({group_sizes(groups)})"
        leak = f"{seen.random_split_leak():.1%} of the validation images have a copy in training"
        text = f"{eyes}; under a random split (val {VAL}) {leak}"
        yield Finding("warning", "duplicates", "train", f"{text}: keep eyes together, data.split.groups: auto")
    tests = seen.groups("test")
    if len(tests) < len(seen.of("test")):
        text = f"{len(seen.of('test'))} images show {_count(len(tests), 'eye')} ({group_sizes(tests)})"
        yield Finding("note", "duplicates", "test", f"{text}; an eye that is there twice counts twice in test_iou")


def _identical_files(seen: Inspection) -> Iterator[Finding]:
    for match in seen.duplicates.matches:
        if match.how == SAME_FILE:
            text = f"is byte for byte {image(seen, match.a)}; take one of the two away"
            yield Finding("warning", "identical-files", image(seen, match.b), text)


def _suspicious(seen: Inspection) -> Iterator[Finding]:
    for match in seen.duplicates.suspicious:
        text = f"is like {image(seen, match.a)} ({match.how}, correlation {match.correlation:.2f}) and was not joined"
        yield Finding("warning", "suspicious", image(seen, match.b), f"{text}; {ALIKE}")


def _patients(seen: Inspection) -> Iterator[Finding]:
    if not seen.patients:
        return
    names = ", ".join(seen.files(seen.patients[0]))
    text = f"names of {_count(len(seen.patients), 'pair')} differ in left and right only (as {names}): two eyes of one "
    yield Finding("note", "patients", "", f"{text}person; data.split.groups: auto keeps them together")
    for patient in seen.patients:
        if len({name.partition("/")[0] for name in patient}) > 1:
            names = " and ".join(image(seen, name) for name in patient)
            yield Finding("warning", "patients", "", f"{names} are of one person; put both into one part")


def _masks(seen: Inspection) -> Iterator[Finding]:
    for name, mask in seen.masks.items():
        where = f"{name.partition('/')[0]}/mask/{_mask_file(seen, name)}"
        if mask.chosen == 0:
            text = f"holds no vessel at mask_threshold {seen.mask_threshold}; draw it, or take the pair away"
            yield Finding("warning", "empty-mask", where, text)
        elif mask.chosen > MUCH:
            text = f"is {mask.chosen:.0%} vessel; is black vessel here? Turn the mask round"
            yield Finding("warning", "full-mask", where, text)
    half, above = (_mean([getattr(mask, kind) for mask in seen.masks.values()]) for kind in ("half", "above_zero"))
    if half and above / half - 1 > FATTER:
        grey = sum(mask.between > 0 for mask in seen.masks.values())
        text = f"{grey} of {_count(len(seen.masks), 'mask')} have grey edges: a threshold of > 0 would make vessels "
        text += f"{above / half - 1:.0%} fatter ({above:.1%} of the pixels, {half:.1%} at half)"
        yield Finding("warning", "mask-threshold", "", f"{text}; keep data.mask_threshold: half")


def _mask_file(seen: Inspection, name: str) -> str:
    pair = seen.pairs.get(name)
    return pair.mask.name if pair else name.partition("/")[2]


def _sizes(seen: Inspection) -> Iterator[Finding]:
    for part, sizes in seen.sizes.items():
        if len(sizes) > 1:
            shown = ", ".join(f"{size} ({_count(number, 'image')})" for size, number in sorted(sizes.items()))
            text = f"{len(sizes)} sizes: {shown}; images of one batch must be of one size, so set data.image_size"
            yield Finding("warning", "sizes", part, text)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
