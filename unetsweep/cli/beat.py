"""`unetsweep beat`: a pass beside a training, when the last one is old. Not for people."""

import random
import time
from pathlib import Path

import click


@click.command("beat", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.option("--now", is_flag=True)
def command(root: Path, now: bool) -> None:
    """Make a pass over the sweep in ROOT; without --now only where none began within `run.beat` seconds, by the file
    server's clock."""
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.cli._pass import make_pass
    from unetsweep.cli._sweeps import world_of

    directory = SweepDir(root)
    world = world_of(directory)
    if not now:
        time.sleep(random.uniform(0, 1))  # noqa: S311  # all jobs of an array see the same age at once
    age = directory.looked_ago()
    if now or age is None or age >= world.spec.run.beat:
        make_pass(root, world, lambda action: click.echo(f"beat: {action}"))
