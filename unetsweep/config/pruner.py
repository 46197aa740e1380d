"""Which trainings are ended early: the pruner by its name, with its arguments.

pruner: asha
pruner: {name: asha, min_epochs: 4, reduction_factor: 3}
"""

import difflib
from collections.abc import Mapping
from typing import Any

from unetsweep.config.decoded import unknown_keys
from unetsweep.config.names import PRUNER_WORDS, PRUNERS, PRUNERS_ELSEWHERE
from unetsweep.core.space import Domain, largest
from unetsweep.core.spec import StudySpec
from unetsweep.errors import Problem

LEAST = {"reduction_factor": 2, "min_early_stopping_rate": 0, "startup_trials": 0, "warmup_epochs": 0}
"""Of our pruners' arguments, all whole numbers; the rest begin at 1."""


def pruner_from(raw: object, problems: list[Problem], at: str) -> tuple[str | None, dict[str, Any]]:
    """Name and arguments; no name where there is none, or none that could be used."""
    if raw is None:
        return None, {}
    if isinstance(raw, str):
        name, arguments = raw, {}
    elif isinstance(raw, Mapping) and isinstance(raw.get("name"), str):
        name, arguments = raw["name"], {key: value for key, value in raw.items() if key != "name"}
    else:
        problems.append(Problem(f"found {raw!r}; a name, or {{name: asha, min_epochs: 4}}", at))
        return None, {}
    known = PRUNER_WORDS.get(name) or PRUNERS.get(name)
    if known is None:
        problems.append(Problem(f"found {name!r}; {_instead(name)}", at))
        return None, {}
    found = unknown_keys(arguments, known, at)
    if name in PRUNER_WORDS:
        found += _value_problems({key: arguments[key] for key in known if key in arguments}, at)
    elif name == "PercentilePruner" and "percentile" not in arguments:
        found.append(Problem("percentile is missing: {name: PercentilePruner, percentile: 25.0}", at))
    elif name == "PatientPruner" and "patience" not in arguments:
        found.append(Problem("patience is missing: {name: PatientPruner, patience: 5}", at))
    problems += found
    return (None, {}) if found else (name, arguments)


def pruner_problems(study: StudySpec, epochs: Domain | None) -> list[Problem]:
    """What the pruner and the space must hold together."""
    given = study.pruner_args
    if study.pruner not in ("asha", "hyperband") or epochs is None or "min_epochs" not in given:
        return []
    most = given.get("max_epochs") or largest(epochs)
    if given["min_epochs"] <= most:
        return []
    message = f"found {given['min_epochs']}; the longest training has {most} epochs, so nothing would be pruned"
    return [Problem(message, "study.pruner.min_epochs")]


def _value_problems(arguments: Mapping[str, Any], at: str) -> list[Problem]:
    found = []
    for key, value in arguments.items():
        least = LEAST.get(key, 1)
        if type(value) is not int or value < least:
            found.append(Problem(f"found {value!r}; a whole number, at least {least}", f"{at}.{key}"))
    return found


def _instead(name: str) -> str:
    if name in PRUNERS_ELSEWHERE:
        return PRUNERS_ELSEWHERE[name]
    allowed = (*PRUNER_WORDS, *PRUNERS)
    by_lower = {known.lower(): known for known in allowed}
    near = difflib.get_close_matches(name.lower(), list(by_lower), 1)
    if near:
        return f"did you mean {by_lower[near[0]]!r}?"
    return f"allowed are {', '.join(PRUNER_WORDS)} and of Optuna {', '.join(PRUNERS)}"
