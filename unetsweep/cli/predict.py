"""`unetsweep predict`: masks of images, from a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.app.checkpoints import find_checkpoint
from unetsweep.app.predict import THRESHOLD, PredictionScore, predict
from unetsweep.cli.echo import echo
from unetsweep.cli.output import results_option, warn
from unetsweep.texts import counted, score_text

if TYPE_CHECKING:
    from unetsweep.training.predict import Predicted  # imports torch


@click.command("predict")
@click.argument("checkpoint", metavar="CHECKPOINT|SWEEP/TRIAL")
@click.argument("source", metavar="IMAGE_OR_DIR", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for the pictures.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=THRESHOLD,
    show_default=True,
    help="Pixels with a higher probability are vessel.",
)
@click.option(
    "--part",
    type=click.Choice(["train", "test"]),
    default="test",
    show_default=True,
    help="Which part of a data set with train/ and test/.",
)
@click.option(
    "--device",
    metavar="DEVICE",
    default="auto",
    show_default=True,
    help="cpu, cuda, or one GPU of several: cuda:1. auto is a GPU if there is one.",
)
@results_option
def command(checkpoint: str, source: Path, out: Path, threshold: float, part: str, device: str, results: Path) -> None:
    """Write the mask of each image into DIR (NAME_mask.png), and a panel into DIR/panels: input, truth, prediction and
    difference.

    SWEEP/TRIAL, SWEEP/best or a job id stands for the trial's checkpoint; CHECKPOINT is a run's
    checkpoints/best-EPOCHS.ckpt. IMAGE_OR_DIR is an image, a folder of images, or a data set
    with train/ and test/. Images may have any size; each mask has the size of its image. IoU is counted at that size,
    for images with a known truth: those of a data set, and those in a folder `image` next to a folder `mask`. Test
    images without masks are segmented and not scored.

    The name of a panel begins with its IoU, so the worst come first. DIR/worst.png shows the worst of them together.
    """
    path, note = find_checkpoint(checkpoint, results)
    if note is not None:
        echo(note, err=True)
    score = predict(path, source, out, threshold=threshold, part=part, device=device, on_image=_show, warn=warn)
    echo(*_format(score, threshold))


def _format(score: PredictionScore, threshold: float) -> list[str]:
    """The IoU of all images, why it is not that of the report, and where to see the worst."""
    if score.iou is None:
        return []
    lines = [f"IoU {score_text(score.iou)} over {counted(score.images, 'image')} at their own size"]
    trained_at = [] if score.image_size is None else [f"at {score.image_size}x{score.image_size}"]
    if threshold != THRESHOLD:
        trained_at.append(f"with threshold {THRESHOLD}")
    if trained_at:
        lines.append(f"the report of its sweep scores {' and '.join(trained_at)}, so its IoU differs")
    return [*lines, f"the worst: {score.overview}"]


def _show(image: "Predicted") -> None:
    score = "" if image.iou is None else f"  IoU {score_text(image.iou)}"
    echo(f"{image.mask}  {image.size}{score}")
