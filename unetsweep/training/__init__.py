"""The torch room: the U-Net, its images, its training and its scores.

torchmetrics, which Lightning imports, imports scipy.signal to look for one name in it: 600 modules, a fifth of the time
that a job takes to begin. Here it is loaded when somebody uses it.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a module until something of it is asked for."""

    hamming = None
    """What torchmetrics looks for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # who looks through all modules uses none
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


sys.modules.setdefault("scipy.signal", _Later("scipy.signal"))
