"""Passes from a terminal: until what was submitted is seen, or until the sweep has ended."""

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from unetsweep.app.reconcile import PATIENCE_S, reconcile_sweep

if TYPE_CHECKING:
    from unetsweep.core.actions import Action
    from unetsweep.reconcile.context import SweepContext
    from unetsweep.reconcile.loop import Reconciliation
    from unetsweep.store.sweep_dir import SweepDir


def settle(
    directory: "SweepDir", context: "SweepContext", notify: "Callable[[Action], None]", *, force: bool = False
) -> "Reconciliation | None":
    """Passes until no submission of a dead submitter is in doubt: a kill may have left one without a job id."""
    from unetsweep.core.attempt_state import UNSURE

    while True:
        reconciliation = reconcile_sweep(directory.root, context, notify, force=force, patience_s=PATIENCE_S)
        if reconciliation is None:
            click.echo("another reconciliation is running; it will take care of this sweep", err=True)
            return None
        doubtful = [wait for wait in reconciliation.plan.waits if wait.reason == UNSURE]
        if not doubtful:
            return reconciliation
        click.echo(f"waiting to see whether {len(doubtful)} submitted before reached the queue …", err=True)
        time.sleep(context.clocks.settle.total_seconds())


def watch_on(directory: "SweepDir", context: "SweepContext") -> None:
    """Repeat reconciliations until every trial has ended. Ctrl-C ends the view only."""
    shown = ""
    try:
        while True:
            reconciliation = reconcile_sweep(directory.root, context, lambda _: None)
            if reconciliation is not None:
                line = progress(reconciliation)
                if line != shown:
                    click.echo(line)
                    shown = line
                if (
                    not reconciliation.observation.trials
                ):  # what it would still do is to propose, and the space is used up
                    return
            time.sleep(context.clocks.watch.total_seconds())
    except KeyboardInterrupt:
        click.echo(
            f"\nthe trainings go on; come back with: unetsweep status {directory.name} "
            f"(or submit … --watch again); end them with: unetsweep cancel {directory.name}"
        )


def progress(reconciliation: "Reconciliation") -> str:
    """`3 ended, 2 running, 1 waiting (all 2 places are taken)`."""
    running = sum(wait.running for wait in reconciliation.plan.waits)
    reasons = Counter(wait.reason for wait in reconciliation.plan.waits if not wait.running)
    parts = [f"{reconciliation.observation.ended} ended", f"{running} running"]
    parts += [f"{count} waiting ({reason})" for reason, count in reasons.most_common(3)]
    return ", ".join(parts)
