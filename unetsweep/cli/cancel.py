"""`unetsweep cancel`: end the jobs of trials."""

from pathlib import Path

import click

from unetsweep.app.addresses import select_all
from unetsweep.app.cancel import cancel
from unetsweep.app.sweeps import check_access
from unetsweep.cli.echo import echo
from unetsweep.cli.output import ADDRESSES, print_event, print_notes, results_option
from unetsweep.core.live_text import format_some
from unetsweep.errors import StateError, UnetsweepError, joined
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted


@click.command("cancel")
@click.argument("addresses", nargs=-1, metavar=ADDRESSES)
@results_option
def command(addresses: tuple[str, ...], results: Path) -> None:
    """Cancel the trials SWEEP/TRIAL, or all open trials of SWEEP. A trial that has a result keeps it.

    The id of a job stands for all trials that it trains. `SWEEP 3 4` is the same as `SWEEP/3 SWEEP/4`.

    A training that is likely to finish an epoch within 30 s saves a checkpoint first; any other is ended at once.
    `retry` continues from the last checkpoint. Ctrl-C ends only the waiting.
    """
    selections = select_all(addresses, results)
    for each in selections:
        check_access(each.root)
    print_notes(selections)
    errors: list[UnetsweepError] = []
    for each in selections:
        try:
            _cancel(SweepDir(each.root), each.trials or ())
        except UnetsweepError as error:  # the jobs of the other sweeps are cancelled all the same
            errors.append(error)
    if errors:
        raise joined(errors)


def _cancel(directory: SweepDir, trials: tuple[int, ...]) -> None:
    done = cancel(directory, trials, print_event)
    name = directory.name
    echo(f"cancelled {counted(len(done.trials), 'trial')} of {name}: {format_some(done.trials) or 'no trial was open'}")
    if done.trials:
        echo(f"to train them later: unetsweep retry {name} --cancelled")
    if done.finished:
        echo(f"these have results, which were not recorded yet, and keep them: {format_some(done.finished)}")
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
