"""Passes from a terminal: until what was submitted is seen, or until the sweep has ended."""

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from unetsweep.app.reconcile import PATIENCE_S, reconcile_sweep

if TYPE_CHECKING:
    from unetsweep.core.actions import Action
    from unetsweep.reconcile.context import World
    from unetsweep.reconcile.loop import Outcome
    from unetsweep.store.sweep_dir import SweepDir


def settle(
    directory: "SweepDir", world: "World", told: "Callable[[Action], None]", *, force: bool = False
) -> "Outcome | None":
    """Passes until no submission of a dead submitter is in doubt: a kill may have left one without a job id."""
    from unetsweep.core.attempt_state import UNSURE

    while True:
        outcome = reconcile_sweep(directory.root, world, told, force=force, patience_s=PATIENCE_S)
        if outcome is None:
            click.echo("another reconciliation is running; it will take care of this sweep", err=True)
            return None
        doubtful = [wait for wait in outcome.plan.waits if wait.reason == UNSURE]
        if not doubtful:
            return outcome
        click.echo(f"waiting to see whether {len(doubtful)} submitted before reached the queue …", err=True)
        time.sleep(world.clocks.settle.total_seconds())


def watch_on(directory: "SweepDir", world: "World") -> None:
    """Repeat reconciliations until every trial has ended. Ctrl-C ends the view only."""
    shown = ""
    try:
        while True:
            outcome = reconcile_sweep(directory.root, world, lambda _: None)
            if outcome is not None:
                line = progress(outcome)
                if line != shown:
                    click.echo(line)
                    shown = line
                if not outcome.seen.trials:  # what it would still do is to propose, and the space is used up
                    return
            time.sleep(world.clocks.watch.total_seconds())
    except KeyboardInterrupt:
        click.echo(
            f"\nthe trainings go on; come back with: unetsweep status {directory.name} "
            f"(or submit … --watch again); end them with: unetsweep cancel {directory.name}"
        )


def progress(outcome: "Outcome") -> str:
    """`3 ended, 2 running, 1 waiting (all 2 places are taken)`."""
    running = sum(wait.running for wait in outcome.plan.waits)
    reasons = Counter(wait.reason for wait in outcome.plan.waits if not wait.running)
    parts = [f"{outcome.seen.ended} ended", f"{running} running"]
    parts += [f"{count} waiting ({reason})" for reason, count in reasons.most_common(3)]
    return ", ".join(parts)
