"""One process of a training: from its first act to its results.

Rule: whatever goes wrong is written into the run's `error-<rank>.json`, then raised again.
"""

import contextlib
import importlib.util
import json
import os
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetsweep import contract
from unetsweep.adapters.files import read_json, utc_now, write_json
from unetsweep.adapters.sweep_dir import SweepDir
from unetsweep.config.load import load
from unetsweep.core import layout
from unetsweep.errors import SupersededError, TrainingError, UnetsweepError
from unetsweep.worker.claim import Claim, Start, enter
from unetsweep.worker.command import run_command

PACKAGES = ("torch", "pytorch_lightning", "albumentations", "cv2", "numpy")


@dataclass(frozen=True, slots=True)
class Element:
    """The payload of every element of a submission: which run it is, it finds by (token, index)."""

    sweep_dir: str
    token: str

    def __call__(self) -> None:
        """One task of srun."""
        env = os.environ
        array = env.get("SLURM_ARRAY_JOB_ID")
        index = int(env.get("SLURM_ARRAY_TASK_ID", "0"))
        start = Start(
            Path(self.sweep_dir),
            self.token,
            index,
            int(env.get("SLURM_RESTART_COUNT", "0")),
            f"{array}_{index}" if array else env.get("SLURM_JOB_ID", "0"),
        )
        run_rank(start, int(env.get("SLURM_PROCID", "0")), int(env.get("SLURM_NTASKS", "1")))


def run_rank(start: Start, rank: int, size: int) -> None:
    """One process of a training, from its first act to its results."""
    intent = SweepDir(start.root).intent(start.token)
    run, attempt = intent["elements"][start.index]
    folder = start.root / layout.run_dir(run)
    try:
        claim = enter(start, folder, attempt, rank)
        if claim is None:
            return
        _train(start, folder, claim, rank, size)
    except SupersededError as error:
        print(f"leaving: {error}", flush=True)  # noqa: T201
    except Exception as error:
        _write_error(folder, error, attempt, start.restart, rank)
        raise


def _train(start: Start, folder: Path, claim: Claim, rank: int, size: int) -> None:
    if start.restart and rank == 0:
        _check_restarts(start)
    sweep = SweepDir(start.root)
    horizons = sorted(read_json(folder / "attempts" / f"{claim.attempt}.json")["horizons"], key=lambda h: h["epochs"])
    path = sweep.config_path(horizons[-1]["trial"])
    config = contract.config_from(json.loads(path.read_bytes()), str(path))
    epochs = [each["epochs"] for each in horizons]
    if config.trainer.command is not None:
        if rank == 0:
            run_command(config, path, folder, epochs, start.job_id, sweep.working_directory, claim.holds)
        return
    check_packages()
    from unetsweep.training.run import World, train  # the one door into the torch room

    world = World(rank, size, "127.0.0.1", claim.port)
    name = f"{start.root.name}/{folder.name}"
    train(
        config, folder, horizons=epochs, world=world, claim=claim.name, job_id=start.job_id, owns=claim.holds, name=name
    )


def _check_restarts(start: Start) -> None:
    """Refuse to go round for ever: `retries.requeue` of the sweep bounds the restarts of one job."""
    limit = load(start.root / layout.SPEC).run.retries.requeue
    if start.restart > limit:
        raise TrainingError(
            f"job {start.job_id} was requeued {start.restart} times and run.retries.requeue is {limit}; "
            "raise it in the sweep file if the training gets on between two requeues"
        )


def check_packages() -> None:
    """Say what this interpreter lacks, before anything is imported; TrainingError names host and interpreter."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"{', '.join(missing)} missing in {sys.executable} on {socket.gethostname()}; "
            "set slurm.python or slurm.setup to an environment in which unetsweep is installed"
        )


def train_by_hand(path: Path, out: Path, rank: int = 0, size: int = 1, port: int = 0) -> None:
    """One process of a training outside any sweep: the same door."""
    config = contract.config_from(json.loads(path.read_bytes()), str(path))
    check_packages()
    from unetsweep.training.run import World, train

    train(config, out, world=World(rank, size, "127.0.0.1", port), name=out.name)


def _write_error(folder: Path, error: Exception, attempt: int, restart: int, rank: int) -> None:
    kind = "environment" if isinstance(error, TrainingError) else "exception"
    known = isinstance(error, UnetsweepError)
    message = str(error) if known else f"{type(error).__name__}: {error}"
    content: dict[str, Any] = {
        "kind": kind,
        "message": message[:2000],
        "traceback": "".join(traceback.format_exception(error)),
        "attempt": attempt,
        "restart": restart,
        "rank": rank,
        "host": socket.gethostname(),
        "echo": any(word in message for word in ("Connection closed", "Connection reset", "closed by peer")),
        "at": utc_now().isoformat(),
    }
    with contextlib.suppress(OSError):  # the error itself matters more than its record
        write_json(folder / layout.error(rank), content)
