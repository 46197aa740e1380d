"""`unetsweep repair`: check every file of a sweep, and mend what can be mended."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.errors import SpecError, StateError

if TYPE_CHECKING:
    from unetsweep.core.spec import SweepSpec
    from unetsweep.store.repairs import Finding
    from unetsweep.store.sweep_dir import SweepDir


@click.command("repair")
@click.argument("sweep")
@click.option("--dry-run", is_flag=True, help="Print what is wrong; touch nothing.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, dry_run: bool, results: Path) -> None:
    """Check all files of SWEEP (its name or folder), and mend what can be mended: one line for each finding.

    What is rebuilt or moved aside is kept as NAME.corrupt. It ends with status 1 when something needs you.
    """
    from unetsweep.app.reconcile import alone
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(_folder(sweep, results))
    directory.check_private()
    tally = {"mended": 0, "left": 0}
    turns: list[int] = []

    def repair() -> None:
        turns.append(1)
        if (
            len(turns) > 1
        ):  # asked for by a reconciliation that found us at work: it wants a reconciliation, which we make afterwards
            return
        for finding in _findings(directory):
            tally["left" if finding.repair is None else "mended"] += 1
            if finding.repair is not None and not dry_run:
                finding.repair()
            click.echo(
                f"{_where(finding.path, directory.root)}: {finding.trouble}: {_action(finding, dry_run=dry_run)}"
            )

    if dry_run:
        repair()
    else:
        alone(directory, repair)
        if len(turns) > 1:
            _pass(directory)
    done = "would be mended" if dry_run else "mended"
    click.echo(f"{directory.name}: {tally['mended']} {done}, {tally['left']} need you")
    if tally["left"]:
        sys.exit(1)


def _pass(directory: "SweepDir") -> None:
    from unetsweep.app.reconcile import PATIENCE_S, reconcile_sweep
    from unetsweep.app.sweeps import check_place, context_of

    check_place(directory.root)
    reconcile_sweep(
        directory.root, context_of(directory), lambda action: click.echo(str(action)), patience_s=PATIENCE_S
    )


def _folder(sweep: str, results: Path) -> Path:
    """As for every command, but a sweep without its YAML file too."""
    from unetsweep.app.sweeps import resolve
    from unetsweep.core import paths

    for folder in (Path(sweep), results / sweep):
        if (folder / paths.TRIALS).is_dir():
            return folder.absolute()
    return resolve(sweep, results, anywhere=True)


def _findings(directory: "SweepDir") -> "Iterator[Finding]":
    """Each is mended before the next is looked for."""
    from unetsweep.core import paths
    from unetsweep.schedulers.slurm.commands import is_here
    from unetsweep.search import journal_check
    from unetsweep.store import repair_runs, repair_sweep, repair_trials

    spec, wrong = _spec(directory)
    yield from wrong
    yield from repair_sweep.findings(directory.root, lambda: "slurm" if is_here() else "local")
    yield from repair_trials.findings(directory.root, _with_images(spec, directory))
    yield from repair_runs.findings(directory.root, ours=spec is not None and spec.trainer.command is None)
    if spec is not None:
        known = [trial for trial in directory.trials() if trial["params"] is not None]
        yield from journal_check.findings(directory.root / paths.STUDY, spec, known)


def _spec(directory: "SweepDir") -> "tuple[SweepSpec | None, list[Finding]]":
    from unetsweep.config.load import load
    from unetsweep.core import paths
    from unetsweep.store.repairs import for_user, quarantined

    path, (outer, _, inner) = directory.root / paths.SPEC, directory.name.partition("/")
    action = f"`unetsweep confirm {outer}`" if inner else "`unetsweep submit` with the sweep's own YAML file"
    advice = f"run {action} again: it is written anew, and its trials stay"
    if not path.exists():
        return None, [for_user(path, "is missing", advice)]
    try:
        return load(path), []
    except SpecError as error:
        why = f"not a sweep ({error.problems[0].message})"
        return None, [quarantined(path, why, "see below"), for_user(path, "is not there any more", advice)]


def _with_images(spec: "SweepSpec | None", directory: "SweepDir") -> "SweepSpec | None":
    """With the split as it was pinned; without a file that tells it a config is not written anew."""
    from unetsweep.app.sweeps import with_images

    try:
        return None if spec is None else with_images(spec, directory)
    except StateError:  # a dry run has left it as it is
        return None


def _action(finding: "Finding", *, dry_run: bool) -> str:
    if finding.repair is None:
        return f"needs you: {finding.action}"
    return f"would be {finding.action}" if dry_run else finding.action


def _where(path: Path, root: Path) -> str:
    return str(path.relative_to(root))
