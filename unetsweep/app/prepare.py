"""What is checked before a sweep is submitted; nothing is written until all of it holds."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetsweep.app.sweeps import with_images
from unetsweep.core import paths
from unetsweep.errors import NO_ROOM, DataError, SpecError, UnetsweepError, UsageError

if TYPE_CHECKING:
    from unetsweep.core.spec import SweepSpec
    from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sweep that may be submitted."""

    executor: str
    warnings: tuple[str, ...]
    write: Callable[[], None]
    """Creates or updates its directory."""


def prepare(spec: "SweepSpec", directory: "SweepDir", executor: str, source: Path, *, strict: bool) -> Prepared:
    """Check executor, machine and images; with `strict` False what is missing becomes a warning."""
    if not str(directory.root).isprintable():  # it stands on a line of the jobs' script
        raise UsageError(f"{str(directory.root)!r}: not a path on one line; name another folder with --results")
    warnings: list[str] = []
    kind = _executor(directory, executor)
    pins: dict[str, Any] = {}
    if directory.exists():
        spec = with_images(spec, directory)
    checks: tuple[Callable[[], list[str]], ...] = (
        lambda: check_machine(spec, kind),
        lambda: _check_training(spec, source, pins),
        lambda: _check_pruner(spec),
    )
    for check in checks:
        try:
            warnings += check()
        except (UsageError, DataError) as error:
            if strict:
                raise
            warnings.append(str(error))
    if directory.exists():
        directory.check_private()
        changed, write = _update(spec, directory, source, pins)
        warnings += [f"changed since the last submit: {line}" for line in changed]
    else:
        write = _creation(spec, directory, kind, pins)
    return Prepared(kind, tuple(warnings), write)


def _executor(directory: "SweepDir", asked: str) -> str:
    from unetsweep.schedulers.slurm.commands import is_here

    if directory.exists():
        kind = directory.executor
        if asked not in ("auto", kind):
            raise UsageError(
                f"sweep {directory.name} runs on {kind}, not on {asked}; give it another `name:` to run it there too"
            )
        return kind
    if asked == "slurm" and not is_here():
        raise UsageError("--executor slurm: there is no SLURM on this machine (load its module?); try --executor local")
    if asked == "auto":
        return "slurm" if is_here() else "local"
    return asked


def check_machine(spec: "SweepSpec", kind: str) -> list[str]:
    """Warnings. UsageError where a training could not start here."""
    from unetsweep.schedulers.local.local_jobs import devices

    gpus = spec.slurm.training_gpus
    if kind == "local" and gpus and gpus > (found := len(devices())):
        raise UsageError(
            f"the sweep asks for {gpus} GPUs a training and this machine has {found}; submit it on a "
            "cluster (--executor slurm), or try `unetsweep submit sweeps/quickstart.yaml`, which needs none"
        )
    return []


def _check_training(spec: "SweepSpec", source: Path, pins: dict[str, Any]) -> list[str]:
    """The images and what is made of them, which goes into `pins`; a trainer command looks after its own."""
    if spec.trainer.command is not None:
        return []
    from unetsweep.contract import one_value_problem
    from unetsweep.core.spec import largest, whole_numbers
    from unetsweep.datasets import prepare as datasets  # cv2: a sweep of a trainer command does not need it

    dataset = datasets.prepare(spec.data)
    pins |= {"manifest": dataset.manifest, "val_groups": dataset.val_groups, "leak": dataset.leak.messages()}
    axis, count = spec.space.batch_size, dataset.training_images
    if largest(axis) > count:
        raise SpecError(str(source), [f"space.batch_size: found {largest(axis)}; there are {count} training images"])
    problems = [one_value_problem(spec.model, size, count, dataset.longest_side) for size in whole_numbers(axis)]
    if any(problems):
        raise SpecError(str(source), [f"space.batch_size: {problem}" for problem in problems if problem])
    return list(dataset.warnings)


def _check_pruner(spec: "SweepSpec") -> list[str]:
    """Whether Optuna takes the arguments: said now, not by the first reconciliation that would prune."""
    from unetsweep.core.pruning import OURS

    if spec.study.pruner not in (None, *OURS):
        from unetsweep.search.optuna_pruners import pruner

        pruner(spec)
    return []


def _creation(spec: "SweepSpec", directory: "SweepDir", kind: str, pins: dict[str, Any]) -> Callable[[], None]:
    from unetsweep.config.written import as_yaml
    from unetsweep.schedulers.slurm.commands import cluster_here

    text = as_yaml(spec, commit=_commit())

    def write() -> None:
        try:
            directory.create(text, kind, pins or None, cluster=cluster_here() if kind == "slurm" else None)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise UnetsweepError(f"{directory.root}: cannot be made: {error.strerror}") from error

    return write


def _update(
    spec: "SweepSpec", directory: "SweepDir", source: Path, pins: dict[str, Any]
) -> tuple[tuple[str, ...], Callable[[], None]]:
    """What changed, in words, and the deed. A sweep of an older version pins its images now."""
    from unetsweep.config.changes import difference, refused
    from unetsweep.config.load import load
    from unetsweep.config.written import as_yaml
    from unetsweep.core import checkpoint_gc
    from unetsweep.schedulers.slurm.commands import cluster_here
    from unetsweep.store.collectable_runs import CollectableRuns
    from unetsweep.store.home import note_cluster

    old = with_images(load(directory.root / paths.SPEC), directory)
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
    known = directory.data  # None: a sweep of an older version, whose leak no report would tell
    data = {**pins, **(known or {})} | ({"leak": pins["leak"]} if "leak" in pins else {})

    def write() -> None:
        directory.resume()
        if directory.executor == "slurm" and directory.cluster is None:
            note_cluster(directory.root, cluster_here())
        if data and data != known:
            directory.pin_images(data)
        # while the old one says `all`, the marks do nothing
        if checkpoint_gc.is_enabled(spec) and not checkpoint_gc.is_enabled(old):
            CollectableRuns(directory.root).mark_all()
        if changed:
            directory.replace_spec(as_yaml(spec, commit=_commit()))

    return changed, write


def _commit() -> str | None:
    """The commit of the working directory, where it is a git checkout."""
    import subprocess

    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10, cwd=os.getcwd()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
