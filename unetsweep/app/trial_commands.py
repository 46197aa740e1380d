"""The commands that fit the state of a trial, ready to be typed."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from unetsweep.analysis.rows import TrialRecord
from unetsweep.core.observation import Run
from unetsweep.core.run_sharing import trains_past
from unetsweep.core.sweep_state import OPEN
from unetsweep.store.sweep_dir import SweepDir


def fitting_commands(
    directory: SweepDir,
    trial: TrialRecord,
    run: Run,
    epochs: int,
    results: Path,
    checkpoint: Path | None,
    log: Path | None,
) -> Iterator[str]:
    """The commands for a trial with this milestone, checkpoint and log. `results`: the folder that the user named."""
    sweep, more = _address(directory, results)
    name = f"{sweep}/{trial.number}"
    is_own_trainer = directory.spec().trainer.command is not None
    if trial.problem is not None:
        yield f"unetsweep repair {sweep}{more}"
    if trial.state in OPEN:
        if run.attempts:
            yield f"unetsweep logs {name} --follow{more}"
        yield f"unetsweep cancel {name}{more}"
        return
    if log is not None:
        yield f"unetsweep logs {name}{more}"
    if trial.state == "complete":
        if checkpoint is not None and not is_own_trainer:
            yield f"unetsweep predict {name} IMAGES --out DIR{more}"
        if not is_own_trainer:
            yield f"unetsweep reproduce {name}{more}"
    elif trains_past(run, epochs):
        yield f"unetsweep train {shlex.quote(str(directory.config_path(trial.number)))} --out DIR"
    else:
        yield f"unetsweep retry {name}{more}"


def _address(directory: SweepDir, results: Path) -> tuple[str, str]:
    """How to name the sweep, and the option that is needed for that."""
    if (results / directory.name).absolute() != directory.root:
        return shlex.quote(str(directory.root)), ""
    return directory.name, "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
