"""Trains the U-Net and scores it: the only package that imports torch.

torchmetrics, which Lightning imports, imports scipy.signal to look up one name in it. That loads 600 modules and
takes a fifth of a job's start-up time, so scipy.signal is loaded here only when it is used.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


class _LazyModule(ModuleType):
    """Stands in for a module until one of its attributes is used."""

    hamming = None
    """The name that torchmetrics looks up."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # tools that inspect all of sys.modules use none of them
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


sys.modules.setdefault("scipy.signal", _LazyModule("scipy.signal"))
