"""The section `study:`: the sampler and the pruner, each by its name, with its arguments.

sampler: tpe
sampler: {name: TPESampler, n_startup_trials: 5}
pruner: asha
pruner: {name: asha, min_epochs: 4, reduction_factor: 3}
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from unetsweep.config.names import (
    NO_SAMPLERS,
    OUR_PRUNERS,
    PRUNERS,
    SAMPLERS,
    SHORT_NAMES,
    UNSUPPORTED_PRUNERS,
    UNSUPPORTED_SAMPLERS,
)
from unetsweep.core.metric import direction_problem, name_problem
from unetsweep.core.space import Domain, largest
from unetsweep.core.spec import NO_SAMPLER, StudySpec
from unetsweep.core.spending import Limits
from unetsweep.decode import decode_value, decode_with_defaults, unknown_keys
from unetsweep.errors import Problem
from unetsweep.limits import BOUNDS, MAX_ARGUMENT, MAX_HOURS, MAX_TRIALS, bound_problem
from unetsweep.texts import counted

KEYS = ("sampler", "trials", "repeats", "metric", "direction", "seed", "pruner", "limits")
_PLAIN = ("trials", "repeats", "metric", "direction", "seed", "limits")
_NO_METRIC = "has no value; fill in the name of a number in result.json, and minimize or maximize as study.direction"
_CLASSES = {"tpe": "TPESampler", "random": "RandomSampler"}
"""Optuna's class of a sampler's short name."""
_MINIMA = {"reduction_factor": 2, "min_early_stopping_rate": 0, "startup_trials": 0, "warmup_epochs": 0}
"""The smallest values of our pruners' arguments, all whole numbers; the smallest value of the others is 1."""

_MAXIMA = {"min_early_stopping_rate": 100}
"""The largest value of an argument that is an exponent; that of our pruners' others is that of `epochs`."""


def study_from(raw: object, problems: list[Problem], at: str = "study") -> tuple[StudySpec, bool]:
    """Return the study, and whether its sampler is known: if not, no rule about samplers applies."""
    if raw is None:
        return StudySpec(), True
    if not isinstance(raw, Mapping):
        problems.append(Problem(f"found {raw!r}; a mapping with keys {', '.join(KEYS)} is expected", at))
        return StudySpec(), False
    problems += unknown_keys(raw, KEYS, at)
    plain = {key: raw[key] for key in _PLAIN if key in raw}
    if plain.get("limits", {}) is None:  # as in `limits:` without keys
        del plain["limits"]
    if "metric" in plain and plain["metric"] is None:  # as `init` writes it
        problems.append(Problem(_NO_METRIC, f"{at}.metric"))
        plain = {key: value for key, value in plain.items() if key not in ("metric", "direction")}
    study = decode_with_defaults(StudySpec, plain, problems, at)
    problems += _number_problems(study, at)
    before = len(problems)
    name, arguments = _sampler(raw.get("sampler"), problems, f"{at}.sampler")
    is_known = len(problems) == before
    pruner = _pruner(raw.get("pruner"), problems, f"{at}.pruner")
    prunes, prune_arguments = pruner
    found = replace(study, sampler=name, sampler_args=arguments, pruner=prunes, pruner_args=prune_arguments)
    return found, is_known


def metric_problems(study: StudySpec, *, is_built_in: bool) -> list[Problem]:
    """Return a problem if the sweep cannot optimise its metric. `is_built_in`: the built-in trainer trains."""
    if (message := name_problem(study.metric, is_built_in=is_built_in)) is not None:
        return [Problem(message, "study.metric")]
    message = direction_problem(study.metric, study.direction)
    return [] if message is None else [Problem(message, "study.direction")]


