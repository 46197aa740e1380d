"""Finds the checkpoint that a command line names: by its path, or by the trial that it belongs to."""

import os
from pathlib import Path

from unetsweep.analysis.records import read_trials
from unetsweep.app.addresses import select_trial
from unetsweep.errors import UsageError
from unetsweep.report.columns import checkpoint as checkpoint_of
from unetsweep.store.sweep_dir import SweepDir

SUFFIX = ".ckpt"


def find_checkpoint(text: str, results: Path) -> tuple[Path, str | None]:
    """The checkpoint at a path, or that of the trial with this address; and what to tell the user about it.

    UsageError if the trial has none. A path that does not exist is returned as it is: whoever reads it says that.
    """
    path = Path(text)
    if path.suffix == SUFFIX or path.is_file():
        return path, None
    selection, number = select_trial([text], results)
    directory = SweepDir(selection.root)
    (trial,) = read_trials(directory.root, [number]).trials
    name, found = f"{directory.name}/{number}", checkpoint_of(trial)
    if found is None:
        why = f"it is {trial.state}" if trial.result is None else "its program named none in its result"
        raise UsageError(f"{name} has no checkpoint ({why}); `unetsweep show {name}` says more")
    if not os.path.exists(found):
        raise UsageError(f"{found}: is missing, so {name} cannot be used; `unetsweep retry` does not train it again")
    return Path(found), f"{name}: {found}"
