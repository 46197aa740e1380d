"""`unetsweep sync`: bring a sweep's runs to Comet."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.errors import TrackerError

if TYPE_CHECKING:
    from unetsweep.contract import TrialConfig
    from unetsweep.store.sweep_dir import SweepDir


@click.command("sync")
@click.argument("sweep")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, results: Path) -> None:
    """Upload SWEEP's runs to Comet, each as one experiment; what Comet has already is not sent again.

    A run without an archive of all that it has reached, such as a killed one, gets one first, whatever
    `trainer.comet` says. The key comes from the environment variable COMET_API_KEY; COMET_WORKSPACE and
    COMET_PROJECT_NAME choose another place than the sweep's own project.
    """
    from unetsweep.app.sweeps import resolve
    from unetsweep.store.sweep_dir import SweepDir
    from unetsweep.training import comet

    directory = SweepDir(resolve(sweep, results, anywhere=True))
    archives = _archives(directory)
    fresh = [archive for archive in archives if not comet.is_uploaded(archive)]
    said = f"{directory.name}: {len(archives)} runs with something to show"
    click.echo(f"{said}, {len(archives) - len(fresh)} uploaded before, {len(fresh)} to upload", err=True)
    if fresh:
        comet.check_reachable()
    troubles: list[str] = []
    for archive in fresh:
        try:
            comet.upload(archive)
            click.echo(f"uploaded  {archive}")
        except TrackerError as error:
            troubles.append(str(error))
            click.echo(f"kept      {archive}")
    if troubles:
        many = f"{len(troubles)} of {len(fresh)} archives were not uploaded and are kept; run this again"
        raise TrackerError("\n".join([many, *troubles]))


def _archives(directory: "SweepDir") -> list[Path]:
    """The archives of all runs that have trained for an epoch, each made anew where it is behind."""
    from unetsweep.core import paths
    from unetsweep.training import comet

    found: list[Path] = []
    for run, config in _configs(directory).items():
        folder = directory.root / paths.run_dir(run)
        export = comet.read_export(config, folder, f"{directory.name}/{folder.name}")
        if export.curves or export.scores:
            if not (folder / comet.FOLDER / export.archive).exists():
                click.echo(
                    f"{export.name}: {len(export.curves)} epochs, {len(export.scores)} results: archive", err=True
                )
            found.append(comet.write_archive(export, folder))
    return found


def _configs(directory: "SweepDir") -> dict[int, "TrialConfig"]:
    """Each run's config: that of its trial with the most epochs, as in the job."""
    import json

    from unetsweep.contract import config_from

    longest: dict[int, tuple[int, int]] = {}
    for trial in directory.trials():
        if trial.unreadable is not None:
            click.echo(f"left out  {trial.unreadable}", err=True)
            continue
        mine = (trial.epochs, trial.number)
        longest[trial.run] = max(longest.get(trial.run, mine), mine)
    configs = {run: directory.config_path(trial) for run, (_, trial) in sorted(longest.items())}
    return {run: config_from(json.loads(path.read_bytes()), str(path)) for run, path in configs.items()}
