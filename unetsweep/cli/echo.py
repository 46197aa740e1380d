"""How every command prints: a text from outside cannot add a line, or control the terminal."""

from collections.abc import Iterable

import click

from unetsweep.texts import printable, printable_log


def echo(*lines: str, err: bool = False) -> None:
    """Print each of these lines as one line."""
    if lines:
        click.echo("\n".join(map(printable, lines)), err=err)


def echo_text(text: str, *, err: bool = False) -> None:
    """Print a text of several lines, each of which was safe before they were joined."""
    echo(*text.removesuffix("\n").split("\n"), err=err)


def echo_log(chunks: Iterable[str]) -> None:
    """Print a text with its colours and progress bars, but without other control of the terminal."""
    for text in printable_log(chunks):
        click.echo(text, nl=False)
