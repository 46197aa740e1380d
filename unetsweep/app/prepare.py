"""The checks before a sweep is submitted. Nothing is written until all of them have passed."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.app.executors import EXECUTORS, Executor, executor_of, first_here
from unetsweep.app.reconcile import alone
from unetsweep.app.spec_checks import SpecSource, check_images, check_precision, collecting
from unetsweep.app.sweeps import with_images
from unetsweep.config.changes import difference, refused, with_added
from unetsweep.config.listed import ADDED
from unetsweep.config.written import checked_yaml
from unetsweep.core import checkpoint_gc
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import NO_ROOM, SpecError, UnetsweepError, UsageError, joined
from unetsweep.records import DataFile
from unetsweep.search.study import check_study
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.home import record_cluster, record_overrides
from unetsweep.store.sweep_dir import SweepDir

if TYPE_CHECKING:
    from unetsweep.datasets.prepare import PreparedDataset


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sweep whose checks are done."""

    executor: Executor
    warnings: tuple[str, ...]
    refusals: tuple[UnetsweepError, ...]
    """Everything for which it must not be submitted; empty if it may."""
    create_or_update: Callable[[], bool]
    images: "PreparedDataset | None" = None
    """The images; None for a trainer command, and if they cannot be used."""

    def write(self) -> bool:
        """Create or update the sweep's directory; raises the refusals, if there are any.

        False if another submit has changed it since the checks: then they must be repeated.
        """
        if self.refusals:
            raise joined(self.refusals)
        return self.create_or_update()


def prepare(
    spec: SweepSpec,
    directory: SweepDir,
    executor: str,
    source: SpecSource,
    *,
    is_new: bool,
    overrides: tuple[str, ...] = (),
) -> Prepared:
    """Check the executor, this machine, the images, the study and the folder, and collect all that is wrong.

    `is_new`: the sweep did not exist when `spec` was loaded. `source`: what the user wrote, for messages. `overrides`:
    `KEY=VALUE` of each `--set` that the sweep keeps.
    """
    warnings: list[str] = []
    refusals: list[UnetsweepError] = []
    images: PreparedDataset | None = None
    write: Callable[[], bool] = bool  # never called if there are refusals
    chosen = _executor(directory, executor, is_new=is_new)
    if not is_new:
        spec = with_images(spec, directory)
    with collecting(refusals):
        _check_path(directory.root, chosen)
    with collecting(refusals):
        _check_executor(chosen, executor, directory, is_new=is_new)
        chosen.check_machine(spec)
        warnings += chosen.warnings()
    warnings += chosen.request_problems(spec)
    with collecting(refusals):
        check_precision(spec, source)
    with collecting(refusals):
        images = check_images(spec, chosen, source, refusals)
        warnings += images.warnings if images is not None else ()
        if images is not None and images.no_test and spec.trainer.score_test:
            warnings.append(images.no_test)
    with collecting(refusals):
        check_study(spec)
    with collecting(refusals):
        if directory.root.exists():
            directory.check_private()
        if is_new:
            write = _creation(spec, directory, chosen, images, overrides)
        else:
            changes, write = _update(spec, directory, source.path, images, overrides)
            changes = tuple(change for change in changes if not change.startswith(f"{ADDED}:"))
            warnings += [f"changed since the last submit: {change}" for change in changes]
            if any(change.startswith("slurm.") for change in changes) and chosen.scheduler(directory.root).queues:
                warnings.append(
                    "jobs that are in the queue keep what they asked for; to replace them: "
                    f"unetsweep cancel {spec.name}, then unetsweep retry {spec.name} --cancelled"
                )
    return Prepared(chosen, tuple(warnings), tuple(refusals), write, images)


def _check_path(root: Path, executor: Executor) -> None:
    """UsageError if jobs cannot have the path on one line of their script, or the executor misreads it."""
    if not str(root).isprintable():
        raise UsageError(f"{str(root)!r}: not a path on one line; name another folder with --results")
    if found := [each for each in executor.path_patterns if each in str(root)]:
        raise UsageError(
            f"{root}: {executor.title} reads the {found[0]} in it as a part of a pattern, so jobs could not write "
            "their logs; name another folder with --results"
        )


