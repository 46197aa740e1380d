"""`unetsweep data`: draw a sample dataset, check a dataset, score the simplest method (a threshold)."""

import json
import sys
from pathlib import Path

import click

from unetsweep.app import data
from unetsweep.app.data_page import write_page
from unetsweep.app.data_text import format_lines
from unetsweep.cli.echo import echo, echo_text
from unetsweep.texts import counted, score_text

_folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


def _mask_threshold(_context: click.Context, _option: click.Parameter, text: str) -> str | float:
    if text == "half":
        return text
    try:
        level = float(text)
    except ValueError:
        level = -1.0
    if not 0 <= level < 255:
        raise click.BadParameter(f"found {text!r}; use `half` or a grey level from 0 to 254")
    return level


_threshold = click.option(
    "--mask-threshold",
    default="half",
    show_default=True,
    callback=_mask_threshold,
    help="`half` of the mask's range, or a grey level.",
)


@click.group(name="data")
def command() -> None:
    """Draw a sample dataset, check a dataset, or score the simplest method, a threshold."""


@command.command()
@_folder
@click.option("--size", default=256, show_default=True, help="Side of the images in pixels.")
@click.option("--eyes", default=20, show_default=True, help="Eyes in train (each four times), and in test (each once).")
@click.option("--seed", default=0, show_default=True, help="Another seed draws other eyes.")
def sample(folder: Path, size: int, eyes: int, seed: int) -> None:
    """Draw synthetic fundus photographs and their vessel masks into DIR."""
    if data.draw_sample(folder, size=size, eyes=eyes, test_eyes=eyes, seed=seed):
        images = f"{4 * eyes} train and {counted(eyes, 'test image')} of {size}x{size}"
        echo(f"{folder}: drew {images}, and groups.csv", err=True)
    else:
        echo(f"{folder}: this sample exists already, nothing to do", err=True)


@command.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--report", metavar="OUT.html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with images."
)
@_threshold
@click.option("--no-cache", is_flag=True, help="Compare all images again, without the results of earlier checks.")
def check(folder: Path, as_json: bool, report: Path | None, mask_threshold: str | float, no_cache: bool) -> None:
    """Check the dataset in DIR: pairs, sizes, masks, duplicates, and test images that duplicate a training image.

    Duplicates are images of the same eye. They are found from the pixels, even if they are mirrored, rotated, resized,
    relit or recompressed. Squashed, padded, zoomed or shifted ones are found only if the edge of the round field is
    visible. Text or a grid on all images makes different eyes similar. The exit status is 1 if there is an error to fix
    before you use a score on these images.
    """
    checked = data.check_dataset(folder, mask_threshold, use_cache=not no_cache)
    if report is not None:
        write_page(checked, report)
        echo(f"{report}: written", err=True)
    if as_json:
        echo_text(json.dumps(data.report(checked).as_json(), indent=1))
    else:
        echo(*format_lines(checked))
    sys.exit(1 if checked.errors else 0)


@command.command()
@_folder
@click.option("--image-size", type=click.IntRange(16), help="Resize to this square; default: the images' own size.")
@_threshold
def baseline(folder: Path, image_size: int | None, mask_threshold: str | float) -> None:
    """Fit a global threshold of the green channel on DIR's train images, and score it on its test images."""
    best = data.fit_baseline(folder, image_size, mask_threshold)
    method = f"A global threshold of the green channel (below {best.level}), fitted on train"
    echo(f"{method}: IoU {score_text(best.train_iou)} on train, {score_text(best.test_iou)} on test")
