"""Runs `unetsweep ARGUMENTS…` and kills it at one action: `dying_reconciliation.py before|after ACTION ARGUMENTS…`."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from unetsweep.cli.main import main
from unetsweep.schedulers.slurm import submitit_jobs
from unetsweep.schedulers.slurm.scheduler import Slurm
from unetsweep.store.sweep_dir import SweepDir

ACTIONS: dict[str, tuple[Any, str]] = {
    "trials": (SweepDir, "add_trials"),
    "intent": (SweepDir, "create_attempts"),
    "sbatch": (submitit_jobs, "sbatch"),
    "record": (SweepDir, "record_jobs"),
    "mark lost": (SweepDir, "mark_lost"),
    "finish": (SweepDir, "end_trial"),
    "reconciler": (Slurm, "submit_reconciler"),
}
"""Every action of a reconciliation that changes a file or the queue, and the function that does it."""


def _dying(real: Callable[..., Any], when: str) -> Callable[..., Any]:
    """`real`, but the process kills itself before or after the call."""

    def die(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    return die


if __name__ == "__main__":
    when, action, *arguments = sys.argv[1:]
    owner, name = ACTIONS[action]
    setattr(owner, name, _dying(getattr(owner, name), when))
    sys.argv = ["unetsweep", *arguments]
    main()
