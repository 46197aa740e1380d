"""The study of a sweep: proposals, pruning decisions and the journal. Optuna is imported only if it is needed."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from unetsweep.core import built_in_pruners, paths
from unetsweep.core.missing_points import missing_points, missing_trainings
from unetsweep.core.observation import EpochReport
from unetsweep.core.pruning import History, Verdict
from unetsweep.core.space import Point
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.regular_files import touch

EpochsOf = Callable[[int], Sequence[EpochReport]]
"""The finished epochs of a run, in order."""

SMALL_JOURNAL_BYTES = 1_000_000
"""A journal up to this size (about 1,200 trials) is exported whenever trials have ended: under half a second of CPU."""
LAG_S_PER_BYTE = 2e-5
"""How old a larger journal may get before the next export. An export reads every trial, about a second of CPU for 3,000
of them (2.5 MB), so at this rate exports take about 2 % of one core."""


class JournalStudy:
    """Optuna with a journal for other tools. The points of a grid and of a file are proposed without Optuna."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._mark = journal.with_name(f"{journal.name}.outdated")
        self._last_verdicts: tuple[Sequence[History], Mapping[int, Verdict]] = ((), {})

    def propose(self, spec: SweepSpec, trials: Sequence[StoredTrial], count: int, curve: EpochsOf) -> list[Point]:
        """Return at most `count` points that no trial has yet, the listed ones first; with `study.repeats` each has the
        seed of a training that its point still lacks."""

        def new_points(points: int) -> Sequence[Point]:
            if spec.study.sampler in ("grid", NO_SAMPLER):
                return missing_points(spec, trials)[:points]
            from unetsweep.search.optuna_samplers import propose  # Optuna is heavy

            return propose(spec, trials, points, curve)

        return missing_trainings(spec, trials, count, new_points)

    def verdicts(
        self, spec: SweepSpec, asked: Sequence[History], others: Callable[[], Sequence[History]]
    ) -> Mapping[int, Verdict]:
        """Return which of the asked trials the pruner ends.

        The last answer is kept while the asked trials report nothing new: `--watch` asks again and again.
        """
        if asked != self._last_verdicts[0]:
            self._last_verdicts = (asked, _decide(spec, [*others(), *asked]))
        return self._last_verdicts[1]

    def export(self, spec: SweepSpec, trials: Sequence[StoredTrial], curve: EpochsOf) -> None:
        """Bring the journal up to date; it is not stale any more."""
        from unetsweep.search.journal import export  # Optuna is heavy

        export(self._journal, spec, trials, curve)
        self._mark.unlink(missing_ok=True)

    def mark_stale(self) -> None:
        """Note that trials are about to end: if this reconciliation dies, the next one exports the journal."""
        touch(self._mark)

    def is_stale(self) -> bool:
        """Return whether the journal may lack the end of a trial."""
        return os.path.lexists(self._mark)

    def is_export_due(self) -> bool:
        """Return whether the journal is stale, and small or old enough to be exported.

        Its age is taken by the file server's clock, from marks that this reconciliation has touched: when it began, or
        when it marked the journal as stale.
        """
        if not self.is_stale():
            return False
        try:
            journal = self._journal.lstat()
        except FileNotFoundError:
            return True
        begun = self._journal.with_name(paths.LAST_RECONCILIATION)
        now = max(path.lstat().st_mtime for path in (self._mark, begun) if os.path.lexists(path))
        is_small = journal.st_size <= SMALL_JOURNAL_BYTES
        return is_small or now - journal.st_mtime >= LAG_S_PER_BYTE * journal.st_size


def check_study(spec: SweepSpec) -> None:
    """UsageError if the sampler or the pruner would fail in this sweep, for example because it needs a package that is
    not installed. Each is made and asked once, in a study in memory."""
    if spec.study.sampler not in ("grid", NO_SAMPLER):
        from unetsweep.search.optuna_samplers import check_sampler  # Optuna is heavy

        check_sampler(spec)
    if spec.study.pruner not in (None, *built_in_pruners.BUILT_IN_PRUNERS):
        from unetsweep.search.optuna_pruners import check_pruner  # Optuna is heavy

        check_pruner(spec)


def _decide(spec: SweepSpec, histories: Sequence[History]) -> Mapping[int, Verdict]:
    if spec.study.pruner in built_in_pruners.BUILT_IN_PRUNERS:
        return built_in_pruners.verdicts(spec, histories)
    from unetsweep.search.optuna_pruners import verdicts  # Optuna is heavy

    return verdicts(spec, histories)
