"""The use cases of `unetsweep data`: draw a sample dataset, check a dataset, score the simplest method."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unetsweep.app.memory import reading_problem
from unetsweep.config.load import load
from unetsweep.contract import DataConfig
from unetsweep.datasets.baseline import green_threshold
from unetsweep.datasets.duplicates_cache import Match
from unetsweep.datasets.findings import findings
from unetsweep.datasets.inspection import Finding, Inspection, inspect
from unetsweep.datasets.layout import find_pairs
from unetsweep.datasets.odd_masks import MAX_VESSEL_SHARE
from unetsweep.datasets.reading import Cut, cut_of, read_pairs
from unetsweep.datasets.sample import draw_sample as draw_sample
from unetsweep.errors import UsageError


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
    mask_threshold: Cut
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
    test_iou: float | None
    """None: the test images were not read, or there are none."""


def check_dataset(folder: Path, mask_threshold: Cut = "half", use_cache: bool = True) -> DataCheck:
    """Inspect a dataset; problems of its files are findings, not errors."""
    inspection = inspect(folder, mask_threshold, use_cache)
    return DataCheck(inspection, findings(inspection))


def fit_baseline(source: Path, image_size: int | None = None, mask_threshold: Cut | None = None) -> Baseline | None:
    """Fit the threshold on the training images, and score it on the test images.

    `source`: a folder of images, or a sweep's YAML file, which then also gives the settings that are None, and says
    whether the test images are scored. None if the sweep has a trainer command, which reads its own images.
    """
    data, with_test = DataConfig(str(source)), True
    if source.is_file():
        spec = load(source)
        if spec.trainer.command is not None:
            return None
        data, with_test = spec.data, spec.trainer.score_test
    size, threshold = image_size or data.image_size, cut_of(data) if mask_threshold is None else mask_threshold
    if problem := reading_problem(size):
        raise UsageError(f"{'--image-size' if image_size else problem.field}: {problem.message}")
    pairs = find_pairs(Path(data.root))
    train = read_pairs(pairs["train"], size, threshold)
    test = read_pairs(pairs["test"], size, threshold) if with_test and "test" in pairs else None
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
