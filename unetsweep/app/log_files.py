"""Where a trial's log lies."""

from pathlib import Path
from typing import TYPE_CHECKING

from unetsweep.core import paths
from unetsweep.records import AttemptFile, ClaimFile, JobFile, read_record

if TYPE_CHECKING:
    from unetsweep.store.sweep_dir import SweepDir


def log_of(directory: "SweepDir", run: int, attempt: int) -> Path | None:
    """The log of an attempt's first process; None while nothing says which job it became."""
    intent = read_record(AttemptFile, directory.root / paths.attempt(run, attempt))
    token, index = intent.token, intent.index
    if directory.executor == "local":
        from unetsweep.schedulers.local.local_jobs import log_path

        return log_path(directory.root, token, index)
    recorded = directory.root / paths.attempt_job(run, attempt)
    job_id = read_record(JobFile, recorded).job_id if recorded.exists() else _claimed(directory, run, attempt)
    if job_id is None:
        return None
    return directory.root / paths.slurm_log(token, job_id)


def _claimed(directory: "SweepDir", run: int, attempt: int) -> str | None:
    claims = sorted((directory.root / paths.run_dir(run) / "claims").glob(f"{attempt}-*"))
    return read_record(ClaimFile, claims[-1]).job_id if claims else None
