"""The kind of a training's error, and the error file."""

import errno
import json
from pathlib import Path

import pytest
import torch

from unetsweep.errors import EpochTooLongError, StateError, SupersededError, TrainingError
from unetsweep.worker.failure import kind_of, write_error


def raised(error: Exception, during: Exception | None = None, cause: Exception | None = None) -> Exception:
    """`error` after it was raised: while `during` was handled, from `cause`."""
    try:
        try:
            if during is not None:
                raise during
        except Exception:
            raise error from cause
        raise error from cause
    except Exception as found:
        return found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "gpu_memory"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), "gpu_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "gpu_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk"),
        (OSError(errno.EACCES, "Permission denied"), "exception"),
        (RuntimeError("The server socket has failed to listen on any local network address. EADDRINUSE"), "network"),
        (EpochTooLongError("one epoch takes more than 9 min"), "time"),
        (TrainingError("the trainer command failed; its last message: OSError: [Errno 122] Quota"), "disk"),
        (TrainingError("a GPU was asked for and torch sees none"), "environment"),
        (SupersededError("another job owns the run"), "environment"),
        (StateError("result.json: not readable"), "exception"),
        (MemoryError(), "exception"),
        (RuntimeError("shapes do not fit"), "exception"),
    ],
)
def test_every_error_has_its_kind(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_the_cause_of_an_error_decides_its_kind() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert kind_of(raised(RuntimeError("unexpected pos 704 vs 598"), during=full)) == "disk"
    assert kind_of(raised(StateError("cannot be written"), cause=full)) == "disk"
    assert kind_of(raised(RuntimeError("backward"), cause=torch.OutOfMemoryError("CUDA"))) == "gpu_memory"


def test_a_checkpoint_on_a_full_disk_is_a_disk_error() -> None:
    with pytest.raises((OSError, RuntimeError)) as caught, open("/dev/full", "wb") as stream:
        torch.save({"weights": torch.zeros(300_000)}, stream)
    assert kind_of(caught.value) == "disk"


def test_an_error_file_holds_the_error_and_the_finished_epochs(tmp_path: Path) -> None:
    for claim, epochs in (("1-0", (1, 2)), ("1-1", (3,))):
        lines = [json.dumps({"epoch": epoch, "seconds": 1.0}) for epoch in epochs]
        (tmp_path / f"progress-{claim}.jsonl").write_text("\n".join([*lines, '{"epoch": 7, "sec']))
    write_error(tmp_path, RuntimeError("shapes do not fit"), 1, 1, 0)
    record = json.loads((tmp_path / "error-0.json").read_text())
    assert (record["kind"], record["epochs_done"]) == ("exception", 3)
    assert (record["message"], record["attempt"], record["restart"]) == ("RuntimeError: shapes do not fit", 1, 1)
    assert "traceback" in record
    (tmp_path / "new").mkdir()
    write_error(tmp_path / "new", TrainingError("no GPU"), 1, 0, 1)
    assert json.loads((tmp_path / "new/error-1.json").read_text())["epochs_done"] == 0
