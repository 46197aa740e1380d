"""`unetsweep list`: all sweeps, and how they stand."""

import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from unetsweep.app.overview import SweepOverview, list_sweeps
from unetsweep.cli.echo import echo, echo_text
from unetsweep.cli.output import results_option
from unetsweep.core.sweep_state import open_trials
from unetsweep.records import SummaryFile
from unetsweep.report.fitted_table import TextColumn, fitted
from unetsweep.texts import age_text, score_text


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@results_option
def command(as_json: bool, results: Path) -> None:
    """Show all sweeps, the newest first: state, trials, best score, age and what they used.

    No scheduler is asked: `unetsweep status SWEEP` does, and also counts what accounting knows. A sweep that cannot be
    read is a row that says so.
    """
    found = list_sweeps(results)
    if as_json:
        echo_text(json.dumps({"sweeps": [each.as_json() for each in found]}, indent=1))
        return
    if not found:
        echo(f"no sweep in {results.absolute()}; start one with `unetsweep submit sweeps/quickstart.yaml`")
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    echo(*fitted(_columns(found), width))
    for each in found:
        if each.problem is not None:
            echo(f"{each.name}: {each.problem}")


def _columns(found: Sequence[SweepOverview]) -> list[TextColumn]:
    known = [each.summary for each in found]
    return [
        TextColumn("sweep", [each.name for each in found], is_text=True),
        TextColumn("state", [each.state.value for each in found], is_text=True),
        TextColumn("complete", [_count(each, "complete") for each in known]),
        TextColumn("pruned", [_count(each, "pruned") for each in known], dropped=1),
        TextColumn("failed", [_count(each, "failed", "diverged") for each in known]),
        TextColumn("open", ["-" if each is None else str(open_trials(each.states)) for each in known]),
        TextColumn("of", ["-" if each is None else str(each.wanted) for each in known]),
        TextColumn("best", ["-" if each is None or each.score is None else score_text(each.score) for each in known]),
        TextColumn("metric", ["-" if each is None else each.metric for each in known], dropped=3),
        TextColumn("age", ["-" if each.created is None else _age(each.created) for each in found], dropped=1),
        TextColumn("used", ["-" if each is None else f"{each.hours:.2f} {each.unit}-h" for each in known], dropped=2),
    ]


def _count(summary: SummaryFile | None, *states: str) -> str:
    return "-" if summary is None else str(sum(summary.states.get(state, 0) for state in states))


def _age(created: datetime) -> str:
    return age_text((datetime.now(UTC) - created).total_seconds())
