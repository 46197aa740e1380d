"""Everything that relies on internals of Lightning or torch, one function each, with its reason.

Rule 1: no other module of this package replaces or reads a private attribute of either library.
Rule 2: tests/training/test_lightning_compat.py fails when an internal that a function here relies on disappears
        or changes.
"""

import pytorch_lightning as pl
import torch


def keep_signal_handlers(trainer: pl.Trainer) -> None:
    """Keep Lightning from handling SIGTERM in this trainer.

    Its handler runs a collective operation inside the signal handler, and the training then ends with status 0: a
    killed training would look like a finished one. Without the handler SIGTERM ends the process at once.
    """
    setattr(trainer._signal_connector, "register_signal_handlers", lambda: None)  # noqa: B010  # mypy knows it as a method


def skip_sigterm_broadcast(trainer: pl.Trainer) -> None:
    """Keep Lightning (2.6 and later) from broadcasting before each batch whether rank 0 received SIGTERM.

    Nothing sets that flag once `keep_signal_handlers` was called, and each rank would wait for rank 0 once a batch.
    """
    setattr(trainer.fit_loop.epoch_loop, "_broadcast_sigterm_tensor", lambda: None)  # noqa: B010  # mypy knows it as a method


def skip_memory_fill() -> None:
    """Keep torch's deterministic mode from filling newly allocated memory, which takes 8 % of a training step.

    No operator of ours reads memory that it did not write, so no result changes.
    """
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010  # mypy does not see the property


def epochs_done(trainer: pl.Trainer) -> int:
    """The number of finished epochs; `trainer.current_epoch` is one behind while a resume is set up."""
    return int(trainer.fit_loop.epoch_progress.state_dict()["current"]["processed"])


def set_last_epoch(trainer: pl.Trainer, epochs: int) -> None:
    """Train up to this epoch, while the fit is running."""
    trainer.fit_loop.max_epochs = epochs