def limit_problems(limits: Limits, gpus: int) -> list[Problem]:
    """Return what is wrong with the limits of a sweep whose jobs have so many GPUs."""
    found = []
    for name, hours in (("gpu_hours", limits.gpu_hours), ("cpu_hours", limits.cpu_hours)):
        if hours is None:
            continue
        if (name == "gpu_hours") != (gpus > 0):
            have, instead = ("has GPUs", "gpu_hours") if gpus else ("has no GPUs (slurm.gpus is 0)", "cpu_hours")
            found.append(Problem(f"found {hours:g}, but the sweep {have}; use {instead}", f"study.limits.{name}"))
        elif not 0 < hours <= MAX_HOURS:
            found.append(Problem(f"found {hours:g}; a number above 0, at most {MAX_HOURS}", f"study.limits.{name}"))
    return found


def pruner_problems(study: StudySpec, epochs: Domain | None, *, is_built_in: bool) -> list[Problem]:
    """Return a problem if the pruner would prune nothing in this space. `is_built_in`: the built-in trainer trains."""
    given = study.pruner_args
    if study.pruner is not None and epochs is not None and largest(epochs) == 1 and not is_built_in:
        message = (
            f"found {study.pruner!r}, which compares trainings at equal epochs, and all of these have one epoch; "
            "name `epochs` under space, such as epochs: 10, and report each epoch, or leave the pruner out"
        )
        return [Problem(message, "study.pruner")]
    if study.pruner not in ("asha", "hyperband") or epochs is None or "min_epochs" not in given:
        return []
    longest = given.get("max_epochs") or largest(epochs)
    if given["min_epochs"] <= longest:
        return []
    message = (
        f"found {given['min_epochs']}; the longest training has {counted(longest, 'epoch')}, so nothing would be pruned"
    )
    return [Problem(message, "study.pruner.min_epochs")]


def seed_problems(study: StudySpec, place: str) -> list[Problem]:
    """Return why the seed cannot be a parameter of this study."""
    if study.repeats > 1:
        message = "and study.repeats both choose the seeds; leave one out: with repeats each point has seeds of its own"
        return [Problem(message, place)]
    if study.sampler in ("grid", NO_SAMPLER):
        return []
    why = "learns nothing from them, and the best of many seeds is only lucky"
    fix = "leave it out, and set study.repeats: 3 to train every point with three seeds and compare the means"
    return [Problem(f"cannot vary with the sampler {study.sampler}, which {why}; {fix}", place)]


def repeats_problems(study: StudySpec, available: float) -> list[Problem]:
    """Return a problem if all repeats of the points would be too many trials. `available`: points that there are."""
    points = min(study.trials or math.inf, available)
    if study.repeats == 1 or not points <= MAX_TRIALS < points * study.repeats:  # too many points are another problem
        return []
    asked = f"{points:.0f} points with {study.repeats} trainings of each are {points * study.repeats:.0f} trials"
    return [Problem(f"{asked}; a sweep has at most {MAX_TRIALS}", "study.repeats")]


def _number_problems(study: StudySpec, at: str) -> list[Problem]:
    numbers = {"trials": study.trials, "repeats": study.repeats, "seed": study.seed}
    found = {name: bound_problem(f"study.{name}", number) for name, number in numbers.items()}
    return [Problem(message, f"{at}.{name}") for name, message in found.items() if message]


def _sampler(raw: object, problems: list[Problem], at: str) -> tuple[str, dict[str, Any]]:
    if raw is None:
        return StudySpec().sampler, {}
    parts = _name_and_arguments(raw)
    if parts is None:
        problems.append(Problem(f"found {raw!r}; a name, or {{name: TPESampler, n_startup_trials: 5}}", at))
        return "grid", {}
    name, arguments = parts
    if name in SHORT_NAMES or name in SAMPLERS:
        problems += _sampler_argument_problems(name, arguments, at)
        kinds = SAMPLERS.get(_CLASSES.get(name, name), {})
        arguments = {**arguments, **_typed(arguments, kinds, MAX_ARGUMENT, problems, at)}
    else:
        instead = {**UNSUPPORTED_SAMPLERS, **NO_SAMPLERS}.get(name) or _suggest(name, SHORT_NAMES, SAMPLERS)
        problems.append(Problem(f"found {name!r}; {instead}", at))
    return name, arguments


