"""`unetsweep logs`: what a trial's job printed."""

from pathlib import Path

import click

from unetsweep.app.logs import find_log, read_log, select_log
from unetsweep.app.sweeps import check_access
from unetsweep.cli.echo import echo, echo_log
from unetsweep.cli.output import print_notes, results_option
from unetsweep.store.sweep_dir import SweepDir


@click.command("logs")
@click.argument("addresses", nargs=-1, metavar="SWEEP/TRIAL")
@click.option("--follow", "-f", is_flag=True, help="Print what is added, until the trial has ended.")
@results_option
def command(addresses: tuple[str, ...], follow: bool, results: Path) -> None:
    """Print the log of the last job of SWEEP/TRIAL (its first process), or of a job by its id.

    `SWEEP TRIAL` works too.

    Colours and progress bars stay; other sequences that control a terminal are left out.
    """
    selection, trial, attempt = select_log(addresses, results)
    print_notes([selection])
    directory = SweepDir(check_access(selection.root, anywhere=True))
    log = find_log(directory, trial, attempt)
    echo(str(log), err=True)
    echo_log(read_log(directory, trial, log, follow=follow))
