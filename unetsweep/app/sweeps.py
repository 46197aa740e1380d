"""Which sweep a command means, and the context around it."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.core import paths
from unetsweep.errors import UsageError

if TYPE_CHECKING:
    from unetsweep.core.actions import Submit, SubmitReconciler
    from unetsweep.core.ports import Payload, ReconcilerRequest, Scheduler, Submission
    from unetsweep.core.spec import SweepSpec
    from unetsweep.reconcile.context import SweepContext
    from unetsweep.store.sweep_dir import SweepDir


def resolve(sweep: str | None, results: Path, *, to_read: bool = False, anywhere: bool = False) -> Path:
    """The folder of a sweep given as its name, its YAML file or its folder; by default the newest.

    UsageError where the sweep lives elsewhere, unless it may be `anywhere`; StateError where the folder is not the
    user's alone. Neither where it is only `to_read`: numbers, no code.
    """
    from unetsweep.store.permissions import check_private

    folder = _newest(results) if sweep is None else _found(sweep, results)
    if not to_read:
        check_private(folder)
    if not (to_read or anywhere):
        check_place(folder)
    return folder


def check_place(root: Path) -> None:
    """UsageError where the sweep lives in another folder or on another cluster."""
    from unetsweep.store.home import about, check_home

    check_home(root)
    known = about(root)
    if known["executor"] == "slurm":
        from unetsweep.schedulers.slurm.commands import check_cluster

        check_cluster(known["cluster"])


def _found(sweep: str, results: Path) -> Path:
    path = Path(sweep)
    by_file = [results / path.stem, results / _named(path)] if path.suffix in (".yaml", ".yml") else []
    for folder in (path, results / sweep, *by_file):
        if (folder / paths.SPEC).is_file():
            return folder.absolute()
    known = ", ".join(sorted(path.parent.name for path in results.glob(f"*/{paths.SPEC}"))) or "none yet"
    raise UsageError(f"no sweep {sweep!r} in {results.absolute()}; there are: {known}")


def _named(path: Path) -> str:
    """The name that a YAML file gives its sweep, where it gives one."""
    if not path.is_file():
        return path.name
    from unetsweep.config.load import load

    return load(path).name


def _newest(results: Path) -> Path:
    found = sorted(results.glob(f"*/{paths.SPEC}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UsageError(
            f"no sweep in {results.absolute()}; start one with `unetsweep submit sweeps/quickstart.yaml`, "
            "or name its folder with --results"
        )
    return found[-1].parent.absolute()


def scheduler(kind: str, root: Path) -> "Scheduler":
    """The sweep's own: `slurm` or `local`."""
    if kind == "local":
        from unetsweep.schedulers.local.local_jobs import LocalJobs

        return LocalJobs(root)
    from unetsweep.schedulers.packed.packed_slurm import PackedSlurm

    return PackedSlurm(_payload, root)


def _payload(submission: "Submission") -> "Payload":
    """What each job of a submission runs."""
    from unetsweep.worker import Allocation, Element

    where = (str(submission.sweep_dir), submission.token)
    if submission.pack == 1:
        return Element(*where)
    resources = submission.resources
    return Allocation(
        *where, resources.processes, resources.time_min, submission.jobs_reconcile, submission.exit_timeout_s
    )


def spec_of(directory: "SweepDir") -> "SweepSpec":
    """What the sweep asks for, with its images as they were pinned."""
    from unetsweep.config.load import load

    return with_images(load(directory.root / paths.SPEC), directory)


def with_images(spec: "SweepSpec", directory: "SweepDir") -> "SweepSpec":
    """The same, of the images that the sweep has pinned (if it has)."""
    pinned = directory.data
    if pinned is None:
        return spec
    return replace(spec, data=replace(spec.data, manifest=pinned["manifest"]))


def context_of(directory: "SweepDir", *, interactive: bool = False, reconciler: str | None = None) -> "SweepContext":
    """Everything that a reconciliation of this sweep needs.

    `interactive`: a person started it. `reconciler`: token of the reconciler job that started it. Commands of a person
    call `check_place` before; a job knows the folder by the path that it was sent with.
    """
    from unetsweep.clock import SystemClock
    from unetsweep.config.units import minutes
    from unetsweep.core import checkpoint_gc
    from unetsweep.reconcile.clocks import clocks
    from unetsweep.reconcile.context import SweepContext
    from unetsweep.search.study import JournalStudy
    from unetsweep.store.code_snapshot import pinned
    from unetsweep.store.collectable_runs import CollectableRuns
    from unetsweep.store.reconciler_jobs import ReconcilerJobs

    directory.check_private()
    spec = spec_of(directory)
    executor = directory.executor
    if executor == "local" and spec.run.parallel is None:
        spec = replace(spec, run=replace(spec.run, parallel=local_places(spec)))
    name, resources, run, code = spec.name, spec.slurm, spec.run, pinned(directory.root)
    waits = clocks(executor)

    def submission(token: str, sent: "Submit") -> "Submission":
        from unetsweep.core.ports import Submission

        wanted = resources if sent.mem is None else replace(resources, mem=sent.mem)
        jobs_reconcile, many = run.driver == "jobs", len(sent.elements)
        return Submission(
            token,
            name,
            directory.root,
            many,
            wanted,
            sent.throttle,
            sent.pack,
            sent.jobs,
            jobs_reconcile,
            run.reconcile_interval,
            waits.exit_timeout_s,
            sent.exclude,
            code,
        )

    def request(token: str, keep: "SubmitReconciler") -> "ReconcilerRequest":
        from unetsweep.core.ports import RECONCILER_MIN, ReconcilerRequest

        limit = next((minutes(value) for key, value in resources.reconciler.items() if key.lstrip("-") == "time"), None)
        return ReconcilerRequest(
            token, name, directory.root, resources, keep.after, keep.delay_s, code, limit or RECONCILER_MIN
        )

    return SweepContext(
        spec,
        directory,
        scheduler(executor, directory.root),
        JournalStudy(directory.root / paths.STUDY),
        SystemClock(),
        ReconcilerJobs(directory.root),
        submission,
        request,
        waits,
        reconciler,
        interactive,
        CollectableRuns(directory.root) if checkpoint_gc.is_enabled(spec) else None,
    )


def local_places(spec: "SweepSpec") -> int:
    """Trainings at once on this machine: by its GPUs where they are asked for, else by its cores."""
    if gpus := spec.slurm.training_gpus:
        from unetsweep.schedulers.local.local_jobs import devices

        return max(1, len(devices()) // gpus)
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // (spec.slurm.processes * spec.trainer.threads))
