"""Predicts the masks of whole images with a checkpoint, and writes panels that show them beside the truth.

Rule 1: the network gets an image as in training (channels, size, precision); the mask has the image's own size.
Rule 2: IoU is computed at the image's own size. If the config sets no image_size, it equals the IoU of the results.
Rule 3: an image that cannot be read, or a mask without a clear threshold, does not stop the others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from unetsweep.contract import TrialConfig
from unetsweep.datasets.file_names import KINDS_OF_FILES, location, masks_by_stem, stem_of
from unetsweep.datasets.layout import Pair, home_of, listed, read_part
from unetsweep.datasets.pair_inspection import PairFacts, inspect_image, inspect_pair, set_findings
from unetsweep.datasets.panel_files import PANELS, write_panel, write_png
from unetsweep.datasets.panels import confusion, panel
from unetsweep.datasets.part_folders import PARTS, describe, has_parts, images_in, masks_beside
from unetsweep.datasets.reading import Pixels, cut_of, read_image, read_mask, size_of
from unetsweep.datasets.scores import iou
from unetsweep.datasets.unread_files import judge, list_folder
from unetsweep.errors import DataError, Problem, StateError, TrainingError, UsageError
from unetsweep.training.checkpoints import load_unet
from unetsweep.training.evaluate import evaluating, logits
from unetsweep.training.precision import set_tf32
from unetsweep.training.unet import UNet, probabilities

_NOT_FOR_PREDICTION = ("too-small", "unreadable", "size", "mask-levels")
"""Findings that matter only to a split, and those that the error about an image has."""


@dataclass(frozen=True, slots=True)
class Case:
    """An image to predict."""

    image: Path
    truth: Path | None
    """Its mask; None if it has none."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """The files written for an image, and its score."""

    name: str
    """Name of the image, without its ending."""
    mask: Path
    panel: Path
    size: str
    """`999x960`."""
    counts: tuple[int, int, int] | None
    """True positives, false positives, false negatives; None without a truth."""
    image_size: int | None
    """Side of the square at which a training scores this checkpoint; None: the images' own size."""

    @property
    def iou(self) -> float | None:
        return None if self.counts is None else iou(*self.counts)


@dataclass(frozen=True, slots=True)
class Found:
    """The images to predict, and the files beside them that are not read."""

    cases: tuple[Case, ...]
    lost: tuple[Problem, ...] = ()
    """Images that are not read, and those whose truth is unknown because there are several masks."""
    unread: tuple[Problem, ...] = ()
    """Other files that are not read."""


def find_cases(source: Path, part: str = "test") -> Found:
    """Find the images in `source`: one file, a folder of images, or a part of a data set.

    For images in a folder `image`, the truth comes from the folder `mask` next to it; a part of a data set may have no
    masks. Raises DataError.
    """
    if source.is_file():
        truths, problems = _find_truths(images_beside(source))
        return Found((Case(source, truths.get(source)),), tuple(p for p in problems if p.field == source.name))
    if not source.is_dir():
        raise DataError(str(source), ["does not exist; give an image, a folder of images, or the root of a data set"])
    if has_parts(home_of(source)):
        return _in_dataset(source, part)
    listing = list_folder(images_in(source) or source)
    judgement = judge(listing)
    lost, unread = ([problem.message for problem in some] for some in (judgement.errors, judgement.warnings))
    if not listing.images:
        found = f"holds no image file that is read ({KINDS_OF_FILES}); {describe(source)}"
        raise DataError(str(source), [found, *lost])
    truths, problems = _find_truths(listing.images)
    cases = tuple(Case(image, truths.get(image)) for image in listing.images)
    return Found(cases, (*map(Problem, lost), *problems), tuple(map(Problem, unread)))


def images_beside(image: Path) -> tuple[Path, ...]:
    """All images in the folder of `image`: which mask belongs to it depends on their names too."""
    return tuple({image: None, **dict.fromkeys(listed(image.parent))})


