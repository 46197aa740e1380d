"""The use cases of `unetsweep data`: draw a sample dataset, check a dataset, score the simplest method."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unetsweep.datasets.baseline import green_threshold
from unetsweep.datasets.duplicates_cache import Match
from unetsweep.datasets.findings import findings
from unetsweep.datasets.inspection import Finding, Inspection, inspect
from unetsweep.datasets.layout import find_pairs
from unetsweep.datasets.prepare import MAX_VESSEL_SHARE
from unetsweep.datasets.reading import read_pairs
from unetsweep.datasets.sample import draw_sample as draw_sample


@dataclass(frozen=True, slots=True)
class DataCheck:
    """A checked dataset."""

    inspection: Inspection
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """The number of findings that make scores on this dataset meaningless."""
        return sum(finding.level == "error" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class MaskSummary:
    """The masks of a dataset; shares are means over all masks, 0 to 1."""

    count: int
    mask_threshold: str | float
    grey_edged: int
    """Masks with grey edges."""
    grey_share: float
    vessel_share_half: float
    vessel_share_above_0: float
    empty: tuple[str, ...]
    mostly_vessel: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeakedTestImage:
    """A test image that shows the eye of a training image; both by file name."""

    test: str
    train: str
    correlation: float
    transform: str


@dataclass(frozen=True, slots=True)
class DataReport:
    """What `data check --json` prints. Groups hold bare file names, as groups.csv does; matches `part/file`."""

    schema: int
    root: str
    train: int
    test: int
    groups: tuple[tuple[str, ...], ...]
    test_groups: tuple[tuple[str, ...], ...]
    test_duplicates: tuple[LeakedTestImage, ...]
    matches: tuple[Match, ...]
    suspicious: tuple[Match, ...]
    patients: tuple[tuple[str, ...], ...]
    sizes: dict[str, dict[str, int]]
    masks: MaskSummary
    random_split_leak: float
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The best global threshold of the green channel."""

    level: int
    train_iou: float
    test_iou: float


def check_dataset(folder: Path, mask_threshold: str | float = "half", use_cache: bool = True) -> DataCheck:
    """Inspect a dataset; problems of its files are findings, not errors."""
    inspection = inspect(folder, mask_threshold, use_cache)
    return DataCheck(inspection, findings(inspection))


def fit_baseline(folder: Path, image_size: int | None = None, mask_threshold: str | float = "half") -> Baseline:
    """Fit the threshold on the training images, and score it on the test images."""
    pairs = find_pairs(folder)
    train, test = (read_pairs(pairs[part], image_size, mask_threshold) for part in ("train", "test"))
    return Baseline(*green_threshold(train, test))


def report(check: DataCheck) -> DataReport:
    """Return all results of a check in a form for other programs."""
    inspection = check.inspection
    return DataReport(
        schema=1,
        root=str(inspection.root),
        train=len(inspection.images("train")),
        test=len(inspection.images("test")),
        groups=_file_groups(inspection, inspection.groups("train")),
        test_groups=_file_groups(inspection, inspection.groups("test")),
        test_duplicates=tuple(_leaked_test_image(inspection, match) for match in inspection.test_duplicates()),
        matches=tuple(_with_files(inspection, match) for match in inspection.duplicates.matches),
        suspicious=tuple(_with_files(inspection, match) for match in inspection.duplicates.suspicious),
        patients=_file_groups(inspection, inspection.patients),
        sizes={part: dict(sizes) for part, sizes in inspection.sizes.items()},
        masks=summarize_masks(inspection),
        random_split_leak=round(inspection.random_split_leak(), 5),
        findings=check.findings,
    )


def summarize_masks(inspection: Inspection) -> MaskSummary:
    """Return the means over all masks, and the names of unusual ones."""
    masks = inspection.masks
    count = max(1, len(masks))
    return MaskSummary(
        count=len(masks),
        mask_threshold=inspection.mask_threshold,
        grey_edged=sum(mask.between > 0 for mask in masks.values()),
        grey_share=round(sum(mask.between for mask in masks.values()) / count, 5),
        vessel_share_half=round(sum(mask.half for mask in masks.values()) / count, 5),
        vessel_share_above_0=round(sum(mask.above_zero for mask in masks.values()) / count, 5),
        empty=tuple(name for name, mask in masks.items() if mask.chosen == 0),
        mostly_vessel=tuple(name for name, mask in masks.items() if mask.chosen > MAX_VESSEL_SHARE),
    )


def _file_groups(inspection: Inspection, groups: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(inspection.files(group)) for group in groups)


def _leaked_test_image(inspection: Inspection, match: Match) -> LeakedTestImage:
    train, test = inspection.files([match.a, match.b])
    return LeakedTestImage(test, train, match.correlation, match.transform)


def _with_files(inspection: Inspection, match: Match) -> Match:
    a, b = (f"{name.partition('/')[0]}/{inspection.pairs[name].image.name}" for name in (match.a, match.b))
    return replace(match, a=a, b=b)
