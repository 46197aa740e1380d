"""Makes a milestone's result from its checkpoint with a second network, without touching the training.

Rule 1: everything here can be repeated from the files, with the same result.
"""

import os
import resource
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import distributed

from unetsweep import contract
from unetsweep.contract import Result, TrialConfig
from unetsweep.datasets.predicted_masks import PredictedMask
from unetsweep.datasets.scores import under_other_masks
from unetsweep.training import checkpoints, evaluate, kept_masks, machine, precision
from unetsweep.training.checkpoints import ArtifactWriter, MilestoneCheckpoint
from unetsweep.training.data import TrialImages
from unetsweep.training.unet import UNet


def path(epochs: int) -> str:
    """Path of a milestone's result, relative to the output folder."""
    return f"milestones/{epochs}.json"


def is_published(out: Path, epochs: int) -> bool:
    return (out / path(epochs)).exists()


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of a milestone's best checkpoint."""

    val: evaluate.Scores
    test: evaluate.Scores | None
    """None: the config leaves the test set unread, or there is none."""
    weights_sha256: str
    """Digest of the scored weights."""
    masks: tuple[PredictedMask, ...] = ()
    """The predicted masks that are kept, on rank 0."""

    def add_to(self, result: Result, levels: Sequence[float]) -> Result:
        """Return `result` with these scores; `levels` are the thresholds of the additional masks.

        `val_iou` and `val_loss` stay those of the training, which chose the checkpoint.
        """
        test = self.test
        return replace(
            result,
            weights_sha256=self.weights_sha256,
            val_per_image=self.val.per_image(),
            val_scores=self.val.summary(),
            test_iou=test.iou if test else None,
            test_loss=evaluate.finite(test.loss) if test else None,
            test_per_image=test.per_image() if test else (),
            test_scores=test.summary() if test else {},
            also_scored=under_other_masks(levels, self.val.also_counts, test.also_counts if test else ()),
        )


class Scorer:
    """Scores milestones on validation and test, and publishes their results. Every rank calls it, rank 0 writes."""

    def __init__(
        self,
        config: TrialConfig,
        images: TrialImages,
        artifacts: ArtifactWriter,
        rank: int,
        size: int,
        *,
        job_id: str | None,
        code: Mapping[str, str],
        micro_batch: int | None = None,
        gpu_share: float = 1.0,
    ) -> None:
        self.config, self.images, self.artifacts, self.gpu_share = config, images, artifacts, gpu_share
        self.rank, self.size, self.job_id, self.code = rank, size, job_id, code
        mine = config.batch_size // size
        self.micro_batch = min(micro_batch or mine, mine)

    def publish(self, reached: MilestoneCheckpoint, device: torch.device) -> None:
        """Write `milestones/<epochs>.json` of a milestone with its best checkpoint on disk; before it the masks."""
        scored = None if reached.best is None else self._score(checkpoints.best_of(reached.epochs), device)
        memory = self._peak_memory_mb(device)
        if self.rank == 0 and scored is not None and not self.artifacts.lost:
            kept_masks.write_masks(self.artifacts, reached.epochs, scored.weights_sha256, scored.masks)
        if self.rank == 0 and not self.artifacts.lost:
            text = contract.dumps(contract.encode(self._result(reached, scored, device, memory)))
            self.artifacts.publish(path(reached.epochs), lambda stream: stream.write(text.encode()))

    def _score(self, name: str, device: torch.device) -> Scored:
        """Score the checkpoint `name` on validation and test."""
        unet = self._load(name, device)
        how = (device, self.config.trainer.precision, self.rank, self.size)
        val = evaluate.evaluate(unet, self.images.val, *how)
        test = evaluate.evaluate(unet, self.images.test, *how) if self.images.test.names else None
        if self.rank:
            return Scored(val, test, "")
        masks = kept_masks.predict_some(unet, self.images.val, device, self.config.trainer.precision)
        return Scored(val, test, checkpoints.weights_digest(unet.state_dict()), masks)

    def _result(
        self, reached: MilestoneCheckpoint, scored: Scored | None, device: torch.device, memory: float
    ) -> Result:
        best, gpus = reached.best, self.size * self.gpu_share if device.type == "cuda" else 0
        result = Result(
            state=reached.state,
            job_id=self.job_id,
            config_id=contract.config_id(replace(self.config, epochs=reached.epochs)),
            epochs=reached.epochs,
            epochs_run=reached.epochs_run,
            best_epoch=best.epoch if best else None,
            val_iou=best.val_iou if best else None,
            val_loss=best.val_loss if best else None,
            checkpoint=checkpoints.best_of(reached.epochs) if best else None,
            seconds=round(reached.seconds, 3),
            gpu_seconds=round((reached.seconds - reached.since) * gpus, 3),
            peak_memory_mb=round(memory, 1),
            host=socket.gethostname(),
            versions=machine.versions(device),
            hardware=machine.hardware(device),
            precision=precision.record(device),
            threads=torch.get_num_threads(),
            data_manifest=self.images.manifest,
            code=self.code,
            micro_batch=self.micro_batch,
            message=reached.message,
        )
        return result if scored is None else scored.add_to(result, self.config.data.also_score_at)

    def _load(self, name: str, device: torch.device) -> UNet:
        """Load a checkpoint's network on every rank. Only rank 0 reads the file: other nodes may not see it yet."""
        if self.rank == 0:
            unet, _, _ = checkpoints.load_unet(self.artifacts.out / name, device)
        else:
            unet = checkpoints.empty_unet(self.config).to_empty(device=device)
        share_state(unet, self.size)
        return unet

    def _peak_memory_mb(self, device: torch.device) -> float:
        """Peak memory of the rank that used most: GPU memory, or the resident set size without a GPU."""
        if device.type == "cuda":
            used = torch.cuda.max_memory_allocated(device) / 2**20
        else:
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
                2**20 if os.uname().sysname == "Darwin" else 2**10
            )
        most = torch.tensor(used, dtype=torch.float64, device=device)
        if self.size > 1:
            distributed.all_reduce(most, op=distributed.ReduceOp.MAX)
        return float(most)


def share_state(unet: UNet, size: int) -> None:
    """Copy rank 0's weights and buffers to every rank."""
    if size > 1:
        for tensor in unet.state_dict().values():
            distributed.broadcast(tensor, 0)
