"""What a page about one trial shows: the names of its parameters, and its scores."""

from collections.abc import Mapping

from unetsweep.analysis.rows import TrialRecord
from unetsweep.config.parameters import short_name
from unetsweep.core.trials import is_own
from unetsweep.report.columns import Column


def parameter_name(path: str) -> str:
    """The name of a parameter for people.

    >>> parameter_name("sigma"), parameter_name("trainer.weight_decay")
    ('sigma', 'weight_decay')
    """
    return path if is_own(path) else short_name(path)


def known_scores(columns: Mapping[str, Column], trial: TrialRecord) -> dict[str, tuple[str, str, float]]:
    """Heading, text and value of each score that a trial's result has, by the name of its column."""
    found = {}
    for name, column in columns.items():
        value = column.value(trial) if is_score(column) else None
        if isinstance(value, int | float):
            found[name] = (column.heading, column.text(value), value)
    return found


def is_score(column: Column) -> bool:
    """Whether a column shows a score of a result."""
    return column.is_own or column.name.startswith(("val_", "test_"))
