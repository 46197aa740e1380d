"""Reads the logs of jobs."""

import re
from pathlib import Path

TAIL_BYTES = 65536
"""How much of a log's end is read. SLURM and Python write their errors there, and a traceback is much shorter."""
MESSAGE_CHARACTERS = 300
"""A longer message is shortened in the middle: an exception's type is at its start, and its cause often at its end."""
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+", re.MULTILINE)
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(:|$)")
_EXCEPTION_LINES = 50
"""If more lines follow a traceback, the program continued after it, and its last line says more."""


def tail(log: Path, start: int = 0) -> str:
    """Return the end of a log, from byte `start` at the earliest; empty if it does not exist."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(start, log.stat().st_size - TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_message(log: Path | None) -> str | None:
    """Return the exception with which a log ends, on one line, else its last line that is not empty; None: there is
    none. A long message is shortened."""
    text = tail(log) if log is not None else ""
    lines = _not_empty(text)
    tracebacks = list(_TRACEBACK.finditer(text))
    after = _not_empty(text[tracebacks[-1].end() :]) if tracebacks else []
    if after and _EXCEPTION.match(after[0]) and len(after) <= _EXCEPTION_LINES:
        return shorten(" ".join(after), MESSAGE_CHARACTERS)
    return shorten(lines[-1], MESSAGE_CHARACTERS) if lines else None


def _not_empty(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]


def shorten(text: str, characters: int) -> str:
    """Return the text with its middle left out if it is longer than so many characters.

    >>> shorten("ValueError: 3 channels are expected", 20)
    'ValueErro … expected'
    """
    if len(text) <= characters:
        return text
    end = (characters - 3) // 2
    return f"{text[: characters - 3 - end]} … {text[-end:].lstrip()}"


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
    return None if found is None else shorten(found, MESSAGE_CHARACTERS)
