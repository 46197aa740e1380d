"""Optuna: it proposes points, and keeps an index of the trials that other tools can open.

Rule 1: the sweep's directory owns the trials; the journal is an index, and is made anew when it cannot be read.
Rule 2: one writer, the holder of the lease; a trial goes in whole, as one line, or not at all.
Rule 3: proposals are asked in a study in memory, so a kill in the middle leaves nothing behind.
"""

import json
import math
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from unetsweep.contract import Result
from unetsweep.core.observation import Point as Epoch
from unetsweep.core.pruning import reports
from unetsweep.core.space import Choices, Domain, Point, Range, Space, size
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial, longest_of_runs
from unetsweep.errors import StateError, UsageError
from unetsweep.trial_config import ParameterValue

optuna.logging.set_verbosity(optuna.logging.ERROR)

ASKS = 100
"""Asks for one new point before the rest of a finite space is drawn from directly."""
ENUMERATED = 100_000
"""Most points of a finite space that are listed to find what is left."""

CURVE = 50
"""Values of a training's curve that are told one by one."""

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
    "cancelled": TrialState.FAIL,
}

ANY_WHOLE = IntDistribution(-(2**53), 2**53)
ANY_NUMBER = FloatDistribution(-sys.float_info.max, sys.float_info.max)
ANY_ABOVE_0 = FloatDistribution(math.ulp(0.0), sys.float_info.max, log=True)
"""What the journal says of a parameter: a narrower range could not be extended when the sweep is."""

Curve = Callable[[int], Sequence[Epoch]]
"""The finished epochs of a run, in order."""


