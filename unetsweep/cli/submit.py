"""`unetsweep submit`: start or resume a sweep."""

import json
import sys
from pathlib import Path

import click

from unetsweep.app.dry_run import DryRun
from unetsweep.app.executors import EXECUTORS
from unetsweep.app.submit import SubmitRequest, preview, submit
from unetsweep.cli.echo import echo, echo_text
from unetsweep.cli.output import (
    print_event,
    print_started,
    print_warning,
    profile_option,
    results_option,
    set_option,
)
from unetsweep.config.overrides import Override
from unetsweep.config.parameters import short_name
from unetsweep.core.describe import describe
from unetsweep.core.estimate import format_estimate, format_hours
from unetsweep.core.trials import has_epochs, is_own
from unetsweep.errors import joined
from unetsweep.report.columns import value_text
from unetsweep.texts import counted


@click.command("submit")
@click.argument("sweep", type=click.Path(path_type=Path))
@click.option(
    "--dry-run", is_flag=True, help="Show the plan without changing anything. The exit status is that of a submit."
)
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print one JSON object.")
@click.option(
    "--watch",
    is_flag=True,
    help="Show progress, as `unetsweep watch` does, until the sweep has ended or is paused. Exit status 1 if it is "
    "paused, a trial failed or none is complete. Ctrl-C ends only this view.",
)
@click.option(
    "--executor",
    type=click.Choice(["auto", *EXECUTORS]),
    default="auto",
    help="Where jobs run [auto: on SLURM if this machine belongs to a cluster, else on this machine].",
)
@profile_option
@set_option
@click.option("--no-share", is_flag=True, help="Train every trial separately, even if trials differ only in epochs.")
@click.option("--force", is_flag=True, help="Apply the plan even if it is unsafe (exit status 3).")
@results_option
def command(
    sweep: Path,
    dry_run: bool,
    as_json: bool,
    watch: bool,
    executor: str,
    profile: str | None,
    overrides: tuple[str, ...],
    no_share: bool,
    force: bool,
    results: Path,
) -> None:
    """Start or resume SWEEP, a YAML file or the sweep.yaml in a sweep's folder. It is safe to repeat: a run is
    never submitted while an earlier job of it may still run."""
    request = SubmitRequest(sweep, results, executor, profile, share=not no_share, overrides=overrides)
    if not dry_run:
        has_succeeded = print_started(submit(request, print_event, force=force), watch=watch)
        sys.exit(0 if has_succeeded else 1)
    found = preview(request, print_warning if as_json else print_event, force=force)
    echo_text(json.dumps(found.as_json(), indent=1)) if as_json else echo(*_format(found))
    if found.refusals:
        raise joined(found.refusals)


def _format(found: DryRun) -> list[str]:
    numbers = {
        **({"points": found.points_wanted, "trainings of each": found.repeats} if found.repeats > 1 else {}),
        "trials": found.trials,
        "runs": found.runs,
        "jobs": found.jobs,
        "arrays": found.arrays,
        "epochs asked": found.epochs_asked,
        "epochs to train": found.epochs_to_train,
    }
    return [
        f"sweep {found.sweep} on {found.executor}, in {found.root}",
        *map(_format_override, found.overrides),
        *([] if found.only_listed else [_format_space(found)]),
        *_format_points(found),
        *map(describe, found.actions),
        *([] if found.job is None else [f"each job asks for {found.job}"]),
        ", ".join(f"{name} {'unknown' if value is None else value}" for name, value in numbers.items()),
        _format_sharing(found),
        *_format_estimate(found),
        *([] if found.limit is None else [found.limit.text]),
    ]


def _format_estimate(found: DryRun) -> list[str]:
    """What is left to train, and on a line of its own what that is known from."""
    if found.estimate.disk_bytes is None or not found.estimate.disk_bytes:
        return [format_estimate(found.estimate, gpus=found.uses_gpus)]
    return [format_hours(found.estimate, gpus=found.uses_gpus), f"  estimated from {found.estimate.estimated_from}"]


def _format_override(override: Override) -> str:
    """One line: `--set slurm.time: "2h" (the file: "10m")`."""
    value, before = (json.dumps(each, ensure_ascii=False) for each in (override.value, override.in_file))
    return f"--set {override.field}: {value} (the file: {'not set' if override.in_file is None else before})"


def _format_space(found: DryRun) -> str:
    """How many points there are, and how many conditions and exclusions removed."""
    counts = found.counts
    if counts is None:
        return "space: infinitely many points, or more than can be counted"
    text = f"space: {counted(counts.points, 'point')}"
    if found.space.has_conditions or found.space.excluded:
        removed = f"when removes {counts.without_conditions}, exclude {counts.excluded}"
        text += f" of {counted(counts.combinations, 'combination')}: {removed}"
    return text


_MOST_POINTS = 10


def _format_points(found: DryRun) -> list[str]:
    """A line for each of the first points that would be new trials."""
    hidden = () if has_epochs(found.space) else ("epochs",)
    lines = [
        ", ".join(
            f"{path if is_own(path) else short_name(path)} {value_text(value)}"
            for path, value in point.items()
            if path not in hidden
        )
        for point in found.points[:_MOST_POINTS]
    ]
    more = len(found.points) - len(lines)
    return [f"  {line}" for line in lines] + ([f"  … and {more} more"] if more else [])


def _format_sharing(found: DryRun) -> str:
    """How many epochs shared runs save, or why there are none."""
    asked, to_train = found.epochs_asked, found.epochs_to_train
    if found.not_shared is not None:
        return f"no run is shared: {found.not_shared}"
    if asked is None or to_train is None:
        return "trials that differ only in epochs share a run; how many do is known when they are proposed"
    if asked == to_train:
        return "no run is shared: no trial is a part of another trial's training"
    saved = asked - to_train
    return f"trials that differ only in epochs share a run: {counted(saved, 'epoch')} fewer ({saved / asked:.0%})"
