"""`add`: add one point to a sweep that exists, and submit it.

The point is in the sweep's `sweep.yaml` before anything is submitted, and that file is replaced at once and under the
lease. So a killed call can be repeated, two at once both count, and no point is added twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from unetsweep.app.dry_run import DryRun, dry_run
from unetsweep.app.events import Notify, WarningEvent
from unetsweep.app.prepare import Prepared, prepare
from unetsweep.app.spec_checks import SpecSource, check_augment
from unetsweep.app.start import SubmitResult, start_or_resume
from unetsweep.config.added import added_point
from unetsweep.config.points import missing_in
from unetsweep.core import paths
from unetsweep.core.missing_points import (
    SEED,
    full_points,
    listed_points,
    meets,
    missing_listed,
    missing_points,
    training_of,
)
from unetsweep.core.space import Point
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial, has_epochs
from unetsweep.errors import Problem, SpecError, UsageError, joined
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class Addition:
    """What a call of `add` has done, or would do."""

    sweep: str
    point: Point
    """With the values of the parameters that have one value only. Without epochs, if its program has none."""
    trial: int | None = None
    """The trial that has this point already, so that nothing is trained; None: there is none."""
    state: str | None = None
    """How that trial ended; None: it is open, or there is none."""
    is_known: bool = False
    """Whether the sweep asks for this point already, so that nothing is added."""
    repeats: int = 1
    """Trainings of each point."""
    chosen: tuple[str, ...] = ()
    """The parameters whose values the sampler chooses, because the point does not name them."""

    def as_json(self, preview: DryRun | None) -> dict[str, Any]:
        """The object that `--dry-run --json` prints; without `repeats` if that is 1, and `chosen` if that is empty."""
        found = {name: value for name, value in asdict(self).items() if value not in _LEFT_OUT.get(name, ())}
        return {**found, **({} if preview is None else preview.as_json())}


_LEFT_OUT: Mapping[str, tuple[object, ...]] = {"repeats": (1,), "chosen": ((),)}


def add(
    directory: SweepDir,
    settings: Sequence[str],
    notify: Notify,
    on_added: Callable[[Addition], None],
    *,
    force: bool = False,
) -> SubmitResult | None:
    """Add the point of `KEY=VALUE …` to a sweep and start or resume it. None: a trial has the point already.

    `on_added` is called when the sweep has the point, before the reconciliation.
    """
    while True:
        addition, prepared, _ = _prepare(directory, settings, notify)
        if addition.trial is not None:
            on_added(addition)
            return None
        if prepared is None:
            directory.resume()
        elif not prepared.write():  # another command was faster: check against what it has written
            continue
        on_added(addition)
        return start_or_resume(directory, notify, force=force)


def preview_addition(
    directory: SweepDir, settings: Sequence[str], notify: Notify, *, force: bool = False
) -> tuple[Addition, DryRun | None]:
    """What `add` would do now, after the same checks. It writes nothing. None: nothing would be added."""
    addition, prepared, spec = _prepare(directory, settings, notify)
    if prepared is None:
        return addition, None
    try:
        return addition, dry_run(spec, directory, prepared.executor, notify, prepared.refusals, force=force)
    except Exception as error:
        if prepared.refusals:  # what is wrong with the point may also prevent the plan
            raise joined(prepared.refusals) from error
        raise


@dataclass(frozen=True, slots=True)
class _CommandLine(SpecSource):
    """The command line in place of a file."""

    command: str = ""

    def error(self, problems: Sequence[Problem]) -> SpecError:
        named = (replace(each, field=each.field.removeprefix("space.").partition("#")[0]) for each in problems)
        return SpecError(self.command, list(named))


def _prepare(
    directory: SweepDir, settings: Sequence[str], notify: Notify
) -> tuple[Addition, Prepared | None, SweepSpec]:
    """The point, and what writes it; None: the sweep has it."""
    if "/" in directory.name:
        raise UsageError(f"{directory.name} is a confirmation; add trainings to it with `unetsweep confirm`")
    command = f"unetsweep add {directory.name}"
    spec = directory.spec()
    point, space = added_point(spec, settings, command, check_augment)
    spec = replace(spec, space=space)
    addition = _find(spec, directory.name, point, directory.trials())
    if addition.is_known:
        return addition, None, spec
    spec = replace(spec, added=(*spec.added, point))
    source = _CommandLine(directory.root / paths.SPEC, command=command)
    prepared = prepare(spec, directory, "auto", source, is_new=False)
    for warning in prepared.warnings:
        notify(WarningEvent(warning))
    return addition, prepared, spec


def _find(spec: SweepSpec, name: str, point: Point, trials: Sequence[StoredTrial]) -> Addition:
    """Whether the sweep has this point, or asks for it."""
    readable = [trial for trial in trials if trial.point is not None]
    is_full, is_listed = spec.space.is_full(point), _is_listed(spec, point)
    if is_full:
        (point,) = full_points(spec, [point])
    addition = Addition(name, _visible(spec, point), is_known=is_listed, repeats=spec.study.repeats)
    addition = replace(addition, chosen=tuple(missing_in(spec.space, point)))
    if not is_full and (not is_listed or point in missing_listed(spec, readable)):
        return addition
    others = () if is_full else {training_of(spec, each) for each in listed_points(spec) if spec.space.is_full(each)}
    has_point = (
        trial
        for trial in readable
        if meets(spec, trial.point or {}, point) and training_of(spec, trial.point or {}) not in others
        if is_full or trial.is_listed
    )
    if (trial := next(has_point, None)) is not None:
        state = None if trial.result is None else trial.result.state
        return replace(addition, trial=trial.number, state=state, is_known=True)
    return replace(addition, is_known=is_listed or _is_of_grid(spec, point, readable))


def _visible(spec: SweepSpec, point: Point) -> Point:
    """What a user sees of a point: no epochs if its program has none, and no seed if it has several."""
    hidden = ([] if has_epochs(spec.space) else ["epochs"]) + ([] if spec.study.repeats == 1 else [SEED])
    return {path: value for path, value in point.items() if path not in hidden}


def _is_listed(spec: SweepSpec, point: Point) -> bool:
    """Whether the same point, with the same seed, is listed."""
    seed = point.get(SEED, spec.study.seed)
    return any({**each, SEED: each.get(SEED, spec.study.seed)} == {**point, SEED: seed} for each in listed_points(spec))


def _is_of_grid(spec: SweepSpec, point: Point, trials: Sequence[StoredTrial]) -> bool:
    """Whether a point is one that a grid still trains."""
    if spec.study.sampler != "grid":
        return False
    return training_of(spec, point) in {training_of(spec, each) for each in missing_points(spec, trials)}
