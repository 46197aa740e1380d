"""The results of a confirmation, grouped by the config that they confirm."""

import math
from collections.abc import Mapping, Sequence

from unetsweep.analysis.rows import SweepRecord, TrialRecord, leaders
from unetsweep.analysis.significance import Repeats
from unetsweep.core.metric import Metric
from unetsweep.datasets.scores import DATA_SET, over_set

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
        if isinstance(row, Mapping) and "image" in row and (value := _of_image(row, name)) is not None:
            found[str(row["image"])] = value
    return found


def _of_image(row: Mapping[str, object], name: str) -> float | None:
    """The value of one metric in the row of an image; scores that it does not have are computed from its counts."""
    value = row.get(name)
    if value is None and name in DATA_SET:
        tp, fp, fn = (_finite(row.get(count)) for count in ("tp", "fp", "fn"))
        return over_set([(tp, fp, fn)])[name] if tp is not None and fp is not None and fn is not None else None
    return _finite(value)


def _finite(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]