def propose(spec: SweepSpec, trials: Sequence[StoredTrial], count: int, curve: Curve = lambda _: ()) -> list[Point]:
    """At most `count` points that no trial has yet; fewer only when the space has no more.

    `trials`: those whose point is known. The n-th trial's draw depends on
    the study's seed, n and the results so far, on nothing else.
    """
    key = spec.space.key
    taken = {key(trial.params) for trial in trials if trial.params is not None}
    memory = _Memory(spec, trials, curve)
    points: list[Point] = []
    while len(points) < count:
        point = _draw(memory, points, taken)
        if point is None:
            break
        points.append(point)
        taken.add(key(point))
    return points


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a sampler may look back at."""

    spec: SweepSpec
    trials: Sequence[StoredTrial]
    curve: Curve

    def curves(self) -> "_Curves":
        return _Curves(self.spec, self.trials, self.curve)


def _draw(memory: _Memory, chosen: Sequence[Point], taken: set[tuple[ParameterValue, ...]]) -> Point | None:
    spec, trials = memory.spec, memory.trials
    space = {path: _distribution(domain) for path, domain in spec.space.domains().items()}
    seed = random.Random(f"{spec.study.seed}/{len(trials) + len(chosen)}").randrange(2**31)  # noqa: S311
    study = optuna.create_study(sampler=_sampler(spec.study, seed), direction=_direction(spec))
    if spec.study.sampler != "random":  # it does not look back, and a thousand looks at a thousand trials take long
        curves = memory.curves()
        study.add_trials([frozen for trial in trials if (frozen := _remembered(curves, trial, space)) is not None])
        for point in chosen:
            study.add_trial(create_trial(state=TrialState.RUNNING, params=dict(point), distributions=space))
    for _ in range(ASKS):
        asked = _asked(study, space, spec.study.sampler)
        drawn = {name: asked.params[name] for name in space}
        if spec.space.key(drawn) not in taken:
            return drawn
        study.tell(asked, state=TrialState.FAIL)
    left = _left(spec.space, taken)
    return random.Random(seed).choice(left) if left else None  # noqa: S311


def _asked(study: optuna.Study, space: dict[str, BaseDistribution], sampler: str) -> optuna.Trial:
    try:
        return study.ask(space)
    except ImportError as error:  # some samplers import what they need only when they draw
        raise UsageError(f"study.sampler: {sampler} needs a package that is not installed: {error}") from error
    except ValueError as error:
        raise UsageError(f"study.sampler: {sampler} cannot draw from this space: {error}") from error


def _left(space: Space, taken: set[tuple[ParameterValue, ...]]) -> list[Point]:
    """What is left of a finite space; nothing for one that is infinite or too large to list."""
    if size(space) > ENUMERATED:
        return []
    values = {path: list(_values(domain)) for path, domain in space.domains().items()}
    points = (dict(zip(values, each, strict=True)) for each in product(*values.values()))
    return [point for point in points if space.key(point) not in taken]


def _values(domain: Domain) -> Iterator[ParameterValue]:
    """Those that Optuna draws, to the last bit: the upper end is rounded otherwise than the steps to it."""
    match domain:
        case Choices(values):
            yield from values
        case Range(low, high, step=step):
            last = getattr(_distribution(domain), "high", high)
            for k in range(math.floor((high - low) / (step or 1) + 1e-9) + 1):
                yield min(k * (step or 1) + low, last)


def _distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case Choices(values):
            return CategoricalDistribution(values)
        case Range(low, high, log, step) if domain.is_whole:
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        case Range(low, high, log, step):
            return FloatDistribution(low, high, log=log, step=step)


def _remembered(curves: "_Curves", trial: StoredTrial, space: dict[str, BaseDistribution]) -> FrozenTrial | None:
    """A trial of ours as the sampler sees it; None where the space has no such point any more."""
    result, params = trial.result, dict(trial.params or {})
    state = TrialState.RUNNING if result is None else STATES.get(result.state, TrialState.FAIL)
    value = None if result is None else _metric(result, curves.spec)
    if state is TrialState.COMPLETE and value is None:
        state = TrialState.FAIL
    curve = curves.of(trial) if state in (TrialState.PRUNED, TrialState.RUNNING) else {}
    if not all(space[name]._contains(space[name].to_internal_repr(params[name])) for name in space):
        return None
    return create_trial(
        state=state,
        params=params,
        distributions=space,
        value=value if state is TrialState.COMPLETE else None,
        intermediate_values=curve,
    )


class _Curves:
    """The metric by epoch of each trial. Of trials that share a run only the longest has a curve."""

    def __init__(self, spec: SweepSpec, trials: Sequence[StoredTrial], curve: Curve) -> None:
        self.spec, self._curve = spec, curve
        self._longest = {trial.number for trial in longest_of_runs(trials).values()}

    def of(self, trial: StoredTrial) -> dict[int, float]:
        points = self._curve(trial.run) if trial.number in self._longest else ()
        return {report.epoch: report.value for report in reports(points, self.spec.study.metric)}


def _metric(result: Result, spec: SweepSpec) -> float | None:
    value: float | None = getattr(result, spec.study.metric)
    return value


def _sampler(study: StudySpec, seed: int) -> BaseSampler:
    names = {"random": "RandomSampler", "tpe": "TPESampler"}
    name = names.get(study.sampler, study.sampler)
    cls = getattr(optuna.samplers, name)
    try:
        try:
            return cls(**{"seed": seed, **study.sampler_args})  # type: ignore[no-any-return]
        except TypeError:
            return cls(**study.sampler_args)  # type: ignore[no-any-return]
    except (TypeError, ValueError, ImportError) as error:
        raise UsageError(f"study.sampler: Optuna's {name} cannot be made with {study.sampler_args}: {error}") from error


def _direction(spec: SweepSpec) -> Literal["minimize", "maximize"]:
    return "minimize" if spec.minimize else "maximize"


def update_journal(path: Path, spec: SweepSpec, trials: Sequence[StoredTrial], curve: Curve = lambda _: ()) -> None:
    """Bring the study's journal up to the last trial that has ended: add what is missing, tell what has ended."""
    curves = _Curves(spec, trials, curve)
    ended = [at for at, trial in enumerate(trials) if trial.result is not None]
    trials = trials[: max(ended, default=-1) + 1]
    try:
        _update(path, curves, trials)
    except OSError:  # a full disk, or a quota: what is there is good
        raise
    except Exception:  # the index is ours to lose: keep the evidence, make it anew
        if path.exists():
            shutil.move(path, path.with_name(f"{path.name}.unreadable"))
        _update(path, curves, trials)


