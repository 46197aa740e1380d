"""The checks of a sweep's images, memory and precision, for all of its trials."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.app import memory
from unetsweep.app.executors import Executor
from unetsweep.config.load import error_in
from unetsweep.config.suspicious import suspicious
from unetsweep.contract import TrialConfig, one_value_problem, precision_problem
from unetsweep.core.corners import batch_sizes, corners, values_of
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import Problem, SpecError, UnetsweepError
from unetsweep.texts import counted

if TYPE_CHECKING:
    from unetsweep.datasets.prepare import PreparedDataset


@dataclass(frozen=True, slots=True)
class SpecSource:
    """What the user wrote: a YAML file, and `KEY=VALUE` of each `--set`."""

    path: Path
    overrides: tuple[str, ...] = ()

    def error(self, problems: Sequence[Problem]) -> SpecError:
        """The error with the lines of the fields in the file."""
        return error_in(self.path, self.overrides, problems)


@contextmanager
def collecting(refusals: list[UnetsweepError]) -> Iterator[None]:
    """Add what is raised inside the `with` block to `refusals`, so that the user learns of everything at once."""
    try:
        yield
    except UnetsweepError as error:
        refusals.append(error)


def file_warnings(spec: SweepSpec, source: SpecSource) -> tuple[Problem, ...]:
    """What in the file is probably a mistake, with its lines."""
    return source.error(suspicious(spec, has_data=Path(spec.data.root).is_dir())).problems


def check_augment(value: object) -> list[Problem]:
    """What is wrong with a list of augmentations: `CheckAugment`."""
    from unetsweep.training.augment import check_augment  # it imports numpy, which a trainer command does not need

    return check_augment(value)


def check_precision(spec: SweepSpec, source: SpecSource) -> None:
    """SpecError if a training without GPUs cannot compute in the precision."""
    path, gpus = "trainer.precision", spec.slurm.gpus > 0
    if spec.trainer.command is not None:
        return
    for precision in values_of(spec, path) or [spec.trainer.precision]:
        if problem := precision_problem(str(precision), gpus=gpus):
            raise source.error([Problem(problem, _field(spec, path))])


def check_images(
    spec: SweepSpec, executor: Executor, source: SpecSource, refusals: list[UnetsweepError]
) -> "PreparedDataset | None":
    """Read all images and check them, and the memory that they need. None for a trainer command: it reads its own."""
    if spec.trainer.command is not None:
        return None
    from unetsweep.datasets import (
        prepare as datasets,  # it imports numpy and cv2, which a trainer command does not need
    )

    sizes = _image_sizes(spec)
    if problem := memory.reading_problem(max((size or 0 for size in sizes), default=0)):
        refusals.append(source.error([replace(problem, field=_field(spec, problem.field))]))
        datasets.check_files(spec.data)
        return None
    with collecting(refusals):
        _check_memory(spec, executor, source)
    # inspected at the size that loses most, or at their own, which then are sizes of a training
    inspected = None if None in sizes else min(size for size in sizes if size is not None)
    dataset = datasets.prepare(replace(spec.data, image_size=inspected))
    with collecting(refusals):
        _check_batch_sizes(spec, dataset, source)
    with collecting(refusals):
        _check_augmented(spec, dataset, source)
    if None in sizes:
        _check_memory(spec, executor, source, dataset)
    return dataset


def _image_sizes(spec: SweepSpec) -> list[int | None]:
    """The values of `data.image_size` of all trials."""
    found = values_of(spec, "data.image_size") or [spec.data.image_size]
    return [None if size is None else int(size) for size in found]


def _field(spec: SweepSpec, path: str) -> str:
    """The field that sets this part of the trial config: that of the space, if the sweep varies it."""
    varies = any(f"{path}.".startswith(f"{each}.") for each in spec.space.paths)
    return f"space.{path}" if varies else path


def _check_memory(
    spec: SweepSpec, executor: Executor, source: SpecSource, dataset: "PreparedDataset | None" = None
) -> None:
    if problem := memory.sweep_problem(spec, executor, dataset):
        raise source.error([problem])


def _check_batch_sizes(spec: SweepSpec, dataset: "PreparedDataset", source: SpecSource) -> None:
    batches, count = batch_sizes(spec), dataset.training_images
    if max(batches) > count:
        message = f"found {max(batches)}; the data set has {counted(count, 'training image')}"
        raise source.error([Problem(message, "space.batch_size")])
    from unetsweep.training.augmented_sizes import least_side  # it imports numpy, which a trainer command may lack

    sides: dict[str, int] = {}
    found: dict[str, None] = {}
    for config in _different(spec, "model", "trainer.augment", "data.image_size"):
        augment, channels = config.trainer.augment, config.model.in_channels
        key = repr((augment, channels, config.data.image_size))
        if key not in sides:
            sides[key] = least_side(augment, list(_training_sizes(config, dataset)), channels)
        messages = (one_value_problem(config.model, size, count, sides[key]) for size in batches)
        found |= dict.fromkeys(message for message in messages if message)
    if found:
        problems = [Problem(message, f"space.batch_size#{number}") for number, message in enumerate(found)]
        raise source.error(problems)


def _different(spec: SweepSpec, *paths: str) -> list[TrialConfig]:
    """One corner of the space for each combination of these settings."""
    found = {repr([attrgetter(path)(config) for path in paths]): config for config in corners(spec)}
    return list(found.values())


def _training_sizes(config: TrialConfig, dataset: "PreparedDataset") -> Mapping[tuple[int, int], Sequence[str]]:
    """The names of the training images of each size that they have in a training."""
    size = config.data.image_size
    if size is None:
        return dataset.training_sizes
    return {(size, size): [name for names in dataset.training_sizes.values() for name in names]}


def _check_augmented(spec: SweepSpec, dataset: "PreparedDataset", source: SpecSource) -> None:
    """SpecError if an augmentation fails on a training image, or its images do not fit in a batch."""
    from unetsweep.training.augmented_sizes import size_problems  # it imports numpy, which a trainer command may lack

    batch_size = max(batch_sizes(spec))
    varied, problems = spec.space.domains().get("trainer.augment"), list[Problem]()
    for config in _different(spec, "trainer.augment", "model.in_channels", "data.image_size"):
        augment = config.trainer.augment
        found = size_problems(
            augment,
            _training_sizes(config, dataset),
            batch_size=batch_size,
            processes=spec.slurm.processes,
            channels=config.model.in_channels,
        )
        who = "" if varied is None else f"{varied.label(augment)}: "
        for problem in found:
            field = problem.field.replace("[", ".").replace("]", "")  # as positions in a YAML file are named
            problems.append(Problem(who + problem.message, _field(spec, field)))
    if problems:
        raise source.error(problems)
