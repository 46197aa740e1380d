"""Which sweep a command means, and what a reconciliation of it needs."""

from dataclasses import replace
from pathlib import Path

from unetsweep.app.addresses import find_sweep, newest_sweep
from unetsweep.app.executors import check_cluster, executor_named, executor_of
from unetsweep.app.job_requests import JobRequests
from unetsweep.app.spending import spending_reader
from unetsweep.clock import SystemClock
from unetsweep.core import checkpoint_gc, paths
from unetsweep.core.spec import SweepSpec
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.timeouts import with_changes
from unetsweep.search.study import JournalStudy
from unetsweep.store.code_snapshot import pinned
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.home import check_home
from unetsweep.store.permissions import check_private
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir


def resolve(sweep: str | None, results: Path, *, to_read: bool = False, anywhere: bool = False) -> Path:
    """The folder of a whole sweep that is given as its name, its YAML file or its folder; by default the newest one.

    Errors as `check_access`; UsageError if there is no such sweep, or a trial is named.
    """
    folder = newest_sweep(results) if sweep is None else find_sweep(sweep, results)
    return check_access(folder, to_read=to_read, anywhere=anywhere)


def check_access(folder: Path, *, to_read: bool = False, anywhere: bool = False) -> Path:
    """The folder of a sweep, if a command may work on it.

    UsageError if the sweep was copied, moved or belongs to another cluster, unless `anywhere`. StateError if other
    users may write into the folder. With `to_read` neither is checked: a report runs no code from there.
    """
    if not to_read:
        check_private(folder)
    if not (to_read or anywhere):
        check_place(folder)
    return folder


def check_place(root: Path) -> None:
    """UsageError if the sweep was copied or moved, or belongs to another cluster."""
    known = check_home(root)
    check_cluster(executor_named(known.executor, root), known.cluster)


def spec_of(directory: SweepDir) -> SweepSpec:
    """The sweep's spec, with the images that were pinned by its first submit."""
    return with_images(directory.spec(), directory)


def with_images(spec: SweepSpec, directory: SweepDir) -> SweepSpec:
    """`spec` with the images that the sweep has pinned, if it has pinned any."""
    pinned_images = directory.data
    if pinned_images is None:
        return spec
    return replace(spec, data=replace(spec.data, manifest=pinned_images.manifest))


def context_of(
    directory: SweepDir,
    *,
    interactive: bool = False,
    repeats: bool = False,
    job_ends: bool = False,
    own_reconciler_token: str | None = None,
) -> SweepContext:
    """Everything that a reconciliation of this sweep needs.

    `interactive`: a person started it. `repeats`: the caller reconciles again and again. `job_ends`: the job that makes
    it ends right after it. `own_reconciler_token`: token of the reconciler job that started it, if one did.
    It does not check where the sweep's folder is (`check_place`): a job uses the path with which it was submitted.
    """
    directory.check_private()
    spec, executor = spec_of(directory), executor_of(directory)
    if spec.run.parallel is None:
        spec = replace(spec, run=replace(spec.run, parallel=executor.default_parallel(spec)))
    waits = with_changes(executor.timeouts)
    requests = JobRequests(spec, directory.root, pinned(directory.root), waits.exit_timeout_s)
    return SweepContext(
        spec=spec,
        directory=directory,
        scheduler=executor.scheduler(directory.root),
        study=JournalStudy(directory.root / paths.STUDY),
        clock=SystemClock(),
        reconciler_files=ReconcilerJobs(directory.root),
        submission=requests.submission,
        reconciler_request=requests.reconciler_request,
        timeouts=waits,
        own_reconciler_token=own_reconciler_token,
        interactive=interactive,
        job_ends=job_ends,
        repeats=repeats,
        collectable=CollectableRuns(directory.root) if checkpoint_gc.is_enabled(spec) else None,
        spending=spending_reader(spec, directory, executor),
    )
