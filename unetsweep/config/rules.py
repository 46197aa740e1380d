"""What the fields of a sweep must hold together, each breach at its line.

Rule 1: a rule says nothing about a part that could not be read.
"""

import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from unetsweep.config.pruner import pruner_problems
from unetsweep.config.space import AXES, Axes, shown
from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig, TrialConfig, config_problems
from unetsweep.core.space import Choices, Domain, Range, size, whole_numbers
from unetsweep.core.spec import Resources, RunSpec, StudySpec
from unetsweep.errors import Problem

PLACEHOLDERS = ("config", "out")
_ITEM = re.compile(r"\[(\d+)\]")
_NO_LIST = "found a range; a {} needs a list, or say study: {{sampler: tpe}}"
_FILLED = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Parts:
    """All sections as far as they could be read."""

    data: DataConfig
    axes: Axes
    study: StudySpec
    sampler_known: bool
    model: ModelConfig
    trainer: TrainerConfig
    run: RunSpec
    slurm: Resources


CheckAugment = Callable[[object], Iterable[Problem]]
"""Says what is wrong with a list of augmentations; needs albumentations, so another room has it."""


def broken(parts: Parts, check_augment: CheckAugment | None) -> list[Problem]:
    """Every rule that the parts break."""
    return [
        *_contract(parts),
        *_groups(parts.data.split.groups),
        *_augment(parts.trainer.augment, check_augment),
        *_command(parts.trainer.command),
        *_run(parts.run),
        *(_sampler(parts) if parts.sampler_known else ()),
        *pruner_problems(parts.study, parts.axes.domains.get("epochs")),
        *_batches(parts.axes, parts.slurm),
    ]


def _contract(parts: Parts) -> list[Problem]:
    """What the trainer itself would refuse."""
    config = TrialConfig(parts.data, 1, 1, 1.0, parts.model, parts.trainer)
    found = [p for p in config_problems(config) if p.field.startswith(("data.", "model.", "trainer."))]
    if parts.data.manifest is not None:
        found.append(Problem("leave it out: the sweep pins the split that it finds", "data.manifest"))
    if not 0 <= parts.data.split.seed < 2**32:
        found.append(Problem(f"found {parts.data.split.seed}; 0 to 4294967295", "data.split.seed"))
    return found


def _groups(groups: str) -> list[Problem]:
    if groups in ("auto", "none") or groups.lower().endswith(".csv"):
        return []
    at = "data.split.groups"
    allowed = r"allowed: auto, a CSV file, a regular expression with a group such as 'Image_(\d+)', or none"
    try:
        bracketed = re.compile(groups).groups
    except re.error as error:
        return [Problem(f"found {groups!r}, which is no regular expression ({error}); {allowed}", at)]
    return [] if bracketed else [Problem(f"found {groups!r}, which has no group in brackets; {allowed}", at)]


def _augment(augment: object, check: CheckAugment | None) -> list[Problem]:
    """The list's shape; its names and arguments where `check` can say."""
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


def _command(command: str | None) -> list[Problem]:
    if command is None:
        return []
    at, example = "trainer.command", "python my_train.py {config} {out}"
    fields = _FILLED.findall(command)
    try:
        shlex.split(command)
    except ValueError as error:
        return [Problem(f"found {command!r} ({error}); write {example!r}", at)]
    unknown = [f"{{{name}}}" for name in fields if name not in PLACEHOLDERS]
    if unknown:
        return [
            Problem(f"unknown {', '.join(unknown)}; {{config}} and {{out}} are filled in, and no shell reads it", at)
        ]
    missing = [f"{{{name}}}" for name in PLACEHOLDERS if name not in fields]
    return [Problem(f"{' and '.join(missing)} must occur; write {example!r}", at)] if missing else []


