"""Records in `error-<rank>.json` what went wrong in a rank of a training."""

import contextlib
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from unetsweep.bounded_json import parse_json
from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import NO_ROOM, EpochTooLongError, StateError, TrainingError, UnetsweepError
from unetsweep.record_files import write_record
from unetsweep.records import ErrorFile
from unetsweep.regular_files import read_bytes
from unetsweep.store.logs import names_full_disk
from unetsweep.texts import shortened

_NO_GPU_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
_PORT_TAKEN = ("EADDRINUSE", "Address already in use", "address already in use")
_MESSAGE_CHARACTERS = 2000
_ECHOES = ("Connection closed", "Connection reset", "closed by peer")
"""Parts of error messages that a rank gets because another rank has failed."""


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
        echo=any(part in message for part in _ECHOES),
        epochs_done=max((epoch for epoch, _ in finished_epochs(folder)), default=0),
        at=utc_now(),
    )
    with contextlib.suppress(OSError):  # the error itself matters more than its record
        folder.mkdir(exist_ok=True)  # a trainer command may have deleted it
        write_record(folder / paths.error(rank), record)


def kind_of(error: BaseException) -> str:
    """The kind of an error: `gpu_memory`, `disk`, `time`, `network` (the port was taken before the ranks connected),
    `environment` (the training cannot start or continue), or `exception` (a bug)."""
    chain = list(_chain(error))
    if any(_is_gpu_memory(each) for each in chain):
        return "gpu_memory"
    if any(isinstance(each, OSError) and each.errno in NO_ROOM for each in chain):
        return "disk"
    if isinstance(error, TrainingError) and names_full_disk(str(error)):  # the last message of a trainer command
        return "disk"
    if any(part in str(each) for each in chain for part in _PORT_TAKEN):
        return "network"
    if isinstance(error, EpochTooLongError):
        return "time"
    return "environment" if isinstance(error, TrainingError) else "exception"


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


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes: saving to a full disk ends in a RuntimeError of torch, raised during the OSError."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_gpu_memory(error: BaseException) -> bool:
    torch = sys.modules.get("torch")  # without an import of torch no GPU was used
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in _NO_GPU_MEMORY)
