"""Confirm the leaders of a sweep: train them again with new seeds, in a sweep of its own within the sweep."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from unetsweep.analysis.confirmation import OPEN
from unetsweep.analysis.records import read_sweep_record
from unetsweep.analysis.rows import SweepRecord, TrialRecord, leaders
from unetsweep.app.events import Notify, WarningEvent
from unetsweep.app.executors import executor_of
from unetsweep.app.reconcile import alone
from unetsweep.app.report import refresh_report
from unetsweep.app.start import SubmitResult, start_or_resume
from unetsweep.app.sweeps import spec_of
from unetsweep.config.written import checked_yaml
from unetsweep.core import paths
from unetsweep.core.missing_points import seeds_of
from unetsweep.core.space import Choices, Parameter, Point, Space
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.core.spending import Limits
from unetsweep.errors import UnetsweepError, UsageError, joined
from unetsweep.limits import MAX_VALUES, SEEDS
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted


@dataclass(frozen=True, slots=True)
class ConfirmationPlan:
    """Which trainings a confirmation consists of."""

    trials: tuple[int, ...]
    """The leaders, best first."""
    seeds: int
    """Trainings of each leader."""
    trainings: int
    """All trainings of the confirmation, including those of earlier calls."""
    new: int
    """Those of them that no earlier call asked for."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A confirmation after its reconciliation."""

    sweep: str
    """Its own name: `SWEEP/confirm`."""
    incomplete: tuple[int, ...]
    """Trainings that ended without a result. They are repeated only by `unetsweep retry`."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a call of `confirm` asks for."""

    directory: SweepDir
    """The confirmation's."""
    record: SweepRecord
    """The sweep's."""
    leaders: tuple[TrialRecord, ...]
    seeds: tuple[int, ...]

    def points(self) -> tuple[list[Point], list[Point]]:
        """The points that earlier calls asked for, and those with the new ones added.

        The new ones are in the order of their seeds, so that runs that end early can already be compared.
        """
        is_there = self.directory.exists()
        known = list(self.directory.spec().points) if is_there else []
        wanted = [{**trial.params, "seed": seed} for seed in self.seeds for trial in self.leaders]
        points = {tuple(sorted(point.items())): point for point in (*known, *wanted)}
        return known, list(points.values())

    def plan(self) -> ConfirmationPlan:
        known, points = self.points()
        trials = tuple(trial.number for trial in self.leaders)
        return ConfirmationPlan(trials, len(self.seeds), len(points), len(points) - len(known))


def plan_confirmation(parent: SweepDir, *, top: int, seeds: int, notify: Notify) -> ConfirmationPlan:
    """What `confirm` would train. It changes nothing; `check_confirmation` says whether that is possible."""
    return _request(parent, top, seeds, notify).plan()


def check_confirmation(parent: SweepDir) -> None:
    """Raise all that prevents a confirmation: images that changed since the sweep pinned them, missing GPUs."""
    spec, refusals = spec_of(parent), list[UnetsweepError]()
    for check in (_check_images, executor_of(parent).check_machine):
        try:
            check(spec)
        except UnetsweepError as error:
            refusals.append(error)
    if refusals:
        raise joined(refusals)


def confirm(
    parent: SweepDir,
    *,
    top: int,
    seeds: int,
    notify: Notify,
    on_plan: Callable[[ConfirmationPlan], None],
    on_started: Callable[[SubmitResult], None],
) -> Confirmation:
    """Train the `top` leaders of the sweep `parent` with `seeds` new seeds each. No training is done twice.

    `on_started` is called after the reconciliation and may wait for the end of the trainings.
    """
    request = _request(parent, top, seeds, notify)
    directory, spec = request.directory, request.record.spec
    check_confirmation(parent)
    plans: list[ConfirmationPlan] = []

    def write() -> None:
        plans.append(request.plan())
        _write(_spec(spec, request.points()[1]), parent, directory)

    directory.root.mkdir(mode=0o700, exist_ok=True)
    alone(directory, write)  # of two calls at once, the second adds to the trainings of the first
    on_plan(plans[0])
    on_started(start_or_resume(directory, notify))
    ended = [(trial.number, trial.result.state) for trial in directory.trials() if trial.result is not None]
    refresh_report(read_sweep_record(parent.root), parent.root)
    return Confirmation(directory.name, tuple(number for number, state in ended if state != "complete"))


