"""Why trials fail, and why published results do not count: the metric is missing, or its value is impossible."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResultProblem:
    """Why a complete result does not count for a sweep."""

    kind: str
    """Equal for two results with the same problem."""
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial that failed."""

    trial: int
    run: int
    signature: str
    """Equal for two failures with the same cause."""
    message: str
