"""`unetsweep add SWEEP KEY=VALUE …`: the point that the command line names.

Rule 1: its values are YAML and are checked as in a file, but may be outside the domains of the space: any value that
        the setting allows.
"""

from collections.abc import Mapping, Sequence

from unetsweep.config.overrides import parsed_value
from unetsweep.config.parameters import SEED, resolver
from unetsweep.config.points import (
    WrittenPoint,
    example_of,
    missing_in,
    named_seed_problems,
    names_of,
    points_in_space,
    with_named,
    written_point,
)
from unetsweep.config.rules import CheckAugment, setting_problems
from unetsweep.config.space import Axes
from unetsweep.contract import TrialConfig
from unetsweep.core.space import Domain, Point, Space
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.core.trials import has_epochs
from unetsweep.errors import Problem, SpecError


def added_point(
    spec: SweepSpec, texts: Sequence[str], command: str, check_augment: CheckAugment | None = None
) -> tuple[Point, Space]:
    """Return the point of `KEY=VALUE …`, with the values of all parameters that have one value only, and the space,
    which knows the point's lists and mappings. SpecError with every problem; `command` names their source."""
    problems: list[Problem] = []
    named = resolver(has_command=spec.trainer.command is not None)
    axes = Axes.of(spec.space, named)
    example = _example(axes.domains)
    values = _values(texts, problems, example)
    written = written_point(values, named, problems, "", names_of(axes.domains)) if values else None
    if not texts:
        problems.append(Problem(f"names no parameter; write {example}"))
    points = points_in_space([written], axes, problems, any_value=True) if written is not None else ()
    if written is not None:
        problems += _value_problems(spec, written, check_augment)
        problems += named_seed_problems(written, spec.study)
    problems += [problem for point in points for problem in _missing(spec, point)]
    if problems or written is None:
        raise SpecError(command, list(dict.fromkeys(problems)))
    return points[0], with_named(spec.space, [written])


def _example(domains: Mapping[str, Domain]) -> str:
    """How to name a value of this sweep."""
    found = example_of(domains)
    name = "learning_rate" if "learning_rate" in found else next(iter(found))
    return f"KEY=VALUE, such as {name}={found[name]}"


def _values(texts: Sequence[str], problems: list[Problem], example: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for text in texts:
        key, equals, given = text.partition("=")
        key = key.strip()
        if not (key and equals):
            problems.append(Problem(f"has no value; write {example}", text))
        elif key in values:
            problems.append(Problem("is set twice; keep one", key))
        elif (document := parsed_value(key, given, problems)) is not None:
            values[key] = document.value
    return values


def _value_problems(spec: SweepSpec, written: WrittenPoint, check_augment: CheckAugment | None) -> list[Problem]:
    """What the trainer or the sweep's resources would refuse."""
    base, processes = TrialConfig(spec.data, 1, 1, 1.0, spec.model, spec.trainer), spec.slurm.processes
    found = []
    for path, value in written.values.items():
        place, setting = written.fields[path], written.named.get(path)
        if path not in (*spec.space.paths, SEED):
            continue  # it is a problem already
        found += setting_problems(base, path, value if setting is None else setting.value, place, check_augment)
        if path == "batch_size" and isinstance(value, int) and value % processes:
            why = f"which {processes} processes cannot share equally; use a multiple of {processes}"
            found.append(Problem(f"found {value}, {why}", place))
        if path == "epochs" and not has_epochs(spec.space):
            found.append(Problem("the file of the sweep names no epochs, so its program has none", place))
    return found


def _missing(spec: SweepSpec, point: Point) -> list[Problem]:
    """What a point lacks if no sampler can choose it."""
    missing = missing_in(spec.space, point)
    if not missing or spec.study.sampler not in ("grid", NO_SAMPLER):
        return []
    without = "a grid" if spec.study.sampler == "grid" else "a sweep without a sampler"
    return [
        Problem(f"is missing; {without} chooses no values, so the point names all parameters", path) for path in missing
    ]
