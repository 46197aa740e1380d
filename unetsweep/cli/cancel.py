"""`unetsweep cancel`: end the jobs of trials."""

from pathlib import Path

import click

from unetsweep.app.cancel import cancel
from unetsweep.app.sweeps import resolve
from unetsweep.cli.echo import echo
from unetsweep.cli.output import format_some, print_event, results_option
from unetsweep.errors import StateError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted


@click.command("cancel")
@click.argument("sweep")
@click.argument("trials", type=int, nargs=-1)
@results_option
def command(sweep: str, trials: tuple[int, ...], results: Path) -> None:
    """Cancel TRIALS of SWEEP, or all open trials if none is named. A trial that has a result keeps it.

    A training that is likely to finish an epoch within 30 s saves a checkpoint first; any other is ended at once.
    `retry` continues from the last checkpoint. Ctrl-C ends only the waiting.
    """
    directory = SweepDir(resolve(sweep, results))
    done = cancel(directory, trials, print_event)
    name = directory.name
    echo(f"cancelled {counted(len(done.trials), 'trial')} of {name}: {format_some(done.trials) or 'no trial was open'}")
    if done.shared:
        echo(f"the runs of these trials continue for trials that share them: {', '.join(map(str, done.shared))}")
    if done.unfinished:
        echo(
            f"not ended yet: {len(done.unfinished)} of them. Their jobs are still stopping, or have just ended. "
            f"The next reconciliation ends them; see `unetsweep status {name}`",
            err=True,
        )
    if done.unreadable:
        raise StateError(
            "\n".join(f"trial {number}: {why}; then cancel again" for number, why in done.unreadable.items())
        )