def _executor(directory: SweepDir, asked: str, *, is_new: bool) -> Executor:
    """The executor of the sweep, or the one asked for."""
    if not is_new:
        return executor_of(directory)
    return first_here() if asked == "auto" else EXECUTORS[asked]


def _check_executor(chosen: Executor, asked: str, directory: SweepDir, *, is_new: bool) -> None:
    """UsageError if the sweep or this machine does not allow the executor asked for."""
    if not is_new and asked not in ("auto", chosen.name):
        raise UsageError(
            f"sweep {directory.name} runs on {chosen.name}, not on {asked}; give it another `name:` to run it there too"
        )
    if is_new and asked != "auto" and not chosen.is_here():
        raise UsageError(
            f"--executor {asked}: there is no {chosen.title} on this machine (load its module?); try --executor local"
        )


def _creation(
    spec: SweepSpec,
    directory: SweepDir,
    executor: Executor,
    images: "PreparedDataset | None",
    overrides: tuple[str, ...],
) -> Callable[[], bool]:
    """The function that creates the sweep's directory."""
    text = checked_yaml(spec, commit=_commit())

    def create() -> bool:
        cluster = executor.current_cluster()
        return directory.create(text, executor.name, _pins(images), cluster=cluster, overrides=overrides)

    def write() -> bool:
        try:
            directory.root.mkdir(parents=True, mode=0o700, exist_ok=True)
            directory.check_private()
            return _once_under_lease(directory, create)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise UnetsweepError(f"{directory.root}: cannot be made: {error.strerror}") from error

    return write


def _update(
    spec: SweepSpec,
    directory: SweepDir,
    source: Path,
    images: "PreparedDataset | None",
    overrides: tuple[str, ...],
) -> tuple[tuple[str, ...], Callable[[], bool]]:
    """What has changed since the last submit, and the function that updates the sweep's directory.

    SpecError if a setting changed that must stay the same.
    """
    checked, kept = directory.spec_text(), directory.overrides
    old = with_images(directory.spec(), directory)
    spec = with_added(spec, old)
    wrong = refused(old, spec)
    if wrong:
        raise SpecError(
            str(source),
            [
                f"sweep {spec.name} was submitted with other settings; undo this, or give it another name:",
                *wrong,
            ],
        )
    changed = difference(old, spec)
    text = checked_yaml(spec, commit=_commit()) if changed else ""  # now, because it may be refused
    known = directory.data  # None: a trainer command reads its own images, or `repair` has quarantined the file
    pins = _pins(images)
    data = replace(known or pins, leak=pins.leak) if pins is not None else known

    def update() -> bool:
        if (directory.spec_text(), directory.overrides) != (checked, kept):
            return False
        record_overrides(directory.root, overrides)  # before the spec: a submit after a kill then writes the same one
        if data is not None and data != known:
            directory.pin_images(data)
        # the marks come first: they have no effect while the old spec keeps all checkpoints
        if checkpoint_gc.is_enabled(spec) and not checkpoint_gc.is_enabled(old):
            CollectableRuns(directory.root).mark_all()
        if changed:
            directory.replace_spec(text)
        return True

    def write() -> bool:
        if (changed or overrides != kept or data not in (None, known)) and not _once_under_lease(directory, update):
            return False
        directory.resume()
        if directory.cluster is None:
            record_cluster(directory.root, executor_of(directory).current_cluster())
        return True

    return changed, write


def _once_under_lease(directory: SweepDir, work: Callable[[], bool]) -> bool:
    """Do `work` once under the sweep's lease and return its answer, so that two submits do it one after the other."""
    answers: list[bool] = []
    alone(directory, lambda: None if answers else answers.append(work()))  # the lease may call this twice
    return answers[0]


def _pins(images: "PreparedDataset | None") -> DataFile | None:
    """What the sweep's directory keeps of its images."""
    return None if images is None else DataFile(images.manifest, images.leak.messages(), images.val_groups)


def _commit() -> str | None:
    """The commit of the working directory; None if it is not a git checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10, cwd=os.getcwd()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
