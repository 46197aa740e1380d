"""How much memory a training needs at least, so that a config that cannot fit is refused before it is submitted.

Rule 1: every number is a lower bound. A training that is refused cannot run; one that is not may still run out.
"""

from dataclasses import dataclass, replace

from unetsweep.contract import ModelConfig, TrialConfig
from unetsweep.errors import Problem
from unetsweep.texts import counted

PIXEL_TO_READ = 8
"""Bytes of each pixel while a pair is read and resized: three of the image, four of the mask's grey levels, one."""
_PLAIN = ModelConfig()
_STATES = {"adam": 2, "adamw": 2, "sgd": 1}
"""Numbers that an optimizer keeps for each parameter."""


@dataclass(frozen=True, slots=True)
class ImageSizes:
    """The images of a training as it holds them, after `data.image_size`."""

    pixels: int
    """The pixels of all images."""
    largest: int
    """The pixels of the largest training image."""
    augmented: int
    """The same after the augmentations: so it goes into the network."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory that there is for a training."""

    available: int
    """Bytes."""
    owner: str
    """Whose it is, with its verb, for a message: `this machine has`."""
    advice: str = "use a smaller value"


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that the processes of a training need at least."""

    images: int
    network: int
    """Parameters, and on the CPU their gradients and the states of the optimizer."""
    step: int
    """What a step keeps of its share of the batch until its gradients are computed; 0 if GPUs do that."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.images + self.network + self.step


def memory_needed(config: TrialConfig, images: ImageSizes, *, gpus: bool) -> Need:
    """Return the memory that a training needs at least, with all of its processes. Memory of GPUs does not count."""
    copies = 1 if gpus else 2 + _STATES[config.trainer.optimizer]
    share = max(1, config.batch_size // config.processes)
    return Need(
        images=config.processes * images.pixels * (config.model.in_channels + 1),
        network=config.processes * 4 * parameters(config.model) * copies,
        step=0 if gpus else config.processes * share * sample_bytes(config, images.augmented),
    )


def memory_problem(config: TrialConfig, images: ImageSizes, memory: Memory, *, gpus: bool) -> Problem | None:
    """Return the problem of a training that needs more memory than there is, at the field that is the likely cause."""
    need = memory_needed(config, images, gpus=gpus)
    if need.total <= memory.available:
        return None
    field, value = _cause(config, images, memory.available, gpus=gpus)
    processes = "" if config.processes == 1 else f" with {config.processes} processes"
    step = "" if gpus else f", {format_memory(need.step)} for a step with {counted(config.batch_size, 'image')}"
    return Problem(
        f"found {value}; a training{processes} needs at least {format_memory(need.total)} of memory "
        f"({format_memory(need.images)} for all images, {format_memory(need.network)} for the network{step}), and "
        f"{memory.owner} {format_memory(memory.available)}; {memory.advice}",
        field,
    )


def parameters(model: ModelConfig) -> int:
    """Return the number of the network's parameters.

    >>> parameters(ModelConfig(norm="none"))
    31031745
    """

    def convolutions(inputs: int, width: int) -> int:
        return 9 * width * (inputs + width) + 2 * width * (1 if model.norm == "none" else 2)

    widths = [model.base << level for level in range(model.depth + 1)]
    down = sum(map(convolutions, [model.in_channels, *widths], widths))
    up = sum(8 * width * width + width + convolutions(2 * width, width) for width in widths[:-1])
    return down + up + (model.base + 1) * model.classes


def sample_bytes(config: TrialConfig, pixels: int) -> int:
    """Return how much of one image a step keeps at least until its gradients are computed."""
    model = config.model
    # Autograd keeps the input of each convolution, and with batch normalisation also its output.
    kept = 2 * (1 if model.norm == "none" else 2)
    levels = [(kept * 2 + 2) * pixels * model.base >> level for level in range(model.depth)]  # 2: the concatenation
    numbers = sum(levels) + (kept * pixels * model.base >> model.depth)
    return (2 if config.trainer.precision.endswith("mixed") else 4) * numbers


def format_memory(size: int) -> str:
    """Return a number of bytes in MiB or GiB.

    >>> format_memory(3 << 29), format_memory(3 << 19), format_memory(5 << 50)
    ('1.5 GiB', '2 MiB', '5,242,880 GiB')
    """
    gib = size / (1 << 30)
    if gib < 1:
        return f"{size / (1 << 20):.0f} MiB"
    return f"{gib:,.0f} GiB" if gib >= 100 else f"{gib:.1f} GiB"


def _cause(config: TrialConfig, images: ImageSizes, available: int, *, gpus: bool) -> tuple[str, object]:
    """Return the first field, with its value, whose reduction to an ordinary value would be enough."""
    model, plain_images = config.model, replace(images, augmented=images.largest)
    shallow, narrow = (
        replace(model, depth=min(model.depth, _PLAIN.depth)),
        replace(model, base=min(model.base, _PLAIN.base)),
    )
    ordinary = {
        "trainer.augment": (f"transforms that make images of {images.augmented:,} pixels", config, plain_images),
        "batch_size": (config.batch_size, replace(config, batch_size=config.processes), images),
        "model.depth": (model.depth, replace(config, model=shallow), images),
        "model.base": (model.base, replace(config, model=narrow), images),
    }
    for field, (value, smaller, sizes) in ordinary.items():
        if memory_needed(smaller, sizes, gpus=gpus).total <= available:
            return field, value
    size = config.data.image_size
    return "data.image_size", "null (the images' own size)" if size is None else size
