"""The names of files and folders in a sweep's directory, relative to it. No file is accessed."""

import re

SPEC = "sweep.yaml"
SWEEP = "sweep.json"
"""The executor, cluster and folder of the sweep, and the directory in which a trainer command starts."""
DATA = "data.json"
"""The split of the images when the sweep was submitted, with a digest of each pair of files; and its leak."""
REPRODUCED = "reproduced"
"""Trials that `unetsweep reproduce` trained again, by number."""
CONFIRM = "confirm"
"""The sweep of `unetsweep confirm`, which trains the leaders again with other seeds."""
STUDY = "study.journal"
LEDGER = "ledger.jsonl"
LEASE = "lease"
TRIALS = "trials"
RUNS = "runs"
SUBMISSIONS = "submissions"
REPORT = "report"
CODE = "code"
"""Copies of the package, by hash. Jobs run the copy that was current when they were submitted."""
CODE_NOTE = "code.json"
"""Names the current copy."""
RECONCILERS = "reconcilers"
PACKED = "packed"
"""The slot tables of packed submissions."""
COLLECTABLE = "collectable"
"""Marks of runs with checkpoints that can be deleted, by number."""
LAST_RECONCILIATION = "last-reconciliation"
"""Touched when a reconciliation begins: while its mtime is recent, no periodic reconciliation is due."""

CONFIG = "config.json"
TRIAL = "trial.json"
RESULT = "result.json"
CANCELLED = "cancelled.json"
STOPPED = "stopped.json"
"""Exists if the user cancelled the whole sweep, so that no new trials are proposed."""


def trial_dir(number: int) -> str:
    """
    >>> trial_dir(7)
    'trials/0007'
    """
    return f"{TRIALS}/{number:04d}"


def run_dir(number: int) -> str:
    """
    >>> run_dir(12345)
    'runs/12345'
    """
    return f"{RUNS}/{number:04d}"


def attempt(run: int, number: int) -> str:
    """The intent to submit an attempt. Only the process that created it may submit its token."""
    return f"{run_dir(run)}/attempts/{number}.json"


def attempt_job(run: int, number: int) -> str:
    """The job of an attempt."""
    return f"{run_dir(run)}/attempts/{number}.job.json"


def attempt_lost(run: int, number: int) -> str:
    """Why an attempt is lost."""
    return f"{run_dir(run)}/attempts/{number}.lost.json"


def attempt_end(run: int, number: int) -> str:
    """Why a reconciliation terminates an attempt; written before its job is cancelled."""
    return f"{run_dir(run)}/attempts/{number}.end.json"


def attempt_exit(run: int, number: int, restart: int) -> str:
    """The exit status of one start, written when all its processes have exited."""
    return f"{run_dir(run)}/attempts/{number}.exit-{restart}.json"


def claim_name(attempt: int, restart: int) -> str:
    """
    >>> claim_name(2, 0)
    '2-0'
    """
    return f"{attempt}-{restart}"


def stop(run: int) -> str:
    """Which milestones of an attempt are pruned, and why. The trainer reads it at the end of each epoch."""
    return f"{run_dir(run)}/stop.json"


def requeue(run: int, claim: str) -> str:
    """Written by a training that stopped cleanly before its milestones, to be requeued.

    >>> requeue(3, "1-0")
    'runs/0003/requeue-1-0.json'
    """
    return f"{run_dir(run)}/requeue-{claim}.json"


def progress(run: int, claim: str) -> str:
    return f"{run_dir(run)}/progress-{claim}.jsonl"


def retry_exempt(run: int, number: int) -> str:
    """Written when the user retries the run while this attempt may be running: its loss then does not count."""
    return f"{run_dir(run)}/attempts/{number}.retry-exempt.json"


def retries_reset_at(run: int, number: int) -> str:
    """Written when the user retries the run: its attempts up to this one no longer count."""
    return f"{run_dir(run)}/attempts/{number}.retries-reset.json"


def claim(run: int, attempt: int, restart: int) -> str:
    return f"{run_dir(run)}/claims/{claim_name(attempt, restart)}"


def milestone(epochs: int) -> str:
    """Within a trainer's output folder."""
    return f"milestones/{epochs}.json"


def error(rank: int) -> str:
    """Within a trainer's output folder."""
    return f"error-{rank}.json"


def slurm_log(token: str, job_id: str, rank: int = 0) -> str:
    """The log of one rank of a SLURM job. The log of rank 0 also has the output of the batch script."""
    return f"{submission(token)}/{job_id}_{rank}_log.out"


def awaited(token: str, index: int | str) -> str:
    """Names the results that an element will publish. When all exist, its job reconciles."""
    return f"{submission(token)}/{index}.awaited"


def local_log(token: str, index: int) -> str:
    """The log of all processes of a local job."""
    return f"{submission(token)}/{index}.log"


def submission(token: str) -> str:
    """The folder of one submission: submitit's files, the logs, and the run of each element."""
    return f"{SUBMISSIONS}/{token}"


def packed(token: str) -> str:
    """The slot table of a packed submission."""
    return f"{PACKED}/{token}"


def job_name(sweep: str, token: str) -> str:
    """The name of a job for the scheduler, which contains the token.

    >>> job_name("grid", "0f3a9c2e11d7")
    'grid.0f3a9c2e11d7'
    """
    return f"{sweep}.{token}"


TOKEN = re.compile(r"[0-9a-f]{12}")


def token_of(job: str) -> str | None:
    """The token in a job's name; None if it is not a job of unetsweep.

    >>> token_of("grid.0f3a9c2e11d7"), token_of("interactive")
    ('0f3a9c2e11d7', None)
    """
    tail = job.rpartition(".")[2]
    return tail if TOKEN.fullmatch(tail) else None
