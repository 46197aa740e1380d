"""`unetsweep keep`: what a keeper does: a pass, and the next keeper. Not for people."""

from pathlib import Path

import click

PATIENCE_S = 120.0
"""How long it waits for another pass: only its own leaves the next keeper."""


@click.command("keep", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.argument("token")
def command(root: Path, token: str) -> None:
    """Make a pass over the sweep in ROOT as the keeper TOKEN; SchedulerError where the queue gave no answer."""
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.cli._pass import make_pass
    from unetsweep.cli._sweeps import world_of
    from unetsweep.errors import SchedulerError

    world = world_of(SweepDir(root), keeper=token)
    outcome = make_pass(root, world, lambda action: click.echo(f"keeper: {action}"), patience_s=PATIENCE_S)
    if outcome is None:
        raise SchedulerError("another pass is at work and did not let go; the keeper comes again")
    if outcome.seen.silence is not None:
        raise SchedulerError(f"{outcome.seen.silence}; the keeper comes again")
    if outcome.lacks_keeper:
        raise SchedulerError("the next keeper was refused, or is not in the queue yet; this one comes again")
