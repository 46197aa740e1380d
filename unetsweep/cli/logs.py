"""`unetsweep logs`: what a trial's job printed."""

import time
from collections.abc import Callable
from pathlib import Path

import click

from unetsweep.errors import UsageError


@click.command("logs")
@click.argument("sweep")
@click.argument("trial", type=int)
@click.option("--follow", "-f", is_flag=True, help="Go on until the trial has ended.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, trial: int, follow: bool, results: Path) -> None:
    """Print the log of TRIAL's last job in SWEEP (its first process)."""
    from unetsweep.app.log_files import log_of
    from unetsweep.app.sweeps import resolve
    from unetsweep.core import paths
    from unetsweep.store.observation import read_run
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(resolve(sweep, results, anywhere=True))
    if not (directory.root / paths.trial_dir(trial) / paths.TRIAL).exists():
        raise UsageError(f"sweep {directory.name} has no trial {trial}; it has {directory.next_trial()} (from 0)")
    last = read_run(directory.root, directory.run_of(trial)).last
    log = log_of(directory, last.run, last.number) if last else None
    if log is None:
        raise UsageError(f"trial {trial} has no job yet; `unetsweep status {directory.name}` says why")
    click.echo(f"{log}", err=True)
    _print(log, lambda: follow and not (directory.root / paths.trial_dir(trial) / paths.RESULT).exists())


def _print(log: Path, goes_on: Callable[[], bool]) -> None:
    position = 0
    while True:
        more = goes_on()
        if log.exists():
            with log.open("rb") as stream:
                stream.seek(position)
                text = stream.read()
                position += len(text)
            click.echo(text.decode(errors="replace"), nl=False)
        if not more:
            return
        time.sleep(0.5)
