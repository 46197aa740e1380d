"""`unetsweep data`: draw, import, download or check a dataset, or score the simplest method (a threshold)."""

import json
import shlex
import sys
from pathlib import Path

import click

from unetsweep.app import data, public_sets
from unetsweep.app.data_page import write_page
from unetsweep.app.data_text import format_lines
from unetsweep.cli.echo import echo, echo_text
from unetsweep.texts import counted, score_text

_folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


def _mask_threshold(_context: click.Context, _option: click.Parameter, text: str | None) -> str | float | None:
    if text is None or text == "half":
        return text
    try:
        level = float(text)
    except ValueError:
        level = -1.0
    if not 0 <= level < 255:
        raise click.BadParameter(f"found {text!r}; use `half` or a grey level from 0 to 254")
    return level


def _mask_values(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, ...]:
    levels = [level.strip() for level in text.split(",")] if text is not None else []
    if not all(level.isdecimal() and int(level) <= 65535 for level in levels):
        raise click.BadParameter(f"found {text!r}; use grey levels from 0 to 65535, such as 1,2")
    return tuple(map(int, levels))


_values = click.option(
    "--mask-values",
    metavar="LEVELS",
    callback=_mask_values,
    help="Grey levels of vessel in the masks' files, such as 1,2; replaces --mask-threshold.",
)
_threshold = click.option(
    "--mask-threshold",
    default="half",
    show_default=True,
    callback=_mask_threshold,
    help="`half` of the mask's range, or a grey level.",
)


@click.group(name="data")
def command() -> None:
    """Draw, import, download or check a dataset, or score the simplest method, a threshold."""


@command.command()
@_folder
@click.option("--size", default=256, show_default=True, help="Side of the images in pixels.")
@click.option("--eyes", default=20, show_default=True, help="Eyes in train (each four times), and in test (each once).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed draws other eyes.")
def sample(folder: Path, size: int, eyes: int, seed: int) -> None:
    """Draw synthetic fundus photographs and their vessel masks into DIR."""
    if data.draw_sample(folder, size=size, eyes=eyes, test_eyes=eyes, seed=seed):
        images = f"{4 * eyes} train and {counted(eyes, 'test image')} of {size}x{size}"
        echo(f"{folder}: drew {images}, and groups.csv", err=True)
    else:
        echo(f"{folder}: this sample exists already, nothing to do", err=True)


@command.command("import")
@click.argument("public", metavar="SET", type=click.Choice(list(public_sets.SETS), case_sensitive=False))
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.argument("to", metavar="[TO]", type=click.Path(path_type=Path), required=False)
@click.option("--observer", type=click.IntRange(1, 2), default=1, show_default=True, help="Whose masks to use.")
@click.option("--link", is_flag=True, help="Make symbolic links to the files in FOLDER instead of copies.")
def import_(public: str, folder: Path, to: Path | None, observer: int, link: bool) -> None:
    """Arrange a public set in FOLDER, as it is distributed, into TO [data/SET], with train/ and test/.

    SET is drive, stare, chase_db1, hrf or fives. Unpack all archives of the set below FOLDER first. A set without a
    division is divided by patient. STARE's files may be compressed. README.md in TO has the division, the terms and the
    citation, sources.csv has the source of each file. Files are copied. Nothing is replaced, and an interrupted import
    may be repeated.
    """
    _print_set(public_sets.import_set(public, folder, to, observer=observer, link=link), "linked" if link else "copied")


@command.command()
@click.argument("to", metavar="[TO]", type=click.Path(path_type=Path), default=Path("data/retina"))
def download(to: Path) -> None:
    """Download the set of 100 images from Kaggle into TO [data/retina].

    This needs the extra `kaggle` (pip install 'unetsweep[kaggle]') and a network: on a cluster, run it on the login
    node. If Kaggle asks for an account, it needs an API token too. An interrupted download may be repeated.
    """
    _print_set(public_sets.download_set(to), "downloaded")


def _print_set(found: public_sets.ArrangedSet, how: str) -> None:
    images = f"{found.counts['train']} train and {counted(found.counts['test'], 'test image')} of {found.title}"
    done = f"{counted(found.new_files, 'new file')} ({how})" if found.new_files else "all there already, nothing to do"
    groups = f", split: {{groups: {found.groups}}}" if found.groups else ""
    sweep = f"data: {{root: {found.folder}{groups}}}"
    echo(
        f"{found.folder}: {images}, {done}",
        *found.notes,
        f"terms: {found.terms}",
        f"cite: {found.cite}",
        f"next: unetsweep data check {shlex.quote(str(found.folder))}; in a sweep: {sweep}",
        err=True,
    )


@command.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--report",
    metavar="OUT.html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page that shows the images, their masks and the split.",
)
@_threshold
@_values
@click.option("--no-cache", is_flag=True, help="Compare all images again, without the results of earlier checks.")
def check(
    folder: Path,
    as_json: bool,
    report: Path | None,
    mask_threshold: str | float,
    mask_values: tuple[int, ...],
    no_cache: bool,
) -> None:
    """Check the dataset in DIR: pairs, files that are not read, sizes, masks, and duplicates, also of test images.

    Masks must have two levels, vessel and background, and mark what is darker than its surroundings in their images.
    Fields of view, empty, full, inverted, shifted and mirrored masks, and those of other images, are named.

    Duplicates are images of the same eye. They are found from the pixels, even if they are mirrored, rotated, resized,
    relit or recompressed. Squashed, padded, zoomed or shifted ones are found only if the edge of the round field is
    visible. Text or a grid on all images makes different eyes similar. The exit status is 1 if there is an error to fix
    before you use a score on these images.
    """
    checked = data.check_dataset(folder, mask_values or mask_threshold, use_cache=not no_cache)
    if report is not None:
        write_page(checked, report)
        echo(f"{report}: written", err=True)
    if as_json:
        echo_text(json.dumps(data.report(checked).as_json(), indent=1))
    else:
        echo(*format_lines(checked))
    sys.exit(1 if checked.errors else 0)


@command.command()
@click.argument("source", metavar="DIR|SWEEP.yaml", type=click.Path(path_type=Path))
@click.option("--image-size", type=click.IntRange(16), help="Resize to this square [the sweep's, or the images' own].")
@click.option(
    "--mask-threshold",
    callback=_mask_threshold,
    help="`half` of the mask's range, or a grey level [the sweep's, or half].",
)
def baseline(source: Path, image_size: int | None, mask_threshold: str | float | None) -> None:
    """Fit a global threshold of the green channel on train images, and score it on test images.

    With the YAML file of a sweep it uses the sweep's images, `image_size` and `mask_threshold`, so that the scores
    compare with those of its trials. With `score_test: false` it reads no test image.
    """
    best = data.fit_baseline(source, image_size, mask_threshold)
    if best is None:
        echo(f"{source}: no baseline, because trainer.command reads its own images", err=True)
        return
    method = f"A global threshold of the green channel (below {best.level}), fitted on train"
    test = "" if best.test_iou is None else f", {score_text(best.test_iou)} on test"
    echo(f"{method}: IoU {score_text(best.train_iou)} on train{test}")
