"""Whether the study's journal can be read; it is an index, so it may be made anew at any time."""

from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.search.optuna_study import Curve, update_journal
from unetsweep.store.repairs import Finding, is_corrupt


def findings(path: Path, spec: SweepSpec, trials: Sequence[StoredTrial], curve: Curve) -> list[Finding]:
    """What is wrong with the journal, if it is there."""
    why = _trouble(path, spec.name) if path.exists() else None
    if why is None:
        return []
    return [Finding(path, why, "made anew from the trials", lambda: update_journal(path, spec, trials, curve))]


def _trouble(path: Path, name: str) -> str | None:
    content = path.read_bytes()
    corrupt = sum(is_corrupt(line) for line in content.splitlines())
    if corrupt or not content.endswith(b"\n"):
        return f"{corrupt} torn lines"
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
        optuna.load_study(study_name=name, storage=storage)
    except Exception as error:  # whatever its bytes happen to mean
        return f"not readable ({type(error).__name__}: {error})"
    return None
