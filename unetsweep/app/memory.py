"""Whether there is enough memory: on this machine to read the images, and in a job to train."""

from typing import TYPE_CHECKING

from unetsweep.app.executors import Executor
from unetsweep.config.units import WHOLE_NODE, memory_kb
from unetsweep.contract import TrialConfig
from unetsweep.core.corners import corners
from unetsweep.core.memory import PIXEL_TO_READ, ImageSizes, Memory, format_memory, memory_problem
from unetsweep.core.retry_policy import memory_of_job
from unetsweep.core.spec import Resources, SweepSpec
from unetsweep.errors import Problem
from unetsweep.schedulers.local import machine

if TYPE_CHECKING:
    from unetsweep.datasets.prepare import PreparedDataset

LARGEST_NODE = 64 << 40
"""More memory than any node has, in bytes: 64 TiB."""


def reading_problem(image_size: int | None) -> Problem | None:
    """The problem if not even one image of this size can be read on this machine."""
    need, here = PIXEL_TO_READ * (image_size or 0) ** 2, machine.memory()
    if need <= here:
        return None
    return Problem(
        f"found {image_size}; reading an image of {image_size}x{image_size} needs {format_memory(need)} of memory, and "
        f"this machine has {format_memory(here)}; use a smaller value",
        "data.image_size",
    )


def sweep_problem(spec: SweepSpec, executor: Executor, dataset: "PreparedDataset | None" = None) -> Problem | None:
    """The problem if the sweep's largest training needs more memory than its job has. Without `image_size` the sizes of
    the images are known only when they were read (`dataset`)."""
    memory = _memory_of_job(spec.slurm, executor)
    known: dict[tuple[object, ...], ImageSizes | None] = {}
    for config in corners(spec):
        key = (config.data.image_size, repr(config.trainer.augment), config.model.in_channels)
        if key not in known:
            known[key] = _sizes(config, dataset)
        sizes = known[key]
        found = None if sizes is None else memory_problem(config, sizes, memory, gpus=spec.slurm.gpus > 0)
        if found is not None:
            return Problem(found.message, f"space.{found.field}" if found.field in spec.space.paths else found.field)
    return None


def training_problem(
    config: TrialConfig, memory: Memory, *, gpus: bool, dataset: "PreparedDataset | None" = None
) -> Problem | None:
    """The problem if a training needs more memory than there is. See `sweep_problem` for `dataset`."""
    sizes = _sizes(config, dataset)
    return None if sizes is None else memory_problem(config, sizes, memory, gpus=gpus)


def memory_of_machine() -> Memory:
    """The memory of this machine."""
    return Memory(machine.memory(), "this machine has")


def _memory_of_job(resources: Resources, executor: Executor) -> Memory:
    """The memory of a job, or the most that a retry gets."""
    if not executor.allocates_memory:
        return memory_of_machine()
    wanted = resources.mem_max or memory_of_job(resources)
    if wanted in (None, WHOLE_NODE):
        return Memory(LARGEST_NODE, "no node has more than")  # only the cluster knows how much the job gets
    owner = f"slurm.{'mem_max' if resources.mem_max else 'mem'} is"
    return Memory(memory_kb(wanted) << 10, owner, "use a smaller value, or more memory")


def _sizes(config: TrialConfig, dataset: "PreparedDataset | None") -> ImageSizes | None:
    """The sizes of the images; None if they are not known yet."""
    from unetsweep.datasets.prepare import count_images  # it imports numpy and cv2, which a trainer command may lack
    from unetsweep.training.augmented_sizes import largest_size

    size = config.data.image_size
    if size is not None:
        width = height = size
        smallest = size * size
    elif dataset is not None:
        width, height = max(dataset.training_sizes, key=lambda each: each[0] * each[1])
        smallest = min(wide * high for wide, high in (map(int, text.split("x")) for text in dataset.sizes))
    else:
        return None
    count = count_images(config.data, test=config.trainer.score_test)
    wide, high = largest_size(config.trainer.augment, width, height, config.model.in_channels)
    return ImageSizes(count * smallest, width * height, wide * high)
