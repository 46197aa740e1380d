"""The kind of a training's error, and the error file."""

import errno
import json
from pathlib import Path

import pytest
import torch
from torch import distributed

from unetsweep.errors import EpochTooLongError, GpuError, StateError, SupersededError, TrainingError
from unetsweep.worker.error_kinds import is_echo, kind_of
from unetsweep.worker.failure import write_error

TEXTS = {
    "gpu_memory": [
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB",
        "CUDA error: out of memory",
        "HIP out of memory. Tried to allocate 256.00 MiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "GET was unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
        "NCCL error: unhandled cuda error, NCCL version 2.20.5\nLast error:\nCuda failure 2 'out of memory'",
        "NCCL error in: ProcessGroupNCCL.cpp:1970, Last error:\nFailed to CUDA calloc 6291456 bytes",
    ],
    "device": [
        "CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: unspecified launch failure",
        "CUDA error: hardware stack error",
        "CUDA error: all CUDA-capable devices are busy or unavailable",
        "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
        "CUDA error: device not ready",
        "CUDA error: Invalid access of peer GPU memory over nvlink or a hardware error (contained error)",
        "CUDA error: uncorrectable NVLink error detected during the execution",
        "CUDA error: no CUDA-capable device is detected",
        "No CUDA GPUs are available",
        "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
        "The NVIDIA driver on your system is too old (found version 11040).",
        "CUDA error: CUDA driver version is insufficient for CUDA runtime version",
        "Failed to initialize NVML: Driver/library version mismatch",
        "CUDA unknown error - this may be due to an incorrectly set up environment",
        "CUDA error: unknown error",
        "CUDA error: initialization error",
        "Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized",
        "CUDA error: system has unsupported display driver / cuda driver combination",
        "Error 804: forward compatibility was attempted on non supported HW",
        "CUDA error: no kernel image is available for execution on the device",
        "CUDA error: invalid device ordinal",
        "CUDA error: MPS client failed to connect to the MPS control daemon or the MPS server",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "Unable to determine the device handle for GPU0000:41:00.0: GPU is lost. Reboot the system",
        "NCCL error in: ProcessGroupNCCL.cpp:1331, unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
        "NCCL error in: ProcessGroupNCCL.cpp:1691, unhandled system error, NCCL version 2.19.3",
        "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.",
    ],
    "exception": [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: device-side assert triggered",
        "CUDA error: invalid configuration argument",
        "cuDNN error: CUDNN_STATUS_BAD_PARAM",
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
    ],
    "echo": [
        "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.7]:35104",
        "Read error [10.0.0.7]:41023: Connection reset by peer",
        "[c10d] Broken pipe",
        "NCCL communicator was aborted on rank 1.",
        "[1] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via store->get('0'), but "
        "store->get('0') got error: Connection reset by peer",
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.",
        "NCCL error: remote process exited or there was a network error, NCCL version 2.19.3",
        "Watchdog caught collective operation timeout: WorkNCCL(SeqNum=42, OpType=ALLREDUCE, Timeout(ms)=600000)",
        "Timed out waiting 600000ms for recv operation to complete",
        "wait timeout after 1800000ms, keys: /worker/0",
        "failed to recv, got 0 bytes",
        "The client socket has failed to connect to n7:40213 (errno: 111 - Connection refused).",
    ],
}
"""Messages of PyTorch, CUDA, cuBLAS, cuDNN, NCCL and gloo, by the kind of the error."""


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
        (GpuError("rank 0 of 1 on n7: the config asks for a GPU and torch sees none"), "device"),
        (
            TrainingError("the trainer command failed; its last message: RuntimeError: No CUDA GPUs are available"),
            "device",
        ),
        (
            TrainingError("the trainer command failed; its last message: CUDA error: unspecified launch failure"),
            "device",
        ),
        (ValueError("no CUDA-capable device is detected"), "exception"),  # CUDA's own errors are RuntimeErrors
    ],
)
def test_every_error_has_its_kind(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


@pytest.mark.parametrize("text", TEXTS["gpu_memory"])
def test_a_gpu_that_is_out_of_memory_is_recognised_by_its_text(text: str) -> None:
    assert kind_of(RuntimeError(text)) == "gpu_memory"


@pytest.mark.parametrize("text", TEXTS["device"])
def test_a_gpu_that_does_not_work_is_recognised_by_its_text(text: str) -> None:
    assert kind_of(RuntimeError(text)) == "device"
    assert not is_echo(RuntimeError(text))


@pytest.mark.parametrize("text", TEXTS["exception"])
def test_an_error_of_cuda_that_may_be_the_program_s_own_is_a_bug(text: str) -> None:
    assert kind_of(RuntimeError(text)) == "exception"
    assert not is_echo(RuntimeError(text))


@pytest.mark.parametrize("text", TEXTS["echo"])
def test_an_error_that_follows_from_another_rank_is_an_echo(text: str) -> None:
    assert is_echo(RuntimeError(text))


@pytest.mark.parametrize("error", [distributed.DistNetworkError("no text"), distributed.DistStoreError("no text")])
def test_a_lost_connection_to_the_store_is_an_echo_by_its_type(error: Exception) -> None:
    assert is_echo(error)
    assert is_echo(raised(RuntimeError("in the step"), cause=error))


def test_what_a_trainer_command_says_about_its_connections_is_no_echo() -> None:
    assert not is_echo(TrainingError("the trainer command failed; its last message: Connection refused"))


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
