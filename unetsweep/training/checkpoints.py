"""What a training leaves on the disk: whole files, by their owner only.

Rule 1: a file is written under a name that carries the claim, flushed to the disk, and renamed: a reader
        sees the old one or the new one. Lightning's own saving is not atomic where TMPDIR is another disk.
Rule 2: the owner is asked right before every rename; who lost the run leaves nothing behind and stops.
Rule 3: `last.ckpt` says which candidate is the best, so a candidate is dropped only after `last.ckpt`
        was saved without it.
"""

import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from unetsweep.contract import SCHEMA, ResultState, TrialConfig, config_from, encode
from unetsweep.errors import StateError, TrainingError
from unetsweep.training.unet import UNet

FOLDER = "checkpoints"
LAST = f"{FOLDER}/last.ckpt"
TRAINING_STATE = "unetsweep"
"""Our key in last.ckpt, beside Lightning's."""


@dataclass(frozen=True, slots=True)
class Best:
    """The epoch with the highest validation IoU so far; the earlier one where two are equal."""

    epoch: int
    val_iou: float
    val_loss: float


@dataclass(frozen=True, slots=True)
class MilestoneCheckpoint:
    """A milestone whose result can be made from its checkpoint."""

    epochs: int
    epochs_run: int
    seconds: float
    best: Best | None
    """None: it diverged before the first validation."""
    state: ResultState = "complete"
    message: str | None = None
    since: float = 0.0
    """`seconds` of the milestone before it."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a resumed run must know besides weights and optimizer."""

    key: str
    """Which training this is: two configs with one key share it."""
    images: str
    """Digest of the images that were trained on."""
    epoch: int = 0
    seconds: float = 0.0
    best: Best | None = None
    reached: Mapping[int, MilestoneCheckpoint] = field(default_factory=dict)


class ArtifactWriter:
    """Rank 0's right to write into the output folder."""

    def __init__(self, out: Path, claim: str, owns: Callable[[], bool]) -> None:
        self.out, self.claim, self._owns = out, claim, owns
        self.lost = False
        """Another claim owns the run now: from here on nothing is written."""

    def owned(self) -> bool:
        self.lost = self.lost or not self._owns()
        return not self.lost

    def publish(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        """Leave the file `name` (relative to the output folder), whole or not at all."""
        final = self.out / name
        final.parent.mkdir(parents=True, exist_ok=True)
        tmp = self._tmp(final)
        try:
            with open(tmp, "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            if self.owned():
                os.replace(tmp, final)
        finally:
            tmp.unlink(missing_ok=True)

    def append(self, name: str, line: str) -> None:
        """One more line of a log."""
        if not self.lost:
            with open(self.out / name, "a", encoding="utf-8") as stream:
                stream.write(line + "\n")

    def weights(self, name: str, state: Mapping[str, Tensor], config: TrialConfig, best: Best) -> None:
        """A checkpoint for use: weights of the U-Net, config and scores; `load_unet` reads it."""
        head = {"schema": SCHEMA, "config": encode(config), **dataclasses.asdict(best)}
        self.publish(name, lambda stream: torch.save({**head, "weights": dict(state)}, stream))

    def link(self, source: str, name: str) -> None:
        """`name` is the same file as `source`, or a copy where the file system has no hard links."""
        tmp = self._tmp(self.out / name)
        if not self.owned():
            return
        tmp.unlink(missing_ok=True)
        try:
            os.link(self.out / source, tmp)
        except FileNotFoundError as error:
            raise StateError(f"{self.out / source} is missing, the best checkpoint so far; train anew") from error
        except OSError:
            shutil.copyfile(self.out / source, tmp)
        os.replace(tmp, self.out / name)
        tmp.unlink(missing_ok=True)  # rename leaves it where both names are the same file already

    def tidy(self, best: Best | None) -> None:
        """Drop the candidates that are not the best, and what killed writers left half-written."""
        keep = None if best is None else Path(candidate(best.epoch)).name
        for file in (self.out / FOLDER).glob("*") if self.owned() else ():
            stale = file.name.endswith(".tmp") or (file.name.startswith("candidate-") and file.name != keep)
            if stale:
                file.unlink(missing_ok=True)

    def _tmp(self, final: Path) -> Path:
        return final.with_name(f"{final.name}.{self.claim}.tmp")


class OwnersIO(TorchCheckpointIO):
    """Lightning's checkpoints, published by the desk."""

    def __init__(self, artifacts: ArtifactWriter) -> None:
        super().__init__()
        self.artifacts = artifacts

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        if not self.artifacts.lost:
            self.artifacts.publish(
                os.path.relpath(path, self.artifacts.out), lambda stream: torch.save(checkpoint, stream)
            )

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Tensors, numbers, texts and their containers only, whoever asks: no pickled code is run."""
        checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return checkpoint


def candidate(epoch: int) -> str:
    """Weights of the best epoch so far."""
    return f"{FOLDER}/candidate-{epoch}.ckpt"


def best_of(milestone: int) -> str:
    """Weights of the best epoch within a milestone: what its result speaks of."""
    return f"{FOLDER}/best-{milestone}.ckpt"


def encode_training_state(training_state: TrainingState) -> dict[str, Any]:
    """Plain numbers, strings, lists and dicts only: the checkpoint is read with `weights_only`."""
    return dataclasses.asdict(training_state)


def read_training_state(out: Path, remedy: str = "remove it to train anew") -> TrainingState | None:
    """How far the run in `out` is, None where it has not been saved yet. Raises TrainingError with the remedy."""
    path = out / LAST
    if not path.exists():
        return None
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[TRAINING_STATE]
        reached = {
            int(n): MilestoneCheckpoint(**{**r, "best": _best(r["best"])}) for n, r in raw.pop("reached").items()
        }
        return TrainingState(**{**raw, "best": _best(raw["best"]), "reached": reached})
    except Exception as error:  # a torn file raises whatever its bytes happen to mean
        raise TrainingError(f"{path} is no checkpoint of a run ({_brief(error)}); {remedy}") from error


def load_unet(path: Path, device: torch.device | str = "cpu") -> tuple[UNet, TrialConfig, Best]:
    """The U-Net of a candidate or best checkpoint, in evaluation mode; no pickled code is run.

    Raises StateError where the file is none.
    """
    try:
        raw = torch.load(path, map_location=device, weights_only=True)
        config = config_from(raw["config"], str(path))
        unet = empty_unet(config)
        unet.load_state_dict(raw["weights"], assign=True)
        best = Best(raw["epoch"], raw["val_iou"], raw["val_loss"])
    except FileNotFoundError as error:
        raise StateError(f"{path} is not there; a result's `checkpoint` names the file") from error
    except Exception as error:
        raise StateError(f"{path} is no checkpoint of a U-Net of ours ({_brief(error)})") from error
    return unet.to(device).eval(), config, best


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """sha256 over names, kinds, shapes and bytes of a U-Net's weights and buffers, in the order of their names.

    The same for the same bits, on whichever device and however they lie in memory.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def empty_unet(config: TrialConfig) -> UNet:
    """A U-Net without memory; making it draws no random number."""
    with torch.device("meta"):
        return UNet(config.model)


def _best(raw: Mapping[str, Any] | None) -> Best | None:
    return None if raw is None else Best(**raw)


def _brief(error: Exception) -> str:
    with contextlib.suppress(IndexError):
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"[:160]
    return type(error).__name__
