"""Records the error of a training before anything after it can hang.

Lightning ends its strategy after an error: it moves the weights to the CPU, frees the GPU's memory and destroys the
process group. With operations of NCCL in flight each of these may wait for a rank that is gone.
"""

import os
import sys
import traceback
from collections.abc import Callable

import pytorch_lightning as pl

from unetsweep.errors import SupersededError

Record = Callable[[Exception], None]
"""Writes an error into the run's folder."""


class FirstError(pl.Callback):
    """Calls `record` with the error of a training. One of several ranks then ends at once, with status 1."""

    def __init__(self, record: Record, ranks: int) -> None:
        self._record, self._ranks = record, ranks

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if not isinstance(exception, Exception) or isinstance(exception, SupersededError):
            return  # that another job owns the run is no error, and all ranks leave together
        self._record(exception)
        if self._ranks > 1:  # whoever started the ranks ends the others
            traceback.print_exception(exception)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
