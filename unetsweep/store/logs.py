"""Reads the logs of jobs."""

import re
from pathlib import Path

TAIL_BYTES = 65536
"""How much of a log's end is read. SLURM and Python write their errors there, and a traceback is much shorter."""


def tail(log: Path, start: int = 0) -> str:
    """Return the end of a log, from byte `start` at the earliest; empty if it does not exist."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(start, log.stat().st_size - TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_line(log: Path | None) -> str | None:
    """Return the last line that is not empty, up to 300 characters of it; None: there is none."""
    lines = _lines(tail(log)) if log is not None else []
    return lines[-1][:300] if lines else None


def _lines(text: str) -> list[str]:
    """Return the lines that are not empty."""
    return [line for line in map(str.strip, text.splitlines()) if line]


_ERROR = re.compile(
    r"error|not found|no such|cannot|can't|could not|unable to|unknown|denied|fail|invalid|refused|unbound",
    re.IGNORECASE,
)


def first_error(log: Path | None, start: int) -> str | None:
    """Return the first line after byte `start` of a log that looks like an error, up to 300 characters of it.

    If none does: the last line that is not empty; None: there is none.
    """
    lines = _lines(tail(log, start)) if log is not None else []
    found = next(filter(_ERROR.search, lines), lines[-1] if lines else None)
    return found and found[:300]
