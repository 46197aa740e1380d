"""Reads the logs of jobs."""

import os
import re
from pathlib import Path

from unetsweep.errors import NO_ROOM, StateError
from unetsweep.regular_files import read_end
from unetsweep.texts import shortened

TAIL_BYTES = 65536
"""How much of a log's end is read. SLURM and Python write their errors there, and a traceback is much shorter."""
MESSAGE_CHARACTERS = 300
"""A longer message is shortened in the middle: an exception's type is at its start, and its cause often at its end."""
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+", re.MULTILINE)
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(:|$)")
_CLOSING = re.compile(r"srun: (Force Terminated|Job step aborted|Terminating) ")
"""What srun writes when a step has ended, after the line that says why."""
_EXCEPTION_LINES = 50
"""If more lines follow a traceback, the program continued after it, and its last line says more."""


def tail(log: Path, start: int = 0) -> str:
    """Return the end of a log, from byte `start` at the earliest; empty if there is no log, or something else."""
    try:
        return read_end(log, TAIL_BYTES, start=start).decode(errors="replace")
    except (FileNotFoundError, StateError):
        return ""


def last_message(log: Path | None) -> str | None:
    """Return the last message in a log; None: there is none."""
    return last_message_in(tail(log)) if log is not None else None


def last_message_in(text: str) -> str | None:
    """Return the exception with which the text ends, on one line, else its last line that is not empty; None: there is
    none. A long message is shortened."""
    everything = _not_empty(text)
    lines = [line for line in everything if not _CLOSING.match(line)] or everything
    tracebacks = list(_TRACEBACK.finditer(text))
    after = _not_empty(text[tracebacks[-1].end() :]) if tracebacks else []
    if after and _EXCEPTION.match(after[0]) and len(after) <= _EXCEPTION_LINES:
        return shortened(" ".join(after), MESSAGE_CHARACTERS)
    return shortened(lines[-1], MESSAGE_CHARACTERS) if lines else None


def names_full_disk(message: str) -> bool:
    """Whether the message of an error says that a disk or a quota is full.

    >>> names_full_disk("OSError: [Errno 28] No space left on device: 'x.json'")
    True
    """
    return any(f"[Errno {number}]" in message or os.strerror(number) in message for number in NO_ROOM)


def _not_empty(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]


_ERROR = re.compile(
    r"error|not found|no such|cannot|can't|could not|unable to|unknown|denied|fail|invalid|refused|unbound",
    re.IGNORECASE,
)


def first_error(log: Path | None, start: int) -> str | None:
    """Return the first line after byte `start` of a log that looks like an error, shortened.

    If none does: the last line that is not empty; None: there is none.
    """
    lines = _not_empty(tail(log, start)) if log is not None else []
    found = next(filter(_ERROR.search, lines), lines[-1] if lines else None)
    return None if found is None else shortened(found, MESSAGE_CHARACTERS)
