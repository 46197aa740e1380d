"""`unetsweep cancel`: end jobs on purpose."""

import time
from pathlib import Path

import click

from unetsweep.errors import UsageError

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
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.cli._pass import make_pass
    from unetsweep.cli._sweeps import resolve, world_of

    directory = SweepDir(resolve(sweep, results))
    is_open = {trial.number for trial in directory.look().trials}
    unknown = sorted(set(trials) - set(range(directory.next_trial())))
    if unknown:
        raise UsageError(f"sweep {directory.name} has no trial {unknown[0]}; it has {directory.next_trial()} (from 0)")
    chosen = sorted(is_open & set(trials) if trials else is_open)
    if not trials:
        directory.stop()
    for trial in chosen:
        directory.cancel(trial)
    world = world_of(directory)
    until = time.monotonic() + PATIENCE_S
    while True:
        make_pass(directory.root, world, lambda _: None, patience_s=PATIENCE_S)
        left = {trial.number for trial in directory.look().trials} & set(chosen)
        if not left or time.monotonic() > until:
            break
        time.sleep(1)
    shown = ", ".join(map(str, chosen[:8])) + (" …" if len(chosen) > 8 else "")
    click.echo(f"cancelled {len(chosen)} trials of {directory.name}: {shown or 'none was open'}")
    if left:
        click.echo(f"{len(left)} of their jobs have not ended yet; `unetsweep status {directory.name}` tells", err=True)
