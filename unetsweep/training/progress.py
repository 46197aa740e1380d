"""The log of epochs, `progress-<claim>.jsonl`: one line each, a torn one counts as none."""

import dataclasses
import json
import math
from datetime import UTC, datetime

from unetsweep.contract import Progress, TrialConfig
from unetsweep.training.checkpoints import ArtifactWriter
from unetsweep.training.evaluate import Scores
from unetsweep.training.module import learning_rate


class ProgressLog:
    """Rank 0's log of this claim."""

    def __init__(self, config: TrialConfig, artifacts: ArtifactWriter) -> None:
        self._config, self._artifacts = config, artifacts
        self._name = f"progress-{artifacts.claim}.jsonl"

    def begin(self, epoch: int) -> None:
        """Drop lines of this same claim from after the checkpoint, where it was run by hand twice."""
        path = self._artifacts.out / self._name
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _epoch_of(line) <= epoch]
            self._artifacts.publish(self._name, lambda stream: stream.writelines(f"{line}\n".encode() for line in kept))

    def tell(self, epoch: int, last: int, loss: float, scores: Scores | None, seconds: float) -> None:
        """One more epoch of `last`, for programs and for the reader of the job's log."""
        line = Progress(
            epoch=epoch,
            train_loss=loss,
            val_iou=scores.iou if scores else None,
            val_loss=scores.loss if scores else None,
            learning_rate=learning_rate(self._config, epoch),
            seconds=round(seconds, 3),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._artifacts.append(self._name, json.dumps(dataclasses.asdict(line), allow_nan=False))
        shown = f", val_iou {scores.iou:.4f}, val_loss {scores.loss:.4f}" if scores else ""
        words = f"epoch {epoch} of {last}: train_loss {loss:.4f}{shown}, {line.seconds:.1f} s"
        print(words, flush=True)  # noqa: T201  # the job's log, which `unetsweep logs --follow` shows


def _epoch_of(line: str) -> float:
    """The epoch of a progress line; infinity for one torn by a kill."""
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return math.inf
