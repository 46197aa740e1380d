"""The rules of `trainer.command`: it can be split, and each of its placeholders is known."""

import difflib
import shlex
from collections.abc import Iterable

from unetsweep.config.space import Axes
from unetsweep.core import trainer_command
from unetsweep.errors import Problem

_AT = "trainer.command"
_EXAMPLE = "python my_train.py {config} {out}"


def command_problems(command: str | None, axes: Axes) -> list[Problem]:
    """Return what is wrong with the command of a program; nothing for the built-in trainer."""
    if command is None:
        return []
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        return [Problem(f"found {command!r} ({error}); write {_EXAMPLE!r}", _AT)]
    if not arguments:
        return [Problem(f"found {command!r}, which names no program; write {_EXAMPLE!r}", _AT)]
    return [*_single_braces(arguments), *_unknown_placeholders(command, axes)]


def _single_braces(arguments: Iterable[str]) -> list[Problem]:
    found = [each for each in arguments if trainer_command.has_single_brace(each)]
    if not found:
        return []
    message = f"found {found[0]!r}, in which a brace has no partner; write a placeholder without spaces, as in {{out}}"
    return [Problem(message, _AT)]


def _unknown_placeholders(command: str, axes: Axes) -> list[Problem]:
    known = dict.fromkeys([*trainer_command.FIXED, *trainer_command.names_of(axes.domains)])
    unknown = [name for name in dict.fromkeys(trainer_command.placeholders(command)) if name not in known]
    if not unknown or not axes.is_complete:  # a parameter with another problem is not known by name
        return []
    near = difflib.get_close_matches(unknown[0], known, 1)
    hint = f"did you mean {{{near[0]}}}? " if near else f"no key of space is named {unknown[0]}; "
    allowed = ", ".join(f"{{{name}}}" for name in known)
    found = ", ".join(f"{{{name}}}" for name in unknown)
    return [Problem(f"unknown placeholder {found}; {hint}replaced are {allowed}, and no shell runs the command", _AT)]
