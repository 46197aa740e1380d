"""Writes docs/commands.md: each command with its help. `python tests/docs/write_commands.py`."""

from collections.abc import Iterator

import click
from pages import ROOT

from unetsweep.cli.main import program

PAGE = ROOT / "docs" / "commands.md"

_HEAD = """\
# Commands

After this page you know every command and its options.
The page is the `--help` of each of them. `python tests/docs/write_commands.py` generates it.

Every command but `submit`, which takes a YAML file, takes the same addresses:

| address | what it names |
| --- | --- |
| `SWEEP` | a sweep: its name, its YAML file or its folder. `SWEEP/confirm` is its confirmation |
| `SWEEP/3` | trial 3 of a sweep. `SWEEP/0003`, as tables print it, is the same |
| `SWEEP/best` | the best complete trial of a sweep |
| `18808`, `18808_3`, `18808.3` | all trials of this job, or of all jobs of this array |
| `SWEEP/18808_3` | the same, in one sweep only |

After `SWEEP/` a number is a trial, never a job. A sweep comes before a job of the same name. Where several trials share
a job, a command that takes one trial lists them, and the others say which trials they take. `cancel`, `retry` and
`status` take several trials: `SWEEP/3 SWEEP/4`, or `SWEEP 3 4`. `logs SWEEP 3` is `logs SWEEP/3`.

Without an address, `status` and `report` use the newest sweep, and other commands list the sweeps that there are.
`submit` always needs a YAML file. Results go to standard output, warnings to standard error.
[design.md](design.md#errors) lists the exit statuses.
"""


def text() -> str:
    """The text of the page."""
    parts = [f"\n## {name}\n\n```text\n{help_.rstrip()}\n```\n" for name, help_ in helps(program, "unetsweep")]
    return _HEAD + "".join(parts)


def helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Yield name and help of a command and of its subcommands that are not hidden, for a terminal of 80 columns."""
    width = 80 - 2  # click leaves two columns free
    context = click.Context(
        command, info_name=name.split()[-1], parent=parent, terminal_width=width, **command.context_settings
    )
    command._help_option = None  # click would keep the one of an earlier call of the command
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            subcommand = command.get_command(context, each)
            if subcommand is not None and not subcommand.hidden:
                yield from helps(subcommand, f"{name} {each}", context)


if __name__ == "__main__":
    PAGE.write_text(text())
