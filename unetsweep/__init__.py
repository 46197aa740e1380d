"""unetsweep: hyperparameter sweeps of a vessel-segmentation U-Net on SLURM."""

import importlib
from typing import Any

__version__ = "0.1.0"

_API = {"Sweep": "api", "Trial": "api", "UnetsweepError": "errors", "open": "api"}
"""What users import from here, with its module. `__init__.pyi` has the types."""


def __getattr__(name: str) -> Any:
    """Import a name of `_API` when it is used first, so that `import unetsweep` stays cheap."""
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_API[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
