"""`unetsweep WORDS…` that is killed with -9 at one point: `python dying_pass.py before|after DEED WORDS…`."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from unetsweep.cli.main import main
from unetsweep.schedulers.slurm import submitit_jobs
from unetsweep.schedulers.slurm.scheduler import Slurm
from unetsweep.store.sweep_dir import SweepDir

DEEDS: dict[str, tuple[Any, str]] = {
    "trials": (SweepDir, "add_trials"),
    "intent": (SweepDir, "intend"),
    "sbatch": (submitit_jobs, "sbatch"),
    "record": (SweepDir, "record_jobs"),
    "give up": (SweepDir, "mark_lost"),
    "tell": (SweepDir, "end_trial"),
    "reconciler": (Slurm, "submit_reconciler"),
}
"""Every deed of a reconciliation that leaves something behind."""


def _dying(real: Callable[..., Any], when: str) -> Callable[..., Any]:
    def deed(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    return deed


if __name__ == "__main__":
    when, name, *words = sys.argv[1:]
    owner, deed = DEEDS[name]
    setattr(owner, deed, _dying(getattr(owner, deed), when))
    sys.argv = ["unetsweep", *words]
    main()
