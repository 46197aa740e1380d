"""`submit`: start or resume a sweep, or show what a submit would do."""

from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.app.dry_run import DryRun, dry_run
from unetsweep.app.events import Notify, WarningEvent
from unetsweep.app.prepare import Prepared, prepare
from unetsweep.app.spec_checks import SpecSource, check_augment
from unetsweep.app.start import SubmitResult, start_or_resume
from unetsweep.app.sweeps import check_place
from unetsweep.config.changes import with_added
from unetsweep.config.load import load, overridden_file
from unetsweep.core import paths
from unetsweep.core.run_sharing import why_not_shared, why_separate
from unetsweep.core.spec import Resources, SweepSpec
from unetsweep.errors import joined
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """What the user asked for."""

    sweep: Path
    """A YAML file, or the sweep.yaml in a sweep's folder."""
    results: Path
    """The folder that holds the sweeps."""
    executor: str = "auto"
    """The name of an executor, or `auto`."""
    profile: str | None = None
    """SLURM profile; None: the one that the sweep names."""
    share: bool = True
    """False: no two trials share a run."""
    overrides: tuple[str, ...] = ()
    """`KEY=VALUE` for each key of the file that has another value in this sweep."""


def submit(request: SubmitRequest, notify: Notify, *, force: bool = False) -> SubmitResult:
    """Check everything, create or update the sweep's folder, and start or resume the sweep."""
    directory, spec, prepared = _prepare(request, notify)
    while not prepared.write():  # another submit was faster: check against what it has written
        directory, spec, prepared = _prepare(request, notify)
    first_new = directory.next_trial()
    started = start_or_resume(directory, notify, force=force)
    if why_not_shared(spec) is None and 0 < first_new < directory.next_trial():
        separate = why_separate(directory.trials(), first_new)
        if separate is not None:
            notify(WarningEvent(separate))
    return started


def preview(request: SubmitRequest, notify: Notify, *, force: bool = False) -> DryRun:
    """What `submit` would do now, after the same checks. It writes nothing.

    If the sweep is refused, the plan is that of a sweep without these problems.
    """
    directory, spec, prepared = _prepare(request, notify)
    try:
        found = dry_run(spec, directory, prepared.executor, notify, prepared.refusals, force=force)
    except Exception as error:
        if prepared.refusals:  # what is wrong with the sweep may also prevent the plan
            raise joined(prepared.refusals) from error
        raise
    file = overridden_file(request.sweep, request.overrides)
    return replace(found, overrides=() if file is None else file.overrides)


def _prepare(request: SubmitRequest, notify: Notify) -> tuple[SweepDir, SweepSpec, Prepared]:
    directory, spec, is_new = _load_with_kept_profile(request)
    if not request.share:
        spec = replace(spec, run=replace(spec.run, share=False))
    source = SpecSource(request.sweep, request.overrides)
    prepared = prepare(spec, directory, request.executor, source, is_new=is_new)
    for warning in prepared.warnings:
        notify(WarningEvent(warning))
    return directory, spec, prepared


def _load_with_kept_profile(request: SubmitRequest) -> tuple[SweepDir, SweepSpec, bool]:
    """The sweep's directory, its spec from the user's file, and whether the sweep does not exist yet.

    The SLURM profile stays that of the first submit if neither the file nor the command names one.
    """
    spec = _load(request, request.profile)
    directory = SweepDir(_folder(request.sweep, request.results / spec.name))
    if not directory.exists():
        return directory, spec, True
    check_place(directory.root)
    old = directory.spec()
    if request.profile is None and spec.slurm.profile == Resources().profile:
        spec = _load(request, old.slurm.profile)
    return directory, with_added(spec, old), False


def _load(request: SubmitRequest, profile: str | None) -> SweepSpec:
    return load(request.sweep, profile=profile, check_augment=check_augment, overrides=request.overrides)


def _folder(sweep: Path, by_name: Path) -> Path:
    """The folder of the sweep: the one that holds the file, if the file is the sweep.yaml of a sweep."""
    is_in_sweep = sweep.name == paths.SPEC and (sweep.parent / paths.SWEEP).is_file()
    return sweep.parent if is_in_sweep else by_name
