"""One rank of a training, from its start to its results.

Rule 1: every error of a training is written into the run's `error-<rank>.json`, then raised again. That another attempt
        owns the run is no error: the rank leaves.
"""

import importlib.util
import os
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep import contract
from unetsweep.atomic import write_text
from unetsweep.bounded_json import parse_json, read_json
from unetsweep.core import paths
from unetsweep.errors import SupersededError, TrainingError
from unetsweep.record_files import read_record
from unetsweep.records import AttemptFile
from unetsweep.regular_files import read_bytes
from unetsweep.schedulers.slurm.commands import own_job
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import read_trial
from unetsweep.worker import deadline
from unetsweep.worker.claim import Claim, ElementStart, enter
from unetsweep.worker.command import CommandInvocation, run_command
from unetsweep.worker.deadline import Deadline
from unetsweep.worker.failure import write_error
from unetsweep.worker.starts import check_starts

GPU_SHARE = "UNETSWEEP_GPU_SHARE"
"""Environment variable with the fraction of its GPU that a training has, if several share it."""
PACKAGES = ("torch", "pytorch_lightning", "albumentations", "cv2", "numpy")
"""Packages that a training needs; their absence is reported before anything is imported."""


@dataclass(frozen=True, slots=True)
class ElementPayload:
    """What each task of srun executes: one rank of the run that (token, array index) identifies."""

    sweep_dir: str
    token: str

    def __call__(self) -> None:
        """Run as one task of srun."""
        env = os.environ
        index = int(env.get("SLURM_ARRAY_TASK_ID", "0"))
        start = ElementStart(
            Path(self.sweep_dir), self.token, index, int(env.get("SLURM_RESTART_COUNT", "0")), slurm_job()
        )
        rank, size = int(env.get("SLURM_PROCID", "0")), int(env.get("SLURM_NTASKS", "1"))
        run_rank(start, rank, size, limited=True)


def slurm_job() -> str:
    """The id of the SLURM job in which this process runs."""
    return own_job() or "0"


def run_rank(start: ElementStart, rank: int, size: int, *, limited: bool = False) -> None:
    """Run one rank of a training, from its claim to its results. `limited`: its job has a time limit."""
    deadline.listen()
    sweep = SweepDir(start.root)
    sweep.check_private()
    run, attempt = sweep.attempt_of(start.token, start.index)
    folder = start.root / paths.run_dir(run)
    try:
        claim = enter(start, folder, attempt, rank)
        if claim is None:
            return
        job_end = Deadline(slurm_job() if limited and rank == 0 else None)  # only rank 0 decides
        _train(start, folder, claim, job_end, rank, size)
    except SupersededError as error:
        print(f"leaving: {error}", flush=True)  # noqa: T201
    except Exception as error:
        if start.submission.is_dir():
            write_error(folder, error, attempt, start.restart, rank)
        raise


def _train(start: ElementStart, folder: Path, claim: Claim, job_end: Deadline, rank: int, size: int) -> None:
    if job_end.is_limited:
        spec = SweepDir(start.root).spec()
        check_starts(folder, claim, limit_min=spec.slurm.time_min, most_restarts=spec.run.retries.requeue)
    sweep = SweepDir(start.root)
    attempt_file = read_record(AttemptFile, folder / "attempts" / f"{claim.attempt}.json")
    trials = sorted(attempt_file.trials, key=lambda each: each.epochs)
    path = sweep.config_path(trials[-1].trial)
    config = contract.config_from(read_json(path), str(path))
    trial = read_trial(path.parent)
    if contract.config_id(config) != trial.config_id:
        raise TrainingError(f"{path} is the config of another trial; run `unetsweep repair {sweep.name}`")
    epochs = tuple(each.epochs for each in trials)
    if rank == 0:
        # the batch script waits for these results; all of them, since a pruned one may be published before others
        results = "".join(f"{folder}/{paths.milestone(each)}\n" for each in epochs)
        write_text(start.root / paths.awaited(start.token, start.index), results)
    if config.trainer.command is not None:
        if rank == 0:
            ids = {each: contract.config_id(replace(config, epochs=each)) for each in epochs}
            invocation = CommandInvocation(
                folder,
                epochs,
                claim.name,
                start.job_id,
                sweep.working_directory,
                job_end.end,
                ids,
                {path: config.params.get(path, value) for path, value in trial.params.items()},
                config.seed,
                gpus=config.processes if config.accelerator == "gpu" else 0,
                resumes=config.trainer.resumes,
                metric=config.metric,
            )
            run_command(config.trainer.command, invocation, claim.holds, job_end)
        return
    check_packages()
    from unetsweep.training.ranks import DistributedContext
    from unetsweep.training.run import train  # here, since it imports torch

    share = float(os.environ.get(GPU_SHARE, "1"))
    train(
        config,
        folder,
        milestones=epochs,
        context=DistributedContext(rank, size, "127.0.0.1", claim.port, gpu_share=share),
        claim=claim.name,
        job_id=start.job_id,
        owns=claim.holds,
        stop_check=job_end,
        micro_batch=attempt_file.micro_batch,
        record_error=lambda error: write_error(folder, error, claim.attempt, start.restart, rank),
        name=f"{sweep.name}/{folder.name}",
    )


def check_packages() -> None:
    """Raise TrainingError, with host and interpreter, if a package that a training needs is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"{', '.join(missing)} missing in {sys.executable} on {socket.gethostname()}; "
            "set slurm.python or slurm.setup to an environment in which unetsweep is installed"
        )


def train_by_hand(path: Path, out: Path, rank: int = 0, size: int = 1, port: int = 0) -> None:
    """Run one rank of a training outside any sweep."""
    config = contract.config_from(parse_json(read_bytes(path)), str(path))
    check_packages()
    from unetsweep.training.ranks import DistributedContext
    from unetsweep.training.run import train

    train(config, out, context=DistributedContext(rank, size, "127.0.0.1", port), name=out.name)
