"""The section `study:`: the sampler and the pruner, each by its name, with its arguments.

sampler: tpe
sampler: {name: TPESampler, n_startup_trials: 5}
sampler: {name: list, points: [{epochs: 8, batch_size: 4, learning_rate: 1e-3, seed: 7}]}
pruner: asha
pruner: {name: asha, min_epochs: 4, reduction_factor: 3}
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from unetsweep.config.names import (
    LIST_ARGUMENTS,
    OUR_PRUNERS,
    PRUNERS,
    SAMPLERS,
    SHORT_NAMES,
    UNSUPPORTED_PRUNERS,
    UNSUPPORTED_SAMPLERS,
)
from unetsweep.core.space import Domain, largest
from unetsweep.core.spec import StudySpec
from unetsweep.decode import decode_with_defaults, unknown_keys
from unetsweep.errors import Problem
from unetsweep.texts import counted

KEYS = ("sampler", "trials", "metric", "seed", "pruner")
_PLAIN = ("trials", "metric", "seed")
_CLASSES = {"tpe": "TPESampler", "random": "RandomSampler"}
"""Optuna's class of a sampler's short name."""
_MINIMA = {"reduction_factor": 2, "min_early_stopping_rate": 0, "startup_trials": 0, "warmup_epochs": 0}
"""The smallest values of our pruners' arguments, all whole numbers; the smallest value of the others is 1."""


def study_from(raw: object, problems: list[Problem], at: str = "study") -> tuple[StudySpec, bool]:
    """Return the study, and whether its sampler is known: if not, no rule about samplers applies."""
    if raw is None:
        return StudySpec(), True
    if not isinstance(raw, Mapping):
        problems.append(Problem(f"found {raw!r}; a mapping with keys {', '.join(KEYS)} is expected", at))
        return StudySpec(), False
    problems += unknown_keys(raw, KEYS, at)
    plain = {key: raw[key] for key in _PLAIN if key in raw}
    study = decode_with_defaults(StudySpec, plain, problems, at)
    problems += _number_problems(study, at)
    before = len(problems)
    name, arguments = _sampler(raw.get("sampler"), problems, f"{at}.sampler")
    is_known = len(problems) == before
    pruner = _pruner(raw.get("pruner"), problems, f"{at}.pruner")
    return StudySpec(name, arguments, study.trials, study.metric, study.seed, *pruner), is_known


def pruner_problems(study: StudySpec, epochs: Domain | None) -> list[Problem]:
    """Return a problem if the pruner would prune nothing in this space."""
    given = study.pruner_args
    if study.pruner not in ("asha", "hyperband") or epochs is None or "min_epochs" not in given:
        return []
    longest = given.get("max_epochs") or largest(epochs)
    if given["min_epochs"] <= longest:
        return []
    message = (
        f"found {given['min_epochs']}; the longest training has {counted(longest, 'epoch')}, so nothing would be pruned"
    )
    return [Problem(message, "study.pruner.min_epochs")]


def _number_problems(study: StudySpec, at: str) -> list[Problem]:
    checks = [
        (study.trials is None or study.trials >= 1, "trials", f"found {study.trials}; at least 1"),
        (0 <= study.seed < 2**32, "seed", f"found {study.seed}; 0 to 4294967295"),
    ]
    return [Problem(message, f"{at}.{field}") for is_fine, field, message in checks if not is_fine]


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
    else:
        instead = UNSUPPORTED_SAMPLERS.get(name) or _suggest(name, SHORT_NAMES, SAMPLERS)
        problems.append(Problem(f"found {name!r}; {instead}", at))
    return name, arguments


def _sampler_argument_problems(name: str, arguments: Mapping[str, Any], at: str) -> list[Problem]:
    known = LIST_ARGUMENTS if name == "list" else SAMPLERS.get(_CLASSES.get(name, name), ())
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
    known = OUR_PRUNERS.get(name) or PRUNERS.get(name)
    if known is None:
        instead = UNSUPPORTED_PRUNERS.get(name) or _suggest(name, OUR_PRUNERS, PRUNERS)
        problems.append(Problem(f"found {name!r}; {instead}", at))
        return None, {}
    found = unknown_keys(arguments, known, at)
    if name in OUR_PRUNERS:
        found += _pruner_value_problems({key: arguments[key] for key in known if key in arguments}, at)
    elif name == "PercentilePruner" and "percentile" not in arguments:
        found.append(Problem("percentile is missing: {name: PercentilePruner, percentile: 25.0}", at))
    elif name == "PatientPruner" and "patience" not in arguments:
        found.append(Problem("patience is missing: {name: PatientPruner, patience: 5}", at))
    problems += found
    return (None, {}) if found else (name, arguments)


def _pruner_value_problems(arguments: Mapping[str, Any], at: str) -> list[Problem]:
    found = []
    for key, value in arguments.items():
        minimum = _MINIMA.get(key, 1)
        if type(value) is not int or value < minimum:
            found.append(Problem(f"found {value!r}; a whole number, at least {minimum}", f"{at}.{key}"))
    return found


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
