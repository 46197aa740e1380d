"""`unetsweep adopt`: make the place where a sweep's folder is now, or the cluster here, the sweep's own."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.core import paths
from unetsweep.errors import SchedulerError

if TYPE_CHECKING:
    from unetsweep.store.home import Stray
    from unetsweep.store.sweep_dir import SweepDir


@dataclass
class _Report:
    """What adopting found and did."""

    why: "Stray | None" = None
    """Whether the folder was copied or moved; None: it is another cluster, or there was nothing to do."""
    was: str = ""
    """The folder before."""
    left: str | None = None
    """The cluster before, where this is another one."""
    cluster: str | None = None
    """The cluster now."""
    unfinished: int = 0
    """Trainings to be continued here."""
    ended: list[str] = field(default_factory=list)
    """Jobs that were cancelled."""
    running: list[str] = field(default_factory=list)
    """Jobs that may still run elsewhere and cannot be cancelled from here."""

    @property
    def is_needed(self) -> bool:
        return self.why is not None or self.left is not None


@click.command("adopt")
@click.argument("sweep")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, results: Path) -> None:
    """Make the present place of SWEEP's folder, and the present cluster, the sweep's own. Use it after the folder was
    copied, moved or renamed, or to continue a sweep on another cluster. It submits nothing.

    Jobs of a sweep that was moved are cancelled, because they use the old path. Jobs of a copy's original, and jobs on
    another cluster, are left alone. A renamed sweep takes the name of its folder.
    """
    from unetsweep.app.reconcile import alone
    from unetsweep.app.sweeps import resolve
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(resolve(sweep, results, anywhere=True))
    done: list[_Report] = []
    alone(directory, lambda: None if done else done.append(_adopt(directory)))
    (report,) = done
    if not report.is_needed:
        click.echo(f"{directory.name} belongs to {directory.root} already; there is nothing to adopt")
        return
    click.echo("\n".join(_lines(directory, report)))


def _lines(directory: "SweepDir", report: _Report) -> list[str]:
    lines = [f"{directory.name} now belongs to {directory.root}"]
    if report.left:
        lines.append(f"and to the cluster {report.cluster}")
    if report.ended:
        lines.append(f"cancelled its jobs: {' '.join(report.ended)}")
    if report.running:
        place = f"on the cluster {report.left}" if report.left else "on another machine"
        lines.append(f"these jobs may still run {place}; cancel them there: {' '.join(report.running)}")
    if report.why == "copied":
        lines.append(f"the sweep in {report.was} and its jobs are left alone")
    lines.append(
        f"{report.unfinished} trainings are unfinished; to continue: unetsweep submit {directory.root / paths.SPEC}"
    )
    return lines


def _adopt(directory: "SweepDir") -> _Report:
    """Idempotent, and the new place is written down last."""
    from unetsweep.core.causes import Cause
    from unetsweep.schedulers.packed.slot_table import Packed, hosts
    from unetsweep.store import home
    from unetsweep.store.reconciler_jobs import ReconcilerJobs
    from unetsweep.store.sweep_dir import SweepDir

    report = _needed(directory)
    inner = directory.root / paths.CONFIRM
    confirmed = _adopt(SweepDir(inner)) if (inner / paths.SWEEP).is_file() else _Report()
    if not report.is_needed:
        return report
    text = _renamed(directory)  # an unreadable file is met before anything is done
    seen = directory.look()
    if report.left is not None:
        report.running = sorted({a.job_id for run in seen.runs.values() for a in run.attempts[-1:] if a.job_id})
    elif report.why == "moved":
        _end_jobs(directory, report)
    reason = f"the sweep belongs to {directory.root} now" + (f", on {report.cluster}" if report.cluster else "")
    for run in seen.runs.values():
        last = run.last
        if last is not None and last.lost is None and not (last.ending is not None and last.ending.is_final):
            directory.mark_lost(last.run, last.number, reason, cause=Cause.PAUSED.name)
    if seen.reconciler is not None and not seen.reconciler.lost:
        ReconcilerJobs(directory.root).mark_lost(seen.reconciler.number, reason)
    for token in hosts(directory.root):
        Packed(directory.root, token).leave()
    report.unfinished = len(seen.runs) + confirmed.unfinished
    report.ended += confirmed.ended
    report.running += confirmed.running
    if text is not None:
        directory.replace_spec(text)
    home.settle(directory.root, report.cluster)
    return report


def _needed(directory: "SweepDir") -> _Report:
    """What is to be done. Without SLURM's word for the cluster here, the known one stays."""
    from unetsweep.schedulers.slurm.commands import cluster_here
    from unetsweep.store.home import about, stray

    was = about(directory.root)
    here = cluster_here() if was.executor == "slurm" else None
    is_other = None not in (here, was.cluster) and str(here).lower() != str(was.cluster).lower()
    left = was.cluster if is_other else None
    return _Report(stray(directory.root), was.folder, left, here or was.cluster)


def _end_jobs(directory: "SweepDir", report: _Report) -> None:
    """Cancel the jobs of its open trainings and its reconciler job; SchedulerError where the queue does not answer."""
    from unetsweep.app.sweeps import scheduler
    from unetsweep.core.observation import JobState
    from unetsweep.reconcile.loop import ask

    jobs = scheduler(directory.executor, directory.root)
    found, scheduler_error = ask(jobs, directory.look())
    if scheduler_error is not None:
        raise SchedulerError(
            f"the sweep was moved, and whether it has jobs is not known: {scheduler_error}; "
            "nothing was changed, so run this again where the queue answers"
        )
    live = [job for job in found.values() if job.state.is_live]
    # a local job of another machine is a process that nobody here can see
    elsewhere = {job.job_id for job in live if directory.executor == "local" and job.state is JobState.UNRECOGNISED}
    report.running = sorted(elsewhere)
    report.ended = sorted({job.job_id for job in live} - elsewhere)
    if report.ended:
        jobs.cancel(report.ended)


def _renamed(directory: "SweepDir") -> str | None:
    """sweep.yaml with the name of the folder, so that a file of that name means this sweep; None: it has it, or the
    folder's name is none that a sweep may have."""
    from unetsweep.config.load import is_name, load

    path, name = directory.root / paths.SPEC, directory.root.name
    if load(path).name == name or name == paths.CONFIRM or not is_name(name):
        return None
    return re.sub(r"^name: .*$", f"name: {name}", path.read_text(), count=1, flags=re.MULTILINE)
