"""What happens at the end of an epoch, in an order that survives a kill at any point.

Rule 1: validate, report, then save; a milestone's checkpoint and `last.ckpt` are written before its result.
Rule 2: rank 0 decides (see training.decisions), and every rank receives its decision.
Rule 3: candidates for the best epoch are the multiples of `val_every` and the milestone itself; validating
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
from unetsweep.training.checkpoints import ArtifactWriter, BestEpoch, MilestoneCheckpoint, TrainingState
from unetsweep.training.decisions import Decision, EpochTimer, RankZeroPolicy, StopCheck, never_stop
from unetsweep.training.evaluate import Scores, evaluate
from unetsweep.training.lightning_compat import epochs_done, set_last_epoch
from unetsweep.training.milestones import Scorer
from unetsweep.training.module import Segmentation, learning_rate
from unetsweep.training.progress import ProgressLog
from unetsweep.trial_config import MINIMIZED_METRICS


class StepSeed(pl.Callback):
    """Seeds torch before each step from (seed, step, rank), so that a resumed run draws the same numbers."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return  # the parts of a step share one seed
        key = np.random.SeedSequence([self.seed, trainer.global_step, trainer.global_rank])
        seed = int(key.generate_state(1)[0])
        # torch.manual_seed would format a stack trace for every device type that this machine lacks: 1 ms a step.
        torch.default_generator.manual_seed(seed)
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.manual_seed(seed)


