"""Finds the log of an attempt."""

from pathlib import Path

from unetsweep.app.executors import executor_of
from unetsweep.core import paths
from unetsweep.record_files import read_record
from unetsweep.records import AttemptFile, ClaimFile
from unetsweep.store.attempts import read_job
from unetsweep.store.observation import list_names
from unetsweep.store.sweep_dir import SweepDir


def log_of(directory: SweepDir, run: int, attempt: int) -> Path | None:
    """The log of an attempt's first process; None: no file names the attempt's job yet."""
    intent = read_record(AttemptFile, directory.root / paths.attempt(run, attempt))
    token, index = intent.token, intent.index
    if executor_of(directory).has_element_logs:
        return directory.root / paths.element_log(token, index)
    recorded = directory.root / paths.attempt_job(run, attempt)
    job_id = read_job(recorded, run, attempt).job_id if recorded.exists() else _claimed_by(directory, run, attempt)
    return None if job_id is None else directory.root / paths.job_log(token, job_id)


def _claimed_by(directory: SweepDir, run: int, attempt: int) -> str | None:
    """The job that has claimed the run last in this attempt."""
    folder = directory.root / paths.run_dir(run) / "claims"
    claims = [claim for name in list_names(folder) if (claim := paths.claim_of(name)) and claim[0] == attempt]
    return read_record(ClaimFile, folder / paths.claim_name(*max(claims))).job_id if claims else None
