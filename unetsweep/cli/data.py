"""`unetsweep data`: draw sample images, look a set over, and how far a single threshold gets on one."""

import sys
from pathlib import Path

import click


@click.group(name="data")
def command() -> None:
    """Images: draw a sample set, check a set, score the simplest method."""


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--size", default=256, show_default=True, help="Side of the pictures in pixels.")
@click.option("--eyes", default=20, show_default=True, help="Eyes in train (each four times), and in test (each once).")
@click.option("--seed", default=0, show_default=True, help="Another seed draws other eyes.")
def sample(folder: Path, size: int, eyes: int, seed: int) -> None:
    """Draw synthetic fundus photographs and their vessel masks into DIR."""
    from unetsweep.datasets.sample import draw_sample

    if draw_sample(folder, size=size, eyes=eyes, test_eyes=eyes, seed=seed):
        print(
            f"{folder}: drew {4 * eyes} train and {eyes} test images of {size}x{size}, and groups.csv", file=sys.stderr
        )
    else:
        print(f"{folder}: the sample is there already, nothing to do", file=sys.stderr)


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--report", metavar="OUT.html", type=click.Path(path_type=Path, dir_okay=False), help="Also a page with pictures."
)
@click.option(
    "--mask-threshold", default="half", show_default=True, help="`half` of the mask's range, or a grey level."
)
@click.option("--no-cache", is_flag=True, help="Compare anew what was compared before.")
def check(folder: Path, as_json: bool, report: Path | None, mask_threshold: str, no_cache: bool) -> None:
    """Look DIR over: pairs, sizes, masks, copies of one eye, and whether a test image copies a training image.

    Copies are found from the pixels, however they are mirrored, turned, resized, lit or compressed; squashed, padded,
    zoomed or shifted too where the round field shows its edge. Text or a grid drawn over all makes eyes alike.
    The exit status is 1 where something must be mended before a number from these images means anything.
    """
    from unetsweep.app.data_check import run

    sys.exit(run(folder, as_json=as_json, report=report, cut=_threshold(mask_threshold), use_cache=not no_cache))


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--image-size", type=click.IntRange(16), help="Resize to this square; default: the images' own size.")
@click.option(
    "--mask-threshold", default="half", show_default=True, help="`half` of the mask's range, or a grey level."
)
def baseline(folder: Path, image_size: int | None, mask_threshold: str) -> None:
    """Fit one threshold of the green channel on DIR's train images, and score it on its test images."""
    from unetsweep.datasets.baseline import green_threshold
    from unetsweep.datasets.layout import find_pairs
    from unetsweep.datasets.reading import read_pairs

    pairs = find_pairs(folder)
    cut = _threshold(mask_threshold)
    train, test = (read_pairs(pairs[part], image_size, cut) for part in ("train", "test"))
    level, on_train, on_test = green_threshold(train, test)
    words = f"A global threshold of the green channel (below {level}), fitted on train"
    print(f"{words}: IoU {on_train:.4f} on train, {on_test:.4f} on test")


def _threshold(said: str) -> str | float:
    if said == "half":
        return said
    try:
        level = float(said)
    except ValueError:
        level = -1.0
    if not 0 <= level < 255:
        raise click.BadParameter(f"found {said!r}; `half` or a grey level from 0 to 254", param_hint="--mask-threshold")
    return level
