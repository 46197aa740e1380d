"""`unetsweep submit`: start or resume a sweep with one reconciliation. It is safe to repeat at any time."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.app.start import start_or_resume
from unetsweep.cli.output import print_event, print_started

if TYPE_CHECKING:
    from unetsweep.errors import Problem


@click.command("submit")
@click.argument("sweep", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Print what would be done; touch nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: one JSON object.")
@click.option("--watch", is_flag=True, help="Stay until the sweep has ended; Ctrl-C ends the view, not the trainings.")
@click.option(
    "--executor",
    type=click.Choice(["auto", "slurm", "local"]),
    default="auto",
    help="Where jobs run [auto: on SLURM where there is one, else here].",
)
@click.option("--profile", metavar="NAME", help="SLURM profile, instead of the sweep's own.")
@click.option("--no-share", is_flag=True, help="Train each trial by itself, also those that differ only in epochs.")
@click.option("--force", is_flag=True, help="Do it even where the plan refuses itself.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(
    sweep: Path,
    dry_run: bool,
    as_json: bool,
    watch: bool,
    executor: str,
    profile: str | None,
    no_share: bool,
    force: bool,
    results: Path,
) -> None:
    """Submit SWEEP, a YAML file, or the sweep.yaml of a sweep's folder. Trials that are there already are never
    submitted twice."""
    from unetsweep.app.dry_run import dry_run as show
    from unetsweep.app.prepare import prepare
    from unetsweep.app.sweeps import check_place
    from unetsweep.config.load import load
    from unetsweep.core import paths
    from unetsweep.core.spec import Resources
    from unetsweep.store.sweep_dir import SweepDir

    spec = load(sweep, profile=profile, check_augment=_check_augment)
    directory = SweepDir(_folder(sweep, results / spec.name))
    if directory.exists():
        check_place(directory.root)
        first = load(directory.root / paths.SPEC)
        if profile is None and spec.slurm.profile == Resources().profile:
            profile = first.slurm.profile  # which need not be named again
        kept, asked = first.data.split.groups, spec.data.split.groups
        spec = load(sweep, profile=profile, groups=kept, check_augment=_check_augment)
        if spec.data.split.groups != asked:
            click.echo(f"warning: data.split.groups: {sweep} does not say; the sweep keeps {kept}", err=True)
    if no_share:
        spec = replace(spec, run=replace(spec.run, share=False))
    prepared = prepare(spec, directory, executor, sweep, strict=not dry_run)
    for warning in prepared.warnings:
        click.echo(f"warning: {warning}", err=True)
    if dry_run:
        show(spec, directory, prepared.executor, as_json=as_json)
        return
    prepared.write()
    print_started(start_or_resume(directory, print_event, force=force), watch=watch)


def _folder(sweep: Path, by_name: Path) -> Path:
    """The sweep's folder: the one that the file lies in, if that is a sweep's, wherever it is and whatever its name."""
    from unetsweep.core import paths

    own = sweep.name == paths.SPEC and (sweep.parent / paths.SWEEP).is_file()
    return sweep.parent if own else by_name


def _check_augment(value: object) -> "list[Problem]":
    from unetsweep.training.augment import check_augment  # imports albumentations for a list of names only

    return check_augment(value)
