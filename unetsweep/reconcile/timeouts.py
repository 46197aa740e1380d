"""The environment variable UNETSWEEP_TIMEOUTS, which changes the waiting times of a reconciliation for tests.

UNETSWEEP_TIMEOUTS="unlisted_grace=15,result_grace=3,hang_after=10,exit_timeout=20,reconciler=5,watch=0.2,settle=0.5"
(seconds; exit_timeout and reconciler are whole numbers)
"""

import os
from dataclasses import replace
from datetime import timedelta

from unetsweep.errors import UsageError
from unetsweep.reconcile.context import Timeouts

VARIABLE = "UNETSWEEP_TIMEOUTS"
_TYPES = {
    "unlisted_grace": float,
    "result_grace": float,
    "hang_after": float,
    "exit_timeout": int,
    "reconciler": int,
    "watch": float,
    "settle": float,
}


def with_changes(found: Timeouts) -> Timeouts:
    """These waiting times, as the environment variable changes them; UsageError if it cannot be read."""
    for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, seconds = part.partition("=")
        try:
            found = replace(found, **_change(name, seconds))  # type: ignore[arg-type]
        except (KeyError, ValueError):
            raise UsageError(
                f"{VARIABLE}: found {part!r}; expected NAME=SECONDS, with a NAME of {', '.join(_TYPES)}"
            ) from None
    return found


def _change(name: str, seconds: str) -> dict[str, int | timedelta]:
    value = _TYPES[name](seconds)
    if not 0 <= value < 1e9:
        raise ValueError(seconds)
    return {f"{name}_s": value} if isinstance(value, int) else {name: timedelta(seconds=value)}
