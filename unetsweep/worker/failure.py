"""Records in `error-<rank>.json` what went wrong in a rank of a training."""

import contextlib
import socket
import traceback
from pathlib import Path

from unetsweep.bounded_json import parse_json
from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import StateError, UnetsweepError
from unetsweep.record_files import write_record
from unetsweep.records import ErrorFile
from unetsweep.regular_files import read_bytes
from unetsweep.texts import shortened
from unetsweep.worker.error_kinds import is_echo, kind_of

_MESSAGE_CHARACTERS = 2000


def write_error(folder: Path, error: Exception, attempt: int, restart: int, rank: int) -> None:
    """Write the error into the run's folder, if its disk allows it."""
    known = isinstance(error, UnetsweepError)
    message = str(error) if known else f"{type(error).__name__}: {error}"
    record = ErrorFile(
        kind_of(error),
        shortened(message, _MESSAGE_CHARACTERS),
        attempt,
        restart,
        "".join(traceback.format_exception(error)),
        rank,
        socket.gethostname(),
        echo=is_echo(error),
        epochs_done=max((epoch for epoch, _ in finished_epochs(folder)), default=0),
        at=utc_now(),
    )
    with contextlib.suppress(OSError):  # the error itself matters more than its record
        folder.mkdir(exist_ok=True)  # a trainer command may have deleted it
        write_record(folder / paths.error(rank), record)


def finished_epochs(folder: Path, claim: str = "*") -> list[tuple[int, float | None]]:
    """Epoch and wall seconds (None: not reported) of each line of the run's progress; an incomplete line is skipped."""
    lines: list[bytes] = []
    for path in sorted(folder.glob(f"progress-{claim}.jsonl")):
        with contextlib.suppress(StateError):
            lines += read_bytes(path).splitlines()
    found: list[tuple[int, float | None]] = []
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            raw = parse_json(line, lenient=True)
            seconds = raw.get("seconds")
            found.append((int(raw["epoch"]), float(seconds) if isinstance(seconds, int | float) else None))
    return found
