"""The inspection of a dataset by `data check`: every file is read, and the duplicates are searched.

Rule 1: a file that cannot be read or paired becomes a finding, and the inspection continues without it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.datasets.duplicates import Duplicates, find_duplicates
from unetsweep.datasets.duplicates_cache import Match
from unetsweep.datasets.layout import Layout, Pair, read_layout
from unetsweep.datasets.leaks import expected_leak
from unetsweep.datasets.pair_inspection import Finding as Finding
from unetsweep.datasets.pair_inspection import MaskLevels, PairFacts, inspect_pair, set_findings
from unetsweep.datasets.patients import left_right
from unetsweep.datasets.reading import Cut

VAL = 0.25
"""Share of the training images that the random split of the leak estimate draws: the default of `data.split.val`."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A dataset, its files and its duplicates. Images are named `part/name`."""

    root: Path
    mask_threshold: Cut
    pairs: Mapping[str, Pair]
    """Pairs whose image can be read."""
    file_findings: tuple[Finding, ...]
    """Files that cannot be read or paired or are not read, and what is wrong with the content of images and masks."""
    sizes: Mapping[str, Mapping[str, int]]
    """For each part, the number of images of each size, `999x960`."""
    masks: Mapping[str, MaskLevels]
    duplicates: Duplicates
    patients: tuple[tuple[str, ...], ...]
    """Images whose names differ only in a mark of left or right: both eyes of a patient."""

    def images(self, part: str) -> list[str]:
        """Return the images of one part."""
        return [name for name in self.pairs if name.startswith(f"{part}/")]

    def files(self, names: Sequence[str]) -> list[str]:
        """Return the file names of images, without folder."""
        return [self.pairs[name].image.name for name in names]

    def groups(self, part: str) -> list[tuple[str, ...]]:
        """Return the images of one part in groups that show the same eye."""
        in_part = (tuple(name for name in group if name.startswith(f"{part}/")) for group in self.duplicates.groups)
        return sorted(group for group in in_part if group)

    def random_split_leak(self) -> float:
        """Return the expected share of validation images with a duplicate in training under a random split."""
        return expected_leak([len(group) for group in self.groups("train")], VAL)

    def test_duplicates(self) -> Iterator[Match]:
        """Yield a match for each test image that shows the eye of a training image, which is `a`."""
        for group in self.duplicates.groups:
            training = [name for name in group if name.startswith("train/")]
            for name in group:
                if training and name.startswith("test/"):
                    yield self._closest(training, name)

    def match(self, a: str, b: str) -> Match | None:
        """Return the match of two images; None if only other images connect them."""
        return next((match for match in self.duplicates.matches if {match.a, match.b} == {a, b}), None)

    def transform(self, first: str, name: str) -> str:
        """Describe what was done to the first image of a group to make another one, or which image connects them."""
        direct = self.match(first, name)
        if direct is not None:
            return direct.transform
        other = next((m.a if m.b == name else m.b for m in self.duplicates.matches if name in (m.a, m.b)), None)
        return f"like {other}" if other else ""

    def _closest(self, training: Sequence[str], test: str) -> Match:
        direct = [(name, match) for name in training if (match := self.match(name, test))]
        if direct:
            name, best = max(direct, key=lambda each: each[1].correlation)
            return Match(name, test, best.correlation, best.transform)
        best = max((m for m in self.duplicates.matches if test in (m.a, m.b)), key=lambda m: m.correlation)
        other = best.a if best.b == test else best.b
        return Match(training[0], test, best.correlation, f"both are like {other}")


def inspect(root: Path, mask_threshold: Cut = "half", use_cache: bool = True) -> Inspection:
    """Inspect all files of a dataset; problems of the files are in the result, not raised."""
    layout = read_layout(root)
    pairs = {f"{part}/{pair.name}": pair for part, some in layout.pairs.items() for pair in some}
    facts = {name: inspect_pair(pair, mask_threshold) for name, pair in pairs.items()}
    readable = {
        part: [pair for pair in some if facts[f"{part}/{pair.name}"].size] for part, some in layout.pairs.items()
    }
    return Inspection(
        root=root,
        mask_threshold=mask_threshold,
        pairs={name: pair for name, pair in pairs.items() if facts[name].size},
        file_findings=(*_of_layout(layout), *set_findings(facts, mask_threshold)),
        sizes={part: _sizes(part, facts) for part in layout.pairs},
        masks={name: each.levels for name, each in facts.items() if each.levels},
        duplicates=find_duplicates(readable, use_cache=use_cache),
        patients=_patients(readable),
    )


def _sizes(part: str, facts: Mapping[str, PairFacts]) -> dict[str, int]:
    return dict(Counter(each.size for name, each in facts.items() if name.startswith(f"{part}/") and each.size))


def _of_layout(layout: Layout) -> list[Finding]:
    """Return what is wrong with the files before any is read."""
    findings = [Finding("error", "layout", p.field, p.message) for p in layout.problems]
    findings += [Finding("warning", "unread", p.field, p.message) for p in layout.warnings]
    findings += [Finding("note", "unread", p.field, p.message) for p in layout.notes]
    if layout.pairs and layout.no_test:
        findings.append(Finding("note", "no-test", "test", layout.no_test))
    return findings


def _patients(parts: Mapping[str, Sequence[Pair]]) -> tuple[tuple[str, ...], ...]:
    """Group images of all parts by patient, since a patient may have one eye in each part."""
    patient_of = left_right([pair.name for pairs in parts.values() for pair in pairs])
    patients: dict[str, list[str]] = {}
    for part, pairs in parts.items():
        for pair in pairs:
            if pair.name in patient_of:
                patients.setdefault(patient_of[pair.name], []).append(f"{part}/{pair.name}")
    return tuple(tuple(sorted(names)) for _, names in sorted(patients.items()))
