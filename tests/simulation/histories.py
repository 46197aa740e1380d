"""Histories by number: settings and a script of faults drawn from a seed."""

import random

from .faults import ALL
from .world import Fault, Settings

RECURRING_FAULTS = (
    "exception",
    "unexplained",
    "disk full",
    "hang",
    "out of memory",
    "out of GPU memory",
    "node failure",
    "time limit, requeue refused",
    "diverge",
)


def draw_history(seed: int, only: tuple[str, ...] = ()) -> tuple[Settings, tuple[Fault, ...]]:
    """The settings and the script of the history with this number; `only`: the kinds of faults in it."""
    draw = random.Random(seed)
    trials = draw.randint(1, 7)
    epochs = draw.choice((2, 4, 9))
    longer = draw.choice(((), (), (), (epochs + 1,), (epochs + 3, epochs + 1), (1, epochs + 2)))
    settings = Settings(
        seed=seed,
        trials=trials,
        epochs=epochs,
        longer=longer,
        parallel=draw.choice((None, 1, 2, 2, 3)),
        sampler=draw.choice(("grid", "grid", "random", "tpe")),
        driver=draw.choice(("jobs", "jobs", "jobs", "cli")),
        pruner="asha" if only else draw.choice((None, None, "asha", "median")),
        accounts=draw.random() < 0.4,
        overlap=draw.random() < 0.3,
        largest=draw.choice((1001, 1001, 2)),
        recurring=tuple(
            (draw.randrange(trials), draw.choice(RECURRING_FAULTS)) for _ in range(draw.choice((0, 0, 0, 1, 2)))
        ),
    )
    kinds = only or draw.sample(ALL, draw.randint(1, len(ALL)))
    count = draw.choice((0, 2, 5, 10, 20))
    span = draw.choice((100.0, 600.0, 2000.0))
    script = [Fault(draw.random() * span, draw.choice(kinds), draw.randrange(1000)) for _ in range(count)]
    return settings, tuple(sorted(script, key=lambda fault: fault.at))
