"""Scenes for the tests of training: tiny images on disk, and trainings in separate processes.

The processes are forked from a server that has imported torch, which takes seconds. So a scene can kill its processes,
and scenes do not share global state. The server only imports modules: it has one thread and computes nothing.
"""

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig, TrialConfig

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "unetsweep.training.run",
        "albumentations",
        # a training or the module of a scene would otherwise import these in each fork
        "unetsweep.datasets.manifest",
        "unetsweep.worker.rank",
        "torch.profiler._cupti_monitor",
        "torch.utils.serialization.config",
        "pytest",
        "sklearn.metrics",
        "torchmetrics.classification",
    ]
)
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # the server imports it


def write_images(root: Path, count: int = 8, side: int = 32, test: int = 3) -> Path:
    """Write a dataset of bright lines on noise."""
    rng = np.random.default_rng(0)
    for part, number in (("train", count), ("test", test)):
        for kind in ("image", "mask"):
            (root / part / kind).mkdir(parents=True)
        for n in range(number):
            mask = np.zeros((side, side), np.uint8)
            for _ in range(3):
                ends = rng.integers(0, side, 4).tolist()
                cv2.line(mask, ends[:2], ends[2:], 255, 2)
            image = rng.integers(0, 90, (side, side, 3)).astype(np.uint8) + (mask // 3)[..., None]
            cv2.imwrite(str(root / part / "image" / f"{n:02d}.png"), image)
            cv2.imwrite(str(root / part / "mask" / f"{n:02d}.png"), mask)
    return root


def config(root: Path, **changes: Any) -> TrialConfig:
    """A config of the smallest network; `model` and `trainer` take dicts of changes."""
    model = ModelConfig(**{"base": 4, "depth": 2, **changes.pop("model", {})})
    trainer = TrainerConfig(**changes.pop("trainer", {}))
    base = TrialConfig(DataConfig(str(root)), 3, 4, 1e-3, model, trainer, accelerator="cpu")
    return dataclasses.replace(base, **changes)


def run(scene: Callable[..., None], out: Path, *args: Any, size: int = 1, **keywords: Any) -> list[int]:
    """Call `scene(context, out, *args, **keywords)` in `size` processes; their exit statuses."""
    return wait(start(scene, out, *args, size=size, **keywords))


def start(scene: Callable[..., None], out: Path, *args: Any, size: int = 1, **keywords: Any) -> list[Any]:
    """Start `run` without waiting; return the processes."""
    out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    ranks = [FORKS.Process(target=_call, args=(scene, r, size, port, out, args, keywords)) for r in range(size)]
    for rank in ranks:
        rank.start()
    return ranks


def wait(ranks: list[Any], timeout: float = 600) -> list[int]:
    """The exit statuses. When a rank has failed the others are killed after 30 s, as a scheduler would do."""
    for rank in ranks:
        rank.join(30 if any(r.exitcode not in (None, 0) for r in ranks) else timeout)
        if rank.exitcode is None:
            rank.kill()
            rank.join()
    return [rank.exitcode for rank in ranks]


def _call(scene: Any, rank: int, size: int, port: int, out: Path, args: Any, keywords: Any) -> None:
    from unetsweep.training.ranks import DistributedContext

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    try:
        scene(DistributedContext(rank, size, port=port), out, *args, **keywords)
    except BaseException as error:
        kind = type(error).__name__
        (out / f"error-{rank}.json").write_text(
            json.dumps({"type": kind, "message": str(error), "trace": traceback.format_exc()})
        )
        raise


def train(context: Any, out: Path, config: TrialConfig, kill_at: int | None = None, lose_at: int | None = None,
          save_every_s: float = 0.0, stop_after: int | None = None, prune: dict[str, Any] | None = None,
          code_later: dict[str, str] | None = None, snapshots: bool = False, **more: Any) -> None:  # fmt: skip
    """`train()`; rank 0 kills itself at the `kill_at`th ownership check, or loses the run at the `lose_at`th.

    `snapshots`: at each check the files written so far are copied, see `states_of`.
    `stop_after`: the stop check stops the training after this many epochs of this start. `prune`: the content of
    `prune.json`, which exists from the end of the first epoch of this start, after that epoch's decision.
    `code_later`: the digest of the package's sources from the end of the first epoch.
    """
    from unetsweep import package
    from unetsweep.training import decisions
    from unetsweep.training import run as training_run

    decisions.SAVE_EVERY_S = save_every_s
    checks, ends = 0, 0

    def owns() -> bool:
        nonlocal checks
        checks += 1
        if checks == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if snapshots:
            copy(out, snapshot(out, checks))
        return lose_at is None or checks < lose_at

    def stop_check(needed: float) -> str | None:
        nonlocal ends
        ends += 1
        assert context.rank == 0
        assert needed > 0
        if code_later:
            package.code = lambda: code_later
        if prune and ends == 1:
            write_prune_file(out, **prune)
        return "the end is near" if ends == stop_after else None

    training_run.train(config, out, context=context, owns=owns, stop_check=stop_check, **more)
    (out / f"checks-{context.rank}").write_text(str(checks))


def snapshot(out: Path, point: int) -> Path:
    """Folder of a copy, next to `out`, which contains only the training's own files."""
    return out.with_name(f"{out.name}-at-{point:03d}")


def copy(source: Path, target: Path) -> None:
    """Copy a whole folder; hard links stay hard links."""
    first: dict[int, Path] = {}
    target.mkdir()
    for path in sorted(source.rglob("*")):
        new, number = target / path.relative_to(source), path.stat().st_ino
        if path.is_dir():
            new.mkdir()
        elif number in first:
            new.hardlink_to(first[number])
        else:
            shutil.copyfile(path, new)
            first[number] = new


def states_of(out: Path) -> dict[int, Path]:
    """Folders as a kill at each ownership check would leave them, by the number of the check.

    They come from one training with `snapshots`, since a kill leaves what is on disk. A folder that equals an earlier
    one is left out, since resuming from it gives nothing new.
    """
    found: dict[int, Path] = {}
    known: set[tuple[object, ...]] = set()
    for point in range(1, int((out / "checks-0").read_text()) + 1):
        folder = snapshot(out, point)
        state = tuple(contents(folder))
        if state not in known:
            known.add(state)
            found[point] = folder
    return found


def contents(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield name, number of hard links and content of every path in a folder."""
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), path.stat().st_nlink, b"" if path.is_dir() else path.read_bytes()


def write_prune_file(out: Path, milestones: tuple[int, ...], attempt: int = 1, epoch: int = 1) -> None:
    content = {
        "schema": 1,
        "attempt": attempt,
        "trial": 0,
        "milestones": milestones,
        "epoch": epoch,
        "reason": "too slow",
    }
    (out / "prune.json").write_text(json.dumps({**content, "at": "2026-01-01T00:00:00+00:00"}))


def trained(out: Path, config: TrialConfig, size: int = 1, **more: Any) -> Path:
    """Train in `out` and return it; the training must succeed."""
    assert run(train, out, config, size=size, **more) == [0] * size, error(out)["trace"]
    return out


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def error(out: Path, rank: int = 0) -> dict[str, str]:
    return json.loads((out / f"error-{rank}.json").read_text())


def result(out: Path, epochs: int) -> dict[str, Any]:
    return json.loads((out / "milestones" / f"{epochs}.json").read_text())


def row(out: Path, epochs: int) -> dict[str, Any]:
    """The part of a result that depends on the training alone, not on the machine or the requested milestones."""
    different = {"seconds", "gpu_seconds", "peak_memory_mb", "config_id"}
    return {k: v for k, v in result(out, epochs).items() if k not in different}


def progress(out: Path) -> dict[int, tuple[Any, ...]]:
    """Train loss, val_iou, val_loss and learning rate by epoch; a later claim replaces an earlier one."""
    lines: dict[int, tuple[Any, ...]] = {}
    for file in sorted(out.glob("progress-*.jsonl")):
        for text in file.read_text().splitlines():
            line = json.loads(text)
            lines[line["epoch"]] = (line["train_loss"], line["val_iou"], line["val_loss"], line["learning_rate"])
    return dict(sorted(lines.items()))


FOUR: dict[str, Any] = {"epochs": 4, "trainer": {"val_every": 2}}
MILESTONES = (3, 4)


def left_behind(out: Path, milestones: tuple[int, ...] = MILESTONES) -> dict[str, Any]:
    """Everything that must not depend on how often a training was killed or stopped."""
    kept: dict[str, Any] = {f"row {h}": row(out, h) for h in milestones}
    kept |= {f"weights {h}": weights(out / "checkpoints" / f"best-{h}.ckpt") for h in milestones}
    kept["last"] = weights(out / "checkpoints/last.ckpt")
    kept["progress"] = progress(out)
    kept["files"] = sorted(p.name for p in (out / "checkpoints").iterdir())
    return kept


def weights(path: Path) -> dict[str, bytes]:
    """Every tensor of the U-Net in a checkpoint (ours or Lightning's) as bytes."""
    import torch

    raw = torch.load(path, map_location="cpu", weights_only=True)
    state = raw.get("weights") or {k.removeprefix("unet."): v for k, v in raw["state_dict"].items()}
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}
