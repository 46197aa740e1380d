"""Selects the faults of a test run: the core faults always, and eight others that change from day to day.

Rule 1: every kind is caused within `turns_for_all()` days in a row; `python tests/faults` causes all of them at once.
Rule 2: the choice depends on one printed number only, so that number repeats it.
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
    "submit killed at every action in turn",
    "submit killed after record",
    "submit killed before reconciler",
    "preempted by a higher partition",
    "node set down",
    "kill -9 of the batch shell",
    "two reconciliations at once, from two shells",
    "a full disk",
    "nothing goes wrong",
)
"""The faults that would be the first to show a lost or repeated trial. (The rank is killed with accounting.)"""
WITH_ACCOUNTING = ("scancel of a job", "node set down", "out of memory", "kill -9 of the rank", "the accounting away")
"""The faults after which the accounting is queried; caused in each run, on a cluster with accounting."""
LIGHT, HEAVY = 7, 1
"""How many other faults a turn has: with the small trainer, and with a real training."""


def _others() -> tuple[list[str], list[str]]:
    """The kinds outside the core: the light ones and the heavy ones."""
    names = [name for name, kind in KINDS.items() if name not in CORE and "dbd" not in kind.needs]
    heavy = [name for name in names if "torch" in KINDS[name].needs]
    return [name for name in names if name not in heavy], heavy


def _window(names: Sequence[str], turn: int, size: int) -> list[str]:
    """The next `size` names, starting where the previous turn ended."""
    return [names[(turn * size + k) % len(names)] for k in range(size)]


def kinds_of(turn: int) -> list[str]:
    """The eight kinds of this turn, besides the core."""
    light, heavy = _others()
    return _window(light, turn, LIGHT) + _window(heavy, turn, HEAVY)


def turns_for_all() -> int:
    """How many turns in a row cause every kind."""
    light, heavy = _others()
    return max(-(-len(light) // LIGHT), -(-len(heavy) // HEAVY))


def current_turn() -> int:
    """The turn in FAULTS_TURN, else the number of this day (UTC)."""
    given = os.environ.get(VARIABLE)
    return int(given) if given else datetime.now(UTC).date().toordinal()


def describe(turn: int) -> str:
    """Which faults are caused, and the command that repeats them."""
    command = f"{VARIABLE}={turn} pytest -m slurm tests/faults"
    return (
        f"faults of turn {turn}: the {len(CORE)} core faults, and {'; '.join(kinds_of(turn))}\nto repeat it: {command}"
    )
