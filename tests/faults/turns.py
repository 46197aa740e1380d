"""Which faults a run of the tests causes: a core each time, and a dozen of the others in turn, by the date.

Rule 1: within `all_turns()` days in a row every kind is caused; `python tests/faults` causes all of them at any time.
Rule 2: one printed number decides the choice; the same number repeats it.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

import causes  # noqa: F401
from kinds import KINDS

VARIABLE = "FAULTS_TURN"
CORE = (
    "every live job killed, nobody logged in",
    "the controller stopped during sbatch",
    "the controller killed and started again",
    "submit killed at every deed in turn",
    "submit killed after record",
    "submit killed before reconciler",
    "preempted by a higher partition",
    "node set down",
    "kill -9 of the batch shell",
    "two reconciliations at once, from two shells",
    "a full disk",
    "nothing goes wrong",
)
"""Where a sweep that loses a trial, or trains one twice, would show it first. (The rank is killed with accounting.)"""
ASKED = ("scancel of a job", "node set down", "out of memory", "kill -9 of the rank", "the accounting away")
"""What the accounting is asked about: each time, with it."""
LIGHT, HEAVY = 11, 1
"""So many of the others in a turn: those of a small trainer, and those that train a network."""


def _others() -> tuple[list[str], list[str]]:
    """The light and the heavy ones."""
    names = [name for name, kind in KINDS.items() if name not in CORE and "dbd" not in kind.needs]
    heavy = [name for name in names if "torch" in KINDS[name].needs]
    return [name for name in names if name not in heavy], heavy


def _window(names: Sequence[str], turn: int, size: int) -> list[str]:
    """The next `size` names, starting where the previous turn ended."""
    return [names[(turn * size + k) % len(names)] for k in range(size)]


def chosen(turn: int) -> list[str]:
    """The dozen of this turn, without accounting."""
    light, heavy = _others()
    return _window(light, turn, LIGHT) + _window(heavy, turn, HEAVY)


def all_turns() -> int:
    """So many turns cause every kind."""
    light, heavy = _others()
    return max(-(-len(light) // LIGHT), -(-len(heavy) // HEAVY))


def turn_now() -> int:
    """That of FAULTS_TURN; without it each day (UTC) is the next."""
    asked = os.environ.get(VARIABLE)
    return int(asked) if asked else datetime.now(UTC).date().toordinal()


def told(turn: int) -> str:
    """For who reads the output: what is caused, and how to cause it again."""
    again = f"{VARIABLE}={turn} pytest -m slurm tests/faults"
    return f"faults of turn {turn}: {len(CORE)} as ever, and {'; '.join(chosen(turn))}\nthe same again: {again}"
