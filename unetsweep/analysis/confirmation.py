"""What the confirmation of a sweep's leaders came to, from its files."""

import math
from collections.abc import Mapping, Sequence

from unetsweep.analysis.rows import SweepRecord, TrialRecord, leaders
from unetsweep.analysis.significance import Repeats
from unetsweep.core.spec import SweepSpec

OPEN = ("running", "submitted", "waiting")


def repeats(record: SweepRecord, inner: SweepRecord) -> tuple[Repeats, ...]:
    """What the confirmation `inner` came to, of each confirmed config, under the number of its best trial."""
    of = {trial.point: trial.number for trial in leaders(record)}
    runs: dict[int, list[TrialRecord]] = {}
    for trial in inner.trials:
        if trial.point in of:
            runs.setdefault(of[trial.point], []).append(trial)
    return tuple(_of_one(record.spec, number, found) for number, found in sorted(runs.items()))


def _of_one(spec: SweepSpec, number: int, runs: Sequence[TrialRecord]) -> Repeats:
    of_set, of_image = ("val_loss", "loss") if spec.minimize else ("val_iou", "iou")
    scored = [
        (run.seed, value, run.result)
        for run in runs
        if run.state == "complete" and run.result is not None and run.seed is not None
        if (value := getattr(run.result, of_set)) is not None and math.isfinite(value)
    ]
    still = sum(run.state in OPEN for run in runs)
    return Repeats(
        number,
        tuple(seed for seed, _, _ in scored),
        tuple(value for _, value, _ in scored),
        tuple(result.test_iou for _, _, result in scored),
        tuple(_table(result.val_per_image, of_image) for _, _, result in scored),
        still,
        len(runs) - len(scored) - still,
    )


def _table(rows: Sequence[object], name: str) -> Mapping[str, float]:
    """By image; a trainer of the user's own may have written anything into it."""
    found: dict[str, float] = {}
    for row in rows:
        value = row.get(name) if isinstance(row, Mapping) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if isinstance(row, Mapping) and "image" in row and is_number:
            found[str(row["image"])] = float(row[name])
    return found