class EpochEnds(pl.Callback):
    """Validates, logs progress, keeps the best weights, saves, publishes and prunes milestones, and stops early."""

    def __init__(
        self,
        config: TrialConfig,
        scorer: Scorer,
        artifacts: ArtifactWriter,
        training_state: TrainingState,
        wanted: Collection[int],
        started: float,
        stop_check: StopCheck = never_stop,
    ) -> None:
        self.config, self.scorer, self.artifacts, self.wanted = config, scorer, artifacts, sorted(wanted)
        self.training_state = training_state
        self.requeue_reason: str | None = None
        """Why the training stopped before its last milestone, to continue in a later start."""
        self._started = started - training_state.seconds
        self._epoch_began = time.monotonic()
        self._timer = EpochTimer(config.trainer.val_every)
        self._policy = RankZeroPolicy(artifacts, self._timer, stop_check)
        self._log = ProgressLog(config, artifacts)
        self._unsaved: dict[str, Tensor] | None = None
        """On rank 0: weights of the best epoch that are not on disk yet."""

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Publish milestones that a killed attempt left with a checkpoint but no result, and apply prunes."""
        if trainer.is_global_zero:
            self._log.begin(self.training_state.epoch)
            self.artifacts.delete_stale(self.training_state.best)
        published = self._check_state(trainer).published
        for epochs, reached in sorted(self.training_state.reached.items()):
            if epochs in self.wanted and epochs not in published:
                self.scorer.publish(reached, trainer.strategy.root_device)
        epoch = self.training_state.epoch
        self._drop_milestones(trainer, published, epoch)
        self._prune(trainer, self._on_all_ranks(trainer, lambda: self._policy.check_prunes(self._after(epoch))), epoch)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._epoch_began = time.monotonic()
        self._timer.start()

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:  # not in on_train_epoch_start, which Lightning skips after some resumes
            rate = learning_rate(self.config, epochs_done(trainer) + 1)
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = rate

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module = cast(Segmentation, module)
        epoch, every = epochs_done(trainer), self.config.trainer.val_every
        loss = module.epoch_loss()
        state = self._check_state(trainer)
        validates = epoch % every == 0 or epoch in self.wanted
        scores = self._validate(module, trainer) if validates and math.isfinite(loss) else None
        for what, value in (("training", loss), ("validation", scores.loss if scores else 0.0)):
            if not math.isfinite(value):
                self._diverged(trainer, epoch, f"the {what} loss was {value} in epoch {epoch}; try a smaller rate")
                return
        best = None if scores is None else BestEpoch(epoch, scores.iou, scores.loss, self._rank(scores))
        if best is not None and epoch % every == 0 and self._is_better(best):
            self.training_state = replace(self.training_state, best=best)
            self._unsaved = copy_of_weights(module) if trainer.is_global_zero else None
        self.training_state = replace(self.training_state, epoch=epoch, seconds=self._seconds())
        if trainer.is_global_zero:
            self._log.write(epoch, self.wanted[-1], loss, scores, time.monotonic() - self._epoch_began)
        reaches = best is not None and epoch in self.wanted and epoch not in state.published
        if reaches and best is not None:
            self._reach_milestone(trainer, module, best)
        self._finish_epoch(trainer, epoch, saved=reaches)
        self._epoch_began = time.monotonic()

    def _finish_epoch(self, trainer: pl.Trainer, epoch: int, saved: bool) -> None:
        """Between two epochs: save, prune, or stop to continue in a later start, as rank 0 decides."""
        self._timer.record_epoch()
        remaining = self._after(epoch)
        if remaining:
            decision = self._on_all_ranks(trainer, lambda: self._policy.next_step(remaining))
        else:
            decision = Decision(save=True)
        if (decision.save or decision.requeue_reason) and not saved:
            self._save(trainer)
        self._prune(trainer, decision, epoch)
        if decision.requeue_reason:
            self.requeue_reason, trainer.should_stop = decision.requeue_reason, True
            if trainer.is_global_zero:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                self._policy.write_requeue(epoch, decision.requeue_reason, now)
                print(  # noqa: T201
                    f"stopping after epoch {epoch}, to continue in a later start: {decision.requeue_reason}", flush=True
                )
            self._stop_if_lost(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint[checkpoints.TRAINING_STATE] = checkpoints.encode_training_state(self.training_state)

    def _validate(self, module: Segmentation, trainer: pl.Trainer) -> Scores:
        images, precision = self.scorer.images.val, self.config.trainer.precision
        return evaluate(module.unet, images, module.device, precision, trainer.global_rank, trainer.world_size)

    def _is_better(self, best: BestEpoch) -> bool:
        return self.training_state.best is None or best.rank > self.training_state.best.rank

    def _rank(self, scores: Scores) -> float:
        value = scores.metrics()[self.config.metric]
        return -value if self.config.metric in MINIMIZED_METRICS else value

    def _reach_milestone(self, trainer: pl.Trainer, module: Segmentation, here: BestEpoch) -> None:
        """Write a milestone's checkpoint, then the `last.ckpt` that records it, then its result."""
        epoch = here.epoch
        # An epoch that is not a multiple of `val_every` may be the best of its own milestone only.
        best_here_only = epoch % self.config.trainer.val_every != 0 and self._is_better(here)
        best = here if best_here_only or self.training_state.best is None else self.training_state.best
        if trainer.is_global_zero and best_here_only:
            self.artifacts.save_weights(checkpoints.best_of(epoch), copy_of_weights(module), self.config, best)
        elif trainer.is_global_zero:
            self._link_best(epoch, best)
        reached = MilestoneCheckpoint(epoch, epoch, self._seconds(), best, since=self._previous_milestone_s(epoch))
        self.training_state = replace(self.training_state, reached={**self.training_state.reached, epoch: reached})
        self._save(trainer)
        self.scorer.publish(reached, trainer.strategy.root_device)
        self._stop_if_lost(trainer)

    def _diverged(self, trainer: pl.Trainer, epoch: int, message: str) -> None:
        """End every open milestone with the best epoch so far."""
        published = self._check_state(trainer).published
        open_ones = [e for e in self.wanted if e >= epoch and e not in published]
        self._end_milestones(trainer, open_ones, epoch, "diverged", message)
        trainer.should_stop = True

    def _prune(self, trainer: pl.Trainer, decision: Decision, epoch: int) -> None:
        """End the pruned milestones with the best epoch so far, and train only to the last one that remains."""
        self._end_milestones(trainer, decision.pruned, epoch, "pruned", decision.prune_reason)
        self._drop_milestones(trainer, decision.pruned, epoch)

    def _drop_milestones(self, trainer: pl.Trainer, ended: Collection[int], epoch: int) -> None:
        """Do not train for milestones beyond `epoch` that have ended already."""
        dropped = [epochs for epochs in self._after(epoch) if epochs in ended]
        if not dropped:
            return
        self.wanted = [epochs for epochs in self.wanted if epochs not in dropped]
        remaining = self._after(epoch)
        if remaining:
            set_last_epoch(trainer, remaining[-1])
        else:
            trainer.should_stop = True

    def _end_milestones(
        self, trainer: pl.Trainer, ended: Collection[int], epoch: int, state: ResultState, message: str
    ) -> None:
        """Publish milestones that were not reached, with the best epoch so far."""
        best = self.training_state.best
        for epochs in ended:
            if best is not None and trainer.is_global_zero:
                self._link_best(epochs, best)
            # The GPU time since the last milestone is counted once, for the first of them.
            since = self._previous_milestone_s(epoch) if epochs == min(ended) else self._seconds()
            reached = MilestoneCheckpoint(epochs, epoch, self._seconds(), best, state, message, since)
            self._stop_if_lost(trainer)
            self.scorer.publish(reached, trainer.strategy.root_device)
        if ended:
            self._stop_if_lost(trainer)

    def _previous_milestone_s(self, epoch: int) -> float:
        """Seconds of the training up to the milestone before this epoch."""
        return max(
            (each.seconds for epochs, each in self.training_state.reached.items() if epochs < epoch), default=0.0
        )

    def _save(self, trainer: pl.Trainer) -> None:
        """Save the best weights, then `last.ckpt`; afterwards delete the candidates that it no longer names."""
        began = time.monotonic()
        if trainer.is_global_zero:
            self._save_best()
        trainer.save_checkpoint(self.artifacts.out / checkpoints.LAST)
        self._timer.record_save(time.monotonic() - began)
        if trainer.is_global_zero and not self.artifacts.lost:
            self.artifacts.delete_stale(self.training_state.best)
        self._stop_if_lost(trainer)

    def _save_best(self) -> None:
        """Save the weights of the best epoch if only memory holds them."""
        if self._unsaved is not None and self.training_state.best is not None and not self.artifacts.lost:
            best = self.training_state.best
            self.artifacts.save_weights(checkpoints.candidate(best.epoch), self._unsaved, self.config, best)
            self._unsaved = None

    def _link_best(self, milestone: int, best: BestEpoch) -> None:
        self._save_best()
        if not self.artifacts.lost:
            self.artifacts.link(checkpoints.candidate(best.epoch), checkpoints.best_of(milestone))

    def _after(self, epoch: int) -> list[int]:
        """The wanted milestones after this epoch."""
        return [epochs for epochs in self.wanted if epochs > epoch]

    def _check_state(self, trainer: pl.Trainer) -> Decision:
        """Find out which milestones are published; every rank stops together once another claim owns the run."""

        def is_published(epochs: int) -> bool:
            return milestones.is_published(self.artifacts.out, epochs)

        return self._on_all_ranks(trainer, lambda: self._policy.check_state(self.wanted, is_published))

    def _on_all_ranks(self, trainer: pl.Trainer, decide: Callable[[], Decision]) -> Decision:
        """Decide on rank 0 and return the decision on every rank. Raises SupersededError once the run is lost."""
        decision: Decision = trainer.strategy.broadcast(decide() if trainer.is_global_zero else Decision())
        if decision.lost:
            raise SupersededError(f"another attempt owns {self.artifacts.out} now, claim {self.artifacts.claim} stops")
        return decision

    def _stop_if_lost(self, trainer: pl.Trainer) -> None:
        self._on_all_ranks(trainer, lambda: Decision(lost=self.artifacts.lost))

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def copy_of_weights(module: Segmentation) -> dict[str, Tensor]:
    """A copy of the U-Net's weights and buffers in main memory."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.unet.state_dict().items()}
