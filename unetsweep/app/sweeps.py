"""Which sweep a command means, and what a reconciliation of it needs."""

from dataclasses import replace
from pathlib import Path

from unetsweep.app.executors import check_cluster, executor_named, executor_of
from unetsweep.app.job_requests import JobRequests
from unetsweep.app.spending import spending_reader
from unetsweep.clock import SystemClock
from unetsweep.config.load import load
from unetsweep.core import checkpoint_gc, paths
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import UsageError
from unetsweep.reconcile.context import SweepContext
from unetsweep.reconcile.timeouts import with_changes
from unetsweep.search.study import JournalStudy
from unetsweep.store.code_snapshot import pinned
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.home import check_home, is_sweep
from unetsweep.store.permissions import check_private
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir


def resolve(sweep: str | None, results: Path, *, to_read: bool = False, anywhere: bool = False) -> Path:
    """The folder of a sweep that is given as its name, its YAML file or its folder; by default the newest one.

    UsageError if the sweep was copied, moved or belongs to another cluster, unless `anywhere`. StateError if other
    users may write into the folder. With `to_read` neither is checked: a report runs no code from there.
    """
    folder = _newest(results) if sweep is None else _find(sweep, results)
    if not to_read:
        check_private(folder)
    if not (to_read or anywhere):
        check_place(folder)
    return folder


def check_place(root: Path) -> None:
    """UsageError if the sweep was copied or moved, or belongs to another cluster."""
    known = check_home(root)
    check_cluster(executor_named(known.executor, root), known.cluster)


def _find(sweep: str, results: Path) -> Path:
    path = Path(sweep)
    by_file = [results / path.stem, results / _name_in(path)] if path.suffix in (".yaml", ".yml") else []
    for folder in (path, results / sweep, *by_file):
        if is_sweep(folder):
            return folder.absolute()
    known = ", ".join(sorted(path.parent.name for path in results.glob(f"*/{paths.SPEC}"))) or "none yet"
    raise UsageError(f"no sweep {sweep!r} in {results.absolute()}; there are: {known}")


def _name_in(path: Path) -> str:
    """The name that a YAML file gives its sweep."""
    return load(path).name if path.is_file() else path.name


def _newest(results: Path) -> Path:
    found = sorted(results.glob(f"*/{paths.SPEC}"), key=lambda path: path.lstat().st_mtime)
    if not found:
        raise UsageError(
            f"no sweep in {results.absolute()}; start one with `unetsweep submit sweeps/quickstart.yaml`, "
            "or name its folder with --results"
        )
    return found[-1].parent.absolute()


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
