"""What the confirmation of a sweep's leaders came to, from its files."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from unetsweep.core import layout
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import UnetsweepError
from unetsweep.report.leaders import Repeats
from unetsweep.report.rows import SweepRecord, TrialRecord, leaders

OPEN = ("running", "submitted", "waiting")


def confirmed(sweep_dir: Path, record: SweepRecord) -> tuple[tuple[Repeats, ...], list[str]]:
    """The leaders that are trained again, and why that cannot be read, where it cannot: the sweep itself can."""
    from unetsweep.cli._records import records

    inner = sweep_dir / layout.CONFIRM
    if not (inner / layout.SPEC).is_file():
        return (), []
    try:
        return _repeats(record, records(inner)), []
    except UnetsweepError as error:
        said = str(error).splitlines()[0]
        return (), [f"the confirmation cannot be read: {said}; run `unetsweep confirm {sweep_dir.name}`"]


def _repeats(record: SweepRecord, inner: SweepRecord) -> tuple[Repeats, ...]:
    """Of each confirmed config, under the number of its best trial."""
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
