"""`unetsweep repair`: check every file of a sweep, and repair what can be repaired."""

import sys
from pathlib import Path

import click

from unetsweep.app.addresses import named
from unetsweep.app.repair import repair_sweep
from unetsweep.cli.echo import echo
from unetsweep.core.describe import describe
from unetsweep.store.repair.find_damage import Damage


@click.command("repair")
@click.argument("sweep", required=False, metavar="SWEEP")
@click.option("--dry-run", is_flag=True, help="Print what is damaged without changing anything.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Folder that holds the sweeps [results].",
)
def command(sweep: str | None, dry_run: bool, results: Path) -> None:
    """Check all files of SWEEP (its name or folder) and repair what can be repaired. Print one line for each problem.

    A file that is rebuilt or quarantined is kept as NAME.corrupt. The exit status is 1 if something needs your
    attention.
    """
    repair = repair_sweep(
        named(sweep, results),
        results,
        dry_run=dry_run,
        on_damage=lambda damage: echo(describe_damage(damage, dry_run=dry_run)),
        on_action=lambda action: echo(describe(action)),
    )
    done, need = "would be repaired" if dry_run else "repaired", "needs" if repair.for_user == 1 else "need"
    echo(f"{repair.sweep}: {repair.repaired} {done}, {repair.for_user} {need} your attention")
    if repair.for_user:
        sys.exit(1)


def describe_damage(damage: Damage, *, dry_run: bool) -> str:
    """One line: which file, what is wrong with it, and what was done or has to be done about it."""
    line = f"{damage.path}: {damage.problem}"
    if damage.recovery.description:
        line += f": {'would be ' if dry_run else ''}{damage.recovery.description}"
    if damage.recovery.advice:
        line += f": needs your attention: {damage.recovery.advice}"
    return line
