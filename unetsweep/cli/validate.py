"""`unetsweep validate`: check a sweep's YAML file."""

import json
import sys
from pathlib import Path

import click

from unetsweep.app.validate import Size, Validation, validate
from unetsweep.cli.echo import echo, echo_text
from unetsweep.cli.output import profile_option, set_option
from unetsweep.texts import counted

INVALID = 2
"""Exit status for a file with problems: that of a `submit` of it."""


@click.command("validate")
@click.argument("file", type=click.Path(path_type=Path))
@profile_option
@set_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(file: Path, profile: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check FILE, the YAML file of a sweep, and print each problem with its line and column.

    It needs no images, cluster or results, and writes nothing. `submit --dry-run` checks these too. The exit status is
    2 if there is a problem. A warning names what is probably a mistake, and may be right.
    """
    found = validate(file, profile=profile, overrides=overrides)
    if as_json:
        echo_text(json.dumps(found.as_json(), indent=1))
    else:
        echo(*_format(found))
    if found.problems:
        sys.exit(INVALID)


def _format(found: Validation) -> list[str]:
    if found.size is None:
        return [problem.text(str(found.file)) for problem in found.problems]
    warnings = [f"warning: {problem.text(str(found.file))}" for problem in found.warnings]
    return [f"{found.file}: fine: {_format_size(found.size)}", *warnings]


def _format_size(size: Size) -> str:
    """How much a file asks for: `4 points, 4 trials, 2 trainings`, or with repeats
    `4 points, 2 trainings of each: 8 trials in 4 runs`."""
    points = "infinitely many points" if size.points is None else counted(size.points, "point")
    trials, most = counted(size.trials, "trial"), "" if size.is_exact else "at most "
    if size.repeats == 1:
        return f"{points}, {trials}, {most}{counted(size.trainings, 'training')}"
    asked = size.trials // size.repeats
    chosen = "" if asked == size.points else f", {counted(asked, 'point')} of them"
    return f"{points}{chosen}, {size.repeats} trainings of each: {trials} in {most}{counted(size.trainings, 'run')}"
