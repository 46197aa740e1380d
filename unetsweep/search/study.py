"""The study of a sweep, opened only when there is something to ask or to tell it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from unetsweep.core import paths, pruning
from unetsweep.core.observation import Point as Epoch
from unetsweep.core.pruning import History, Verdict
from unetsweep.core.space import Point, grid_left
from unetsweep.core.spec import SweepSpec, listed_left
from unetsweep.core.trials import StoredTrial

Curve = Callable[[int], Sequence[Epoch]]
"""The finished epochs of a run, in order."""

SMALL = 1_000_000
"""Bytes of a journal that is brought up to date at every ending."""
LAG_S_PER_BYTE = 2e-5
"""A larger one may lag by so much: the update reads every trial, about a second of CPU for 3,000 of them."""


class JournalStudy:
    """Optuna behind its journal; a grid or list is proposed without importing it."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._mark = journal.with_name(f"{journal.name}.behind")
        self._judged: tuple[Sequence[History], Mapping[int, Verdict]] = ((), {})

    def propose(self, spec: SweepSpec, trials: Sequence[StoredTrial], count: int, curve: Curve) -> list[Point]:
        taken = [trial.point for trial in trials if trial.point is not None]
        if spec.study.sampler == "grid":
            return list(grid_left(spec.space, taken)[:count])
        if spec.study.sampler == "list":
            return list(listed_left(spec, taken)[:count])
        from unetsweep.search.optuna_study import propose

        return propose(spec, trials, count, curve)

    def verdicts(
        self, spec: SweepSpec, asked: Sequence[History], others: Callable[[], Sequence[History]]
    ) -> Mapping[int, Verdict]:
        """Kept while there is no news of those that are asked: a watching terminal asks again and again."""
        if asked != self._judged[0]:
            self._judged = (asked, _verdicts(spec, [*others(), *asked]))
        return self._judged[1]

    def update(self, spec: SweepSpec, trials: Sequence[StoredTrial], curve: Curve) -> None:
        from unetsweep.search.optuna_study import update_journal

        update_journal(self._journal, spec, trials, curve)
        self._mark.unlink(missing_ok=True)

    def fall_behind(self) -> None:
        self._mark.touch()

    def is_behind(self) -> bool:
        return self._mark.exists()

    def is_due(self) -> bool:
        """By the file server's clock, as far as this reconciliation has set it: when it began, or when it told of
        endings."""
        if not self._mark.exists():
            return False
        try:
            written = self._journal.stat()
        except FileNotFoundError:
            return True
        looked = self._journal.with_name(paths.LOOKED)
        now = max(path.stat().st_mtime for path in (self._mark, looked) if path.exists())
        return written.st_size <= SMALL or now - written.st_mtime >= LAG_S_PER_BYTE * written.st_size


def _verdicts(spec: SweepSpec, histories: Sequence[History]) -> Mapping[int, Verdict]:
    if spec.study.pruner in pruning.OURS:
        return pruning.verdicts(spec, histories)
    from unetsweep.search.optuna_pruners import verdicts

    return verdicts(spec, histories)
