"""A callback of PyTorch Lightning with which a training of the user takes part in a sweep.

    run = client.start()
    trainer = Trainer(max_epochs=run.params.get("epochs", 10), callbacks=[SweepCallback(run)])
    trainer.fit(model, data, ckpt_path=run.resume_from)

It may be copied beside the client. It works with `lightning` and with `pytorch_lightning`.

Rule 1: after each epoch, in this order: report, save, publish a milestone, stop. Every rank does the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

LIBRARIES = ("lightning.pytorch", "pytorch_lightning")


def _library() -> str:
    """The library that the program has imported, or else one that is installed."""
    imported = [name for name in LIBRARIES if name in sys.modules]
    return (imported or [name for name in LIBRARIES if importlib.util.find_spec(name.partition(".")[0])])[0]


_Callback: Any = importlib.import_module(_library()).Callback


class SweepCallback(_Callback):  # type: ignore[misc]  # one of two libraries
    """Reports what the module logs, saves checkpoints, publishes milestones, and stops the training when it should."""

    def __init__(self, run: Any, save_every: int = 1) -> None:
        """`run`: what `client.start()` returned. `save_every`: epochs between two checkpoints; at a milestone and
        before a stop there is one anyway."""
        super().__init__()
        self.run, self.save_every = run, save_every
        self._scores: dict[str, Any] = {}
        """Values of the last epoch that was validated."""
        self._is_validated = False

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Take the rank from Lightning, which may have started this process."""
        self.run.rank = trainer.global_rank

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Note that the logged values are those of this epoch."""
        self._is_validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report, save, publish, and stop."""
        epoch, run = trainer.current_epoch + 1, self.run
        is_current = self._is_validated or not any(trainer.num_val_batches)
        if is_current:
            self._scores = {name: value.item() for name, value in trainer.callback_metrics.items()}
        self._is_validated = False
        run.report(epoch, **(self._scores if is_current else {}))
        is_saved = epoch % self.save_every == 0 or epoch in run.milestones
        if is_saved:
            self._save(trainer)
        run.milestone(epoch, **self._scores)
        if run.should_stop():
            trainer.should_stop = True
            if not is_saved:
                self._save(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Publish the result."""
        self.run.finish(**self._scores)

    def _save(self, trainer: Any) -> None:
        with self.run.checkpoint() as path:
            trainer.save_checkpoint(path)
