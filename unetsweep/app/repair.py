"""Repair the files of a sweep while no reconciliation is running."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unetsweep.app.executors import EXECUTORS, first_here
from unetsweep.app.reconcile import PATIENCE_S, alone, reconcile_sweep
from unetsweep.app.sweeps import check_place, context_of, resolve
from unetsweep.core import paths
from unetsweep.core.actions import Action
from unetsweep.store.permissions import check_private
from unetsweep.store.repair.find_damage import Damage, FileRule, find_damage
from unetsweep.store.repair.sources import Sources
from unetsweep.store.repair.table import TABLE
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair found in a sweep's files."""

    sweep: str
    damages: tuple[Damage, ...]

    @property
    def repaired(self) -> int:
        """How many files were repaired; in a dry run, how many can be."""
        return sum(not damage.recovery.advice for damage in self.damages)

    @property
    def for_user(self) -> int:
        """Files that only the user can restore."""
        return len(self.damages) - self.repaired


def repair_sweep(
    sweep: str,
    results: Path,
    *,
    dry_run: bool,
    on_damage: Callable[[Damage], None],
    on_action: Callable[[Action], None],
) -> Repair:
    """Check all files of a sweep and repair what can be repaired.

    `on_damage` is called for each damaged file after its repair. `dry_run` repairs nothing, and writes nothing.
    If a process asks for a reconciliation during the repair, one follows; `on_action` is called for what it does.
    UsageError if another process holds the sweep's lease.
    """
    directory = SweepDir(_find_folder(sweep, results))
    check_private(directory.root, only_folders=True)
    damages: list[Damage] = []
    calls = 0

    def repair_once() -> None:
        nonlocal calls
        calls += 1
        if calls > 1:  # the lease calls this again if a process asked for a reconciliation meanwhile; that runs below
            return
        sources = Sources(directory.root, tuple(EXECUTORS), lambda: first_here().name, read_only=dry_run)
        for damage in find_damage(sources, _table()):
            if not dry_run and damage.recovery.run is not None:
                damage.recovery.run()
            damages.append(damage)
            on_damage(damage)

    if dry_run:
        repair_once()
    else:
        alone(directory, repair_once)
    if calls > 1:
        check_place(directory.root)
        reconcile_sweep(directory.root, context_of(directory), on_action, patience_s=PATIENCE_S)
    return Repair(directory.name, tuple(damages))


def _table() -> tuple[FileRule, ...]:
    from unetsweep.search.journal_check import JOURNAL  # imports optuna, which takes half a second

    return (*TABLE, JOURNAL)


def _find_folder(sweep: str, results: Path) -> Path:
    """Return the sweep's folder, as for every command, but sweep.yaml may be missing."""
    folders = (Path(sweep), results / sweep)
    found = next((folder.absolute() for folder in folders if (folder / paths.TRIALS).is_dir()), None)
    return found or resolve(sweep, results, to_read=True)
