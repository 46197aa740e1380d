"""`unetsweep retry`: train trials again that ended without a result."""

from pathlib import Path

import click

from unetsweep.app.addresses import select_all, without_complete
from unetsweep.app.retry import retry
from unetsweep.app.sweeps import check_access
from unetsweep.cli.output import ADDRESSES, print_event, print_notes, print_started, results_option
from unetsweep.store.sweep_dir import SweepDir


@click.command("retry")
@click.argument("addresses", nargs=-1, metavar=ADDRESSES)
@click.option("--failed", is_flag=True, help="All failed and diverged trials; the default if no trial is named.")
@click.option("--cancelled", is_flag=True, help="All cancelled trials.")
@results_option
def command(addresses: tuple[str, ...], failed: bool, cancelled: bool, results: Path) -> None:
    """Train the trials SWEEP/TRIAL again: failed, diverged, cancelled or pruned ones, as new attempts of the same
    trials. With SWEEP, all failed and diverged ones, and with --cancelled all cancelled ones.

    The id of a job stands for all trials that it trained and that are not complete. `SWEEP 3 4` is the same as
    `SWEEP/3 SWEEP/4`.

    Each resumes from its run's last checkpoint, if that was kept (`run.keep_checkpoints`). Earlier attempts no longer
    count towards the limits in `run.retries`, and a paused sweep resumes. What is not retried is printed, with what
    to do for it.
    """
    selections = select_all(addresses, results)
    for each in selections:
        check_access(each.root)
    print_notes(selections)
    for each in selections:
        print_started(
            retry(SweepDir(each.root), without_complete(each), print_event, failed=failed, cancelled=cancelled)
        )
