"""The study of a sweep, opened only when there is something to ask or to tell it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unetsweep.core.spec import SweepSpec, grid_left


class JournalStudy:
    """Optuna behind its journal; a grid is proposed without importing it."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._mark = journal.with_name(f"{journal.name}.behind")

    def propose(self, spec: SweepSpec, trials: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, float]]:
        if spec.study.sampler == "grid":
            return list(grid_left(spec.space, (trial["params"] for trial in trials)))[:count]
        from unetsweep.adapters.optuna_study import propose

        return propose(spec, trials, count)

    def update(self, spec: SweepSpec, trials: Iterable[Mapping[str, Any]]) -> None:
        from unetsweep.adapters.optuna_study import update_journal

        update_journal(self._journal, spec, trials)
        self._mark.unlink(missing_ok=True)

    def fall_behind(self) -> None:
        self._mark.touch()

    def is_behind(self) -> bool:
        return self._mark.exists()
