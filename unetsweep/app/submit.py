"""`submit`: start or resume a sweep, or show what a submit would do."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.app.dry_run import DryRun, dry_run
from unetsweep.app.events import ImagesRead, Notify, WarningEvent
from unetsweep.app.explain import images_split, runs_shared, work_left
from unetsweep.app.prepare import Prepared, prepare
from unetsweep.app.spec_checks import SpecSource, check_augment, file_warnings
from unetsweep.app.start import SubmitResult, start_or_resume
from unetsweep.app.sweeps import check_place
from unetsweep.config.changes import with_added
from unetsweep.config.load import load, overridden_file
from unetsweep.config.overrides import still_kept, to_keep
from unetsweep.core import paths
from unetsweep.core.run_sharing import why_not_shared, why_separate
from unetsweep.core.spec import Resources, SweepSpec
from unetsweep.errors import UnetsweepError, joined
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
    directory, spec, _, prepared = _prepare(request, notify)
    while not prepared.write():  # another submit was faster: check against what it has written
        directory, spec, _, prepared = _prepare(request, notify)
    first_new = directory.next_trial()
    started = start_or_resume(directory, notify, force=force)
    _explain(spec, started, notify)
    if why_not_shared(spec) is None and 0 < first_new < directory.next_trial():
        separate = why_separate(directory.trials(), first_new)
        if separate is not None:
            notify(WarningEvent(separate))
    return started


def preview(request: SubmitRequest, notify: Notify, *, force: bool = False) -> DryRun:
    """What `submit` would do now, after the same checks. It writes nothing.

    If the sweep is refused, the plan is that of a sweep without these problems.
    """
    directory, spec, source, prepared = _prepare(request, notify)
    try:
        found = dry_run(spec, directory, prepared.executor, notify, prepared.refusals, force=force)
    except Exception as error:
        if prepared.refusals:  # what is wrong with the sweep may also prevent the plan
            raise joined(prepared.refusals) from error
        raise
    file = overridden_file(request.sweep, source.overrides)
    return replace(found, overrides=() if file is None else file.overrides)


def _prepare(request: SubmitRequest, notify: Notify) -> tuple[SweepDir, SweepSpec, SpecSource, Prepared]:
    overrides = _overrides(request)
    for text in overrides.from_earlier:
        notify(WarningEvent(f"--set {text} of an earlier submit still holds; {_HOW_TO_END}"))
    source = SpecSource(request.sweep, overrides.of_file)
    directory, spec, is_new = _load_with_kept_profile(request, source)
    if not request.share:
        spec = replace(spec, run=replace(spec.run, share=False))
    if spec.trainer.command is None:
        notify(ImagesRead(spec.data.root))
    for problem in file_warnings(spec, source):
        notify(WarningEvent(problem.text(str(request.sweep))))
    prepared = prepare(spec, directory, request.executor, source, is_new=is_new, overrides=overrides.to_keep)
    for warning in prepared.warnings:
        notify(WarningEvent(warning))
    if prepared.images is not None and not prepared.refusals:
        notify(images_split(spec.data.split, prepared.images))
    return directory, spec, source, prepared


def _explain(spec: SweepSpec, started: SubmitResult, notify: Notify) -> None:
    """Say what open trials share, and what they will take if that is known."""
    state = started.state
    if state is None or not state.open:
        return
    with contextlib.suppress(UnetsweepError, OSError):  # all is submitted; `status` and `repair` name a bad file
        if (shared := runs_shared(started, state)) is not None:
            notify(shared)
        if state.ended and (left := work_left(spec, started.directory)) is not None:
            notify(left)


_HOW_TO_END = "another --set of the key replaces it, and one with the value of the file ends it"


@dataclass(frozen=True, slots=True)
class _Overrides:
    """The `--set` of this submit, and of the earlier ones."""

    of_file: tuple[str, ...]
    """Those that this submit applies to the file."""
    from_earlier: tuple[str, ...]
    """Those among them that an earlier submit gave."""
    to_keep: tuple[str, ...]
    """Those that the sweep keeps for later submits."""


def _overrides(request: SubmitRequest) -> _Overrides:
    """The sweep.yaml of a sweep has the values of earlier overrides already; they stay kept for the user's own file."""
    given = request.overrides
    try:
        file, now = overridden_file(request.sweep, ()), overridden_file(request.sweep, given)
    except FileNotFoundError:
        file = now = None
    if file is None or now is None or not isinstance(file.document.value, Mapping):
        return _Overrides(given, (), ())  # loading the file says what is wrong with it
    values = now.document.value
    name = values.get("name") if isinstance(values, Mapping) else None
    own = _folder(request.sweep, request.results / (name if isinstance(name, str) else request.sweep.stem))
    directory = SweepDir(own)
    earlier = still_kept(file.document, directory.overrides if directory.exists() else (), given)
    if _is_in_sweep(request.sweep):
        return _Overrides(given, (), (*earlier, *given))
    return _Overrides((*earlier, *given), earlier, to_keep(file.document, (*earlier, *given)))


def _load_with_kept_profile(request: SubmitRequest, source: SpecSource) -> tuple[SweepDir, SweepSpec, bool]:
    """The sweep's directory, its spec from the user's file, and whether the sweep does not exist yet.

    The SLURM profile stays that of the first submit if neither the file nor the command names one.
    """
    spec = _load(source, request.profile)
    directory = SweepDir(_folder(request.sweep, request.results / spec.name))
    if not directory.exists():
        return directory, spec, True
    check_place(directory.root)
    old = directory.spec()
    if request.profile is None and spec.slurm.profile == Resources().profile:
        spec = _load(source, old.slurm.profile) if old.slurm.profile != spec.slurm.profile else spec
    return directory, with_added(spec, old), False


def _load(source: SpecSource, profile: str | None) -> SweepSpec:
    return load(source.path, profile=profile, check_augment=check_augment, overrides=source.overrides)


def _folder(sweep: Path, by_name: Path) -> Path:
    """The folder of the sweep: the one that holds the file, if the file is the sweep.yaml of a sweep."""
    return sweep.parent if _is_in_sweep(sweep) else by_name


def _is_in_sweep(file: Path) -> bool:
    """Whether a file is the sweep.yaml of a sweep."""
    return file.name == paths.SPEC and (file.parent / paths.SWEEP).is_file()
