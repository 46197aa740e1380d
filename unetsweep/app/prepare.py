"""The checks before a sweep is submitted. Nothing is written until all of them have passed."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.app.executors import EXECUTORS, Executor, executor_of, first_here
from unetsweep.app.reconcile import alone
from unetsweep.app.sweeps import with_images
from unetsweep.config.changes import difference, refused
from unetsweep.config.load import load
from unetsweep.config.written import checked_yaml
from unetsweep.contract import one_value_problem
from unetsweep.core import checkpoint_gc, paths
from unetsweep.core.space import largest, whole_numbers
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import NO_ROOM, DataError, SpecError, UnetsweepError, UsageError
from unetsweep.records import DataFile
from unetsweep.search.study import check_study
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.home import record_cluster
from unetsweep.store.sweep_dir import SweepDir

if TYPE_CHECKING:
    from unetsweep.datasets.prepare import PreparedDataset


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sweep that may be submitted."""

    executor: Executor
    warnings: tuple[str, ...]
    write: Callable[[], bool]
    """Creates or updates the sweep's directory. False if another submit has changed it since the checks: then they must
    be repeated."""


def prepare(
    spec: SweepSpec, directory: SweepDir, executor: str, source: Path, *, is_new: bool, strict: bool
) -> Prepared:
    """Check the executor, this machine, the images, the sampler and the pruner.

    `is_new`: the sweep did not exist when `spec` was loaded. `source`: the user's file, for messages. `strict` False:
    what would be refused becomes a warning.
    """
    if not str(directory.root).isprintable():  # the jobs' batch script has the path on one line
        raise UsageError(f"{str(directory.root)!r}: not a path on one line; name another folder with --results")
    chosen = _executor(directory, executor, is_new=is_new)
    if not is_new:
        spec = with_images(spec, directory)
    warnings: list[str] = []
    images: PreparedDataset | None = None
    with _refusals(warnings, strict=strict):
        chosen.check_machine(spec)
    with _refusals(warnings, strict=strict):
        images = _check_images(spec, source)
        warnings += images.warnings if images is not None else ()
    with _refusals(warnings, strict=strict):
        check_study(spec)
    if is_new:
        write = _creation(spec, directory, chosen, images)
    else:
        directory.check_private()
        changes, write = _update(spec, directory, source, images)
        warnings += [f"changed since the last submit: {change}" for change in changes]
    return Prepared(chosen, tuple(warnings), write)


@contextmanager
def _refusals(warnings: list[str], *, strict: bool) -> Iterator[None]:
    """Turn a refusal (UsageError, DataError) inside the `with` block into a warning, unless `strict`."""
    try:
        yield
    except (UsageError, DataError) as error:
        if strict:
            raise
        warnings.append(str(error))


def _executor(directory: SweepDir, asked: str, *, is_new: bool) -> Executor:
    """The executor of the sweep; UsageError if the sweep or this machine does not allow the one asked for."""
    if not is_new:
        known = executor_of(directory)
        if asked not in ("auto", known.name):
            raise UsageError(
                f"sweep {directory.name} runs on {known.name}, not on {asked}; give it another `name:` to run it there "
                "too"
            )
        return known
    if asked == "auto":
        return first_here()
    chosen = EXECUTORS[asked]
    if not chosen.is_here():
        raise UsageError(
            f"--executor {asked}: there is no {chosen.title} on this machine (load its module?); try --executor local"
        )
    return chosen


def _check_images(spec: SweepSpec, source: Path) -> "PreparedDataset | None":
    """Read all images and check them. None for a trainer command: it reads its own."""
    if spec.trainer.command is not None:
        return None
    from unetsweep.datasets import (
        prepare as datasets,  # it imports numpy and cv2, which a trainer command does not need
    )

    dataset = datasets.prepare(spec.data)
    axis, count = spec.space.domain("batch_size"), dataset.training_images
    if largest(axis) > count:
        raise SpecError(str(source), [f"space.batch_size: found {largest(axis)}; there are {count} training images"])
    problems = [one_value_problem(spec.model, size, count, dataset.longest_side) for size in whole_numbers(axis)]
    if any(problems):
        raise SpecError(str(source), [f"space.batch_size: {problem}" for problem in problems if problem])
    return dataset


def _creation(
    spec: SweepSpec, directory: SweepDir, executor: Executor, images: "PreparedDataset | None"
) -> Callable[[], bool]:
    """The function that creates the sweep's directory."""
    text = checked_yaml(spec, commit=_commit())

    def create() -> bool:
        return directory.create(text, executor.name, _pins(images), cluster=executor.current_cluster())

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
    spec: SweepSpec, directory: SweepDir, source: Path, images: "PreparedDataset | None"
) -> tuple[tuple[str, ...], Callable[[], bool]]:
    """What has changed since the last submit, and the function that updates the sweep's directory.

    SpecError if a setting changed that must stay the same.
    """
    path = directory.root / paths.SPEC
    checked = path.read_bytes()
    old = with_images(load(path), directory)
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
        if path.read_bytes() != checked:
            return False
        if data is not None and data != known:
            directory.pin_images(data)
        # the marks come first: they have no effect while the old spec keeps all checkpoints
        if checkpoint_gc.is_enabled(spec) and not checkpoint_gc.is_enabled(old):
            CollectableRuns(directory.root).mark_all()
        if changed:
            directory.replace_spec(text)
        return True

    def write() -> bool:
        if (changed or data not in (None, known)) and not _once_under_lease(directory, update):
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
