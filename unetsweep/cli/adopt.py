"""`unetsweep adopt`: a sweep's folder that was copied or moved, or its cluster, becomes the place where it lives."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.core import layout
from unetsweep.errors import SchedulerError

if TYPE_CHECKING:
    from unetsweep.adapters.home import Stray
    from unetsweep.adapters.sweep_dir import SweepDir


@dataclass
class _Deed:
    """What adopting did."""

    open: int = 0
    """Trainings that were not done, and go on from here."""
    ended: list[str] = field(default_factory=list)
    """Jobs."""


@click.command("adopt")
@click.argument("sweep")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, results: Path) -> None:
    """Let SWEEP (its name or folder) live where its folder is now, after that was copied or moved, or on another
    cluster. Nothing is sent: `unetsweep submit` then trains what is open, from the last checkpoints.

    Jobs of a sweep that was moved are ended, for they would look for it at its old place. The jobs of a copy's original
    are left alone, and so are those on another cluster.
    """
    from unetsweep.adapters.home import about, stray
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.cli._pass import alone
    from unetsweep.cli._sweeps import resolve

    directory = SweepDir(resolve(sweep, results, anywhere=True))
    was, why, cluster = about(directory.root), stray(directory.root), _cluster(directory)
    elsewhere = None not in (was["cluster"], cluster) and was["cluster"] != cluster
    if why is None and not elsewhere:
        click.echo(f"{directory.name} lives in {directory.root}: there is nothing to adopt")
        return
    deed = _Deed()
    alone(directory, lambda: _adopt(directory, why, cluster, deed, leave_jobs=elsewhere))
    place = f"the cluster {cluster}" if why is None else str(directory.root)
    click.echo(f"{directory.name} lives on {place} now" if why is None else f"{directory.name} lives in {place} now")
    if deed.ended:
        click.echo(f"ended its jobs: {' '.join(deed.ended)}")
    elif why == "copied":
        click.echo(f"the sweep in {was['folder']} and its jobs are left alone")
    elif elsewhere:
        click.echo(f"its jobs on {was['cluster']} are left alone; end them there")
    click.echo(f"{deed.open} trainings are open; next: unetsweep submit {directory.root / layout.SPEC}")


def _cluster(directory: "SweepDir") -> str | None:
    """The one that SLURM's commands speak to here."""
    if directory.executor != "slurm":
        return None
    from unetsweep.adapters.slurm import cluster_here

    return cluster_here()


def _adopt(directory: "SweepDir", why: "Stray | None", cluster: str | None, deed: _Deed, *, leave_jobs: bool) -> None:
    """Idempotent; the new place is written down last."""
    from unetsweep.adapters import home
    from unetsweep.adapters.keeper_files import Keepers
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.core.causes import Cause

    inner = directory.root / layout.CONFIRM
    if (inner / layout.SPEC).is_file():
        _adopt(SweepDir(inner), why, cluster, deed, leave_jobs=leave_jobs)
    seen = directory.look()
    if why == "moved" and not leave_jobs:
        deed.ended += _end_jobs(directory)
    reason = f"the sweep lives in {directory.root} now" + (f", on {cluster}" if cluster else "")
    for run in seen.runs.values():
        last = run.last
        if last is not None and last.lost is None and not (last.ending is not None and last.ending.is_final):
            directory.give_up(last.run, last.number, reason, cause=Cause.HALTED.name)
    if seen.keeper is not None and not seen.keeper.lost:
        Keepers(directory.root).give_up(seen.keeper.number, reason)
    deed.open += len(seen.runs)
    _rename(directory)
    home.settle(directory.root, cluster)


def _end_jobs(directory: "SweepDir") -> list[str]:
    """End what its open trainings, and its keeper, have in the queue; SchedulerError where that does not answer."""
    from unetsweep.cli._sweeps import scheduler
    from unetsweep.shell.reconcile import ask

    jobs = scheduler(directory.executor, directory.root)
    found, silence = ask(jobs, directory.look())
    if silence is not None:
        raise SchedulerError(f"the sweep was moved, and whether it has jobs is not known: {silence}")
    live = sorted(job.job_id for job in found.values() if job.state.is_live)
    if live:
        jobs.cancel(live)
    return live


def _rename(directory: "SweepDir") -> None:
    """A copy has the name of its folder, so that `submit` of its sweep.yaml means it and not the original."""
    from unetsweep.config.load import is_name, load
    from unetsweep.config.written import as_yaml

    spec = load(directory.root / layout.SPEC)
    name = directory.root.name
    if name not in (spec.name, layout.CONFIRM) and is_name(name):
        directory.replace_spec(as_yaml(replace(spec, name=name)))
