"""`unetsweep predict`: masks of images, from a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.app.checkpoints import find_checkpoint
from unetsweep.app.predict import predict
from unetsweep.cli.echo import echo
from unetsweep.cli.output import results_option, warn
from unetsweep.texts import counted, score_text

if TYPE_CHECKING:
    from unetsweep.datasets.pair_inspection import Finding
    from unetsweep.training.predict import Predicted  # imports torch


@click.command("predict")
@click.argument("checkpoint", metavar="CHECKPOINT|SWEEP/TRIAL")
@click.argument("source", metavar="IMAGE_OR_DIR", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for the pictures.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
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
@results_option
def command(checkpoint: str, source: Path, out: Path, threshold: float, part: str, results: Path) -> None:
    """Write NAME_mask.png and NAME_panel.png (input, truth, prediction, difference) into DIR for each image.

    SWEEP/TRIAL, SWEEP/best or a job id stands for the trial's checkpoint; CHECKPOINT is a run's
    checkpoints/best-EPOCHS.ckpt. IMAGE_OR_DIR is an image, a folder of images, or a data set
    with train/ and test/. Images may have any size; each mask has the size of its image. IoU is counted at that size,
    for images with a known truth: those of a data set, and those in a folder `image` next to a folder `mask`. Test
    images without masks are segmented and not scored.
    """
    path, note = find_checkpoint(checkpoint, results)
    if note is not None:
        echo(note, err=True)
    score = predict(path, source, out, threshold=threshold, part=part, on_image=_show, warn=warn)
    if score.iou is not None:
        echo(f"IoU {score_text(score.iou)} over {counted(score.images, 'image')}")


def _show(image: "Predicted") -> None:
    score = "" if image.iou is None else f"  IoU {score_text(image.iou)}"
    echo(f"{image.mask}  {image.size}{score}")


def _warn(finding: "Finding") -> None:
    level = "note" if finding.level == "note" else "warning"
    echo(f"{level}: {finding.where}{': ' if finding.where else ''}{finding.message}", err=True)
