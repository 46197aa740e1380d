"""`unetsweep doctor`: what works on this machine and its cluster, and what that means for a sweep."""

import json
import signal
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from unetsweep.core.spec import Resources
    from unetsweep.doctor.rules import Fact, Row

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
WIDTH = 110


@click.command("doctor")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
@click.option("--profile", metavar="NAME", help="SLURM profile that the test job is sent with [default].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--no-job", is_flag=True, help="Send no test job; then nothing is known of the nodes.")
@click.option("--timeout", type=click.FloatRange(min=1), default=300.0, help="Seconds to wait for the test job [300].")
def command(results: Path, profile: str | None, as_json: bool, no_job: bool, timeout: float) -> None:
    """Try what a sweep needs: SLURM, a node (by a job of one CPU and two minutes), the folder of results.

    All that it makes is cancelled and removed again, also after Ctrl-C. The exit status is 1 where
    something is broken that no sweep can do without.
    """
    from unetsweep.doctor import cluster_rules, node_rules, rules
    from unetsweep.doctor.advice import advice
    from unetsweep.doctor.examine import facts

    resources = _resources(profile)
    all_rules = {**cluster_rules.RULES, **node_rules.RULES}
    found: list[Fact] = []
    rows: list[Row] = []
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        for fact in facts(
            results, resources, timeout, with_job=not no_job, tell=lambda line: click.echo(line, err=True)
        ):
            (row,) = rules.judge([fact], all_rules)
            if not as_json:
                _print(row, rows[-1] if rows else None)
            found.append(fact)
            rows.append(row)
    except KeyboardInterrupt:
        click.echo("stopped; what doctor made is cancelled and removed", err=True)
        sys.exit(INTERRUPTED)
    lines = advice(found, resources.profile)
    broken = any(row.verdict is rules.Verdict.BROKEN for row in rows)
    if as_json:
        click.echo(json.dumps({"rows": [_as_json(row) for row in rows], "advice": lines, "broken": broken}, indent=1))
    else:
        click.echo("\nwhat it means for a sweep\n" + "\n".join(f"  {line}" for line in lines))
    sys.exit(1 if broken else 0)


def _stop(*_: object) -> None:
    """The first of these signals ends the questions; what was made is then taken away undisturbed."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _resources(profile: str | None) -> "Resources":
    from unetsweep.config.profiles import Folders, resources_from
    from unetsweep.errors import Problem, SpecError

    problems: list[Problem] = []
    resources = resources_from({}, Folders(Path.cwd(), Path.home()), problems, profile)
    if problems:
        raise SpecError("--profile", [Problem(problem.message) for problem in problems])
    return resources


def _print(row: "Row", before: "Row | None") -> None:
    if before is None or before.section != row.section:
        click.echo(("" if before is None else "\n") + row.section)
    _wrapped(f"  {row.verdict.value:8s} {row.name:22s} ", row.finding)
    if row.meaning:
        _wrapped(f"{'':34s}-> ", row.meaning)


def _wrapped(head: str, text: str) -> None:
    click.echo(textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * 37, break_long_words=False))


def _as_json(row: "Row") -> dict[str, Any]:
    return {
        "section": row.section,
        "name": row.name,
        "finding": row.finding,
        "verdict": row.verdict.value,
        "meaning": row.meaning,
    }
