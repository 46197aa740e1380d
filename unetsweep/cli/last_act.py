"""`unetsweep last-act`: what each job does when its training is over. Not for people."""

from pathlib import Path

import click


@click.command("last-act", hidden=True)
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.argument("token")
@click.option("--index", type=int, default=0)
@click.option("--restart", type=int, default=0)
@click.option("--status", type=int, default=0)
@click.option("--no-pass", is_flag=True)
def command(root: Path, token: str, index: int, restart: int, status: int, no_pass: bool) -> None:
    """Write down how the processes of (TOKEN, --index) ended, then make a pass over the sweep."""
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.cli._logs import log_of
    from unetsweep.cli._pass import make_pass
    from unetsweep.cli._sweeps import world_of

    directory = SweepDir(root)
    run, attempt = directory.intent(token)["elements"][index]
    if directory.is_owner(token, index):
        directory.record_exit(run, attempt, restart, status, log_of(directory, run, attempt))
    if not no_pass:
        make_pass(root, world_of(directory), lambda action: click.echo(f"pass: {action}"))
