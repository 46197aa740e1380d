"""`unetsweep submit` that is killed with -9 at one point: `python killed_submit.py POINT SWEEP.yaml …`."""

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from unetsweep.adapters import submitit_jobs
from unetsweep.adapters.sweep_dir import SweepDir
from unetsweep.cli import _sweeps
from unetsweep.cli.main import main

_POINTS: dict[str, tuple[Any, str]] = {
    "trials": (SweepDir, "add_trials"),
    "intent": (SweepDir, "intend"),
    "sbatch": (submitit_jobs, "_sbatch"),
    "record": (SweepDir, "record_jobs"),
}
POINTS = [f"{when}-{what}" for what in _POINTS for when in ("before", "after")]


def _dying(real: Callable[..., Any], when: str) -> Callable[..., Any]:
    def deed(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    return deed


if __name__ == "__main__":
    point, *words = sys.argv[1:]
    _sweeps.SLURM_GRACE = timedelta(seconds=3)  # the testbed's squeue lists at once
    if point != "nowhere":
        when, _, what = point.partition("-")
        owner, name = _POINTS[what]
        setattr(owner, name, _dying(getattr(owner, name), when))
    sys.argv = ["unetsweep", "submit", *words]
    main()
