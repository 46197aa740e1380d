"""What `trainer.precision` means, and what is recorded of it.

Rule 1: a training computes in the precision that it was asked for, or is refused (`contract.precision_problem`).
Rule 2: what else may change the precision is recorded with each result.
"""

import os
from collections.abc import Mapping
from typing import Any

import torch

LOW_PRECISION = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}
"""The number format of convolutions under each mixed precision."""
NO_TF32 = "NVIDIA_TF32_OVERRIDE"
"""With 0, NVIDIA's libraries use no TF32, whatever a program asks for (NVIDIA's blog, "Accelerating AI Training with
NVIDIA TF32 Tensor Cores")."""
VARIABLES = (
    NO_TF32,
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
)
"""Environment variables that change how float32 is computed: on a GPU by NVIDIA's libraries and PyTorch, on a CPU by
oneDNN."""


def of_lightning(precision: str) -> Any:
    """Lightning's name of a precision."""
    return precision if precision in LOW_PRECISION else "32-true"


def set_tf32(precision: str) -> None:
    """Allow TF32 in the convolutions of a GPU (PyTorch's default), or with `32-ieee` nowhere. A CPU has no TF32."""
    torch.backends.cudnn.allow_tf32 = precision != "32-ieee"
    if precision == "32-ieee":
        torch.backends.cuda.matmul.allow_tf32 = False


def record(device: torch.device, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """How float32 is computed on this device, as in `Result.precision`."""
    on_gpu = device.type == "cuda"
    allowed = on_gpu and environment.get(NO_TF32) != "0"
    return {
        "tf32_convolutions": allowed and torch.backends.cudnn.allow_tf32 if on_gpu else None,
        "tf32_matmuls": allowed and torch.backends.cuda.matmul.allow_tf32 if on_gpu else None,
        "variables": " ".join(f"{name}={environment[name]}" for name in VARIABLES if name in environment) or None,
    }
