"""Repair the study's journal. It is an export of the trials, so it can always be recreated."""

from unetsweep.errors import StateError
from unetsweep.regular_files import read_bytes
from unetsweep.search.journal import MAX_JOURNAL_BYTES, load, recreate
from unetsweep.store.repair.find_damage import CheckedFile, FileRule, Recovery
from unetsweep.store.repair.recoveries import is_intact
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted


def check_journal(file: CheckedFile) -> None:
    """Raise StateError if Optuna cannot open the study in the journal."""
    if file.sources.spec is None:
        return
    content = read_bytes(file.path, max_bytes=MAX_JOURNAL_BYTES)
    corrupt = sum(not is_intact(line) for line in content.splitlines())
    if corrupt or not content.endswith(b"\n"):
        raise StateError(counted(corrupt, "corrupt line") if corrupt else "its last line has no end")
    try:
        load(file.path, file.sources.spec.name)
    except Exception as error:  # whatever Optuna makes of its bytes
        raise StateError(f"Optuna cannot read it ({type(error).__name__}: {error})") from error


def recover_journal(file: CheckedFile) -> Recovery:
    """Move the journal to NAME.corrupt and write a new one from the trials."""

    def run() -> None:
        spec, directory = file.sources.spec, SweepDir(file.sources.root)
        if spec is not None:
            trials = [trial for trial in directory.trials() if trial.params is not None]
            recreate(file.path, spec, trials, directory.progress)

    return Recovery("rebuilt from the trials", run)


JOURNAL = FileRule("study.journal", check_journal, recover_journal)