def _sampler_argument_problems(name: str, arguments: Mapping[str, Any], at: str) -> list[Problem]:
    known = tuple(SAMPLERS.get(_CLASSES.get(name, name), ()))
    found = []
    for problem in unknown_keys(arguments, known, at):
        key = problem.field.removeprefix(f"{at}.")
        if key == "seed":
            found.append(Problem("is not an argument here; set study.seed", problem.field))
        elif not known:
            found.append(Problem(f"unknown key {key!r}; {name} takes no arguments", problem.field))
        else:
            found.append(problem)
    return found


def _pruner(raw: object, problems: list[Problem], at: str) -> tuple[str | None, dict[str, Any]]:
    """Return name and arguments; no name if the file has none, or none that can be used."""
    if raw is None:
        return None, {}
    parts = _name_and_arguments(raw)
    if parts is None:
        problems.append(Problem(f"found {raw!r}; a name, or {{name: asha, min_epochs: 4}}", at))
        return None, {}
    name, arguments = parts
    known = OUR_PRUNERS.get(name) or tuple(PRUNERS.get(name, ())) or None
    if known is None:
        instead = UNSUPPORTED_PRUNERS.get(name) or _suggest(name, OUR_PRUNERS, PRUNERS)
        problems.append(Problem(f"found {name!r}; {instead}", at))
        return None, {}
    found = unknown_keys(arguments, known, at)
    if name in OUR_PRUNERS:
        found += _pruner_value_problems({key: arguments[key] for key in known if key in arguments}, at)
    else:
        arguments = {**arguments, **_typed(arguments, PRUNERS[name], BOUNDS["epochs"][1], found, at)}
    if name == "PercentilePruner" and "percentile" not in arguments:
        found.append(Problem("percentile is missing: {name: PercentilePruner, percentile: 25.0}", at))
    elif name == "PatientPruner" and "patience" not in arguments:
        found.append(Problem("patience is missing: {name: PatientPruner, patience: 5}", at))
    problems += found
    return (None, {}) if found else (name, arguments)


def _pruner_value_problems(arguments: Mapping[str, Any], at: str) -> list[Problem]:
    found = []
    for key, value in arguments.items():
        low, high = _MINIMA.get(key, 1), _MAXIMA.get(key, BOUNDS["epochs"][1])
        if type(value) is not int or not low <= value <= high:
            found.append(Problem(f"found {value!r}; a whole number from {low} to {high}", f"{at}.{key}"))
    return found


def _typed(
    arguments: Mapping[str, Any], kinds: Mapping[str, Any], most: int, problems: list[Problem], at: str
) -> dict[str, Any]:
    """Return the known arguments with the types that Optuna expects. It would use some others without an error."""
    values = {}
    for key, kind in kinds.items():
        if key in arguments:
            value = values[key] = decode_value(kind, arguments[key], problems, f"{at}.{key}")
            high = _MAXIMA.get(key, most)
            if type(value) is int and not 0 <= value <= high:
                problems.append(Problem(f"found {value}; 0 to {high}", f"{at}.{key}"))
    return values


def _name_and_arguments(raw: object) -> tuple[str, dict[str, Any]] | None:
    if isinstance(raw, str):
        return raw, {}
    if isinstance(raw, Mapping) and isinstance(raw.get("name"), str):
        return raw["name"], {key: value for key, value in raw.items() if key != "name"}
    return None


def _suggest(name: str, ours: Iterable[str], optunas: Iterable[str]) -> str:
    """Return the known name that is nearest to an unknown one, or all of them."""
    by_lower = {known.lower(): known for known in (*ours, *optunas)}
    near = difflib.get_close_matches(name.lower(), list(by_lower), 1)
    if near:
        return f"did you mean {by_lower[near[0]]!r}?"
    return f"allowed are {', '.join(ours)} and of Optuna {', '.join(optunas)}"
