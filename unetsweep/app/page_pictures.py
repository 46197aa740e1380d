"""The pictures of a report page: validation images with what some trials predicted for them. It loads no torch.

Rule 1: the masks come from the files that the trainings kept, images and truth from the folder of the images. What is
        missing, damaged or changed is named, and the other pictures are shown.
Rule 2: number and size are bounded, so that a page of many trials stays small and is made fast.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from unetsweep.analysis.rows import SweepRecord, TrialRecord, ranked
from unetsweep.contract import TrialConfig
from unetsweep.core import paths
from unetsweep.datasets.decoding import Pixels
from unetsweep.datasets.manifest import pinned
from unetsweep.datasets.mask_png import decode_mask
from unetsweep.datasets.panels import confusion, difference
from unetsweep.datasets.predicted_masks import PredictedMask, PredictionsFile, file_name, read_predictions
from unetsweep.datasets.reading import cut_of, read_pair, size_of
from unetsweep.datasets.scores import iou
from unetsweep.datasets.thumbnails import embed, embed_drawing, evenly, scaled
from unetsweep.errors import DataError, StateError, UnetsweepError
from unetsweep.report.columns import number_text
from unetsweep.report.page.content import ImageCase, Picture, Pictures, Prediction
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import read_config, with_repair_advice
from unetsweep.texts import one_line

MOST_TRIALS = 12
"""Trials with pictures, evenly spaced by rank: 12 of 6 images with 10 KB each are about a megabyte."""
MOST_PIXELS = 150_000_000
"""Pixels of all masks together that are drawn; a second for about 40 million."""
SIDE, QUALITY = 256, 75
"""Longer side of a picture in pixels, and quality of its JPEG."""


def read_pictures(record: SweepRecord, directory: SweepDir) -> tuple[Pictures | None, tuple[str, ...]]:
    """Return the pictures of a sweep and what is damaged. None: its trainer is a program of the user."""
    if record.spec.trainer.command is not None:
        return None, ()
    reader = _Reader(record, directory)
    return reader.read(), tuple(reader.warnings)


@dataclass(slots=True)
class _Reader:
    """Reads the pictures of one sweep, and collects what is wrong."""

    record: SweepRecord
    directory: SweepDir
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unread: dict[str, list[str]] = field(default_factory=dict)
    """The images that cannot be read, by the reason."""
    known: dict[tuple[object, ...], tuple[Pixels, Pixels] | None] = field(default_factory=dict)
    """Image and truth by name and settings; None: they cannot be read."""

    def read(self) -> Pictures:
        order = ranked(self.record)
        kept = [(trial, found) for trial in self._chosen(order) if (found := self._kept(trial)) is not None]
        if not kept:
            return Pictures(notes=(self._nothing_kept(order),))
        kept = kept[: max(1, MOST_PIXELS // max(1, _pixels(kept[0][1])))]
        first, masks = kept[0]
        if first is not order[0]:
            self.notes.append(
                f"The best trial, {number_text(order[0].number)}, has kept no masks that can be shown, so trial "
                f"{number_text(first.number)} is shown in full."
            )
        config = self._config(first)
        if config is None:
            return Pictures(notes=(self._nothing_kept(order),))
        cases, indices = list[ImageCase](), dict[str, int]()
        for mask in masks.masks:
            pair = self._pair(mask.image, config)
            if pair is not None:
                indices[mask.image] = len(cases)
                cases.append(_case(mask.image, *pair))
        predictions = {
            trial.number: self._predictions(trial, found, indices, in_full=trial is first) for trial, found in kept
        }
        predictions = {number: found for number, found in predictions.items() if found}
        others = [number for number in predictions if number != first.number]
        return Pictures(
            tuple(cases),
            first.number if first.number in predictions else None,
            _median(order, others),
            predictions,
            len((config.data.manifest or {}).get("val", ())),
            (
                *self.notes,
                *(f"Not shown: {', '.join(dict.fromkeys(names))}: {why}" for why, names in self.unread.items()),
            ),
        )

    def _chosen(self, order: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The trials whose pictures are shown, best first: the best, the worst, and some between them."""
        by_number = {number_text(trial.number): trial for trial in order}
        return [by_number[name] for name in evenly(list(by_number), MOST_TRIALS)]

    def _kept(self, trial: TrialRecord) -> PredictionsFile | None:
        """The masks of a trial; None: it has kept none, or they are damaged."""
        path = Path(trial.run_dir) / file_name(trial.epochs)
        try:
            found = read_predictions(path)
        except FileNotFoundError:
            return None
        except (StateError, OSError) as error:
            self.warnings.append(with_repair_advice(str(error), self.directory.root))
            return None
        if trial.result is not None and found.weights_sha256 != trial.result.weights_sha256:
            self.warnings.append(f"{path}: its masks are of other weights than those of the result; they are not shown")
            return None
        return found

    def _nothing_kept(self, order: Sequence[TrialRecord]) -> str:
        if not order:
            return "No trial is complete yet, so there are no pictures."
        if self.warnings:
            return "No masks can be shown; the warnings at the top say why."
        return "The trainings of this sweep have kept no masks, so there are no pictures."

    def _config(self, trial: TrialRecord) -> TrialConfig | None:
        """The config that a trial was trained with; None: it cannot be read."""
        folder = self.directory.root / paths.trial_dir(trial.number)
        try:
            return read_config(folder)
        except (StateError, OSError) as error:
            self.warnings.append(with_repair_advice(str(error), self.directory.root))
            return None

    def _pair(self, name: str, config: TrialConfig) -> tuple[Pixels, Pixels] | None:
        """A validation image and its truth as the training read them; None: they cannot be read, which is noted."""
        key = (name, config.data.image_size, cut_of(config.data), config.model.in_channels)
        if key not in self.known:
            try:
                self.known[key] = _read(name, config)
            except (UnetsweepError, OSError) as error:
                self.known[key] = None
                self.unread.setdefault(one_line(str(error)), []).append(one_line(name))
        return self.known[key]

    def _predictions(
        self, trial: TrialRecord, found: PredictionsFile, cases: dict[str, int], *, in_full: bool
    ) -> tuple[Prediction, ...]:
        """What a trial predicted for the cases, the worst first."""
        config, path = self._config(trial), f"{trial.run_dir}/{file_name(trial.epochs)}"
        made = list[Prediction]()
        for mask in found.masks if config is not None else ():
            pair = self._pair(mask.image, config) if config is not None and mask.image in cases else None
            if pair is None:
                continue
            try:
                made.append(_prediction(cases[mask.image], mask, pair[1], path, in_full))
            except StateError as error:
                self.warnings.append(with_repair_advice(str(error), self.directory.root))
        return tuple(sorted(made, key=lambda each: each.difference.iou or 0.0))


