"""`unetsweep cancel`: end jobs on purpose."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.errors import UsageError

if TYPE_CHECKING:
    from unetsweep.store.sweep_dir import SweepDir

PATIENCE_S = 15.0
"""How long jobs may take to end: a cluster usually gives them 30 s at most."""


@click.command("cancel")
@click.argument("sweep")
@click.argument("trials", type=int, nargs=-1)
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, trials: tuple[int, ...], results: Path) -> None:
    """Cancel TRIALS of SWEEP, or all that have not ended. What has a result keeps it."""
    from unetsweep.app.reconcile import reconcile_sweep
    from unetsweep.app.sweeps import context_of, resolve
    from unetsweep.core.run_sharing import GOES_ON
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(resolve(sweep, results))
    unknown = sorted(set(trials) - set(range(directory.next_trial())))
    if unknown:
        raise UsageError(f"sweep {directory.name} has no trial {unknown[0]}; it has {directory.next_trial()} (from 0)")
    context = context_of(directory)
    if not trials:
        directory.stop()
    cancelled: set[int] = set()
    until = time.monotonic() + PATIENCE_S
    while True:
        left = _open(directory, trials)
        # a reconciliation that was running may have proposed some after we stopped the sweep
        for trial in left - cancelled:
            directory.cancel(trial)
        cancelled |= left
        reconciliation = reconcile_sweep(directory.root, context, lambda _: None, patience_s=PATIENCE_S)
        waits = reconciliation.plan.waits if reconciliation is not None else ()
        shared = {wait.trial for wait in waits if wait.reason == GOES_ON}
        left = _open(directory, trials)
        if left <= shared or time.monotonic() > until:
            break
        time.sleep(1)
    chosen = sorted(cancelled)
    shown = ", ".join(map(str, chosen[:8])) + (" …" if len(chosen) > 8 else "")
    click.echo(f"cancelled {len(chosen)} trials of {directory.name}: {shown or 'none was open'}")
    if left & shared:
        numbers = ", ".join(map(str, sorted(left & shared)))
        click.echo(f"the run of {numbers} goes on for trials that share it, and no further than they want")
    left -= shared
    if left:
        said = "their jobs are still going down, or have just ended and may show a result late"
        told = f"`unetsweep status {directory.name}` tells, and the next reconciliation ends them"
        click.echo(f"{len(left)} of them have not ended yet: {said}; {told}", err=True)


def _open(directory: "SweepDir", trials: tuple[int, ...]) -> set[int]:
    """Those of `trials` (none: of all) that have not ended."""
    return {trial.number for trial in directory.look().trials if not trials or trial.number in trials}
