"""Repairs the study's journal. It is an index of the trials, so it can be rebuilt from them at any time."""

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from unetsweep.bounded_json import damage_named
from unetsweep.errors import StateError
from unetsweep.search.optuna_study import update_journal
from unetsweep.store.repair import CheckedFile, FileRule, Recovery, is_intact
from unetsweep.store.sweep_dir import SweepDir


def check_journal(file: CheckedFile) -> None:
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


def recover_journal(file: CheckedFile) -> Recovery:
    def run() -> None:
        spec, directory = file.sources.spec, SweepDir(file.sources.root)
        if spec is not None:
            trials = [trial for trial in directory.trials() if trial.params is not None]
            update_journal(file.path, spec, trials, directory.progress)

    return Recovery("rebuilt from the trials", run)


JOURNAL = FileRule("study.journal", check_journal, recover_journal)
