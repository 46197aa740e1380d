"""`unetsweep status`: the state of every trial, and why."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from unetsweep.app.addresses import Selection, newest_sweep, select_all
from unetsweep.app.status import SweepStatus, status
from unetsweep.app.sweeps import check_access
from unetsweep.cli.echo import echo, echo_text
from unetsweep.cli.output import print_notes, results_option
from unetsweep.core.address import shared_jobs
from unetsweep.core.cost import format_cost
from unetsweep.core.describe import describe, describe_problem
from unetsweep.core.reconciler_job import ReconciledBy
from unetsweep.errors import UsageError
from unetsweep.store.sweep_dir import SweepDir


@click.command("status")
@click.argument("addresses", nargs=-1, metavar="[SWEEP[/TRIAL]]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@results_option
def command(addresses: tuple[str, ...], as_json: bool, results: Path) -> None:
    """Show the state of every trial of SWEEP, and why. The default is the newest sweep. Nothing is changed.

    With SWEEP/TRIAL, SWEEP/best or a job id only these trials are listed, also complete ones.
    """
    selection = _select(addresses, results)
    found = status(SweepDir(check_access(selection.root)))
    print_notes([selection])
    if as_json:
        content = found.as_json()
        content["trials"] = [each for each in content["trials"] if _is_listed(each["trial"], selection)]
        echo_text(json.dumps(content, indent=1))
    else:
        echo(*_lines(found, selection))


def _select(addresses: tuple[str, ...], results: Path) -> Selection:
    """The sweep, or trials of one sweep, whose status is asked for."""
    if not addresses:
        return Selection(newest_sweep(results))
    first, *others = select_all(addresses, results)
    if others:
        names = ", ".join(each.name for each in (first, *others))
        raise UsageError(f"found trials of several sweeps: {names}; `unetsweep status` shows one, `list` shows all")
    return first


def _is_listed(number: int, selection: Selection) -> bool:
    return selection.trials is None or number in selection.trials


def _lines(found: SweepStatus, selection: Selection) -> Iterator[str]:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(found.counts.items())) or "no trials yet"
    yield f"{found.name} on {found.executor}: {counts}; {found.wanted_text} wanted"
    if found.scheduler_error:
        yield f"the queue does not answer, so the state of jobs is unknown: {found.scheduler_error}"
    if found.paused:
        yield f"the sweep is paused: {found.paused}"
    problem = describe_problem(found.next_reconciliation)
    if problem:
        yield f"warning: {problem}"
    if found.pruner_problem is not None:
        yield f"warning: {found.pruner_problem}"
    if found.cost is not None and found.cost.attempts:
        yield format_cost(found.cost, gpus=found.uses_gpus)
    if found.limit is not None:
        yield found.limit.text
    listed = [
        trial
        for trial in found.trials
        if _is_listed(trial.number, selection) and (trial.state != "complete" or selection.trials is not None)
    ]
    for trial in listed:
        yield f"  {trial.number:04d}  {trial.state:9s} {trial.job_id or '-':>12s}  {trial.reason}"
    if line := shared_jobs((trial.number, trial.job_id) for trial in listed):
        yield line
    yield from _due(found)


def _due(found: SweepStatus) -> Iterator[str]:
    """What a submit would do now, or that something else does it."""
    if found.actions and found.next_reconciliation.by is ReconciledBy.COMMAND:
        yield "the sweep is being continued: a reconciliation runs now"
        return
    yield from (f"`unetsweep submit` would now: {describe(action)}" for action in found.actions)
