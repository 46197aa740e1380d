"""`unetsweep confirm`: the leaders of a sweep again, with seeds that they were not chosen by."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetsweep.core import paths
from unetsweep.errors import UsageError

if TYPE_CHECKING:
    from unetsweep.analysis.rows import SweepRecord, TrialRecord
    from unetsweep.core.spec import SweepSpec
    from unetsweep.store.sweep_dir import SweepDir


@click.command("confirm")
@click.argument("sweep")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="So many of the best trials.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Trainings of each.")
@click.option("--dry-run", is_flag=True, help="Say what would be trained; write nothing.")
@click.option("--watch", is_flag=True, help="Show how it goes until all have ended; Ctrl-C leaves the trainings going.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, top: int, seeds: int, dry_run: bool, watch: bool, results: Path) -> None:
    """Train the leaders of SWEEP again with new seeds, as the sweep SWEEP/confirm; its study is told nothing of it.

    `unetsweep report SWEEP` then gives mean and standard deviation, and the set of configs that cannot be told from
    the best. Safe to repeat; more --top or --seeds add trainings, and none is done twice.
    """
    from unetsweep.analysis.records import records
    from unetsweep.analysis.rows import leaders
    from unetsweep.app.prepare import check_machine
    from unetsweep.app.reconcile import alone
    from unetsweep.app.report import refresh_report
    from unetsweep.app.sweeps import resolve
    from unetsweep.cli.submit import bring_on
    from unetsweep.store.sweep_dir import SweepDir

    parent = SweepDir(resolve(sweep, results))
    if "/" in parent.name:
        raise UsageError(f"{parent.name} is a confirmation already; name the sweep itself")
    record = records(parent.root)
    chosen = leaders(record)[:top]
    if not chosen:
        raise UsageError(f"no trial of {parent.name} is complete yet; `unetsweep status {parent.name}` says why")
    _warn_of_open(record)
    directory = SweepDir(parent.root / paths.CONFIRM)
    new = _new_seeds(record, seeds)
    if dry_run:
        _say(*_wanted(directory, chosen, new), chosen, seeds)
        return
    _check_images(record.spec, parent)
    check_machine(record.spec, parent.executor)

    def ask() -> None:
        known, points = _wanted(directory, chosen, new)
        _say(known, points, chosen, seeds)
        _write(_spec(record.spec, points), parent, directory)

    # two that confirm at once ask for the trainings of both
    directory.root.mkdir(mode=0o700, exist_ok=True)
    alone(directory, ask)
    bring_on(directory, watch=watch)
    _warn_of_lost(directory)
    refresh_report(records(parent.root), parent.root)


def _new_seeds(record: "SweepRecord", count: int) -> list[int]:
    """The first ones after the sweep's own with which none of its trials was trained."""
    taken = {trial.seed for trial in record.trials} | {record.spec.study.seed}
    every = ((record.spec.study.seed + step) % 2**32 for step in range(1, count + len(taken) + 1))
    return [seed for seed in every if seed not in taken][:count]


def _wanted(
    directory: "SweepDir", leaders: "Sequence[TrialRecord]", seeds: Sequence[int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The points that are asked for already, and all with the new ones."""
    from unetsweep.config.load import load

    known = load(directory.root / paths.SPEC).study.sampler_args["points"] if directory.exists() else []
    return known, _points(leaders, seeds, known)


def _say(known: Sequence[object], points: Sequence[object], leaders: "Sequence[TrialRecord]", seeds: int) -> None:
    click.echo(f"{len(points)} trainings, {len(points) - len(known)} of them new: {_said(leaders, seeds)}")


def _warn_of_lost(directory: "SweepDir") -> None:
    """They are not trained again by themselves."""
    results = [(trial["trial"], trial["result"]) for trial in directory.trials() if trial["result"] is not None]
    lost = [number for number, result in results if result["state"] != "complete"]
    if lost:
        some = " ".join(map(str, lost[:8])) + (" …" if len(lost) > 8 else "")
        click.echo(f"warning: {len(lost)} came to nothing: unetsweep retry {directory.name} {some}", err=True)


def _points(
    leaders: "Sequence[TrialRecord]", seeds: Sequence[int], known: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What is known stays; seed by seed, so that what has ended early can be compared."""
    points = list(known)
    for seed in seeds:
        for trial in leaders:
            point = {"epochs": trial.epochs, "batch_size": trial.batch_size, "learning_rate": trial.learning_rate}
            if {**point, "seed": seed} not in points:
                points.append({**point, "seed": seed})
    return points


def _spec(spec: "SweepSpec", points: Sequence[dict[str, Any]]) -> "SweepSpec":
    """The sweep of these points, without a pruner: each is trained to its end."""
    from unetsweep.core.spec import Choices, Space, StudySpec

    def axis(name: str) -> Choices:
        return Choices(tuple(sorted({point[name] for point in points})))

    space = Space(axis("epochs"), axis("batch_size"), axis("learning_rate"))
    study = StudySpec("list", {"points": list(points)}, metric=spec.study.metric, seed=spec.study.seed)
    return replace(spec, name=f"{spec.name[:52]}-{paths.CONFIRM}", space=space, study=study)


def _check_images(spec: "SweepSpec", parent: "SweepDir") -> None:
    """The same images, as they were."""
    from unetsweep.app.sweeps import with_images
    from unetsweep.datasets.prepare import verify_pinned  # imports cv2

    if spec.trainer.command is None:
        verify_pinned(with_images(spec, parent).data)


def _write(spec: "SweepSpec", parent: "SweepDir", directory: "SweepDir") -> None:
    from unetsweep.config.written import as_yaml

    text = as_yaml(spec)
    if directory.exists():
        directory.check_private()
        directory.resume()
        directory.replace_spec(text)
        return
    directory.create(text, parent.executor, parent.data, parent.working_directory, parent.cluster)


def _warn_of_open(record: "SweepRecord") -> None:
    from unetsweep.analysis.confirmation import OPEN

    still = sum(trial.state in OPEN for trial in record.trials)
    if still:
        click.echo(f"warning: {still} trials of {record.name} have not ended; the leaders may change", err=True)


def _said(leaders: "Sequence[TrialRecord]", seeds: int) -> str:
    numbers = ", ".join(f"{trial.number:04d}" for trial in leaders)
    return f"trials {numbers} with {seeds} seeds each" if len(leaders) > 1 else f"trial {numbers} with {seeds} seeds"
