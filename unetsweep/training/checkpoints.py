"""The files that a training writes: always complete, and only by the claim that owns the run.

Rule 1: a file is written under a temporary name that contains the claim, flushed to disk, and renamed: a reader
        sees the old file or the new one. Lightning's own saving is not atomic if TMPDIR is on another disk.
Rule 2: ownership is checked right before every rename; a training that lost the run leaves nothing behind and stops.
Rule 3: `last.ckpt` names the best candidate, so a candidate is deleted only after a `last.ckpt` that does not
        name it was saved.
"""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from unetsweep.atomic import SHARED, open_to_append, replace_by_link, write_stream
from unetsweep.contract import SCHEMA, ResultState, TrialConfig, config_from, encode
from unetsweep.errors import StateError, TrainingError
from unetsweep.training.unet import UNet

FOLDER = "checkpoints"
LAST = f"{FOLDER}/last.ckpt"
TRAINING_STATE = "unetsweep"
"""Our key in last.ckpt, next to Lightning's own."""


@dataclass(frozen=True, slots=True)
class BestEpoch:
    """The epoch with the best metric so far, the first of equal ones."""

    epoch: int
    val_iou: float
    val_loss: float
    rank: float = 0.0
    """The metric of the config, multiplied by -1 if less of it is better: the highest is the best."""


@dataclass(frozen=True, slots=True)
class MilestoneCheckpoint:
    """A milestone that was reached or ended: what its result needs besides the checkpoint."""

    epochs: int
    epochs_run: int
    seconds: float
    best: BestEpoch | None
    """None: the training ended before the first validation."""
    state: ResultState = "complete"
    message: str | None = None
    since: float = 0.0
    """`seconds` of the previous milestone."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a resumed run needs besides weights and optimizer state."""

    key: str
    """Identifies the training: configs with one key share it."""
    images: str
    """Digest of the images that were trained on."""
    epoch: int = 0
    seconds: float = 0.0
    best: BestEpoch | None = None
    reached: Mapping[int, MilestoneCheckpoint] = field(default_factory=dict)


