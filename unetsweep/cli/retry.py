"""`unetsweep retry`: send trials again that ended without a result."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.app.start import start_or_resume
from unetsweep.cli.output import print_event, print_started
from unetsweep.errors import UsageError

if TYPE_CHECKING:
    from unetsweep.store.sweep_dir import SweepDir


@click.command("retry")
@click.argument("sweep")
@click.argument("trials", type=int, nargs=-1)
@click.option("--failed", is_flag=True, help="All trials that failed or diverged; the default where none is named.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, trials: tuple[int, ...], failed: bool, results: Path) -> None:
    """Send TRIALS of SWEEP again: failed, diverged, cancelled or pruned ones, as new attempts of the same trial.

    Each resumes from its run's last checkpoint, if that was kept (`run.keep_checkpoints`). Earlier attempts no longer
    count towards the limits in `run.retries`, and a paused sweep goes on.
    """
    from unetsweep.app.reconcile import alone
    from unetsweep.app.sweeps import resolve
    from unetsweep.config.load import load
    from unetsweep.core import paths
    from unetsweep.store.retries import reopen, reset_open_retries, trains_anew
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(resolve(sweep, results))
    states = _states(directory)
    chosen = _chosen(directory.name, states, trials, failed=failed)
    chosen = _not_passed(directory, chosen, named=trials)
    freed: list[int] = []
    alone(directory, lambda: freed.extend(reopen(directory.root, chosen)))
    reset_open_retries(directory.root)
    directory.resume()
    shown = ", ".join(map(str, freed[:8])) + (" …" if len(freed) > 8 else "")
    click.echo(f"{len(freed)} trials of {directory.name} are open again{': ' + shown if freed else ''}")
    anew = [f"{trial:04d}" for trial in freed if trains_anew(directory.root, trial)]
    if anew and load(directory.root / paths.SPEC).trainer.command is None:  # a program's checkpoints are its own
        click.echo(
            f"no last checkpoint to go on from (run.keep_checkpoints, or repair), so they train anew: {', '.join(anew)}"
        )
    print_started(start_or_resume(directory, print_event))


def _not_passed(directory: "SweepDir", chosen: list[int], named: tuple[int, ...]) -> list[int]:
    """Those whose run has not gone past them: a training that others share goes on without a trial that came to
    nothing, and never back. UsageError for a named one."""
    from unetsweep.core import paths
    from unetsweep.core.run_sharing import passes
    from unetsweep.store.observation import read_run
    from unetsweep.store.trials import read_trial

    left = []
    for trial in chosen:
        part = read_trial(directory.root / paths.trial_dir(trial))["runs"][0]
        run = read_run(directory.root, part["run"])
        if not passes(run, part["epochs"]):
            left.append(trial)
            continue
        said = (
            f"trial {trial} shares run {part['run']:04d}, which is at epoch {run.epochs_done} by now and goes past its "
            f"{part['epochs']}; train it by itself: unetsweep train {directory.config_path(trial)} --out FOLDER"
        )
        if trial in named:
            raise UsageError(said)
        click.echo(f"warning: {said}", err=True)
    return left


def _states(directory: "SweepDir") -> dict[int, str | None]:
    """Each trial's state; None: it is open."""
    return {
        trial["trial"]: trial["result"]["state"] if trial["result"] is not None else None
        for trial in directory.trials()
    }


def _chosen(name: str, states: dict[int, str | None], trials: tuple[int, ...], *, failed: bool) -> list[int]:
    """The trials to open again; UsageError where one of those named cannot be."""
    for trial in trials:
        if trial not in states:
            raise UsageError(f"sweep {name} has no trial {trial}; it has {len(states)} (from 0)")
        if states[trial] == "complete":
            raise UsageError(f"trial {trial} of {name} is complete; what has a result is not trained again")
    named = [trial for trial in trials if states[trial] is not None]
    if failed or not trials:
        named += [trial for trial, state in states.items() if state in ("failed", "diverged") and trial not in named]
    return named
