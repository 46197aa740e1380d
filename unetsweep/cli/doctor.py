"""`unetsweep doctor`: check this machine, its cluster, a compute node and the results folder."""

import contextlib
import json
import signal
import sys
import textwrap
from collections.abc import Callable, Generator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from unetsweep.app.doctor import Conclusion, examine
from unetsweep.config.profiles import Folders, resources_from
from unetsweep.core.spec import Resources
from unetsweep.doctor.rules import Row
from unetsweep.errors import Problem, SpecError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130  # as a shell reports Ctrl-C
WIDTH = 110


@click.command("doctor")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
@click.option("--profile", metavar="NAME", help="SLURM profile of the test job [default].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--no-job", is_flag=True, help="Submit no test job; the nodes are not checked then.")
@click.option("--timeout", type=click.FloatRange(min=1), default=300.0, help="Seconds to wait for the test job [300].")
def command(results: Path, profile: str | None, as_json: bool, no_job: bool, timeout: float) -> None:
    """Check what a sweep needs: SLURM, a compute node (with a job of one CPU and two minutes), the results folder.

    Everything it makes is cancelled and removed again, also after Ctrl-C. The exit status is 1 if something is broken
    that no sweep can do without.
    """
    resources = _resources(profile)
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    job_timeout = None if no_job else timeout
    try:
        with contextlib.closing(examine(results, resources, job_timeout, partial(click.echo, err=True))) as rows:
            page, conclusion = _follow(rows, None if as_json else _print)
    except KeyboardInterrupt:
        click.echo("interrupted; what doctor made is cancelled and removed", err=True)
        sys.exit(INTERRUPTED)
    advice, broken = conclusion.advice, conclusion.is_broken
    if as_json:
        rows_json = [asdict(row) | {"verdict": row.verdict.value} for row in page]
        click.echo(json.dumps({"rows": rows_json, "advice": advice, "broken": broken}, indent=1))
    else:
        click.echo("\nwhat this means for a sweep\n" + "\n".join(f"  {line}" for line in advice))
    sys.exit(1 if broken else 0)


def _interrupt(*_: object) -> None:
    """Stop the checks at the first signal; later ones must not disturb the removal of what they made."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _resources(profile: str | None) -> Resources:
    problems: list[Problem] = []
    resources = resources_from({}, Folders(Path.cwd(), Path.home()), problems, profile)
    if problems:
        raise SpecError("--profile", [Problem(problem.message) for problem in problems])
    return resources


def _follow(
    examination: Generator[Row, None, Conclusion], show: Callable[[Row, Row | None], None] | None
) -> tuple[list[Row], Conclusion]:
    """Show each row as it comes, with the row before it; return all of them and what they mean."""
    rows: list[Row] = []
    while True:
        try:
            row = next(examination)
        except StopIteration as end:
            return rows, end.value
        if show:
            show(row, rows[-1] if rows else None)
        rows.append(row)


def _print(row: Row, before: Row | None) -> None:
    if before is None or row.section != before.section:
        click.echo(("" if before is None else "\n") + row.section)
    _wrap(f"  {row.verdict.value:8s} {row.name:22s} ", row.finding)
    if row.meaning:
        _wrap(f"{'':34s}-> ", row.meaning)


def _wrap(head: str, text: str) -> None:
    click.echo(textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * 37, break_long_words=False))
