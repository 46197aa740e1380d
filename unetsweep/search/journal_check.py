"""Repairs the study's journal. It is an index of the trials, so it can be rebuilt from them at any time."""

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from unetsweep.bounded_json import damage_named
from unetsweep.errors import StateError
from unetsweep.search.optuna_study import update_journal
from unetsweep.store.repair import FileRule, Recovery, SweepFile, is_intact
from unetsweep.store.sweep_dir import SweepDir


def check_journal(file: SweepFile) -> None:
    """StateError if Optuna cannot open the study in it."""
    if file.sources.spec is None:
        return
    with damage_named(file.path):
        content = file.path.read_bytes()
    corrupt = sum(not is_intact(line) for line in content.splitlines())
    if corrupt or not content.endswith(b"\n"):
        raise StateError(f"{corrupt} corrupt lines")
    try:
        storage = JournalStorage(JournalFileBackend(str(file.path), lock_obj=JournalFileOpenLock(str(file.path))))
        optuna.load_study(study_name=file.sources.spec.name, storage=storage)
    except Exception as error:  # corrupt bytes raise whatever they happen to mean
        raise StateError(f"not readable ({type(error).__name__}: {error})") from error


def recover_journal(file: SweepFile) -> Recovery:
    def run() -> None:
        spec = file.sources.spec
        if spec is not None:
            trials = [trial for trial in SweepDir(file.sources.root).trials() if trial["params"] is not None]
            update_journal(file.path, spec, trials)

    return Recovery("rebuilt from the trials", run)


JOURNAL = FileRule("study.journal", check_journal, recover_journal)
