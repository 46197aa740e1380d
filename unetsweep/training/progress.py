"""The log of epochs, `progress-<claim>.jsonl`: one line an epoch; readers skip an incomplete line."""

import dataclasses
import json
import math
from datetime import UTC, datetime

from unetsweep.contract import Progress, TrialConfig
from unetsweep.texts import score_text
from unetsweep.training.checkpoints import ArtifactWriter
from unetsweep.training.evaluate import Scores
from unetsweep.training.module import learning_rate


class ProgressLog:
    """The progress log of this claim, written on rank 0."""

    def __init__(self, config: TrialConfig, artifacts: ArtifactWriter) -> None:
        self._config, self._artifacts = config, artifacts
        self._name = f"progress-{artifacts.claim}.jsonl"

    def begin(self, epoch: int) -> None:
        """Remove lines of this claim after the checkpoint's epoch: a training run by hand reuses its claim."""
        path = self._artifacts.out / self._name
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _epoch_of(line) <= epoch]
            self._artifacts.publish(self._name, lambda stream: stream.writelines(f"{line}\n".encode() for line in kept))

    def write(self, epoch: int, last: int, loss: float, scores: Scores | None, seconds: float) -> None:
        """Append an epoch to the file, and print it for the reader of the job's log."""
        metrics = scores.metrics() if scores else {}
        line = Progress(
            epoch=epoch,
            train_loss=loss,
            val_iou=metrics.get("val_iou"),
            val_loss=metrics.get("val_loss"),
            learning_rate=learning_rate(self._config, epoch),
            seconds=round(seconds, 3),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            val_dice=metrics.get("val_dice"),
            val_precision=metrics.get("val_precision"),
            val_sensitivity=metrics.get("val_sensitivity"),
            val_iou_mean=metrics.get("val_iou_mean"),
        )
        self._artifacts.append(self._name, json.dumps(dataclasses.asdict(line), allow_nan=False))
        named = dict.fromkeys(["val_iou", "val_loss", self._config.metric])
        validation = "".join(f", {name} {score_text(metrics[name])}" for name in named) if scores else ""
        text = f"epoch {epoch} of {last}: train_loss {score_text(loss)}{validation}, {line.seconds:.1f} s"
        print(text, flush=True)  # noqa: T201  # `unetsweep logs --follow` shows the job's log


def _epoch_of(line: str) -> float:
    """The epoch of a progress line; infinity if a kill cut the line short."""
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return math.inf
