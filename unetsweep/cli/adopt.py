"""`unetsweep adopt`: continue a sweep that was copied, moved or renamed, or on another cluster."""

from collections.abc import Iterator
from pathlib import Path

import click

from unetsweep.app.addresses import named
from unetsweep.app.adopt import AdoptionResult, adopt
from unetsweep.app.sweeps import resolve
from unetsweep.cli.echo import echo
from unetsweep.cli.output import results_option
from unetsweep.core import paths
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted


@click.command("adopt")
@click.argument("sweep", required=False, metavar="SWEEP")
@results_option
def command(sweep: str | None, results: Path) -> None:
    """Record that SWEEP belongs to its present folder and to this cluster. Use it after the folder was copied,
    moved or renamed, or to continue a sweep on another cluster. It submits nothing.

    Jobs of a moved sweep are cancelled, because they use the old path. Jobs of a copy's original and jobs on another
    cluster are left alone. A renamed sweep takes the name of its folder.
    """
    echo(*_describe(adopt(SweepDir(resolve(named(sweep, results), results, anywhere=True)))))


def _describe(adoption: AdoptionResult) -> Iterator[str]:
    if not adoption.is_needed:
        yield f"{adoption.sweep} belongs to {adoption.root} already; there is nothing to adopt"
        return
    yield f"{adoption.sweep} now belongs to {adoption.root}"
    if adoption.old_cluster:
        yield f"and to the cluster {adoption.cluster}"
    if adoption.cancelled:
        yield f"cancelled its jobs: {' '.join(adoption.cancelled)}"
    if adoption.unreachable:
        where = f"on the cluster {adoption.old_cluster}" if adoption.old_cluster else "on another machine"
        yield f"these jobs may still run {where}; cancel them there: {' '.join(adoption.unreachable)}"
    if adoption.relocation == "copied":
        yield f"the sweep in {adoption.old_folder} and its jobs are left alone"
    are = "is" if adoption.unfinished == 1 else "are"
    unfinished = f"{counted(adoption.unfinished, 'run')} {are} unfinished"
    yield f"{unfinished}; to continue: unetsweep submit {adoption.root / paths.SPEC}"
