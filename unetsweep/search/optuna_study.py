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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from unetsweep.core.pruning import reports
from unetsweep.core.spec import Axis, Choices, Range, Space, StudySpec, SweepSpec, point_key, size
from unetsweep.errors import StateError, UsageError

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

JOURNAL_SPACE: dict[str, BaseDistribution] = {
    "epochs": IntDistribution(1, 2**53),
    "batch_size": IntDistribution(1, 2**53),
    "learning_rate": FloatDistribution(math.ulp(0.0), sys.float_info.max, log=True),
}
"""Whatever a sweep may ask for: a narrower range could not be extended when the sweep is."""

Point = dict[str, float]


def propose(spec: SweepSpec, trials: Sequence[Mapping[str, Any]], count: int) -> list[Point]:
    """At most `count` points that no trial has yet; fewer only when the space has no more.

    `trials` are the sweep's trial.json files with their results. The n-th trial's draw depends on
    the study's seed, n and the results so far, on nothing else.
    """
    taken = {point_key(trial["params"]) for trial in trials}
    points: list[Point] = []
    while len(points) < count:
        point = _draw(spec, trials, points, taken)
        if point is None:
            break
        points.append(point)
        taken.add(point_key(point))
    return points


def _draw(
    spec: SweepSpec, trials: Sequence[Mapping[str, Any]], chosen: Sequence[Point], taken: set[tuple[float, ...]]
) -> Point | None:
    space = {name: _distribution(name, axis) for name, axis in spec.space.axes().items()}
    seed = random.Random(f"{spec.study.seed}/{len(trials) + len(chosen)}").randrange(2**31)  # noqa: S311
    study = optuna.create_study(sampler=_sampler(spec.study, seed), direction=_direction(spec))
    if spec.study.sampler != "random":  # it does not look back, and a thousand looks at a thousand trials take long
        study.add_trials([frozen for trial in trials if (frozen := _remembered(spec, trial, space)) is not None])
        study.add_trials([create_trial(state=TrialState.RUNNING, params=p, distributions=space) for p in chosen])
    for _ in range(ASKS):
        asked = _asked(study, space, spec.study.sampler)
        point = {name: asked.params[name] for name in space}
        if point_key(point) not in taken:
            return point
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


def _left(space: Space, taken: set[tuple[float, ...]]) -> list[Point]:
    """What is left of a finite space; nothing for one that is infinite or too large to list."""
    if size(space) > ENUMERATED:
        return []
    axes = {name: list(_values(name, axis)) for name, axis in space.axes().items()}
    points = (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
    return [point for point in points if point_key(point) not in taken]


def _values(name: str, axis: Axis) -> Iterator[float]:
    """Those that Optuna draws, to the last bit: the upper end is rounded otherwise than the steps to it."""
    match axis:
        case Choices(values):
            yield from values
        case Range(low, high, step=step):
            last = getattr(_distribution(name, axis), "high", high)
            for k in range(math.floor((high - low) / (step or 1) + 1e-9) + 1):
                yield min(k * (step or 1) + low, last)


def _distribution(name: str, axis: Axis) -> BaseDistribution:
    match axis:
        case Choices(values):
            return CategoricalDistribution([float(v) if name == "learning_rate" else int(v) for v in values])
        case Range(low, high, log, step) if name == "learning_rate":
            return FloatDistribution(low, high, log=log, step=step)
        case Range(low, high, log, step):
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))


def _remembered(spec: SweepSpec, trial: Mapping[str, Any], space: dict[str, BaseDistribution]) -> FrozenTrial | None:
    """A trial of ours as the sampler sees it; None where the space has no such point any more."""
    result = trial["result"]
    state = TrialState.RUNNING if result is None else STATES.get(result["state"], TrialState.FAIL)
    value = None if result is None else result.get(spec.study.metric)
    if state is TrialState.COMPLETE and value is None:
        state = TrialState.FAIL
    curve = _curve(spec, trial) if state in (TrialState.PRUNED, TrialState.RUNNING) else {}
    params = trial["params"]
    if not all(space[name]._contains(space[name].to_internal_repr(params[name])) for name in space):
        return None
    return create_trial(
        state=state,
        params=params,
        distributions=space,
        value=value if state is TrialState.COMPLETE else None,
        intermediate_values=curve,
    )


def _curve(spec: SweepSpec, trial: Mapping[str, Any]) -> dict[int, float]:
    """The metric by epoch, of a trial that speaks for its run."""
    points = trial["progress"]() if "progress" in trial else ()
    return {report.epoch: report.value for report in reports(points, spec.study.metric)}


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


def update_journal(path: Path, spec: SweepSpec, trials: Iterable[Mapping[str, Any]]) -> None:
    """Bring the study's journal up to the last trial that has ended: add what is missing, tell what has ended."""
    trials = list(trials)
    ended = [at for at, trial in enumerate(trials) if trial["result"] is not None]
    trials = trials[: max(ended, default=-1) + 1]
    try:
        _update(path, spec, trials)
    except OSError:  # a full disk, or a quota: what is there is good
        raise
    except Exception:  # the index is ours to lose: keep the evidence, make it anew
        if path.exists():
            shutil.move(path, path.with_name(f"{path.name}.unreadable"))
        _update(path, spec, trials)


def _update(path: Path, spec: SweepSpec, trials: list[Mapping[str, Any]]) -> None:
    repair_journal(path)
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    try:
        study = optuna.load_study(study_name=spec.name, storage=storage, sampler=_any_sampler())
    except KeyError:
        study = optuna.create_study(
            study_name=spec.name, storage=storage, direction=_direction(spec), sampler=_any_sampler()
        )
    known = study.get_trials(deepcopy=False)
    if [frozen.user_attrs.get("trial") for frozen in known] != [trial["trial"] for trial in trials[: len(known)]]:
        raise StateError(f"{path}: its trials are not the sweep's")
    study.add_trials([_indexed(spec, trial) for trial in trials[len(known) :]])
    for frozen, trial in zip(known, trials, strict=False):
        if frozen.state is TrialState.RUNNING and trial["result"] is not None:
            curve = _curve(spec, trial)
            _report(study, frozen, curve)
            state, value = _told(spec, trial["result"], curve)
            study.tell(frozen.number, value, state=state, skip_if_finished=True)


def _any_sampler() -> BaseSampler:
    """The journal's study never samples."""
    return optuna.samplers.RandomSampler(seed=0)


def _indexed(spec: SweepSpec, trial: Mapping[str, Any]) -> FrozenTrial:
    attrs = {"config_id": trial["config_id"], "trial": trial["trial"]}
    if trial["result"] is None:
        return create_trial(
            state=TrialState.RUNNING, params=trial["params"], distributions=JOURNAL_SPACE, user_attrs=attrs
        )
    curve = _curve(spec, trial)
    state, value = _told(spec, trial["result"], curve)
    return create_trial(
        state=state,
        params=trial["params"],
        distributions=JOURNAL_SPACE,
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


def _told(spec: SweepSpec, result: Mapping[str, Any], curve: Mapping[int, float]) -> tuple[TrialState, float | None]:
    """State and value; a pruned trial's is its last one, as Optuna has it."""
    state = STATES.get(result["state"], TrialState.FAIL)
    value = result.get(spec.study.metric)
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
