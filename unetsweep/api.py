"""`import unetsweep`: a sweep's results in Python. Nothing here writes a file or asks a scheduler.

`unetsweep/__init__.py` offers the names of this module, and imports it when one of them is used first.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unetsweep.analysis import rows
from unetsweep.analysis.records import read_sweep_record
from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.contract import Result
from unetsweep.core import paths
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import UnetsweepError, UsageError
from unetsweep.report.columns import Column, checkpoint
from unetsweep.report.trial_texts import is_score
from unetsweep.report.view import known_columns, machine_columns
from unetsweep.store.home import is_sweep, relocation_warning
from unetsweep.trial_config import ParameterValue

if TYPE_CHECKING:
    import pandas

    from unetsweep.search.study_copy import Study


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial, as its files were when the sweep was opened."""

    number: int
    state: str
    """`complete`, `pruned`, `running`, `submitted`, `waiting`, `diverged`, `failed` or `cancelled`."""
    params: Mapping[str, ParameterValue]
    """Its parameters by path. Those whose conditions do not hold are absent."""
    seed: int | None
    """None: not known."""
    value: float | None
    """The metric in its result; None: it has no result, or none with this number. `best` compares complete trials."""
    scores: Mapping[str, float]
    """Every score of its result by the name of its column in a report: `val_iou`, `val_dice`, … and a program's own."""
    result: Result | None
    """Its result.json; None: not published yet."""
    run_folder: Path
    """The folder of its run, which it may share with trials that differ only in `epochs`."""
    checkpoint: Path | None
    """Its best checkpoint; None: there is none yet."""
    job_id: str | None
    """The job that published the result, or else its last job."""
    reason: str
    """Why it failed, was pruned or waits; may be empty."""
    problem: str | None
    """Which of its files cannot be read, and why; None: all can. Such a trial has the state `waiting`."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep as its files were when it was opened. Open it again to see what has changed since."""

    name: str
    folder: Path
    spec: SweepSpec
    """The settings with every default, under the keys of the YAML file."""
    metric: str
    direction: Literal["minimize", "maximize"]
    """Whether less or more of the metric is better."""
    trials: tuple[Trial, ...]
    """All trials by number. With `study.repeats` they are the trainings of the points."""
    best: Trial | None
    """The best complete trial; None: none is complete. With repeats: the best training of the point whose mean is the
    best."""
    warnings: tuple[str, ...]
    """What a reader of the scores must know, such as images that are in training and validation."""
    _record: SweepRecord = field(repr=False, compare=False)

    @property
    def study(self) -> "Study":
        """A copy of the sweep's Optuna study in memory, read from its journal now. UnetsweepError if there is none."""
        from unetsweep.search.study_copy import copy_study  # Optuna is heavy

        return copy_study(self.folder / paths.STUDY, self.spec.name)

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row for each trial, with the columns of `unetsweep report --format csv` (of a sweep without repeats: the
        report has a row for each point). UnetsweepError without pandas."""
        try:
            import pandas  # an optional extra
        except ImportError as error:
            raise UnetsweepError(
                f"to_dataframe needs pandas ({error}); install it with: pip install 'unetsweep[pandas]'"
            ) from error
        columns = machine_columns(self._record)
        return pandas.DataFrame(
            {name: [column.value(trial) for trial in self._record.trials] for name, column in columns.items()}
        )


def open(folder: str | os.PathLike[str]) -> Sweep:
    """Read the sweep in a folder, such as `results/grid`, even while it runs.

    UnetsweepError if there is no sweep, or its sweep.yaml cannot be read. A damaged trial has a `problem`.
    """
    root = Path(os.path.abspath(folder))
    if not is_sweep(root):
        there = ", ".join(sorted(str(path.parent) for path in root.parent.glob(f"*/{paths.SPEC}"))) or "none"
        raise UsageError(f"{root}: there is no sweep; sweeps beside it: {there}")
    record = read_sweep_record(root)
    scores = {name: column for name, column in known_columns(record).items() if is_score(column)}
    trials = tuple(_trial(each, record, scores) for each in record.trials)
    best, moved = rows.best(record), relocation_warning(root)
    return Sweep(
        name=record.name,
        folder=root,
        spec=record.spec,
        metric=record.spec.metric.name,
        direction="minimize" if record.spec.metric.minimize else "maximize",
        trials=trials,
        best=next((trial for trial in trials if best is not None and trial.number == best.number), None),
        warnings=(*record.warnings, *([moved] if moved else [])),
        _record=record,
    )


def _trial(record: TrialRecord, sweep: SweepRecord, scores: Mapping[str, Column]) -> Trial:
    found = {name: column.value(record) for name, column in scores.items()}
    value = None if record.result is None else sweep.spec.metric.of_result(record.result)
    path = checkpoint(record)
    return Trial(
        number=record.number,
        state=record.state,
        params=record.params,
        seed=record.seed,
        value=value if value is not None and math.isfinite(value) else None,
        scores={name: score for name, score in found.items() if isinstance(score, int | float)},
        result=record.result,
        run_folder=Path(record.run_dir),
        checkpoint=None if path is None else Path(path),
        job_id=record.job_id,
        reason=record.reason,
        problem=record.problem,
    )