def _in_dataset(root: Path, part: str) -> Found:
    layout = read_part(root, part)
    if layout.problems:
        raise DataError(str(root), layout.problems)
    if part in layout.pairs:
        return Found(tuple(Case(pair.image, pair.mask) for pair in layout.pairs[part]), (), layout.warnings)
    if part in layout.without_masks:
        return Found(tuple(Case(image, None) for image in layout.without_masks[part]), (), layout.warnings)
    other = next(each for each in PARTS if each != part)
    raise DataError(str(root), [f"has no {part} images; use --part {other}, or give a folder of images"])


def _find_truths(images: Sequence[Path]) -> tuple[dict[Path, Path], list[Problem]]:
    """Return the mask of each image in a folder, and a problem for each image with several."""
    beside = masks_beside(images[0].parent)
    if beside is None:
        return {}, []
    of = {stem_of(image): image for image in images}
    masks_of = {of[stem]: masks for stem, masks in masks_by_stem(list(of), listed(beside)).items() if stem is not None}
    problems = [
        Problem(f"not scored: it has {len(masks)} masks ({', '.join(mask.name for mask in masks)})", image.name)
        for image, masks in masks_of.items()
        if len(masks) > 1
    ]
    return {image: masks[0] for image, masks in masks_of.items() if len(masks) == 1}, problems


def predict(
    checkpoint: Path,
    source: Path,
    out: Path,
    *,
    threshold: float = 0.5,
    part: str = "test",
    device: torch.device | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Predicted]:
    """Predict the images that `find_cases` finds in `source`; see `predict_cases`.

    `warn` receives a line about files that are not read, too.
    """
    found = find_cases(source, part)
    for note in found.unread:
        warn(note.text(str(source)))
    yield from predict_cases(
        checkpoint, found.cases, out, threshold=threshold, device=device, warn=warn, lost=found.lost
    )


def predict_cases(
    checkpoint: Path,
    cases: Sequence[Case],
    out: Path,
    *,
    threshold: float = 0.5,
    device: torch.device | None = None,
    warn: Callable[[str], None] = lambda _: None,
    lost: Sequence[Problem] = (),
) -> Iterator[Predicted]:
    """Write `<name>_mask.png` (0 and 255) and a panel (`write_panel`) into `out` for each image, one after the other.

    Pixels with a probability above `threshold` are vessel. `device` defaults to a GPU if there is one. `warn` receives,
    after the last image, what is odd about images and masks, by which the score may mean nothing. Raises UsageError
    (before the first image) if the checkpoint cannot be used or an output would overwrite a file, and DataError (after
    the last image) with `lost` and all images that cannot be used.
    """
    unet, config = _load_network(checkpoint, device or find_device("auto"))
    _check_names(cases, out)
    (out / PANELS).mkdir(parents=True, exist_ok=True)
    problems = list(lost)
    facts: dict[str, PairFacts] = {}
    for case in cases:
        try:
            facts[location(case.image)] = _inspected(case, config)
            yield _predict_case(unet, config, case, out, threshold)
        except DataError as error:
            problems += [Problem(p.text(error.source)) for p in error.problems]
    for finding in set_findings(facts, cut_of(config.data)):
        if finding.level != "note" and finding.kind not in _NOT_FOR_PREDICTION:
            warn(f"{finding.where}{': ' if finding.where else ''}{finding.message}")
    if problems:
        raise DataError(str(cases[0].image.parent), problems)


def _inspected(case: Case, config: TrialConfig) -> PairFacts:
    """Inspect a case; raises DataError if it is not clear which levels of its mask are vessel."""
    if case.truth is None:
        return inspect_image(case.image)
    found = inspect_pair(Pair(stem_of(case.image), case.image, case.truth), cut_of(config.data))
    if found.unclear_levels and found.measures and not config.data.allow_odd_masks:
        raise DataError(str(case.truth), [found.unclear_levels])
    return found


