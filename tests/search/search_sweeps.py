"""Sweeps, trials and curves for the tests of search."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from unetsweep.contract import DataConfig, Result
from unetsweep.core.observation import EpochReport
from unetsweep.core.space import Choices, Point, Range, Space
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.search.study import EpochsOf

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RATE = Range(1e-5, 1e-2, log=True)
SMALL = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-4, 1e-3, 1e-2)))


def sweep(space: Space = SMALL, metric: str = "val_iou", **study: Any) -> SweepSpec:
    return SweepSpec("s", DataConfig("images"), space, StudySpec(metric=metric, **study))  # type: ignore[arg-type]


def ended(trial: int, params: Point, state: Any = "complete", value: float | None = 0.5) -> StoredTrial:
    return replace(opened(trial, params), result=Result(state, val_iou=value, val_loss=1.0))


def opened(trial: int, params: Point) -> StoredTrial:
    return StoredTrial(trial, trial, 4, 4, dict(params), f"id{trial}")


def curve(*values: float | None) -> tuple[EpochReport, ...]:
    return tuple(
        EpochReport(epoch, {} if value is None else {"val_iou": value}, NOW) for epoch, value in enumerate(values, 1)
    )


def curve_of(run: int, *values: float | None) -> EpochsOf:
    """A function that returns this curve for this run, and none for others."""
    return lambda asked: curve(*values) if asked == run else ()
