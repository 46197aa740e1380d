"""What `unetsweep init` finds of a set of images: what `data check` finds, and the split."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.app.data import DataCheck, check_dataset, summarize_masks
from unetsweep.app.init import Destination, Draft, checked
from unetsweep.app.init_text import Choice, ImagesText, images_text
from unetsweep.contract import Split
from unetsweep.core.starting_values import ImagesFound, StartingValues, describe_size, starting_values
from unetsweep.datasets.inspection import Finding
from unetsweep.datasets.layout import home_of
from unetsweep.datasets.splits import groups_of, split
from unetsweep.errors import DataError, Problem
from unetsweep.texts import counted

GROUPS = "groups.csv"
"""The file with the groups of images that `data import` and `data sample` write."""
AUTO = "auto"
MAX_SETTLE = 8
"""More errors than these are not listed in the file; `data check` has all."""
_NOT_USABLE = frozenset({"one-group", "blank-image"})
"""Errors of a whole set, with which nothing can be trained whatever the file says."""
_SETTLED = frozenset({"duplicates", "sizes", "mask-threshold"})
"""Warnings that ask for a setting that the file has."""


@dataclass(frozen=True, slots=True)
class ImagesSurvey:
    """A set of images that a sweep can use, perhaps after something was settled."""

    folder: Path
    check: DataCheck
    groups: str
    """`data.split.groups`."""
    group_count: int
    training: int
    """Images that train after the split."""
    validation: int
    why_not_csv: str = ""
    """Why the file groups.csv is there and is not used."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What `submit` would refuse."""
        return tuple(finding for finding in self.check.findings if finding.level == "error")

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """What a user should know before a first sweep: errors, and warnings that the file does not settle."""
        extra = [Finding("warning", "groups", GROUPS, self.why_not_csv)] if self.why_not_csv else []
        found = [each for each in self.check.findings if each.level != "note" and each.kind not in _SETTLED]
        return (*found, *extra)

    @property
    def found(self) -> ImagesFound:
        """What the values of the file depend on."""
        inspection = self.check.inspection
        sizes = Counter({_size(text): count for text, count in inspection.sizes["train"].items()})
        return ImagesFound(sizes, self.training, len(inspection.pairs))

    def text(self, values: StartingValues) -> ImagesText:
        """What the file says about the images."""
        return ImagesText(
            root=str(self.folder),
            found=self._found(),
            split=self._split(),
            size=describe_size(self.found.sizes, values.image_size),
            groups=self.groups,
            settle=self._settle(),
        )

    def _found(self) -> str:
        inspection, masks = self.check.inspection, summarize_masks(self.check.inspection)
        test = len(inspection.images("test"))
        of_test = f"{counted(test, 'test image')} (only scored)" if test else "no test images"
        levels = sorted({each.values for each in inspection.masks.values() if not each.has_edges})
        named = " or ".join(" and ".join(map(str, values)) for values in levels[:3])
        kind = f"{counted(masks.count, 'mask')}" + (f" with the levels {named}" if named else "")
        kind += f", {masks.grey_edged} of them with grey edges" if masks.grey_edged else ""
        share = f"{masks.vessel_share_half:.1%} of their pixels are vessel"
        return f"Found: {counted(len(inspection.images('train')), 'training image')}, {of_test}; {kind}; {share}."

    def _split(self) -> str:
        how = "(found by pixels and names)" if self.groups == AUTO else f"(from {self.groups})"
        images = self.training + self.validation
        kept = f"Images of one eye or patient stay together {how}: {images} images in {self.group_count} groups. "
        alone = f"No two of the {images} images seem to be of one eye or patient. "
        divided = f"{self.training} of them train, {self.validation} validate."
        return (kept if self.group_count < images else alone) + divided

    def _settle(self) -> tuple[str, ...]:
        texts = [f"{each.where}: {each.message}" if each.where else each.message for each in self.errors]
        more = [f"and {counted(len(texts) - MAX_SETTLE, 'more error')}"] if len(texts) > MAX_SETTLE else []
        return (*texts[:MAX_SETTLE], *more)


def survey_images(folder: Path) -> ImagesSurvey:
    """Inspect a set of images as `data check` does. DataError with its findings: no sweep can use them."""
    check = check_dataset(folder)
    errors = [finding for finding in check.findings if finding.level == "error"]
    if not check.inspection.images("train") or any(each.kind in _NOT_USABLE for each in errors):
        raise DataError(str(folder), [Problem(each.message, each.where) for each in errors])
    why_not = ""
    if (folder / GROUPS).is_file() or (home_of(folder) / GROUPS).is_file():
        try:
            return _survey(folder, check, GROUPS)
        except DataError as error:
            why_not = f"is not used: {error.problems[0].message}; so the groups are found from the images"
    return _survey(folder, check, AUTO, why_not)


def draft_of_images(file: Path, survey: ImagesSurvey, choice: Choice, destination: Destination) -> Draft:
    """The files for a set of images."""
    setup = destination.setup
    values = starting_values(survey.found, gpus=setup.gpus > 0, memory=setup.memory)
    if setup.profile is not None and 2 * values.memory > setup.memory:
        setup = replace(setup, more=f"{setup.more}, mem: {(2 * values.memory >> 30) + 1}G")
    return checked(Draft(file, images_text(file, survey.text(values), values, choice, setup), destination.new))


def _survey(folder: Path, check: DataCheck, groups: str, why_not_csv: str = "") -> ImagesSurvey:
    inspection, how = check.inspection, Split(groups=groups)
    pairs = [inspection.pairs[name] for name in inspection.images("train")]
    training, validation = split(pairs, how, folder, inspection.duplicates)
    count = len(set(groups_of(pairs, how, folder, inspection.duplicates).values()))
    return ImagesSurvey(folder, check, groups, count, len(training), len(validation), why_not_csv)


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)
