"""How long is waited for what: by the executor, and by UNETSWEEP_CLOCKS where tests cannot wait.

UNETSWEEP_CLOCKS="unseen=15,result=3,hang=10,exit_timeout=20,reconciler=5,watch=0.2,settle=0.5"
(seconds; exit_timeout and reconciler whole ones)
"""

import os
from dataclasses import replace
from datetime import timedelta

from unetsweep.errors import UsageError
from unetsweep.reconcile.context import Clocks

VARIABLE = "UNETSWEEP_CLOCKS"
LOCAL = Clocks(unseen=timedelta(seconds=15), result=timedelta(0), watch=timedelta(seconds=2))
"""A local supervisor has written its record long before, and nobody reads over a network."""
SLURM = Clocks()
"""`unseen` is more than the 60 s after which a silent sbatch is given up: its job may still appear."""


def clocks(executor: str) -> Clocks:
    """Those of this executor; UsageError where the variable cannot be read."""
    found = LOCAL if executor == "local" else SLURM
    for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, seconds = part.partition("=")
        try:
            found = replace(found, **_changed(name, seconds))  # type: ignore[arg-type]
        except (KeyError, ValueError):
            names = f"{', '.join(_KINDS)} = seconds"
            raise UsageError(f"{VARIABLE}: found {part!r}; what it takes is {names}") from None
    return found


_KINDS = {
    "unseen": float,
    "result": float,
    "hang": float,
    "exit_timeout": int,
    "reconciler": int,
    "watch": float,
    "settle": float,
}


def _changed(name: str, seconds: str) -> dict[str, int | timedelta]:
    value = _KINDS[name](seconds)
    if not 0 <= value < 1e9:
        raise ValueError(seconds)
    return {f"{name}_s": value} if isinstance(value, int) else {name: timedelta(seconds=value)}
