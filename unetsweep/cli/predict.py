"""`unetsweep predict`: what a checkpoint makes of images."""

from pathlib import Path

import click


@click.command("predict")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("source", metavar="IMAGE_OR_DIR", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of the pictures.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Vessel is what has a higher probability.",
)
@click.option(
    "--part", type=click.Choice(["train", "test"]), default="test", show_default=True, help="Of a set with both."
)
def command(checkpoint: Path, source: Path, out: Path, threshold: float, part: str) -> None:
    """Write NAME_mask.png and NAME_panel.png (input, truth, prediction) into DIR for each image.

    CHECKPOINT is a run's checkpoints/best-EPOCHS.ckpt. IMAGE_OR_DIR is an image, a folder of images, or a set
    with train/ and test/. Images of any size: the masks have the images' own. The truth is known in a set, and for
    images in a folder `image` with a folder `mask` beside it; IoU is then counted at the images' own size.
    """
    from unetsweep.datasets.scores import iou
    from unetsweep.training.predict import predict

    totals = [0, 0, 0]
    compared = 0
    for done in predict(checkpoint, source, out, threshold=threshold, part=part):
        score = "" if done.iou is None else f"  IoU {done.iou:.4f}"
        click.echo(f"{done.mask}  {done.size}{score}")
        if done.counts is not None:
            totals = [total + count for total, count in zip(totals, done.counts, strict=True)]
            compared += 1
    if compared:
        click.echo(f"IoU {iou(*totals):.4f} over {compared} image{'' if compared == 1 else 's'}")
