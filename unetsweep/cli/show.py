"""`unetsweep show`: everything about one trial."""

import json
import shutil
import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from unetsweep.app.addresses import select_trial
from unetsweep.app.show import AttemptDetails, TrialDetails, show
from unetsweep.cli.echo import echo, echo_text
from unetsweep.cli.output import print_notes, results_option
from unetsweep.cli.terminal import shows_blocks
from unetsweep.core import paths
from unetsweep.report.columns import value_text
from unetsweep.report.terminal_curve import WIDTH, terminal_curve
from unetsweep.report.trial_texts import parameter_name
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import age_text, counted, one_line

_BESIDE = 16
"""Characters beside a curve: its numbers and the indentation."""


@click.command("show")
@click.argument("addresses", nargs=-1, metavar="SWEEP/TRIAL")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@results_option
def command(addresses: tuple[str, ...], as_json: bool, results: Path) -> None:
    """Show one trial: parameters, state and why, attempts with their jobs and nodes, learning curve, scores, files, and
    the commands that fit its state.

    SWEEP/best is the best trial. The scheduler is asked only if the trial has not ended. Nothing is changed.
    """
    selection, number = select_trial(addresses, results)
    print_notes([selection])
    found = show(SweepDir(selection.root), number, results)
    echo_text(json.dumps(found.as_json(), indent=1)) if as_json else echo(*_lines(found))


def _lines(found: TrialDetails) -> Iterator[str]:
    yield f"trial {found.number} of {found.sweep}: {found.state}{_progress(found)}"
    if found.reason and found.reason != found.state:
        yield f"  {found.reason}"
    yield from (f"warning: {one_line(warning)}" for warning in found.warnings)
    yield ""
    yield from _pairs(found)
    if found.shares_with:
        others = ", ".join(f"{each.number} ({each.epochs} epochs, {each.state})" for each in found.shares_with)
        yield f"run {found.run:04d} is shared with trial {others}"
    yield from _attempts(found)
    yield from _curve(found)
    yield from _files(found)
    if found.commands:
        yield ""
        yield from ("next:", *(f"  {each}" for each in found.commands))


def _progress(found: TrialDetails) -> str:
    if not found.epochs_done:
        return ""
    return f", epoch {found.epochs_done}" + (f" of {found.epochs}" if found.epochs else "")


def _pairs(found: TrialDetails) -> Iterator[str]:
    """The parameters and the scores, aligned."""
    named = [(parameter_name(path), value_text(value)) for path, value in found.params.items()]
    if found.seed is not None and "seed" not in found.params:
        named.append(("seed", str(found.seed)))
    scores = [(heading, text) for heading, text, _ in found.scores.values()]
    if found.best_epoch is not None:
        scores.append(("best epoch", str(found.best_epoch)))
    width = max((len(one_line(name)) for name, _ in (*named, *scores)), default=0)
    for group in (named, scores):
        yield from (f"  {one_line(name):<{width}}  {one_line(text)}" for name, text in group)
        if group:
            yield ""
    if not named:
        yield "  its parameters cannot be read"


def _attempts(found: TrialDetails) -> Iterator[str]:
    if not found.attempts:
        yield "attempts: none yet"
    for each in found.attempts:
        yield f"attempt {each.number}: {', '.join(_facts(each))}"
        why = each.summary.why if each.summary.why not in found.reason else ""
        if each.summary.cause is not None and each.summary.cause not in why:
            why = f"{each.summary.cause}: {why}" if why else each.summary.cause
        if why:
            yield from textwrap.wrap(one_line(why), _width(), initial_indent="  ", subsequent_indent="  ")


def _facts(attempt: AttemptDetails) -> Iterator[str]:
    yield attempt.summary.state
    if attempt.job_id is not None:
        yield f"job {attempt.job_id}"
    if attempt.node is not None:
        yield f"on {attempt.node}"
    yield f"submitted {_time(attempt.submitted)}"
    if attempt.started is not None:
        again = f" ({counted(attempt.starts, 'start')})" if attempt.starts > 1 else ""
        yield f"started {_time(attempt.started)}{again}"
        if attempt.ended is not None:
            yield f"ended after {age_text((attempt.ended - attempt.started).total_seconds())}"


def _time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M")


def _curve(found: TrialDetails) -> Iterator[str]:
    lines = terminal_curve(found.curve, width=min(WIDTH, _width() - _BESIDE), unicode=shows_blocks())
    if lines:
        yield ""
        yield f"{found.metric} by epoch"
        yield from (f"  {line}" for line in lines)


def _files(found: TrialDetails) -> Iterator[str]:
    yield ""
    gone = "" if found.missing_checkpoint is None else f" ({found.missing_checkpoint} does not exist)"
    checkpoint = f"none{gone}" if found.checkpoint is None else str(found.checkpoint)
    if found.checkpoint is not None and found.checkpoint.name == Path(paths.LAST_CHECKPOINT).name:
        checkpoint += " (from which the training continues)"
    named = (
        ("folder", str(found.run_folder)),
        ("checkpoint", checkpoint),
        ("config", str(found.config)),
        ("log", str(found.log or "none")),
    )
    yield from (f"{name:<11} {text}" for name, text in named)


def _width() -> int:
    return max(40, shutil.get_terminal_size().columns)
