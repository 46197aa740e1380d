"""The results of a confirmation, grouped by the config that they confirm."""

import math
from collections.abc import Mapping, Sequence

from unetsweep.analysis.rows import SweepRecord, TrialRecord, leaders
from unetsweep.analysis.significance import Repeats
from unetsweep.core.metric import Metric

OPEN = ("running", "submitted", "waiting")
"""States of a trial that has not ended."""


def collect_repeats(record: SweepRecord, confirmation: SweepRecord) -> tuple[Repeats, ...]:
    """The runs of a confirmation for each confirmed config, under the number of that config's best trial."""
    best_trial = {trial.point: trial.number for trial in leaders(record)}
    runs: dict[int, list[TrialRecord]] = {}
    for trial in confirmation.trials:
        if trial.point in best_trial:
            runs.setdefault(best_trial[trial.point], []).append(trial)
    return tuple(_repeats(record.spec.metric, number, found) for number, found in sorted(runs.items()))


def _repeats(metric: Metric, number: int, runs: Sequence[TrialRecord]) -> Repeats:
    scored = [
        (run.seed, value, run.result)
        for run in runs
        if run.state == "complete" and run.result is not None and run.seed is not None
        if (value := metric.of_result(run.result)) is not None and math.isfinite(value)
    ]
    unfinished = sum(run.state in OPEN for run in runs)
    return Repeats(
        number,
        tuple(seed for seed, _, _ in scored),
        tuple(value for _, value, _ in scored),
        tuple(result.test_iou for _, _, result in scored),
        tuple(_by_image(result.val_per_image, metric.per_image) for _, _, result in scored),
        unfinished,
        len(runs) - len(scored) - unfinished,
    )


def _by_image(rows: Sequence[object], name: str) -> Mapping[str, float]:
    """The finite values of one metric by image. Rows of a trainer command may have any content."""
    found: dict[str, float] = {}
    for row in rows:
        value = row.get(name) if isinstance(row, Mapping) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if isinstance(row, Mapping) and "image" in row and is_number:
            found[str(row["image"])] = float(row[name])
    return found
