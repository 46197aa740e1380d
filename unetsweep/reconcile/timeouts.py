"""The waiting times of a reconciliation, by executor. UNETSWEEP_TIMEOUTS changes them for tests.

UNETSWEEP_TIMEOUTS="unseen=15,result=3,hang=10,exit_timeout=20,reconciler=5,watch=0.2,settle=0.5"
(seconds; exit_timeout and reconciler are whole numbers)
"""

import os
from dataclasses import replace
from datetime import timedelta

from unetsweep.errors import UsageError
from unetsweep.reconcile.context import Timeouts

VARIABLE = "UNETSWEEP_TIMEOUTS"
LOCAL = Timeouts(unseen=timedelta(seconds=15), result=timedelta(0), watch=timedelta(seconds=2))
"""`unseen`: a supervisor writes its record within a second or two. `result`: no network file system is in between."""
SLURM = Timeouts()
_TYPES = {
    "unseen": float,
    "result": float,
    "hang": float,
    "exit_timeout": int,
    "reconciler": int,
    "watch": float,
    "settle": float,
}


def timeouts(executor: str) -> Timeouts:
    """The waiting times of an executor; UsageError if the environment variable cannot be read."""
    found = LOCAL if executor == "local" else SLURM
    for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, seconds = part.partition("=")
        try:
            found = replace(found, **_change(name, seconds))  # type: ignore[arg-type]
        except (KeyError, ValueError):
            raise UsageError(f"{VARIABLE}: found {part!r}; allowed: {', '.join(_TYPES)} = seconds") from None
    return found


def _change(name: str, seconds: str) -> dict[str, int | timedelta]:
    value = _TYPES[name](seconds)
    if not 0 <= value < 1e9:
        raise ValueError(seconds)
    return {f"{name}_s": value} if isinstance(value, int) else {name: timedelta(seconds=value)}
