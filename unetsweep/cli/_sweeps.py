"""Which sweep a command means, and the world around it."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.core import layout
from unetsweep.errors import UsageError

if TYPE_CHECKING:
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.core.ports import Scheduler, Submission
    from unetsweep.core.spec import SweepSpec
    from unetsweep.shell.world import World

LOCAL_GRACE = timedelta(seconds=15)
"""A local supervisor has written its record long before."""
SLURM_GRACE = timedelta(seconds=90)
"""More than the 60 s after which a silent sbatch is given up: its job may still appear."""


def resolve(sweep: str | None, results: Path) -> Path:
    """The folder of a sweep given as its name, its YAML file or its folder; by default the newest."""
    if sweep is None:
        return _newest(results)
    for folder in (Path(sweep), results / sweep, results / Path(sweep).stem, results / _named(Path(sweep))):
        if (folder / layout.SPEC).is_file():
            return folder.absolute()
    known = ", ".join(sorted(path.parent.name for path in results.glob(f"*/{layout.SPEC}"))) or "none yet"
    raise UsageError(f"no sweep {sweep!r} in {results.absolute()}; there are: {known}")


def _named(path: Path) -> str:
    """The name that a YAML file gives its sweep, where it gives one."""
    if not path.is_file():
        return path.name
    from unetsweep.config.load import load

    return load(path).name


def _newest(results: Path) -> Path:
    found = sorted(results.glob(f"*/{layout.SPEC}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UsageError(
            f"no sweep in {results.absolute()}; start one with `unetsweep submit sweeps/quickstart.yaml`, "
            "or name its folder with --results"
        )
    return found[-1].parent.absolute()


def scheduler(kind: str, root: Path) -> "Scheduler":
    """The sweep's own: `slurm` or `local`."""
    if kind == "local":
        from unetsweep.adapters.local_jobs import LocalJobs

        return LocalJobs(root)
    from unetsweep.adapters.slurm import Slurm
    from unetsweep.worker import Element

    return Slurm(lambda submission: Element(str(submission.sweep_dir), submission.token))


def world_of(directory: "SweepDir") -> "World":
    """Everything a pass over this sweep needs."""
    from unetsweep.adapters.clock import SystemClock
    from unetsweep.cli._study import JournalStudy
    from unetsweep.config.load import load
    from unetsweep.shell.world import World

    spec = load(directory.root / layout.SPEC)
    executor = directory.executor
    if executor == "local" and spec.run.parallel is None:
        spec = replace(spec, run=replace(spec.run, parallel=local_places(spec)))
    grace = LOCAL_GRACE if executor == "local" else SLURM_GRACE
    name, resources, relay = spec.name, spec.slurm, spec.run.driver == "relay"

    def submission(token: str, elements: int, throttle: int | None) -> "Submission":
        from unetsweep.core.ports import Submission

        return Submission(token, name, directory.root, elements, resources, throttle, relay)

    study = JournalStudy(directory.root / layout.STUDY)
    return World(spec, directory, scheduler(executor, directory.root), study, SystemClock(), submission, grace)


def local_places(spec: "SweepSpec") -> int:
    """Trainings at once on this machine: by its GPUs where they are asked for, else by its cores."""
    if spec.slurm.gpus:
        from unetsweep.adapters.local_jobs import devices

        return max(1, len(devices()) // spec.slurm.gpus)
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // (spec.slurm.processes * spec.trainer.threads))