class ArtifactWriter:
    """Writes files into the output folder, on rank 0, as long as this claim owns the run."""

    def __init__(self, out: Path, claim: str, owns: Callable[[], bool]) -> None:
        self.out, self.claim, self._owns = out, claim, owns
        self.lost = False
        """Another claim owns the run now, so nothing is written any more."""

    def still_owns(self) -> bool:
        """Check whether this claim owns the run; once lost, it stays lost."""
        self.lost = self.lost or not self._owns()
        return not self.lost

    def publish(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write the file `name` (relative to the output folder) atomically."""
        final = self.out / name
        final.parent.mkdir(parents=True, exist_ok=True)
        write_stream(final, write, mode=SHARED, temporary=self._temporary(final), is_allowed=self.still_owns)

    def append(self, name: str, line: str) -> None:
        """Append a line to a log."""
        if not self.lost:
            with open_to_append(self.out / name) as stream:
                stream.write(line + "\n")

    def save_weights(self, name: str, state: Mapping[str, Tensor], config: TrialConfig, best: BestEpoch) -> None:
        """Write a checkpoint with weights, config and scores, as `load_unet` reads it."""
        head = {"schema": SCHEMA, "config": encode(config), **dataclasses.asdict(best)}
        self.publish(name, lambda stream: torch.save({**head, "weights": dict(state)}, stream))

    def link(self, source: str, name: str) -> None:
        """Make `name` a hard link to `source`, or a copy if the file system has no hard links."""
        if not self.still_owns():
            return
        try:
            replace_by_link(self.out / source, self.out / name, temporary=self._temporary(self.out / name))
        except FileNotFoundError as error:
            hint = "remove last.ckpt to train from the first epoch"
            raise StateError(f"{self.out / source}, the best checkpoint so far, is missing; {hint}") from error

    def delete_stale(self, best: BestEpoch | None) -> None:
        """Delete the candidates that are not the best, and the temporary files of killed writers."""
        keep = None if best is None else Path(candidate(best.epoch)).name
        for file in (self.out / FOLDER).glob("*") if self.still_owns() else ():
            stale = file.name.endswith(".tmp") or (file.name.startswith("candidate-") and file.name != keep)
            if stale:
                file.unlink(missing_ok=True)

    def _temporary(self, final: Path) -> Path:
        """The temporary name of a file, with the claim that writes it."""
        return final.with_name(f"{final.name}.{self.claim}.tmp")


class OwnedCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint I/O through an `ArtifactWriter`."""

    def __init__(self, artifacts: ArtifactWriter) -> None:
        super().__init__()
        self.artifacts = artifacts

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        if not self.artifacts.lost:
            self.artifacts.publish(
                os.path.relpath(path, self.artifacts.out), lambda stream: torch.save(checkpoint, stream)
            )

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Load tensors, numbers, strings and containers only, whatever the caller asks for: no pickled code is run."""
        checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return checkpoint


def candidate(epoch: int) -> str:
    """Name of the file with the weights of the best epoch so far."""
    return f"{FOLDER}/candidate-{epoch}.ckpt"


def best_of(milestone: int) -> str:
    """Name of the checkpoint that a milestone's result belongs to: the best weights up to the milestone."""
    return f"{FOLDER}/best-{milestone}.ckpt"


def encode_training_state(training_state: TrainingState) -> dict[str, Any]:
    """Encode it as plain numbers, strings, lists and dicts, since the checkpoint is read with `weights_only`."""
    return dataclasses.asdict(training_state)


def read_training_state(out: Path, remedy: str = "remove it to train from the first epoch") -> TrainingState | None:
    """The saved state of the run in `out`, None if nothing was saved yet.

    Raises TrainingError with the remedy if `last.ckpt` cannot be read.
    """
    path = out / LAST
    if not path.exists():
        return None
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[TRAINING_STATE]
        reached = {
            int(n): MilestoneCheckpoint(**{**r, "best": _best(r["best"])}) for n, r in raw.pop("reached").items()
        }
        return TrainingState(**{**raw, "best": _best(raw["best"]), "reached": reached})
    except Exception as error:  # a corrupt file can raise anything
        raise TrainingError(f"{path} is no checkpoint of a run ({_first_line(error)}); {remedy}") from error


def load_unet(path: Path, device: torch.device | str = "cpu") -> tuple[UNet, TrialConfig, BestEpoch]:
    """Load the U-Net of a candidate or best checkpoint, in evaluation mode; no pickled code is run.

    Raises StateError if the file is not such a checkpoint.
    """
    try:
        raw = torch.load(path, map_location=device, weights_only=True)
        _check_keys(raw)
        config = config_from(raw["config"], str(path))
        unet = empty_unet(config)
        unet.load_state_dict(raw["weights"], assign=True)
        best = BestEpoch(raw["epoch"], raw["val_iou"], raw["val_loss"], raw["rank"])
    except FileNotFoundError as error:
        raise StateError(f"{path} does not exist; `checkpoint` in a result names the file") from error
    except Exception as error:
        raise StateError(f"{path} is not a checkpoint of an unetsweep U-Net ({_first_line(error)})") from error
    return unet.to(device).eval(), config, best


def _check_keys(raw: object) -> None:
    """ValueError if this is another kind of checkpoint than that of a U-Net."""
    if not isinstance(raw, dict):
        raise ValueError("it has no weights")
    if TRAINING_STATE in raw:
        raise ValueError("a training resumes from it")
    if missing := [key for key in ("config", "weights", *BestEpoch.__annotations__) if key not in raw]:
        raise ValueError(f"it has no {', '.join(missing)}")


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes of a U-Net's weights and buffers, sorted by name.

    It depends on the bits alone, not on the device or the memory layout.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def empty_unet(config: TrialConfig) -> UNet:
    """A U-Net on the meta device: without memory, and built without drawing random numbers."""
    with torch.device("meta"):
        return UNet(config.model)


def _best(raw: Mapping[str, Any] | None) -> BestEpoch | None:
    return None if raw is None else BestEpoch(**raw)


def _first_line(error: Exception) -> str:
    if type(error) is ValueError:
        return str(error)
    with contextlib.suppress(IndexError):
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"[:160]
    return type(error).__name__
