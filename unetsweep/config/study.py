"""How points are chosen: the sampler by its name, with its arguments.

sampler: tpe
sampler: {name: TPESampler, n_startup_trials: 5}
sampler: {name: list, points: [{epochs: 8, batch_size: 4, learning_rate: 1e-3, seed: 7}]}
"""

import difflib
from collections.abc import Mapping
from typing import Any

from unetsweep.config.decoded import decoded, unknown_keys
from unetsweep.config.names import ELSEWHERE, LIST_ARGUMENTS, SAMPLERS, WORDS
from unetsweep.config.pruner import pruner_from
from unetsweep.core.spec import StudySpec
from unetsweep.errors import Problem

KEYS = ("sampler", "trials", "metric", "seed", "pruner")
_PLAIN = ("trials", "metric", "seed")
_LONG = {"tpe": "TPESampler", "random": "RandomSampler"}


def study_from(raw: object, problems: list[Problem], at: str = "study") -> tuple[StudySpec, bool]:
    """The study, and whether its sampler is known; with False no rule may turn on the sampler."""
    if raw is None:
        return StudySpec(), True
    if not isinstance(raw, Mapping):
        problems.append(Problem(f"found {raw!r}; a mapping with keys {', '.join(KEYS)} is expected", at))
        return StudySpec(), False
    problems += unknown_keys(raw, KEYS, at)
    plain = {key: raw[key] for key in _PLAIN if key in raw}
    study = decoded(StudySpec, plain, problems, at)
    problems += _number_problems(study, at)
    before = len(problems)
    name, arguments = _sampler(raw.get("sampler"), problems, f"{at}.sampler")
    known = len(problems) == before
    pruner = pruner_from(raw.get("pruner"), problems, f"{at}.pruner")
    return StudySpec(name, arguments, study.trials, study.metric, study.seed, *pruner), known


def _number_problems(study: StudySpec, at: str) -> list[Problem]:
    checks = [
        (study.trials is None or study.trials >= 1, "trials", f"found {study.trials}; at least 1"),
        (0 <= study.seed < 2**32, "seed", f"found {study.seed}; 0 to 4294967295"),
    ]
    return [Problem(message, f"{at}.{field}") for fine, field, message in checks if not fine]


def _sampler(raw: object, problems: list[Problem], at: str) -> tuple[str, dict[str, Any]]:
    if raw is None:
        return StudySpec().sampler, {}
    if isinstance(raw, str):
        name, arguments = raw, {}
    elif isinstance(raw, Mapping) and isinstance(raw.get("name"), str):
        name, arguments = raw["name"], {key: value for key, value in raw.items() if key != "name"}
    else:
        problems.append(Problem(f"found {raw!r}; a name, or {{name: TPESampler, n_startup_trials: 5}}", at))
        return "grid", {}
    if name in WORDS or name in SAMPLERS:
        problems += _argument_problems(name, arguments, at)
    else:
        problems.append(Problem(f"found {name!r}; {_instead(name)}", at))
    return name, arguments


def _instead(name: str) -> str:
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    allowed = (*WORDS, *SAMPLERS)
    by_lower = {known.lower(): known for known in allowed}
    near = difflib.get_close_matches(name.lower(), list(by_lower), 1)
    if near:
        return f"did you mean {by_lower[near[0]]!r}?"
    return f"allowed are {', '.join(WORDS)} and of Optuna {', '.join(SAMPLERS)}"


def _argument_problems(name: str, arguments: Mapping[str, Any], at: str) -> list[Problem]:
    known = LIST_ARGUMENTS if name == "list" else SAMPLERS.get(_LONG.get(name, name), ())
    found = []
    for problem in unknown_keys(arguments, known, at):
        key = problem.field.removeprefix(f"{at}.")
        if key == "seed":
            found.append(Problem("the sampler's seed is study.seed; say it there", problem.field))
        elif not known:
            found.append(Problem(f"unknown key {key!r}; {name} takes no arguments", problem.field))
        else:
            found.append(problem)
    return found
