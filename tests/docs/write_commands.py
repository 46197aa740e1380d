"""Writes docs/commands.md: each command with its help. `python tests/docs/write_commands.py`."""

from collections.abc import Iterator

import click
from pages import ROOT

from unetsweep.cli.main import program

PAGE = ROOT / "docs" / "commands.md"

_HEAD = """\
# Commands

The `--help` of every command. `python tests/docs/write_commands.py` generates this page.

SWEEP is the name of a sweep, its YAML file or its folder. Without it, `status` and `report` use the newest sweep.
`submit` always needs a YAML file. Results go to standard output, warnings to standard error.
[design.md](design.md#errors) lists the exit statuses.
"""


def text() -> str:
    """The whole page."""
    parts = [f"\n## {name}\n\n```text\n{said.rstrip()}\n```\n" for name, said in helps(program, "unetsweep")]
    return _HEAD + "".join(parts)


def helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """The help of a command and of all under it, hidden ones left out, as a terminal of 80 columns shows it."""
    width = 80 - 2  # click leaves two free
    context = click.Context(
        command, info_name=name.split()[-1], parent=parent, terminal_width=width, **command.context_settings
    )
    command._help_option = None  # click keeps the one of whoever called the command first
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            if below is not None and not below.hidden:
                yield from helps(below, f"{name} {each}", context)


if __name__ == "__main__":
    PAGE.write_text(text())
