"""What happens at the end of an epoch, in an order that survives a kill at any point.

Rule 1: evaluate, tell, then save; a milestone's checkpoint and `last.ckpt` come before its result.
Rule 2: rank 0 decides (training.decisions says what) and every rank gets its word.
Rule 3: candidates for the best are the multiples of `val_every` and the milestone itself; being validated
        for one milestone changes nothing for the others.
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
from unetsweep.training import checkpoints, milestones
from unetsweep.training.checkpoints import ArtifactWriter, Best, MilestoneCheckpoint, TrainingState
from unetsweep.training.decisions import Decision, Ending, EpochTimer, RankZeroPolicy, endless
from unetsweep.training.evaluate import Scores, evaluate
from unetsweep.training.milestones import Scorer
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
    """Validates, tells progress, keeps the best, saves, publishes milestones, prunes them, stops for now."""

    def __init__(
        self,
        config: TrialConfig,
        scorer: Scorer,
        artifacts: ArtifactWriter,
        training_state: TrainingState,
        wanted: Collection[int],
        started: float,
        ending: Ending = endless,
    ) -> None:
        self.config, self.scorer, self.artifacts, self.wanted = config, scorer, artifacts, sorted(wanted)
        self.training_state = training_state
        self.requeue_reason: str | None = None
        """Why the training stopped before its last milestone and is to go on in a later start."""
        self._started = started - training_state.seconds
        self._epoch_began = time.monotonic()
        self._timer = EpochTimer(config.trainer.val_every)
        self._policy = RankZeroPolicy(artifacts, self._timer, ending)
        self._log = ProgressLog(config, artifacts)
        self._unsaved: dict[str, Tensor] | None = None
        """Rank 0: weights of the best epoch, where they are not on the disk yet."""

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Finish what a killed attempt left between a milestone's checkpoint and its result, and obey a stop."""
        if trainer.is_global_zero:
            self._log.begin(self.training_state.epoch)
            self.artifacts.tidy(self.training_state.best)
        published = self._state(trainer).published
        for epochs, reached in sorted(self.training_state.reached.items()):
            if epochs in self.wanted and epochs not in published:
                self.scorer.publish(reached, trainer.strategy.root_device)
        epoch = self.training_state.epoch
        self._leave_out(trainer, published, epoch)
        self._prune(trainer, self._word(trainer, lambda: self._policy.prunes(self._ahead(epoch))), epoch)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._epoch_began = time.monotonic()
        self._timer.begin()

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
            self.training_state = replace(self.training_state, best=best)
            self._unsaved = state_of(module) if trainer.is_global_zero else None
        self.training_state = replace(self.training_state, epoch=epoch, seconds=self._seconds())
        if trainer.is_global_zero:
            self._log.tell(epoch, self.wanted[-1], loss, scores, time.monotonic() - self._epoch_began)
        reaches = best is not None and epoch in self.wanted and epoch not in state.published
        if reaches and best is not None:
            self._reach(trainer, module, best)
        self._go_on(trainer, epoch, saved=reaches)
        self._epoch_began = time.monotonic()

    def _go_on(self, trainer: pl.Trainer, epoch: int, saved: bool) -> None:
        """Between two epochs: save, prune, or stop for now, as rank 0 says."""
        self._timer.turn()
        ahead = self._ahead(epoch)
        word = self._word(trainer, lambda: self._policy.next(ahead)) if ahead else Decision(save=True)
        if (word.save or word.requeue_reason) and not saved:
            self._save(trainer)
        self._prune(trainer, word, epoch)
        if word.requeue_reason:
            self.requeue_reason, trainer.should_stop = word.requeue_reason, True
            if trainer.is_global_zero:
                self._policy.leave_again(epoch, word.requeue_reason, datetime.now(UTC).isoformat(timespec="seconds"))
                print(f"stopping after epoch {epoch}, to go on later: {word.requeue_reason}", flush=True)  # noqa: T201
            self._stop_if_lost(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint[checkpoints.TRAINING_STATE] = checkpoints.encode_training_state(self.training_state)

    def _validate(self, module: Segmentation, trainer: pl.Trainer) -> Scores:
        images, precision = self.scorer.images.val, self.config.trainer.precision
        return evaluate(module.unet, images, module.device, precision, trainer.global_rank, trainer.world_size)

    def _is_better(self, best: Best) -> bool:
        return self.training_state.best is None or best.val_iou > self.training_state.best.val_iou

    def _reach(self, trainer: pl.Trainer, module: Segmentation, here: Best) -> None:
        """A milestone: checkpoint, `last.ckpt` that knows it, result."""
        epoch = here.epoch
        own = epoch % self.config.trainer.val_every != 0 and self._is_better(here)
        best = here if own or self.training_state.best is None else self.training_state.best
        if trainer.is_global_zero and own:
            self.artifacts.weights(checkpoints.best_of(epoch), state_of(module), self.config, best)
        elif trainer.is_global_zero:
            self._link_best(epoch, best)
        reached = MilestoneCheckpoint(epoch, epoch, self._seconds(), best, since=self._since(epoch))
        self.training_state = replace(self.training_state, reached={**self.training_state.reached, epoch: reached})
        self._save(trainer)
        self.scorer.publish(reached, trainer.strategy.root_device)
        self._stop_if_lost(trainer)

    def _diverged(self, trainer: pl.Trainer, epoch: int, message: str) -> None:
        """End every open milestone with the best so far."""
        published = self._state(trainer).published
        self._end(trainer, [e for e in self.wanted if e >= epoch and e not in published], epoch, "diverged", message)
        trainer.should_stop = True

    def _prune(self, trainer: pl.Trainer, word: Decision, epoch: int) -> None:
        """End the pruned milestones with the best so far, and train no further than to the last that is left."""
        self._end(trainer, word.pruned, epoch, "pruned", word.why)
        self._leave_out(trainer, word.pruned, epoch)

    def _leave_out(self, trainer: pl.Trainer, ended: Collection[int], epoch: int) -> None:
        """Milestones beyond `epoch` that have ended before it: nobody trains for them."""
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
        """Publish milestones that were not reached, with the best so far."""
        best = self.training_state.best
        for epochs in ended:
            if best is not None and trainer.is_global_zero:
                self._link_best(epochs, best)
            since = self._since(epoch) if epochs == min(ended) else self._seconds()  # the first one pays
            reached = MilestoneCheckpoint(epochs, epoch, self._seconds(), best, state, message, since)
            self._stop_if_lost(trainer)
            self.scorer.publish(reached, trainer.strategy.root_device)
        if ended:
            self._stop_if_lost(trainer)

    def _since(self, epoch: int) -> float:
        """Seconds of the training up to the milestone before this epoch."""
        return max(
            (each.seconds for epochs, each in self.training_state.reached.items() if epochs < epoch), default=0.0
        )

    def _save(self, trainer: pl.Trainer) -> None:
        """`last.ckpt`, with the best epoch's weights on the disk before it and older ones gone after it."""
        began = time.monotonic()
        if trainer.is_global_zero:
            self._flush()
        trainer.save_checkpoint(self.artifacts.out / checkpoints.LAST)
        self._timer.saved(time.monotonic() - began)
        if trainer.is_global_zero and not self.artifacts.lost:
            self.artifacts.tidy(self.training_state.best)
        self._stop_if_lost(trainer)

    def _flush(self) -> None:
        if self._unsaved is not None and self.training_state.best is not None and not self.artifacts.lost:
            best = self.training_state.best
            self.artifacts.weights(checkpoints.candidate(best.epoch), self._unsaved, self.config, best)
            self._unsaved = None

    def _link_best(self, milestone: int, best: Best) -> None:
        self._flush()
        if not self.artifacts.lost:
            self.artifacts.link(checkpoints.candidate(best.epoch), checkpoints.best_of(milestone))

    def _ahead(self, epoch: int) -> list[int]:
        return [epochs for epochs in self.wanted if epochs > epoch]

    def _state(self, trainer: pl.Trainer) -> Decision:
        """Which milestones are published; every rank stops together once another claim owns the run."""
        return self._word(
            trainer, lambda: self._policy.state(self.wanted, lambda e: milestones.is_published(self.artifacts.out, e))
        )

    def _word(self, trainer: pl.Trainer, decide: Callable[[], Decision]) -> Decision:
        """What rank 0 decides, on every rank."""
        word: Decision = trainer.strategy.broadcast(decide() if trainer.is_global_zero else Decision())
        if word.lost:
            raise SupersededError(f"another attempt owns {self.artifacts.out} now, claim {self.artifacts.claim} stops")
        return word

    def _stop_if_lost(self, trainer: pl.Trainer) -> None:
        self._word(trainer, lambda: Decision(lost=self.artifacts.lost))

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def epochs_done(trainer: pl.Trainer) -> int:
    """Finished epochs; `trainer.current_epoch` is one behind while a resume is set up."""
    return int(trainer.fit_loop.epoch_progress.state_dict()["current"]["processed"])


def state_of(module: Segmentation) -> dict[str, Tensor]:
    """A copy of the U-Net's weights and buffers in main memory."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.unet.state_dict().items()}
