"""Limits of what users write: far above what a sweep needs, so that a slip is an error and not a full memory.

Standard library only. docs/settings.md states them; a test compares the two.
"""

from collections.abc import Mapping

MAX_CHARACTERS = 4_000_000
"""Length of a YAML or JSON file that a user writes. A list of 10,000 points has 700,000."""
MAX_DEPTH = 20
"""Levels of lists and mappings in it."""
MAX_NODES = 250_000
"""Values, keys, lists and mappings in it, with every alias expanded. A list of 10,000 points has 90,000."""
TEXT_OF_ONE_NODE = 100
"""A text counts as one more node for each so many characters."""
MAX_KEY = 100
"""Length of a key."""
MAX_TRIALS = 100_000
"""Trials of a sweep."""
MAX_VALUES = 10_000
"""Values of one parameter, points of a file, and trainings of a confirmation."""
MAX_PROBLEMS = 10
"""Problems of a file that are shown."""
MAX_MESSAGE = 2000
"""Length of the message of a problem."""
MAX_ARGUMENT = 10_000
"""Arguments of samplers that are whole numbers. Larger ones make Optuna's samplers use gigabytes."""
MAX_STEPS = 10**9
"""Values of a range with a step."""
MAX_OWN_TEXT = 1000
"""Length of a text that is a value of a trainer command's own parameter."""
MAX_OWN_VALUE = 10_000
"""Length of a list or mapping that is such a value, as JSON: the program gets all of them in one variable."""
MAX_OWN_NUMBER = 1e300
"""The largest number among them, so that the difference of two is finite."""
MAX_OWN_WHOLE = 2**53
"""The largest whole number among them: larger ones are not exact in Optuna, which converts them to floats."""
MAX_EXTRA = 100
"""Further values of a result."""
MAX_EXTRA_TEXT = 1000
"""Length of a text among them."""
MAX_EXTRA_NUMBER = 1e39
"""The largest number among them. No 32-bit float reaches it."""
MAX_MINUTES = 366 * 24 * 60
"""Time limit of a job."""

SEEDS = 2**32
"""Seeds are below it: those of NumPy are."""

BOUNDS: Mapping[str, tuple[int, int]] = {
    "epochs": (1, 1_000_000),
    "batch_size": (1, 1_000_000),
    "seed": (0, SEEDS - 1),
    "processes": (1, 4096),
    "data.split.seed": (0, SEEDS - 1),
    "data.image_size": (16, 10_000_000),
    "model.base": (1, 1_000_000),
    "model.depth": (1, 7),
    "trainer.weight_decay": (0, 1_000_000),
    "trainer.val_every": (1, 1_000_000),
    "trainer.threads": (1, 4096),
    "trainer.workers": (0, 4096),
    "study.trials": (1, MAX_TRIALS),
    "study.repeats": (1, 1000),
    "study.seed": (0, SEEDS - 1),
    "run.parallel": (1, MAX_TRIALS),
    "run.reconcile_interval": (5, 86_400),
    "run.retries.node": (0, 10_000),
    "run.retries.memory": (0, 10_000),
    "run.retries.unexplained": (0, 10_000),
    "run.retries.hang": (0, 10_000),
    "run.retries.requeue": (0, 10_000),
    "slurm.gpus": (0, 4096),
    "slurm.pack": (1, 4096),
    "slurm.processes": (1, 4096),
    "slurm.cpus": (1, 4096),
}
"""The smallest and the largest value of each setting that is a number, except those between 0 and 1."""
MAX_LEARNING_RATE = 1_000_000
"""The smallest one is any number above 0."""
MAX_HOURS = 1_000_000_000
"""Hours in `study.limits`: any number above 0, up to this one."""


def bound_problem(name: str, value: float | None) -> str | None:
    """Return what is wrong with the value of a setting in `BOUNDS`; None if nothing is, or the setting is null.

    >>> bound_problem("study.trials", 0)
    'found 0; 1 to 100000'
    """
    low, high = BOUNDS[name]
    return None if value is None or low <= value <= high else f"found {value}; {low} to {high}"
