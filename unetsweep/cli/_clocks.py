"""How long is waited for what: by the executor, and by UNETSWEEP_CLOCKS where tests cannot wait.

UNETSWEEP_CLOCKS="unseen=15,result=3,hang=10,linger=20,keeper=5"   (seconds)
"""

import os
from dataclasses import replace
from datetime import timedelta

from unetsweep.errors import UsageError
from unetsweep.shell.world import Clocks

VARIABLE = "UNETSWEEP_CLOCKS"
LOCAL = Clocks(unseen=timedelta(seconds=15), result=timedelta(0))
"""A local supervisor has written its record long before, and nobody reads over a network."""
SLURM = Clocks()
"""`unseen` is more than the 60 s after which a silent sbatch is given up: its job may still appear."""


def clocks(executor: str) -> Clocks:
    """Those of this executor; UsageError where the variable cannot be read."""
    found = LOCAL if executor == "local" else SLURM
    for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, seconds = part.partition("=")
        if name not in ("unseen", "result", "hang", "linger", "keeper") or not seconds.isdecimal():
            raise UsageError(f"{VARIABLE}: found {part!r}; unseen, result, hang, linger or keeper = seconds")
        is_number = name in ("linger", "keeper")
        value = int(seconds) if is_number else timedelta(seconds=int(seconds))
        found = replace(found, **{f"{name}_s" if is_number else name: value})  # type: ignore[arg-type]
    return found