def _pixels(found: PredictionsFile) -> int:
    return sum(mask.width * mask.height for mask in found.masks)


def _median(order: Sequence[TrialRecord], others: Sequence[int]) -> int | None:
    """The trial with pictures that is nearest to the median; None: there is none."""
    rank = {trial.number: at for at, trial in enumerate(order)}
    return min(others, key=lambda number: abs(rank[number] - len(order) / 2), default=None)


def _read(name: str, config: TrialConfig) -> tuple[Pixels, Pixels]:
    """Image and truth of a validation image of the split; DataError if they are missing or have changed."""
    data = config.data
    if data.manifest is None:
        raise DataError(data.root, ["the split was not pinned, so it is not known which file it is"])
    if name not in data.manifest["val"]:
        raise DataError(data.root, [f"{name!r} is no validation image of the split"])
    only = {"train": {}, "val": {name: data.manifest["val"][name]}, "test": {}}
    (pair,) = pinned(only, Path(data.root))["val"]
    return read_pair(pair, data.image_size, cut_of(data), config.model.in_channels)


def _case(name: str, image: Pixels, truth: Pixels) -> ImageCase:
    colour = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[2] == 1 else image
    photograph = embed(_small(np.asarray(colour, np.uint8)), QUALITY)
    return ImageCase(name, size_of(truth), Picture(photograph), Picture(_drawn(truth * 255)))


def _prediction(case: int, record: PredictedMask, truth: Pixels, path: str, in_full: bool) -> Prediction:
    mask = decode_mask(record, path)
    if mask.shape != truth.shape:
        raise StateError(f"{path}: the mask of {record.image!r} is {size_of(mask)}, its truth {size_of(truth)}")
    score = iou(*confusion(mask, truth))
    full = Picture(_drawn(mask * 255), score) if in_full else None
    return Prediction(case, Picture(_drawn(difference(mask, truth)), score), full)


def _drawn(pixels: Pixels) -> str:
    return embed_drawing(_small(pixels))


def _small(pixels: Pixels) -> Pixels:
    return scaled(pixels, SIDE) if max(pixels.shape[:2]) > SIDE else pixels
