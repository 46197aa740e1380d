"""What jobs printed."""

from pathlib import Path

TAIL = 65536
"""Bytes of a log's end in which last words are looked for."""


def tail(log: Path) -> str:
    """The end of a log; empty where there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_line(log: Path | None) -> str | None:
    """The last line with something in it, at most 300 characters; None where there is none."""
    said = [line for line in map(str.strip, tail(log).splitlines()) if line] if log is not None else []
    return said[-1][:300] if said else None
