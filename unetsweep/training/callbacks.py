"""What happens at the end of an epoch, in an order that survives a kill at any point.

Rule 1: evaluate, tell, then save; a horizon's checkpoint and `last.ckpt` come before its result.
Rule 2: rank 0 decides (training.decisions says what) and every rank gets its word.
Rule 3: candidates for the best are the multiples of `val_every` and the horizon itself; being validated
        for one horizon changes nothing for the others.
"""

import math
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from unetsweep.contract import ResultState, TrialConfig
from unetsweep.errors import SupersededError
from unetsweep.training import checkpoints, horizons
from unetsweep.training.checkpoints import Best, Desk, Reached, Standing
from unetsweep.training.decisions import Chair, Decision, Ending, Pace, endless
from unetsweep.training.evaluate import Scores, evaluate
from unetsweep.training.horizons import Scorer
from unetsweep.training.module import Segmentation, learning_rate
from unetsweep.training.progress import ProgressLog


class StepSeed(pl.Callback):
    """Torch's generator from (seed, step, rank), so that a resumed run draws what the whole one drew."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return  # a step in parts is one step
        key = np.random.SeedSequence([self.seed, trainer.global_step, trainer.global_rank])
        seed = int(key.generate_state(1)[0])
        # torch.manual_seed would keep a formatted stack for every device type that is not there: 1 ms a step.
        torch.default_generator.manual_seed(seed)
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.manual_seed(seed)


class EpochEnds(pl.Callback):
    """Validates, tells progress, keeps the best, saves, publishes horizons, prunes them, stops for now."""

    def __init__(
        self,
        config: TrialConfig,
        scorer: Scorer,
        desk: Desk,
        standing: Standing,
        wanted: Collection[int],
        started: float,
        ending: Ending = endless,
    ) -> None:
        self.config, self.scorer, self.desk, self.wanted = config, scorer, desk, sorted(wanted)
        self.standing = standing
        self.again: str | None = None
        """Why the training stopped before its last horizon and is to go on in a later start."""
        self._started = started - standing.seconds
        self._epoch_began = time.monotonic()
        self._pace = Pace(config.trainer.val_every)
        self._chair = Chair(desk, self._pace, ending)
        self._log = ProgressLog(config, desk)
        self._unsaved: dict[str, Tensor] | None = None
        """Rank 0: weights of the best epoch, where they are not on the disk yet."""

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Finish what a killed attempt left between a horizon's checkpoint and its result, and obey a stop."""
        if trainer.is_global_zero:
            self._log.begin(self.standing.epoch)
            self.desk.tidy(self.standing.best)
        published = self._state(trainer).published
        for epochs, reached in sorted(self.standing.reached.items()):
            if epochs in self.wanted and epochs not in published:
                self.scorer.publish(reached, trainer.strategy.root_device)
        epoch = self.standing.epoch
        self._leave_out(trainer, published, epoch)
        self._prune(trainer, self._word(trainer, lambda: self._chair.prunes(self._ahead(epoch))), epoch)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._epoch_began = time.monotonic()
        self._pace.begin()

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:  # Lightning leaves out on_train_epoch_start after some resumes
            rate = learning_rate(self.config, epochs_done(trainer) + 1)
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = rate

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module = cast(Segmentation, module)
        epoch, every = epochs_done(trainer), self.config.trainer.val_every
        loss = module.epoch_loss()
        state = self._state(trainer)
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
            self._log.tell(epoch, self.wanted[-1], loss, scores, time.monotonic() - self._epoch_began)
        reaches = best is not None and epoch in self.wanted and epoch not in state.published
        if reaches and best is not None:
            self._reach(trainer, module, best)
        self._go_on(trainer, epoch, saved=reaches)
        self._epoch_began = time.monotonic()

    def _go_on(self, trainer: pl.Trainer, epoch: int, saved: bool) -> None:
        """Between two epochs: save, prune, or stop for now, as rank 0 says."""
        self._pace.turn()
        ahead = self._ahead(epoch)
        word = self._word(trainer, lambda: self._chair.next(ahead)) if ahead else Decision(save=True)
        if (word.save or word.again) and not saved:
            self._save(trainer)
        self._prune(trainer, word, epoch)
        if word.again:
            self.again, trainer.should_stop = word.again, True
            if trainer.is_global_zero:
                self._chair.leave_again(epoch, word.again, datetime.now(UTC).isoformat(timespec="seconds"))
                print(f"stopping after epoch {epoch}, to go on later: {word.again}", flush=True)  # noqa: T201
            self._stop_if_lost(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint[checkpoints.STANDING] = checkpoints.encode_standing(self.standing)

    def _validate(self, module: Segmentation, trainer: pl.Trainer) -> Scores:
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
        reached = Reached(epoch, epoch, self._seconds(), best, since=self._since(epoch))
        self.standing = replace(self.standing, reached={**self.standing.reached, epoch: reached})
        self._save(trainer)
        self.scorer.publish(reached, trainer.strategy.root_device)
        self._stop_if_lost(trainer)

    def _diverged(self, trainer: pl.Trainer, epoch: int, message: str) -> None:
        """End every open horizon with the best so far."""
        published = self._state(trainer).published
        self._end(trainer, [e for e in self.wanted if e >= epoch and e not in published], epoch, "diverged", message)
        trainer.should_stop = True

    def _prune(self, trainer: pl.Trainer, word: Decision, epoch: int) -> None:
        """End the pruned horizons with the best so far, and train no further than to the last that is left."""
        self._end(trainer, word.pruned, epoch, "pruned", word.why)
        self._leave_out(trainer, word.pruned, epoch)

    def _leave_out(self, trainer: pl.Trainer, ended: Collection[int], epoch: int) -> None:
        """Horizons beyond `epoch` that have ended before it: nobody trains for them."""
        gone = [epochs for epochs in self._ahead(epoch) if epochs in ended]
        if not gone:
            return
        self.wanted = [epochs for epochs in self.wanted if epochs not in gone]
        ahead = self._ahead(epoch)
        if ahead:
            trainer.fit_loop.max_epochs = ahead[-1]
        else:
            trainer.should_stop = True

    def _end(self, trainer: pl.Trainer, ended: Collection[int], epoch: int, state: ResultState, message: str) -> None:
        """Publish horizons that were not reached, with the best so far."""
        best = self.standing.best
        for epochs in ended:
            if best is not None and trainer.is_global_zero:
                self._link_best(epochs, best)
            since = self._since(epoch) if epochs == min(ended) else self._seconds()  # the first one pays
            reached = Reached(epochs, epoch, self._seconds(), best, state, message, since)
            self._stop_if_lost(trainer)
            self.scorer.publish(reached, trainer.strategy.root_device)
        if ended:
            self._stop_if_lost(trainer)

    def _since(self, epoch: int) -> float:
        """Seconds of the training up to the horizon before this epoch."""
        return max((each.seconds for epochs, each in self.standing.reached.items() if epochs < epoch), default=0.0)

    def _save(self, trainer: pl.Trainer) -> None:
        """`last.ckpt`, with the best epoch's weights on the disk before it and older ones gone after it."""
        began = time.monotonic()
        if trainer.is_global_zero:
            self._flush()
        trainer.save_checkpoint(self.desk.out / checkpoints.LAST)
        self._pace.saved(time.monotonic() - began)
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

    def _ahead(self, epoch: int) -> list[int]:
        return [epochs for epochs in self.wanted if epochs > epoch]

    def _state(self, trainer: pl.Trainer) -> Decision:
        """Which horizons are published; every rank stops together once another claim owns the run."""
        return self._word(
            trainer, lambda: self._chair.state(self.wanted, lambda e: horizons.is_published(self.desk.out, e))
        )

    def _word(self, trainer: pl.Trainer, decide: Callable[[], Decision]) -> Decision:
        """What rank 0 decides, on every rank."""
        word: Decision = trainer.strategy.broadcast(decide() if trainer.is_global_zero else Decision())
        if word.lost:
            raise SupersededError(f"another attempt owns {self.desk.out} now, claim {self.desk.claim} stops")
        return word

    def _stop_if_lost(self, trainer: pl.Trainer) -> None:
        self._word(trainer, lambda: Decision(lost=self.desk.lost))

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def epochs_done(trainer: pl.Trainer) -> int:
    """Finished epochs; `trainer.current_epoch` is one behind while a resume is set up."""
    return int(trainer.fit_loop.epoch_progress.state_dict()["current"]["processed"])


def state_of(module: Segmentation) -> dict[str, Tensor]:
    """A copy of the U-Net's weights and buffers in main memory."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.unet.state_dict().items()}