def _request(parent: SweepDir, top: int, seeds: int, notify: Notify) -> _Request:
    """The leaders and the new seeds. UsageError if there is nothing to confirm."""
    if "/" in parent.name:
        raise UsageError(f"{parent.name} is a confirmation already; name the sweep itself")
    record = read_sweep_record(parent.root)
    best = tuple(leaders(record)[:top])
    if len(best) * seeds > MAX_VALUES:
        asked = f"{len(best)} trials with {seeds} seeds each"
        raise UsageError(f"{asked} are {len(best) * seeds} trainings; a confirmation has at most {MAX_VALUES}")
    if not best:
        raise UsageError(f"no trial of {parent.name} is complete yet; `unetsweep status {parent.name}` says why")
    unfinished = sum(trial.state in OPEN for trial in record.trials)
    if unfinished:
        notify(WarningEvent(f"not ended yet: {counted(unfinished, 'trial')} of {record.name}; the leaders may change"))
    return _Request(SweepDir(parent.root / paths.CONFIRM), record, best, _new_seeds(record, seeds))


def _new_seeds(record: SweepRecord, count: int) -> tuple[int, ...]:
    """The first seeds after the sweep's own that none of its trials was trained with, nor will be."""
    taken = {trial.seed for trial in record.trials} | {*seeds_of(record.spec.study)}
    candidates = ((record.spec.study.seed + step) % SEEDS for step in range(1, count + len(taken) + 1))
    return tuple(seed for seed in candidates if seed not in taken)[:count]


def _spec(spec: SweepSpec, points: Sequence[Point]) -> SweepSpec:
    """The spec of the confirmation: its points, without a pruner, because every training must be complete."""

    def with_values(parameter: Parameter) -> Parameter:
        path, domain = parameter.path, parameter.domain
        found = list(dict.fromkeys(point[path] for point in points if path in point))
        if all(isinstance(value, int | float) for value in found):
            found.sort()
        named = domain.named if isinstance(domain, Choices) else ()
        return replace(parameter, domain=Choices(tuple(found), tuple(each for each in named if each.name in found)))

    parameters = [with_values(each) for each in spec.space.parameters if any(each.path in point for point in points)]
    known = {each.path: each.domain.values for each in parameters if isinstance(each.domain, Choices)}
    kept = [
        replace(
            each,
            when=tuple(
                replace(one, values=tuple(value for value in one.values if value in known[one.path]))
                for one in each.when
            ),
        )
        for each in parameters
    ]
    space = Space(tuple(kept))
    study = replace(spec.study, sampler=NO_SAMPLER, sampler_args={}, trials=None, pruner=None, pruner_args={})
    study = replace(study, repeats=1, limits=Limits())  # each point has a seed of its own
    name = f"{spec.name[:52]}-{paths.CONFIRM}"
    return replace(spec, name=name, space=space, study=study, points=tuple(points), added=())


def _check_images(spec: SweepSpec) -> None:
    """DataError if the images changed since the sweep pinned them."""
    if spec.trainer.command is None:
        from unetsweep.datasets.prepare import verify_pinned  # imports numpy and cv2, which a trainer may not need

        verify_pinned(spec.data)


def _write(spec: SweepSpec, parent: SweepDir, directory: SweepDir) -> None:
    """Create the confirmation's directory, or replace its spec."""
    text = checked_yaml(spec)
    if directory.exists():
        directory.check_private()
        directory.resume()
        directory.replace_spec(text)
        return
    if not directory.create(text, parent.executor, parent.data, parent.working_directory, parent.cluster):
        raise UsageError(f"another `unetsweep confirm` has just created {directory.name}; run this again")