def _run(run: RunSpec) -> list[Problem]:
    checks = [(run.parallel is None or run.parallel >= 1, "parallel", f"found {run.parallel}; at least 1")]
    checks.append(
        (run.reconcile_interval >= 5, "reconcile_interval", f"found {run.reconcile_interval}; at least 5 seconds")
    )
    for name in ("node", "memory", "unexplained", "hang", "requeue"):
        number = getattr(run.retries, name)
        checks.append((number >= 0, f"retries.{name}", f"found {number}; 0 or more"))
    return [Problem(message, f"run.{field}") for fine, field, message in checks if not fine]


def _sampler(parts: Parts) -> list[Problem]:
    """Whether the sampler can fill the space, and knows when it is done."""
    study, axes = parts.study, parts.axes.domains
    space = parts.axes.space()
    found: list[Problem] = []
    if study.sampler == "list":
        found += _points(study, axes)
    if study.sampler in ("grid", "list"):
        for name, axis in axes.items():
            if isinstance(axis, Range):
                found.append(Problem(_NO_LIST.format(study.sampler), f"space.{name}"))
        if study.trials is not None:
            here = len(study.sampler_args.get("points") or ()) if study.sampler == "list" else space and size(space)
            many = f" ({here:.0f} here)" if here and not found else ""
            message = f"found {study.trials}; a {study.sampler} has one trial a point{many}: leave it out"
            found.append(Problem(message, "study.trials"))
    elif space is not None and math.isinf(size(space)):
        if study.sampler == "BruteForceSampler":
            found.append(Problem("BruteForceSampler needs a list, or a range with a step", "space.learning_rate"))
        elif study.trials is None:
            message = f"is missing; {study.sampler} needs a number of trials, since the space has no end"
            found.append(Problem(message, "study.trials"))
    return found


def _points(study: StudySpec, axes: Mapping[str, Domain]) -> list[Problem]:
    """Each point of a list is one of the space, once."""
    at, found, seen = "study.sampler.points", [], set()
    points = study.sampler_args.get("points")
    if not isinstance(points, list) or not points:
        return [Problem("is missing; say points: [{epochs: 8, batch_size: 4, learning_rate: 1e-3}, …]", at)]
    for index, point in enumerate(points):
        where = f"{at}.{index}"
        if not isinstance(point, Mapping) or {*point, "seed"} != {*AXES, "seed"}:
            found.append(Problem(f"found {point!r}; {', '.join(AXES)} and, if you like, seed", where))
            continue
        for name, axis in axes.items():
            if isinstance(axis, Choices) and point[name] not in axis.values:
                message = f"found {point[name]!r}, which space.{name} does not have; add it"
                found.append(Problem(message, f"{where}.{name}"))
        seed = point.get("seed", study.seed)
        if type(seed) is not int or not 0 <= seed < 2**32:
            found.append(Problem(f"found {seed!r}; 0 to 4294967295", f"{where}.seed"))
        key = (*(repr(point[name]) for name in AXES), repr(seed))
        if key in seen:
            found.append(Problem("is there twice; leave one, or give it another seed", where))
        seen.add(key)
    return found


def _batches(axes: Axes, slurm: Resources) -> list[Problem]:
    """The batch is the global one, so each process gets an equal part of every value on the axis."""
    n, at, axis = slurm.processes, "space.batch_size", axes.domains.get("batch_size")
    if n == 1 or axis is None:
        return []
    why = f"which does not divide over {n} processes; use a multiple of {n}"
    if isinstance(axis, Choices):
        values = enumerate(whole_numbers(axis))
        return [Problem(f"found {value}, {why}", f"{at}.{index}") for index, value in values if value % n]
    if axis.low == axis.high and not axis.low % n:
        return []
    if axis.log:
        return [Problem(f"found a log range, which cannot keep to multiples of {n}; use a list, or log: false", at)]
    found = [Problem(f"found {shown(axis.low)}, {why}", f"{at}.low")] if axis.low % n else []
    if (axis.step or 1) % n:
        said = f"found {shown(axis.step)}" if axis.step else "is missing, so steps are of 1"
        found.append(
            Problem(f"{said}; steps of a multiple of {n} keep the batches whole over {n} processes", f"{at}.step")
        )
    return found
