"""Rules over several fields of a sweep, and over values that a type cannot check.

Rule 1: no rule applies to a section that could not be read.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

from unetsweep.config.commands import command_problems
from unetsweep.config.domains import format_number
from unetsweep.config.parameters import SEED
from unetsweep.config.space import Axes
from unetsweep.config.study import limit_problems, metric_problems, pruner_problems, repeats_problems, seed_problems
from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig, TrialConfig, config_problems
from unetsweep.core.space import Choices, Domain, Point, Range, Space, whole_numbers
from unetsweep.core.space_size import leaves_nothing, size
from unetsweep.core.spec import NO_SAMPLER, Resources, RunSpec, StudySpec
from unetsweep.core.trials import is_own, with_value
from unetsweep.errors import Problem
from unetsweep.limits import MAX_PROBLEMS, MAX_TRIALS, bound_problem
from unetsweep.trial_config import ParameterValue

_ITEM = re.compile(r"\[(\d+)\]")
_NO_LIST = "found a range; a grid needs a list. For a range set study: {sampler: tpe}"


@dataclass(frozen=True, slots=True)
class Sections:
    """All sections, with defaults in place of what could not be read."""

    data: DataConfig
    axes: Axes
    study: StudySpec
    is_sampler_known: bool
    model: ModelConfig
    trainer: TrainerConfig
    run: RunSpec
    slurm: Resources
    points: tuple[Point, ...] = ()
    has_points: bool = False
    """Whether the file lists points, or `unetsweep add` has added some; they may have problems."""


CheckAugment = Callable[[object], Iterable[Problem]]
"""Returns what is wrong with a list of augmentations. It needs albumentations, which only `training` imports."""


def check_rules(sections: Sections, check_augment: CheckAugment | None) -> list[Problem]:
    """Return a problem for every rule that the sections break."""
    return [
        *_contract(sections),
        *_swept(sections, check_augment),
        *_groups(sections.data.split.groups),
        *_augment(sections.trainer.augment, check_augment),
        *command_problems(sections.trainer.command, sections.axes),
        *_resumes(sections.trainer),
        *_run(sections.run),
        *(_sampler(sections) if sections.is_sampler_known else ()),
        *metric_problems(sections.study, is_built_in=sections.trainer.command is None),
        *pruner_problems(
            sections.study, sections.axes.domains.get("epochs"), is_built_in=sections.trainer.command is None
        ),
        *limit_problems(sections.study.limits, sections.slurm.gpus),
        *_batches(sections.axes, sections.slurm),
    ]


def _contract(sections: Sections) -> list[Problem]:
    """Return what the trainer would refuse."""
    config = TrialConfig(sections.data, 1, 1, 1.0, sections.model, sections.trainer)
    found = [p for p in config_problems(config) if p.field.startswith(("data.", "model.", "trainer."))]
    if sections.data.manifest is not None:
        found.append(Problem("leave it out: unetsweep records the split of the images that it finds", "data.manifest"))
    return found


def _swept(sections: Sections, check_augment: CheckAugment | None) -> list[Problem]:
    """Return what the trainer would refuse of the values of each parameter."""
    base, found = TrialConfig(sections.data, 1, 1, 1.0, sections.model, sections.trainer), list[Problem]()
    for path, domain in sections.axes.domains.items():
        place = sections.axes.place(path)
        if is_own(path):
            message = "has the name of study.metric, so a report could not tell them apart; rename one"
            found += [Problem(message, place)] if path == sections.study.metric else []
            continue
        is_one = isinstance(domain, Choices) and len(domain.values) == 1
        for index, value in ends_of(domain).items():
            at = sections.axes.value_place(path, index) if not is_one else place
            found += setting_problems(base, path, domain.setting(value), at, check_augment)
            if len(found) > MAX_PROBLEMS:
                return found
        if path == SEED:
            found += seed_problems(sections.study, place)
    return found


def setting_problems(
    base: TrialConfig, path: str, setting: object, at: str, check_augment: CheckAugment | None
) -> list[Problem]:
    """Return what the trainer would refuse of one value of a parameter, at this field."""
    if is_own(path):
        return []
    found = [Problem(p.message, at) for p in config_problems(with_value(base, path, setting)) if p.field == path]
    if path == "trainer.augment":
        problems = _augment(setting, check_augment)
        found += [Problem(p.message, f"{at}.value" + p.field.removeprefix(path)) for p in problems]
    return found


def ends_of(domain: Domain) -> Mapping[object, ParameterValue]:
    """Return every value of a list by its index, or the ends of a range by their keys."""
    if isinstance(domain, Choices):
        return dict(enumerate(domain.values))
    return {"low": domain.low, "high": domain.high}


def _groups(groups: str) -> list[Problem]:
    if groups in ("auto", "none") or groups.lower().endswith(".csv"):
        return []
    at = "data.split.groups"
    allowed = r"allowed: auto, a CSV file, a regular expression with a group such as 'Image_(\d+)', or none"
    try:
        groups_in_pattern = re.compile(groups).groups
    except re.error as error:
        return [Problem(f"found {groups!r}, which is not a regular expression ({error}); {allowed}", at)]
    return [] if groups_in_pattern else [Problem(f"found {groups!r}, which has no group in parentheses; {allowed}", at)]


def _augment(augment: object, check: CheckAugment | None) -> list[Problem]:
    """Check the shape of the list, and with `check` its names and arguments."""
    at, wanted = "trainer.augment", "default, none, or a list such as [HorizontalFlip, {Affine: {rotate: [-30, 30]}}]"
    if augment in ("default", "none"):
        return []
    if not isinstance(augment, list):
        return [Problem(f"found {augment!r}; {wanted}", at)]
    found = []
    for index, item in enumerate(augment):
        named = isinstance(item, Mapping) and len(item) == 1 and isinstance(next(iter(item.values())), Mapping | None)
        if not isinstance(item, str) and not named:
            found.append(Problem(f"found {item!r}; a name, or {{Name: {{argument: value}}}}", f"{at}.{index}"))
    if check is not None and not found:
        found += [Problem(p.message, _ITEM.sub(r".\1", p.field) + f"#{n}") for n, p in enumerate(check(augment))]
    return found


def _resumes(trainer: TrainerConfig) -> list[Problem]:
    if not trainer.resumes or trainer.command is not None:
        return []
    return [Problem("found true without trainer.command; the built-in trainer always resumes", "trainer.resumes")]


def _run(run: RunSpec) -> list[Problem]:
    retries = {f"run.retries.{field.name}": getattr(run.retries, field.name) for field in fields(run.retries)}
    numbers = {"run.parallel": run.parallel, "run.reconcile_interval": run.reconcile_interval, **retries}
    return [Problem(message, name) for name, number in numbers.items() if (message := bound_problem(name, number))]


def _without_sampler(sections: Sections) -> list[Problem]:
    """Check a sweep whose only points are the listed ones."""
    count, trials = len(sections.points), sections.study.trials
    if not sections.has_points:
        return [Problem("found none without points; list some under points:", "study.sampler")]
    if trials is None:
        return []
    message = f"found {trials}; without a sampler there is one trial per point ({count} here): leave trials out"
    return [Problem(message, "study.trials")]


def _sampler(sections: Sections) -> list[Problem]:
    """Check that the sampler can draw from the space, and that the number of trials is finite."""
    study, axes = sections.study, sections.axes.domains
    space = sections.axes.space()
    if study.sampler == NO_SAMPLER:
        return [*_without_sampler(sections), *repeats_problems(study, len(sections.points))]
    found: list[Problem] = []
    found += _unusable_conditions(study, sections.axes)
    if space is not None and leaves_nothing(space):
        found.append(Problem("leaves no point of the space; remove one of them", "exclude"))
    if study.sampler == "grid":
        found += [
            Problem(_NO_LIST, sections.axes.place(name)) for name, axis in axes.items() if isinstance(axis, Range)
        ]
        if study.trials is not None:
            count = f" ({size(space):.0f} here)" if space is not None and not found else ""
            message = f"found {study.trials}; a grid has one trial per point{count}: leave trials out"
            found.append(Problem(message, "study.trials"))
    elif study.trials is not None and study.trials < len(sections.points):
        message = f"found {study.trials}; it counts the points too, and there are {len(sections.points)}"
        found.append(Problem(message, "study.trials"))
    elif space is not None and math.isinf(size(space)):
        found += _infinite(study, space, sections.axes)
    if study.trials is None and space is not None and not found and MAX_TRIALS < size(space) < math.inf:
        message = f"has {size(space):.0f} points; a sweep has at most {MAX_TRIALS} trials"
        more = "" if study.sampler == "grid" else ": set study.trials"
        found.append(Problem(message + more, "space"))
    return [*found, *repeats_problems(study, size(space) if space is not None else math.inf)]


WITHOUT_CONDITIONS = ("CmaEsSampler", "GPSampler", "QMCSampler")
"""Samplers whose search covers only the parameters that every point has; Optuna draws all others at random."""


def _unusable_conditions(study: StudySpec, axes: Axes) -> list[Problem]:
    if study.sampler not in WITHOUT_CONDITIONS:
        return []
    message = (
        f"{study.sampler} would draw it at random, because not every point has it; use tpe, random, a grid, "
        "NSGAIISampler, NSGAIIISampler or BruteForceSampler"
    )
    return [Problem(message, f"{axes.place(path)}.when") for path in axes.conditions]


def _infinite(study: StudySpec, space: Space, axes: Axes) -> list[Problem]:
    """Check that a study over an infinite space ends: a number of trials, or for BruteForceSampler a finite space."""
    if study.sampler == "BruteForceSampler":
        infinite = [p.path for p in space.parameters if math.isinf(size(Space((p,))))]
        message = "BruteForceSampler needs a list, or a range with a step"
        return [Problem(message, axes.place(path)) for path in infinite]
    if study.trials is not None:
        return []
    message = f"is missing; {study.sampler} needs a number of trials, because the space is infinite"
    return [Problem(message, "study.trials")]


def _batches(axes: Axes, slurm: Resources) -> list[Problem]:
    """Check that all processes get equal parts of every batch: `batch_size` is the global one."""
    n, at, axis = slurm.processes, axes.place("batch_size"), axes.domains.get("batch_size")
    if n == 1 or axis is None:
        return []
    why = f"which {n} processes cannot share equally; use a multiple of {n}"
    if isinstance(axis, Choices):
        values = enumerate(whole_numbers(axis))
        place = axes.value_place
        return [Problem(f"found {value}, {why}", place("batch_size", index)) for index, value in values if value % n]
    if axis.low == axis.high and not axis.low % n:
        return []
    if axis.log:
        return [Problem(f"found a log range, which is not limited to multiples of {n}; use a list, or log: false", at)]
    found = [Problem(f"found {format_number(axis.low)}, {why}", f"{at}.low")] if axis.low % n else []
    if (axis.step or 1) % n:
        step = f"found {format_number(axis.step)}" if axis.step else "is missing, so it is 1"
        found.append(Problem(f"{step}; use a multiple of {n}, because {n} processes share each batch", f"{at}.step"))
    return found