def _update(path: Path, curves: _Curves, trials: Sequence[StoredTrial]) -> None:
    spec = curves.spec
    repair_journal(path)
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    try:
        study = optuna.load_study(study_name=spec.name, storage=storage, sampler=_any_sampler())
    except KeyError:
        study = optuna.create_study(
            study_name=spec.name, storage=storage, direction=_direction(spec), sampler=_any_sampler()
        )
    known = study.get_trials(deepcopy=False)
    if [frozen.user_attrs.get("trial") for frozen in known] != [trial.number for trial in trials[: len(known)]]:
        raise StateError(f"{path}: its trials are not the sweep's")
    study.add_trials([_indexed(curves, trial) for trial in trials[len(known) :]])
    for frozen, trial in zip(known, trials, strict=False):
        if frozen.state is TrialState.RUNNING and trial.result is not None:
            curve = curves.of(trial)
            _report(study, frozen, curve)
            state, value = _told(spec, trial.result, curve)
            study.tell(frozen.number, value, state=state, skip_if_finished=True)


def _any_sampler() -> BaseSampler:
    """The journal's study never samples."""
    return optuna.samplers.RandomSampler(seed=0)


def _indexed(curves: _Curves, trial: StoredTrial) -> FrozenTrial:
    attrs = {"config_id": trial.config_id, "trial": trial.number}
    params = dict(trial.params or {})
    distributions = {path: _any(domain) for path, domain in curves.spec.space.domains().items()}
    if trial.result is None:
        return create_trial(state=TrialState.RUNNING, params=params, distributions=distributions, user_attrs=attrs)
    curve = curves.of(trial)
    state, value = _told(curves.spec, trial.result, curve)
    return create_trial(
        state=state,
        params=params,
        distributions=distributions,
        user_attrs=attrs,
        value=value,
        intermediate_values=curve,
    )


def _report(study: optuna.Study, frozen: FrozenTrial, curve: Mapping[int, float]) -> None:
    """The curve of a trial that went in open: each value is a line of its own there, so at most about `CURVE`."""
    missing = [epoch for epoch in curve if epoch not in frozen.intermediate_values]
    every = -(-len(missing) // CURVE) or 1
    trial = optuna.trial.Trial(study, frozen._trial_id)
    for epoch in missing[::-1][::every][::-1]:
        trial.report(curve[epoch], epoch)


def _any(domain: Domain) -> BaseDistribution:
    """Every value that a parameter of this kind may ever have."""
    numbers = [domain.low, domain.high] if isinstance(domain, Range) else domain.values
    if all(type(number) is int for number in numbers):
        return ANY_WHOLE
    above_0 = all(isinstance(number, int | float) and number > 0 for number in numbers)
    return ANY_ABOVE_0 if above_0 else ANY_NUMBER


def _told(spec: SweepSpec, result: Result, curve: Mapping[int, float]) -> tuple[TrialState, float | None]:
    """State and value; a pruned trial's is its last one, as Optuna has it."""
    state = STATES.get(result.state, TrialState.FAIL)
    value = _metric(result, spec)
    if state is TrialState.PRUNED:
        return state, curve[max(curve)] if curve else value
    if state is TrialState.COMPLETE and value is not None:
        return state, float(value)
    return (state, None) if state is not TrialState.COMPLETE else (TrialState.FAIL, None)


def repair_journal(path: Path) -> int:
    """Drop the lines that are not JSON and end the last one with a newline; return how many were dropped.

    A torn last line makes the next append glue on to it, and the study unreadable for good.
    """
    if not path.exists():
        return 0
    good, bad, unterminated = [], 0, False
    with path.open("rb") as stream:
        for line in stream:
            try:
                json.loads(line)
            except ValueError:
                bad += 1
                continue
            unterminated = not line.endswith(b"\n")
            good.append(line + b"\n" if unterminated else line)
    if bad or unterminated:
        shutil.copy2(path, f"{path}.corrupt")
        temporary = Path(f"{path}.tmp")
        with temporary.open("wb") as stream:
            stream.writelines(good)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    return bad
