"""`unetsweep reproduce`: train a trial again and compare the results."""

import sys
from pathlib import Path

import click

from unetsweep.app.addresses import select_trial
from unetsweep.app.reproduce import reproduce
from unetsweep.app.sweeps import check_access
from unetsweep.cli.echo import echo
from unetsweep.cli.output import print_notes, results_option


@click.command("reproduce")
@click.argument("addresses", nargs=-1, metavar="SWEEP/TRIAL")
@click.option("--data", type=click.Path(path_type=Path), metavar="ROOT", help="Where the images are now.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads, to test the effect of another number.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for its files [SWEEP/reproduced/NNNN].",
)
@results_option
def command(
    addresses: tuple[str, ...], data: Path | None, threads: int | None, out: Path | None, results: Path
) -> None:
    """Train SWEEP/TRIAL again from its config.json on this machine, and compare weights, scores and every image.
    `SWEEP TRIAL` works too.

    Exit status 0: everything is equal, bit for bit. Exit status 1: something differs; possible causes that changed
    are listed (versions, hardware, precision, threads, code, data). The trial and its study do not change. An
    interrupted call continues where it stopped.
    """
    selection, trial = select_trial(addresses, results)
    print_notes([selection])
    root = check_access(selection.root, anywhere=True)
    found = reproduce(root, trial, data=data, threads=threads, out=out)
    for line in found.differences:
        echo(f"differs  {line}")
    for line in found.changes:
        echo(f"changed  {line}")
    if not found.differences:
        echo(f"trial {found.trial} of {found.sweep}: bit for bit the same ({', '.join(found.compared)})")
        return
    cause = "see what changed, above" if found.changes else "nothing that is recorded changed; some GPU kernels vary"
    echo(f"trial {found.trial} of {found.sweep}: not the same; {cause}")
    sys.exit(1)
