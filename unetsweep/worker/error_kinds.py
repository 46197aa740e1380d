"""What kind of error ended a rank of a training. The kind decides whether, and where, the run is trained again.

Rule 1: the error and its causes are judged by their types where these say enough, else by the texts of PyTorch, CUDA,
        cuBLAS, cuDNN, NCCL and gloo.
Rule 2: what is known for certain comes first: memory, then the disk, then the GPU of the node, then the port.
Rule 3: an error that may be the program's own (an illegal memory access, an assertion on the device) is not the node's.
"""

import sys
from collections.abc import Iterator, Sequence

from unetsweep.errors import NO_ROOM, EpochTooLongError, GpuError, TrainingError
from unetsweep.store.logs import names_full_disk

_NO_GPU_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "HIP out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # its workspace could not be allocated
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "unable to find an engine",  # every engine of cuDNN needs a workspace that does not fit
    "valid cuDNN algorithm",
    "Cuda failure 2",  # as NCCL writes it
    "Failed to CUDA calloc",
)
_DEVICE = (
    # the GPU
    "uncorrectable ECC",
    "unspecified launch failure",
    "hardware stack error",
    "busy or unavailable",
    "GPU is lost",
    "fallen off the bus",
    "Unable to determine the device handle",
    "NVLink error",
    "uncorrectable NVLink",
    "device not ready",
    "contained error",  # "Invalid access of peer GPU memory", "tensor/GPU memory contained error"
    # its driver, and what CUDA finds of it
    "no CUDA-capable device is detected",
    "no CUDA GPUs are available",
    "Found no NVIDIA driver",
    "driver on your system is too old",
    "driver version is insufficient",
    "driver/library version mismatch",
    "CUDA unknown error",
    "CUDA error: unknown error",
    "CUDA error: initialization error",
    "CUDA initialization error",
    "system not yet initialized",  # the fabric manager of an NVSwitch
    "system has unsupported display driver",
    "forward compatibility was attempted",
    "no kernel image is available",  # another kind of GPU than the build of PyTorch supports
    "invalid device ordinal",
    "MPS client",
    "MPS server",
    "CUDNN_STATUS_NOT_INITIALIZED",
    # NCCL on this node
    "unhandled cuda error",
    "unhandled system error",
    "ncclUnhandledCudaError",
    "ncclSystemError",
)
_PORT_TAKEN = ("EADDRINUSE", "address already in use")
_ECHO_TYPES = ("DistNetworkError", "DistStoreError")
"""Types of torch.distributed for a lost connection to another rank, and for one that never came."""
_ECHOES = (
    "Connection closed",
    "Connection reset",
    "Connection refused",
    "closed by peer",
    "Broken pipe",
    "failed to recv",
    "communicator was aborted",
    "remote process exited",
    "ncclRemoteError",
    "Watchdog caught collective operation timeout",
    "Timed out waiting",
    "Socket Timeout",
    "wait timeout",
)
"""Parts of the messages of gloo, NCCL and the store that a rank gets because another one has failed."""


def kind_of(error: BaseException) -> str:
    """The kind of an error: `gpu_memory`, `disk`, `device` (the GPU of this node, its driver or NCCL does not work),
    `network` (the port was taken before the ranks connected), `time` (an epoch does not fit into the time limit),
    `environment` (the training cannot start or continue), or `exception` (a bug)."""
    chain = list(_chain(error))
    if any(_is_gpu_memory(each) for each in chain):
        return "gpu_memory"
    if any(isinstance(each, OSError) and each.errno in NO_ROOM for each in chain):
        return "disk"
    if isinstance(error, TrainingError) and names_full_disk(str(error)):  # the last message of a trainer command
        return "disk"
    if any(_is_of_device(each) for each in chain):
        return "device"
    if any(_names(each, _PORT_TAKEN) for each in chain):
        return "network"
    if isinstance(error, EpochTooLongError):
        return "time"
    return "environment" if isinstance(error, TrainingError) else "exception"


def is_echo(error: BaseException) -> bool:
    """Whether the error only follows from that of another rank, to which a connection was lost or never made."""
    if kind_of(error) not in ("exception", "network"):
        return False
    return any(_follows(each) for each in _chain(error))


def _follows(error: BaseException) -> bool:
    if isinstance(error, TrainingError):  # the message of a trainer command is its own
        return False
    return type(error).__name__ in _ECHO_TYPES or _names(error, _ECHOES)


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
    return isinstance(error, RuntimeError) and _names(error, _NO_GPU_MEMORY)


def _is_of_device(error: BaseException) -> bool:
    """Whether the GPU of the node is at fault. The last message of a trainer command counts too."""
    if isinstance(error, GpuError):
        return True
    return isinstance(error, RuntimeError | TrainingError) and _names(error, _DEVICE)


def _names(error: BaseException, texts: Sequence[str]) -> bool:
    """Whether the message has one of the texts, in upper or lower case."""
    message = str(error).lower()
    return any(text.lower() in message for text in texts)
