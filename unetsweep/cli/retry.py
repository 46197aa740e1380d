"""`unetsweep retry`: train trials again that ended without a result."""

from pathlib import Path

import click

from unetsweep.app.retry import retry
from unetsweep.app.sweeps import resolve
from unetsweep.cli.output import print_event, print_started, results_option
from unetsweep.store.sweep_dir import SweepDir


@click.command("retry")
@click.argument("sweep")
@click.argument("trials", type=int, nargs=-1)
@click.option("--failed", is_flag=True, help="All failed and diverged trials; the default if no trial is named.")
@results_option
def command(sweep: str, trials: tuple[int, ...], failed: bool, results: Path) -> None:
    """Train TRIALS of SWEEP again: failed, diverged, cancelled or pruned ones, as new attempts of the same trials.

    Each resumes from its run's last checkpoint, if that was kept (`run.keep_checkpoints`). Earlier attempts no longer
    count towards the limits in `run.retries`, and a paused sweep resumes. What is not retried is printed, with what
    to do for it.
    """
    print_started(retry(SweepDir(resolve(sweep, results)), trials, print_event, failed=failed))
