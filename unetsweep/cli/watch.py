"""`unetsweep watch`: follow a sweep until it is over."""

import sys
from pathlib import Path

import click

from unetsweep.app.sweeps import resolve
from unetsweep.cli.output import results_option
from unetsweep.cli.watching import watch_sweep
from unetsweep.store.sweep_dir import SweepDir


@click.command("watch")
@click.argument("sweep", required=False)
@results_option
def command(sweep: str | None, results: Path) -> None:
    """Follow SWEEP (default: the newest one) until it is over: progress, running trials with their scores and curves,
    why others wait, which failed, the best so far and the estimated end. Nothing is changed.

    Arrow keys select a row, Enter opens its log and learning curve, Esc or q goes back, and q or Ctrl-C ends the view,
    not the trainings. Without a terminal, or with TERM=dumb, each change is a line.

    Exit status 1 if a trial failed, none is complete, the sweep is paused or nothing continues it.
    """
    directory = SweepDir(resolve(sweep, results))
    sys.exit(0 if watch_sweep(directory, reconciles=False) else 1)
