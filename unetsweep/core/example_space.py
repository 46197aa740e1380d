"""An example space for a program of the user's own, from the placeholders of its command: `unetsweep init --trainer`.

Rule 1: a name says little, so each domain is only an example that can be submitted. Its comment says so.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from unetsweep.core.trainer_command import FIXED, placeholders

EPOCHS = "epochs"
_EXAMPLES = (
    (r"lr|rate|eta|alpha|decay|tol|eps(?:ilon)?|lambda|reg", "{low: 1e-4, high: 1e-1, log: true}"),
    (r"dropout|momentum|prob|p|ratio|fraction|share", "[0.1, 0.5, 0.9]"),
    (r"batch|bs", "[16, 32, 64]"),
    (r"layers?|depth|blocks?|heads?", "[1, 2, 3]"),
    (r"width|hidden|units|dim|channels|base|features", "[32, 64, 128]"),
)
"""Parts of names, and the values of a parameter with such a name; the first that fits is taken."""
_ANY = "[1, 2, 3]"
MOST_TRIALS = 20
"""How many trials an example asks for."""


@dataclass(frozen=True, slots=True)
class ExampleParameter:
    """A parameter of a program, and values for it as they are written in YAML."""

    name: str
    domain: str


def example_space(command: str) -> tuple[ExampleParameter, ...]:
    """Return a parameter for each placeholder of a command that is not a fixed one, in their order.

    `epochs` is first if the command has it, since a program trains one epoch unless the space says otherwise. Without
    any placeholder of its own, a command gets one example.

    >>> [(each.name, each.domain) for each in example_space("fit.py {sigma} --e {epochs} {out}")]
    [('epochs', '10'), ('sigma', '[1, 2, 3]')]
    >>> [each.name for each in example_space("fit.py {config}")]
    ['learning_rate']
    """
    own = own_placeholders(command) or ("learning_rate",)
    epochs = [ExampleParameter(EPOCHS, "10")] if EPOCHS in placeholders(command) else []
    return (*epochs, *(ExampleParameter(name, _domain(name)) for name in own))


def example_trials(space: Sequence[ExampleParameter]) -> int:
    """Return how many trials to ask for: at most as many as there are points.

    >>> example_trials(example_space("fit.py {sigma}")), example_trials(example_space("fit.py {rate} {sigma}"))
    (3, 20)
    """
    if any(each.domain.startswith("{") for each in space):
        return MOST_TRIALS
    return min(MOST_TRIALS, math.prod(each.domain.count(",") + 1 for each in space))


def own_placeholders(command: str) -> tuple[str, ...]:
    """Return the placeholders of a command that are not fixed ones, each once."""
    return tuple(dict.fromkeys(name for name in placeholders(command) if name not in FIXED))


def _domain(name: str) -> str:
    """Return values for a parameter.

    >>> _domain("learning_rate"), _domain("n-layers"), _domain("sigma")
    ('{low: 1e-4, high: 1e-1, log: true}', '[1, 2, 3]', '[1, 2, 3]')
    """
    parts = re.split(r"[^a-z]+", name.lower())
    return next((domain for pattern, domain in _EXAMPLES if any(re.fullmatch(pattern, part) for part in parts)), _ANY)
