"""`unetsweep status`: the state of every trial, and why."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from unetsweep.app.status import SweepStatus, status
from unetsweep.app.sweeps import resolve
from unetsweep.cli.echo import echo, echo_text
from unetsweep.cli.output import results_option
from unetsweep.core.cost import format_cost
from unetsweep.core.describe import describe, describe_problem
from unetsweep.store.sweep_dir import SweepDir


@click.command("status")
@click.argument("sweep", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@results_option
def command(sweep: str | None, as_json: bool, results: Path) -> None:
    """Show the state of every trial of SWEEP, and why. The default is the newest sweep. Nothing is changed."""
    found = status(SweepDir(resolve(sweep, results)))
    echo_text(json.dumps(found.as_json(), indent=1)) if as_json else echo(*_lines(found))


def _lines(found: SweepStatus) -> Iterator[str]:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(found.counts.items())) or "no trials yet"
    yield f"{found.name} on {found.executor}: {counts}; {found.wanted_text} wanted"
    if found.scheduler_error:
        yield f"the queue does not answer, so the state of jobs is unknown: {found.scheduler_error}"
    if found.paused:
        yield f"the sweep is paused: {found.paused}"
    problem = describe_problem(found.next_reconciliation)
    if problem:
        yield f"warning: {problem}"
    if found.cost is not None and found.cost.attempts:
        yield format_cost(found.cost, gpus=found.uses_gpus)
    for trial in found.trials:
        if trial.state != "complete":
            yield f"  {trial.number:04d}  {trial.state:9s} {trial.job_id or '-':>12s}  {trial.reason}"
    for action in found.actions:
        yield f"`unetsweep submit` would now: {describe(action)}"
