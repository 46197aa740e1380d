"""The sweep that `scale` and `scale_simulated` reconcile."""

from unetsweep.contract import DataConfig
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import RunSpec, StudySpec, SweepSpec

EPOCHS = 8
"""Of every trial: the simulation and the files of `scale` need only one milestone."""
MAX_ARRAY_SIZE = 1001
"""SLURM's default MaxArraySize."""


def make_spec(trials: int, parallel: int) -> SweepSpec:
    """Return a random search of so many trials, of which so many may run at once."""
    space = Space.of(epochs=Choices((EPOCHS,)), batch_size=Choices((4,)), learning_rate=Range(1e-5, 1e-1, log=True))
    return SweepSpec("many", DataConfig("images"), space, StudySpec("random", trials=trials), run=RunSpec(parallel))