def find_device(name: str) -> torch.device:
    """Return the device with this name: `cpu`, `cuda`, `cuda:1`, or `auto`, which is a GPU if there is one.

    UsageError if there is no such device here.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    kind, _, index = name.partition(":")
    is_known = name == "cpu" or (kind == "cuda" and (index.isdecimal() or name == "cuda"))
    if not is_known:
        raise UsageError(f"--device {name}: no such device; give cpu, cuda, cuda:1 (the second GPU), or auto")
    if kind == "cuda" and int(index or 0) >= gpus:
        there = f"cuda:0 to cuda:{gpus - 1}" if gpus > 1 else "cuda:0" if gpus else "no GPU that PyTorch can use"
        raise UsageError(f"--device {name}: this machine has {there}; use --device {'cuda' if gpus else 'cpu'} or auto")
    return torch.device(name)


def _load_network(checkpoint: Path, device: torch.device) -> tuple[UNet, TrialConfig]:
    try:
        unet, config, _ = load_unet(checkpoint, device)
    except (StateError, OSError) as error:
        beside = ", ".join(str(path) for path in sorted(checkpoint.parent.glob("best-*.ckpt")) if path != checkpoint)
        other = beside or "a run's checkpoints/best-<epochs>.ckpt (column `checkpoint` of `unetsweep report`)"
        raise UsageError(f"{error}; give {other}") from error
    broken = next((name for name, values in unet.state_dict().items() if not torch.isfinite(values).all()), None)
    if broken is not None:
        found = f"{checkpoint}: {broken} has values that are not finite, so every mask would be wrong"
        raise UsageError(f"{found}; give the checkpoint of a complete trial (`unetsweep report`)")
    set_tf32(config.trainer.precision)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return unet, config


def _check_names(cases: Sequence[Case], out: Path) -> None:
    seen: dict[str, Path] = {}
    for case in cases:
        other = seen.setdefault(stem_of(case.image), case.image)
        if other != case.image:
            raise UsageError(
                f"{case.image} and {other.name} have the same name, and so the same output file; rename one of them"
            )
        for folder in (out, out / PANELS):
            if case.image.parent.resolve() == folder.resolve():
                raise UsageError(f"{folder} holds the images; give --out another folder")
    for folder in (out, out / PANELS):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; give --out another folder")


def _predict_case(unet: UNet, config: TrialConfig, case: Case, out: Path, threshold: float) -> Predicted:
    image = read_image(case.image, None, config.model.in_channels)
    truth = None if case.truth is None else read_mask(case.truth, None, cut_of(config.data))
    if truth is not None and truth.shape != image.shape[:2]:
        found = f"its mask {case.truth} is {size_of(truth)}, the image {size_of(image)}; both must have one size"
        raise DataError(str(case.image), [found])
    mask = (vessel_probability(unet, config, case.image, image) > threshold).astype(np.uint8)
    counts = None if truth is None else confusion(mask, truth)
    name = case.image.stem
    mask_path = out / f"{name}_mask.png"
    write_png(mask_path, mask * 255)
    score = None if counts is None else iou(*counts)
    panel_path = write_panel(out / PANELS, name, score, panel(image, truth, mask))
    return Predicted(name, mask_path, panel_path, size_of(image), counts, config.data.image_size)


def vessel_probability(unet: UNet, config: TrialConfig, path: Path, image: Pixels) -> NDArray[np.float64]:
    """Height x width probabilities at the size of `image`, which was read from `path`.

    Raises TrainingError if the image is too large for the GPU.
    """
    device = next(unet.parameters()).device
    resized = image if config.data.image_size is None else read_image(path, config.data.image_size, image.shape[2])
    try:
        with evaluating(unet, device, config.trainer.precision):
            found = probabilities(logits(unet, resized, device).double()[None])[0, 0].cpu().numpy()
    except torch.OutOfMemoryError as error:
        hint = "predict on the CPU: --device cpu"
        raise TrainingError(f"{path} ({size_of(image)}) does not fit into the GPU's memory; {hint}") from error
    height, width = image.shape[:2]
    if found.shape == (height, width):
        return np.asarray(found, np.float64)
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR), np.float64)
