"""`unetsweep doctor`: check this machine, its cluster, a compute node and the results folder."""

import contextlib
import json
import signal
import sys
import textwrap
from collections.abc import Generator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from unetsweep.app.doctor import Conclusion, examine
from unetsweep.cli.echo import echo, echo_text
from unetsweep.doctor.rules import Row

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130  # as a shell reports Ctrl-C
WIDTH = 110


@click.command("doctor")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Folder that holds the sweeps [results].",
)
@click.option("--profile", metavar="NAME", help="SLURM profile of the test job [default].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--no-job", is_flag=True, help="Submit no test job; the nodes are not checked then.")
@click.option("--timeout", type=click.FloatRange(min=1), default=300.0, help="Seconds to wait for the test job [300].")
def command(results: Path, profile: str | None, as_json: bool, no_job: bool, timeout: float) -> None:
    """Check what a sweep needs: SLURM, a compute node, the results folder.

    The node is checked by a job of two minutes with one CPU, and with one GPU if the profile asks for GPUs.

    Everything it makes is cancelled and removed again, even after Ctrl-C. The exit status is 1 if something is broken
    that no sweep can do without.
    """
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    examination = examine(results, profile, None if no_job else timeout, notify=partial(echo, err=True))
    try:
        with contextlib.closing(examination):
            rows, conclusion = _print_rows(examination, as_json)
    except KeyboardInterrupt:
        echo("interrupted; what doctor made is cancelled and removed", err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        every = [asdict(row) | {"verdict": row.verdict.value} for row in rows]
        found = {"rows": every, "advice": conclusion.advice, "broken": conclusion.is_broken}
        echo_text(json.dumps(found, indent=1))
    else:
        echo("", "what this means for a sweep", *(f"  {line}" for line in conclusion.advice))
    sys.exit(1 if conclusion.is_broken else 0)


def _interrupt(*_: object) -> None:
    """Stop the checks at the first signal; later ones must not disturb the removal of what they made."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _print_rows(examination: Generator[Row, None, Conclusion], as_json: bool) -> tuple[list[Row], Conclusion]:
    """Print each row as it comes, unless the page is JSON; return all of them and what they mean."""
    rows: list[Row] = []
    while True:
        try:
            row = next(examination)
        except StopIteration as end:
            return rows, end.value
        if not as_json:
            if not rows or rows[-1].section != row.section:
                echo(*[""] * bool(rows), row.section)
            _print(f"  {row.verdict.value:8s} {row.name:22s} ", row.finding)
            if row.meaning:
                _print(f"{'':34s}-> ", row.meaning)
        rows.append(row)


def _print(head: str, text: str) -> None:
    echo(*textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * 37, break_long_words=False))
