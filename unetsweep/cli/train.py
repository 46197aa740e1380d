"""`unetsweep train`: one training by hand."""

from pathlib import Path

import click

from unetsweep.app.train import train
from unetsweep.cli.echo import echo
from unetsweep.cli.output import warn
from unetsweep.texts import score_text


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for its files.")
def command(config: Path, out: Path) -> None:
    """Train CONFIG into DIR. CONFIG is a config.json; data, epochs, batch_size and learning_rate are enough.

    An interrupted training continues from its last checkpoint; a finished one is not repeated. DIR holds one training
    only. Its config.json lists the images of each split by name, and a continued training keeps that split.
    """
    finished = train(config, out, warn)
    result = finished.result
    scores = {"val_iou": result.val_iou, "val_loss": result.val_loss, "test_iou": result.test_iou}
    text = ", ".join(f"{name} {score_text(value)}" for name, value in scores.items() if value is not None)
    echo(f"{result.state}: best epoch {result.best_epoch} of {result.epochs}: {text}")
    echo(f"{finished.path}")
