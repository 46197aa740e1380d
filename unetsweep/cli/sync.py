"""`unetsweep sync`: upload the runs of a sweep to Comet."""

from pathlib import Path

import click

from unetsweep.app.addresses import named
from unetsweep.app.sweeps import resolve
from unetsweep.app.sync import ArchiveMissing, SyncEvent, TrialSkipped, Uploaded, UploadFailed, UploadPlanned, sync
from unetsweep.cli.echo import echo
from unetsweep.cli.output import results_option
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted


@click.command("sync")
@click.argument("sweep", required=False, metavar="SWEEP")
@results_option
def command(sweep: str | None, results: Path) -> None:
    """Upload the runs of SWEEP to Comet, one experiment for each run. Runs that Comet already has are not sent again.

    A run whose archive is missing or out of date, such as that of a killed job, gets a new one first, whatever
    `trainer.comet` says. The key comes from the environment variable COMET_API_KEY; COMET_WORKSPACE and
    COMET_PROJECT_NAME choose another workspace and project.
    """
    sync(SweepDir(resolve(named(sweep, results), results, anywhere=True)), _print)


def _print(event: SyncEvent) -> None:
    match event:
        case TrialSkipped(reason=reason):
            echo(f"skipped   {reason}", err=True)
        case ArchiveMissing(run=run, epochs=epochs, results=results):
            echo(f"{run}: writing an archive of {counted(epochs, 'epoch')} and {counted(results, 'result')}", err=True)
        case UploadPlanned(sweep=sweep, tracker=tracker, runs=runs, to_upload=to_upload):
            uploaded = f"{runs - to_upload} already uploaded to {tracker}"
            echo(f"{sweep}: {counted(runs, 'run')}, {uploaded}, {to_upload} to upload", err=True)
        case Uploaded(archive=archive):
            echo(f"uploaded  {archive}")
        case UploadFailed(archive=archive):
            echo(f"kept      {archive}")
