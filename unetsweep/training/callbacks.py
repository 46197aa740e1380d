"""What happens at the end of an epoch, in an order that survives a kill at any point.

Rule 1: evaluate, tell, then save; a horizon's checkpoint and `last.ckpt` come before its result.
Rule 2: rank 0 decides (ownership, whether it is time to save) and every rank gets its answer.
Rule 3: candidates for the best are the multiples of `val_every` and the horizon itself; being validated
        for one horizon changes nothing for the others.
"""

import dataclasses
import json
import math
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from unetsweep.contract import Progress, TrialConfig
from unetsweep.errors import SupersededError
from unetsweep.training import checkpoints, horizons
from unetsweep.training.checkpoints import Best, Desk, Reached, Standing
from unetsweep.training.evaluate import Scores, evaluate
from unetsweep.training.horizons import Scorer
from unetsweep.training.module import Segmentation, learning_rate

SAVE_EVERY_S = 60.0
"""`last.ckpt` is saved at the first epoch's end after this long; its 372 MB at base 64 take up to a second."""


class StepSeed(pl.Callback):
    """Torch's generator from (seed, step, rank), so that a resumed run draws what the whole one drew."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        key = np.random.SeedSequence([self.seed, trainer.global_step, trainer.global_rank])
        seed = int(key.generate_state(1)[0])
        # torch.manual_seed would keep a formatted stack for every device type that is not there: 1 ms a step.
        torch.default_generator.manual_seed(seed)
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.manual_seed(seed)


class EpochEnds(pl.Callback):
    """Validates, tells progress, keeps the best, saves, and publishes horizons."""

    def __init__(
        self,
        config: TrialConfig,
        scorer: Scorer,
        desk: Desk,
        standing: Standing,
        wanted: Collection[int],
        started: float,
    ) -> None:
        self.config, self.scorer, self.desk, self.wanted = config, scorer, desk, sorted(wanted)
        self.standing = standing
        self._started = started - standing.seconds
        self._saved = time.monotonic()
        self._epoch_began = self._saved
        self._unsaved: dict[str, Tensor] | None = None
        """Rank 0: weights of the best epoch, where they are not on the disk yet."""

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Finish what a killed attempt left between a horizon's checkpoint and its result."""
        if trainer.is_global_zero:
            self._begin_progress()
            self.desk.tidy(self.standing.best)
        for epochs, reached in sorted(self.standing.reached.items()):
            if epochs in self.wanted and not self._published(trainer, epochs):
                self.scorer.publish(reached, trainer.strategy.root_device)
        self._stop_if_lost(trainer)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._epoch_began = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:  # Lightning leaves out on_train_epoch_start after some resumes
            rate = learning_rate(self.config, epochs_done(trainer) + 1)
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = rate

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module = cast(Segmentation, module)
        epoch, every = epochs_done(trainer), self.config.trainer.val_every
        loss = module.epoch_loss()
        self._stop_if_lost(trainer, ask=True)
        asked = epoch % every == 0 or epoch in self.wanted
        scores = self._validate(module, trainer) if asked and math.isfinite(loss) else None
        for what, value in (("training", loss), ("validation", scores.loss if scores else 0.0)):
            if not math.isfinite(value):
                self._diverged(trainer, epoch, f"the {what} loss was {value} in epoch {epoch}; try a smaller rate")
                return
        best = None if scores is None else Best(epoch, scores.iou, scores.loss)
        if best is not None and epoch % every == 0 and self._is_better(best):
            self.standing = replace(self.standing, best=best)
            self._unsaved = state_of(module) if trainer.is_global_zero else None
        self.standing = replace(self.standing, epoch=epoch, seconds=self._seconds())
        if trainer.is_global_zero:
            self._tell(epoch, loss, scores)
        if best is not None and epoch in self.wanted and not self._published(trainer, epoch):
            self._reach(trainer, module, best)
        elif self._is_time(trainer) or epoch == self.wanted[-1]:
            self._save(trainer)
        self._epoch_began = time.monotonic()

    def on_save_checkpoint(self, trainer: pl.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint[checkpoints.STANDING] = checkpoints.encode_standing(self.standing)

    def _validate(self, module: Segmentation, trainer: pl.Trainer) -> Scores:
        # Without SyncBatchNorm each rank has statistics of its own; DDP takes rank 0's at the next
        # step, so taking them now changes nothing in the training.
        horizons.share_state(module.unet, trainer.world_size, buffers_only=True)
        images, precision = self.scorer.images.val, self.config.trainer.precision
        return evaluate(module.unet, images, module.device, precision, trainer.global_rank, trainer.world_size)

    def _is_better(self, best: Best) -> bool:
        return self.standing.best is None or best.val_iou > self.standing.best.val_iou

    def _reach(self, trainer: pl.Trainer, module: Segmentation, here: Best) -> None:
        """A horizon: checkpoint, `last.ckpt` that knows it, result."""
        epoch = here.epoch
        own = epoch % self.config.trainer.val_every != 0 and self._is_better(here)
        best = here if own or self.standing.best is None else self.standing.best
        if trainer.is_global_zero and own:
            self.desk.weights(checkpoints.best_of(epoch), state_of(module), self.config, best)
        elif trainer.is_global_zero:
            self._link_best(epoch, best)
        reached = Reached(epoch, epoch, self._seconds(), best)
        self.standing = replace(self.standing, reached={**self.standing.reached, epoch: reached})
        self._save(trainer)
        self.scorer.publish(reached, trainer.strategy.root_device)
        self._stop_if_lost(trainer)

    def _diverged(self, trainer: pl.Trainer, epoch: int, message: str) -> None:
        """End every open horizon with the best so far."""
        best = self.standing.best
        for epochs in [e for e in self.wanted if e >= epoch and not self._published(trainer, e)]:
            if best is not None and trainer.is_global_zero:
                self._link_best(epochs, best)
            reached = Reached(epochs, epoch, self._seconds(), best, "diverged", message)
            self._stop_if_lost(trainer)
            self.scorer.publish(reached, trainer.strategy.root_device)
        self._stop_if_lost(trainer)
        trainer.should_stop = True

    def _save(self, trainer: pl.Trainer) -> None:
        """`last.ckpt`, with the best epoch's weights on the disk before it and older ones gone after it."""
        if trainer.is_global_zero:
            self._flush()
        trainer.save_checkpoint(self.desk.out / checkpoints.LAST)
        self._saved = time.monotonic()
        if trainer.is_global_zero and not self.desk.lost:
            self.desk.tidy(self.standing.best)
        self._stop_if_lost(trainer)

    def _flush(self) -> None:
        if self._unsaved is not None and self.standing.best is not None and not self.desk.lost:
            best = self.standing.best
            self.desk.weights(checkpoints.candidate(best.epoch), self._unsaved, self.config, best)
            self._unsaved = None

    def _link_best(self, horizon: int, best: Best) -> None:
        self._flush()
        if not self.desk.lost:
            self.desk.link(checkpoints.candidate(best.epoch), checkpoints.best_of(horizon))

    def _is_time(self, trainer: pl.Trainer) -> bool:
        return bool(trainer.strategy.broadcast(time.monotonic() - self._saved >= SAVE_EVERY_S))

    def _published(self, trainer: pl.Trainer, epochs: int) -> bool:
        return bool(trainer.strategy.broadcast(horizons.is_published(self.desk.out, epochs)))

    def _stop_if_lost(self, trainer: pl.Trainer, ask: bool = False) -> None:
        """Every rank stops together once another claim owns the run."""
        if ask and trainer.is_global_zero:
            self.desk.owned()
        if trainer.strategy.broadcast(self.desk.lost):
            raise SupersededError(f"another attempt owns {self.desk.out} now, claim {self.desk.claim} stops")

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _progress_name(self) -> str:
        return f"progress-{self.desk.claim}.jsonl"

    def _begin_progress(self) -> None:
        """Drop lines of this same claim from after the checkpoint, where it was run by hand twice."""
        path = self.desk.out / self._progress_name()
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _epoch_of(line) <= self.standing.epoch]
            self.desk.publish(path.name, lambda stream: stream.writelines(f"{line}\n".encode() for line in kept))

    def _tell(self, epoch: int, loss: float, scores: Scores | None) -> None:
        line = Progress(
            epoch=epoch,
            train_loss=loss,
            val_iou=scores.iou if scores else None,
            val_loss=scores.loss if scores else None,
            learning_rate=learning_rate(self.config, epoch),
            seconds=round(time.monotonic() - self._epoch_began, 3),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.desk.append(self._progress_name(), json.dumps(dataclasses.asdict(line), allow_nan=False))
        shown = f", val_iou {scores.iou:.4f}, val_loss {scores.loss:.4f}" if scores else ""
        words = f"epoch {epoch} of {self.wanted[-1]}: train_loss {loss:.4f}{shown}, {line.seconds:.1f} s"
        print(words, flush=True)  # noqa: T201  # the job's log, which `unetsweep logs --follow` shows


def epochs_done(trainer: pl.Trainer) -> int:
    """Finished epochs; `trainer.current_epoch` is one behind while a resume is set up."""
    return int(trainer.fit_loop.epoch_progress.state_dict()["current"]["processed"])


def state_of(module: Segmentation) -> dict[str, Tensor]:
    """A copy of the U-Net's weights and buffers in main memory."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.unet.state_dict().items()}


def _epoch_of(line: str) -> float:
    """The epoch of a progress line; infinity for one torn by a kill."""
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return math.inf
