"""Sweeps and trials for the tests of the search."""

from datetime import UTC, datetime
from typing import Any

from unetsweep.contract import DataConfig
from unetsweep.core.observation import Point
from unetsweep.core.spec import Choices, Range, Space, StudySpec, SweepSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RATE = Range(1e-5, 1e-2, log=True)
SMALL = Space(Choices((4, 8)), Choices((4,)), Choices((1e-4, 1e-3, 1e-2)))


def sweep(space: Space = SMALL, metric: str = "val_iou", **study: Any) -> SweepSpec:
    return SweepSpec("s", DataConfig("images"), space, StudySpec(metric=metric, **study))  # type: ignore[arg-type]


def ended(trial: int, params: dict[str, float], state: str = "complete", value: float | None = 0.5) -> dict[str, Any]:
    return {**opened(trial, params), "result": {"state": state, "val_iou": value, "val_loss": 1.0}}


def opened(trial: int, params: dict[str, float]) -> dict[str, Any]:
    typed = {"epochs": int(params["epochs"]), "batch_size": int(params["batch_size"])}
    typed["learning_rate"] = float(params["learning_rate"])  # type: ignore[assignment]
    return {"trial": trial, "params": typed, "config_id": f"id{trial}", "result": None}


def with_curve(trial: dict[str, Any], *values: float | None) -> dict[str, Any]:
    points = tuple(Point(e, value, None, NOW) for e, value in enumerate(values, 1))
    return {**trial, "progress": lambda: points}
