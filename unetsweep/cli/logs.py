"""`unetsweep logs`: what a trial's job printed."""

from pathlib import Path

import click

from unetsweep.app.logs import find_log, read_log
from unetsweep.app.sweeps import resolve
from unetsweep.cli.echo import echo, echo_log
from unetsweep.cli.output import results_option
from unetsweep.store.sweep_dir import SweepDir


@click.command("logs")
@click.argument("sweep")
@click.argument("trial", type=int)
@click.option("--follow", "-f", is_flag=True, help="Print what is added, until the trial has ended.")
@results_option
def command(sweep: str, trial: int, follow: bool, results: Path) -> None:
    """Print the log of the last job of TRIAL in SWEEP (its first process).

    Colours and progress bars stay; other sequences that control a terminal are left out.
    """
    directory = SweepDir(resolve(sweep, results, anywhere=True))
    log = find_log(directory, trial)
    echo(str(log), err=True)
    echo_log(read_log(directory, trial, log, follow=follow))
