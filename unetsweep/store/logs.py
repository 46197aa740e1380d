"""Reads the logs of jobs."""

from pathlib import Path

TAIL_BYTES = 65536
"""How much of a log's end is read. SLURM and Python write their errors there, and a traceback is much shorter."""


def tail(log: Path) -> str:
    """Return the end of a log; empty if it does not exist."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_line(log: Path | None) -> str | None:
    """Return the last line that is not empty, up to 300 characters of it; None: there is none."""
    lines = [line for line in map(str.strip, tail(log).splitlines()) if line] if log is not None else []
    return lines[-1][:300] if lines else None
