"""`unetsweep status`: the state of every trial, and why."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from unetsweep.app.addresses import Selection, newest_sweep, select_all
from unetsweep.app.status import SweepStatus, status
from unetsweep.app.sweeps import check_access
from unetsweep.app.trial_states import TrialStatus
from unetsweep.cli.echo import echo, echo_text
from unetsweep.cli.output import print_notes, results_option
from unetsweep.core.address import shared_jobs
from unetsweep.core.cost import format_cost
from unetsweep.core.describe import describe, describe_problem
from unetsweep.core.live import LiveSweep, LiveTrial
from unetsweep.core.live_text import age_of, best_text, counts_text, end_text, failed_text, start_text
from unetsweep.core.reconciler_job import ReconciledBy
from unetsweep.errors import UsageError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import score_text


@click.command("status")
@click.argument("addresses", nargs=-1, metavar="[SWEEP[/TRIAL]]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@results_option
def command(addresses: tuple[str, ...], as_json: bool, results: Path) -> None:
    """Show how SWEEP stands: its best trial, when it ends, epoch and score of each running trial, why others wait, and
    which failed, each reason once. The default is the newest sweep. Nothing is changed.

    With SWEEP/TRIAL, SWEEP/best or a job id only these trials are listed, also complete and failed ones.
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
    yield f"{found.name} on {found.executor}: {counts_text(found.counts)}; {found.wanted_text} wanted"
    if found.scheduler_error:
        yield f"the queue does not answer, so the state of jobs is that of their files: {found.scheduler_error}"
    if found.paused:
        yield f"the sweep is paused: {found.paused}"
    problem = describe_problem(found.next_reconciliation)
    if problem:
        yield f"warning: {problem}"
    if found.pruner_problem is not None:
        yield f"warning: {found.pruner_problem}"
    yield from _progress(found)
    if found.cost is not None and found.cost.attempts:
        yield format_cost(found.cost, gpus=found.uses_gpus)
    if found.limit is not None:
        yield found.limit.text
    yield from _trials(found, selection)
    yield from _due(found)


def _progress(found: SweepStatus) -> Iterator[str]:
    """The best trial and the end, as far as there is something to say."""
    live = found.live
    if live.best is not None:
        yield best_text(live.best, live.metric)
    if live.open_trials:
        text = end_text(live.end)
        yield text if live.end.seconds is None else f"{text} ({live.end.why})"


def _trials(found: SweepStatus, selection: Selection) -> Iterator[str]:
    """The open trials, and the failed ones by their reasons; of a selection each trial."""
    is_chosen = selection.trials is not None
    hidden = () if is_chosen else ("complete", "failed")
    if not is_chosen:
        yield from map(failed_text, found.live.failures)
    known = {trial.number: trial for trial in found.live.open_trials}
    listed = [trial for trial in found.trials if _is_listed(trial.number, selection) and trial.state not in hidden]
    for trial in listed:
        reason = _reason(trial, known.get(trial.number), found.live)
        yield f"  {trial.number:04d}  {trial.state:9s} {trial.job_id or '-':>12s}  {reason}"
    if line := shared_jobs((trial.number, trial.job_id) for trial in listed):
        yield line


def _reason(trial: TrialStatus, live: LiveTrial | None, sweep: LiveSweep) -> str:
    """Of a running trial its progress; of another one why it is in its state."""
    if live is None:
        return trial.reason
    if trial.state != "running":
        return f"{trial.reason}{start_text(live.starts_at, sweep.at)}"
    parts = [f"epoch {live.epoch} of {live.epochs}"] if live.epochs else []
    parts += [f"{sweep.metric} {score_text(live.latest)}"] if live.latest is not None else []
    parts += [f"best {score_text(live.best)}"] if live.best is not None else []
    parts += [f"on {live.node}"] if live.node is not None else []
    parts += [age] if (age := age_of(live.reported_at, sweep.at)) is not None else []
    parts += [trial.reason] if trial.reason not in ("", "running") else []
    return ", ".join(parts) or "running"


def _due(found: SweepStatus) -> Iterator[str]:
    """What a submit would do now, or that something else does it."""
    if found.actions and found.next_reconciliation.by is ReconciledBy.COMMAND:
        yield "the sweep is being continued: a reconciliation runs now"
        return
    yield from (f"`unetsweep submit` would now: {describe(action)}" for action in found.actions)
