"""`unetsweep confirm`: train a sweep's leaders again with new seeds."""

import sys
from pathlib import Path

import click

from unetsweep.app.addresses import named
from unetsweep.app.confirm import ConfirmationPlan, check_confirmation, confirm, plan_confirmation
from unetsweep.app.sweeps import resolve
from unetsweep.cli.echo import echo
from unetsweep.cli.output import print_event, print_started, results_option, warn
from unetsweep.core.live_text import format_some
from unetsweep.limits import MAX_VALUES
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted

MANY = click.IntRange(1, MAX_VALUES)


@click.command("confirm")
@click.argument("sweep", required=False, metavar="SWEEP")
@click.option("--top", type=MANY, default=3, show_default=True, help="How many of the best trials.")
@click.option("--seeds", type=MANY, default=5, show_default=True, help="Trainings of each trial.")
@click.option("--dry-run", is_flag=True, help="Print what would be trained, after the same checks; change nothing.")
@click.option("--watch", is_flag=True, help="As in `submit`. Ctrl-C ends the command, not the trainings.")
@results_option
def command(sweep: str | None, top: int, seeds: int, dry_run: bool, watch: bool, results: Path) -> None:
    """Train the best trials of SWEEP again with new seeds, as the sweep SWEEP/confirm. The study does not change.

    `unetsweep report SWEEP` then shows their mean and standard deviation, and which of them are not significantly worse
    than the best. The command can be repeated: more --top or --seeds add trainings, and none is repeated.
    """
    parent = SweepDir(resolve(named(sweep, results), results))
    if dry_run:
        _print_plan(plan_confirmation(parent, top=top, seeds=seeds, notify=print_event))
        check_confirmation(parent)
        return
    successes: list[bool] = []
    confirmation = confirm(
        parent,
        top=top,
        seeds=seeds,
        notify=print_event,
        on_plan=_print_plan,
        on_started=lambda started: successes.append(print_started(started, watch=watch)),
    )
    if missing := confirmation.incomplete:
        retry = f"unetsweep retry {confirmation.sweep} {format_some(missing, ' ')}"
        warn(f"{len(missing)} of the trainings ended without a result; repeat with: {retry}")
    if not all(successes):
        sys.exit(1)


def _print_plan(plan: ConfirmationPlan) -> None:
    numbers = ", ".join(f"{trial:04d}" for trial in plan.trials)
    trials, each = ("trials", " each") if len(plan.trials) > 1 else ("trial", "")
    seeds = f"{trials} {numbers} with {counted(plan.seeds, 'seed')}{each}"
    echo(f"{counted(plan.trainings, 'training')}, {plan.new} of them new: {seeds}")
