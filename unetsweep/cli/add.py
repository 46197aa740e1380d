"""`unetsweep add`: add a point to a sweep by hand."""

import json
import sys
from pathlib import Path

import click

from unetsweep.app.add import Addition, add, preview_addition
from unetsweep.app.dry_run import DryRun
from unetsweep.app.sweeps import resolve
from unetsweep.cli.echo import echo, echo_text
from unetsweep.cli.output import print_event, print_started, results_option
from unetsweep.config.parameters import short_name
from unetsweep.core.describe import describe
from unetsweep.core.estimate import format_estimate
from unetsweep.core.trials import is_own
from unetsweep.errors import joined
from unetsweep.report.columns import value_text
from unetsweep.store.sweep_dir import SweepDir


@click.command("add")
@click.argument("sweep")
@click.argument("settings", nargs=-1, metavar="KEY=VALUE...")
@click.option(
    "--dry-run", is_flag=True, help="Show the plan without changing anything. The exit status is that of the command."
)
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print one JSON object.")
@click.option("--watch", is_flag=True, help="As in `submit`. Ctrl-C ends the command, not the trainings.")
@click.option("--force", is_flag=True, help="Apply the plan even if it is unsafe (exit status 3).")
@results_option
def command(
    sweep: str, settings: tuple[str, ...], dry_run: bool, as_json: bool, watch: bool, force: bool, results: Path
) -> None:
    """Add one point to SWEEP, which runs or has ended, and train it: `unetsweep add grid learning_rate=3e-4 base=32`.

    A key is a parameter of the sweep, or `seed`. A value is YAML, and may be outside the values of the sweep's file:
    any that its setting allows. Parameters with one value may be left out; a sampler such as tpe chooses the others
    too. A point that the sweep has is not trained again, unless it names another seed. The point stays when the file is
    submitted again.
    """
    directory = SweepDir(resolve(sweep, results))
    if not dry_run:
        started = add(directory, settings, print_event, lambda added: echo(format_addition(added)), force=force)
        if started is not None and not print_started(started, watch=watch):
            sys.exit(1)
        return
    addition, found = preview_addition(directory, settings, print_event, force=force)
    if as_json:
        echo_text(json.dumps(addition.as_json(found), indent=1))
    else:
        echo(format_addition(addition, dry_run=True), *(() if found is None else _format_plan(found)))
    if found is not None and found.refusals:
        raise joined(found.refusals)


def format_addition(addition: Addition, *, dry_run: bool = False) -> str:
    """What a call of `add` has done, or would do, on one line."""
    point = ", ".join(f"{_name(path)} {value_text(value)}" for path, value in addition.point.items())
    if addition.trial is not None:
        state = addition.state or "open"
        again = f": unetsweep retry {addition.sweep} {addition.trial}" if state in RETRIED else ""
        hint = again or ("; another seed=N trains it again" if addition.repeats == 1 else "")
        return f"trial {addition.trial:04d} of {addition.sweep} has this point ({state}){hint}"
    if addition.is_known:
        return f"{addition.sweep} asks for this point already: {point}"
    times = f" ({addition.repeats} trainings)" if addition.repeats > 1 else ""
    chosen = f" (the sampler chooses {', '.join(map(_name, addition.chosen))})" if addition.chosen else ""
    return f"{'would add' if dry_run else 'added'} to {addition.sweep}: {point}{chosen}{times}"


def _name(path: str) -> str:
    return path if is_own(path) else short_name(path)


def _format_plan(found: DryRun) -> list[str]:
    """What a reconciliation would do now."""
    return [*map(describe, found.actions), format_estimate(found.estimate, gpus=found.uses_gpus)]


RETRIED = ("failed", "diverged", "cancelled", "pruned")
"""States of trials that `unetsweep retry` trains again."""
