"""`validate`: check a sweep's YAML file without its images, a cluster or results. Nothing is written."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unetsweep.app.new_trials import new_trials
from unetsweep.app.spec_checks import SpecSource, check_augment, check_precision, collecting, file_warnings
from unetsweep.config.load import load
from unetsweep.config.written import checked_yaml
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.run_sharing import why_not_shared
from unetsweep.core.space_size import count_points
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.errors import Problem, ProblemsError, SpecError, UnetsweepError
from unetsweep.search.study import check_study


@dataclass(frozen=True, slots=True)
class Size:
    """How much a valid file asks for."""

    points: int | None
    """Points that the sampler may propose; None: there are infinitely many, or more than can be counted."""
    repeats: int
    """Trials of each point, which differ in their seeds."""
    trials: int
    trainings: int
    """Runs of these trials, if the sweep is new."""
    is_exact: bool
    """Whether the number of trainings is known; if not, it is the most that there can be."""

    def as_json(self) -> dict[str, Any]:
        """The fields; `repeats` only if each point has several trials."""
        return {name: value for name, value in asdict(self).items() if name != "repeats" or value > 1}


@dataclass(frozen=True, slots=True)
class Validation:
    """What is wrong with a file, or how much it asks for."""

    file: Path
    sweep: str | None
    """The name of the sweep; None: the file has problems."""
    size: Size | None
    """None: the file has problems."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    """What is probably a mistake in a file without problems."""

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "file": str(self.file),
            "sweep": self.sweep,
            "size": None if self.size is None else self.size.as_json(),
            "problems": [self._described(problem) for problem in self.problems],
            "warnings": [self._described(problem) for problem in self.warnings],
        }

    def _described(self, problem: Problem) -> dict[str, Any]:
        return {
            "line": problem.line,
            "column": problem.column,
            "field": problem.field or None,
            "message": problem.message,
            "text": problem.text(str(self.file)),
        }


def validate(file: Path, *, profile: str | None = None, overrides: tuple[str, ...] = ()) -> Validation:
    """The problems that `submit` would find in a file before it reads images or asks a cluster.

    `profile` and `overrides` are those of the command line, as for `submit`.
    """
    try:
        spec = load(file, profile=profile, check_augment=check_augment, overrides=overrides)
    except SpecError as error:
        return Validation(file, None, None, error.problems)
    refusals: list[UnetsweepError] = []
    source = SpecSource(file, overrides)
    for check in (
        lambda: check_precision(spec, source),
        lambda: check_study(spec),
        lambda: checked_yaml(spec),
    ):
        with collecting(refusals):
            check()
    if refusals:
        return Validation(file, None, None, tuple(each for error in refusals for each in _problems(error)))
    return Validation(file, spec.name, _size(spec), (), file_warnings(spec, source))


def _problems(error: UnetsweepError) -> tuple[Problem, ...]:
    return error.problems if isinstance(error, ProblemsError) else (Problem(str(error)),)


def _size(spec: SweepSpec) -> Size:
    counts, wanted = count_points(spec.space), trials_wanted(spec)
    points = None if counts is None else counts.points
    trials = new_trials(spec, (), wanted, 0)
    is_exact = spec.study.sampler in ("grid", NO_SAMPLER) or why_not_shared(spec) is not None
    if spec.study.sampler == NO_SAMPLER:
        points = len({spec.space.key(point) for point in spec.points})
    return Size(points, spec.study.repeats, wanted, len({trial.run for trial in trials}), is_exact)
