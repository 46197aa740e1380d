"""Where everything lies in a sweep's directory: names only, relative, no file is touched."""

import re

SPEC = "sweep.yaml"
SWEEP = "sweep.json"
"""Where the sweep lives: executor, cluster, folder, and where a trainer command starts."""
DATA = "data.json"
"""The split by name with a digest of each pair of files, as it was when the sweep was submitted; and its leak."""
REPRODUCED = "reproduced"
"""Within a sweep's directory: trials that were trained again, by number, to be compared."""
CONFIRM = "confirm"
"""Within a sweep's directory: the sweep that trains its leaders again with other seeds."""
STUDY = "study.journal"
LEDGER = "ledger.jsonl"
LEASE = "lease"
TRIALS = "trials"
RUNS = "runs"
SUBMISSIONS = "submissions"
REPORT = "report"
CODE = "code"
"""Copies of the package, by their hash: jobs run what was there when they were submitted."""
CODE_NOTE = "code.json"
"""Which of them is the current one."""
RECONCILERS = "reconcilers"
PACKED = "packed"
"""Who has which place in jobs that run several trainings side by side."""
COLLECTABLE = "collectable"
"""Marks, by number, of the runs whose last checkpoints may go."""
LAST_RECONCILIATION = "last-reconciliation"
"""Touched when a reconciliation begins: while it is young, no periodic one is due."""

CONFIG = "config.json"
TRIAL = "trial.json"
RESULT = "result.json"
CANCELLED = "cancelled.json"
STOPPED = "stopped.json"
"""There when the user cancelled the whole sweep: nothing new is proposed."""


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
    """The intent to submit; whoever created it may submit its token, nobody else."""
    return f"{run_dir(run)}/attempts/{number}.json"


def attempt_job(run: int, number: int) -> str:
    """Which job the attempt became."""
    return f"{run_dir(run)}/attempts/{number}.job.json"


def attempt_lost(run: int, number: int) -> str:
    """Why the attempt will never be, or is no more."""
    return f"{run_dir(run)}/attempts/{number}.lost.json"


def attempt_end(run: int, number: int) -> str:
    """That we end the attempt ourselves, and why: written before its job is cancelled."""
    return f"{run_dir(run)}/attempts/{number}.end.json"


def attempt_exit(run: int, number: int, restart: int) -> str:
    """Exit status of the attempt's processes, written when all of them are gone."""
    return f"{run_dir(run)}/attempts/{number}.exit-{restart}.json"


def claim_name(attempt: int, restart: int) -> str:
    """
    >>> claim_name(2, 0)
    '2-0'
    """
    return f"{attempt}-{restart}"


def stop(run: int) -> str:
    """Which milestones of which attempt are pruned, and why: the trainer looks for it at each epoch's end."""
    return f"{run_dir(run)}/stop.json"


def requeue(run: int, claim: str) -> str:
    """Left by a training that stopped in good order before its milestones, and wants to go on later.

    >>> requeue(3, "1-0")
    'runs/0003/requeue-1-0.json'
    """
    return f"{run_dir(run)}/requeue-{claim}.json"


def progress(run: int, claim: str) -> str:
    return f"{run_dir(run)}/progress-{claim}.jsonl"


def retry_exempt(run: int, number: int) -> str:
    """The user retried the run while this attempt may have been at work: should it be lost, that does not count."""
    return f"{run_dir(run)}/attempts/{number}.retry-exempt.json"


def retries_reset_at(run: int, number: int) -> str:
    """The user retries the run: what became of its attempts up to this one does not count any more."""
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
    """Where a SLURM job or one of its ranks prints; rank 0's also holds the job's own shell."""
    return f"{submission(token)}/{job_id}_{rank}_log.out"


def awaited(token: str, index: int | str) -> str:
    """Holds the path of the last result that the element will publish: when that is there, a reconciliation has
    news."""
    return f"{submission(token)}/{index}.awaited"


def local_log(token: str, index: int) -> str:
    """Where all processes of a local job print."""
    return f"{submission(token)}/{index}.log"


def submission(token: str) -> str:
    """The folder of one sbatch call: submitit's files, the logs, and which element is which run."""
    return f"{SUBMISSIONS}/{token}"


def packed(token: str) -> str:
    """The board of a submission whose jobs run several trainings side by side."""
    return f"{PACKED}/{token}"


def job_name(sweep: str, token: str) -> str:
    """What the scheduler is told; the token is found again by it.

    >>> job_name("grid", "0f3a9c2e11d7")
    'grid.0f3a9c2e11d7'
    """
    return f"{sweep}.{token}"


TOKEN = re.compile(r"[0-9a-f]{12}")


def token_of(job: str) -> str | None:
    """The token in a job's name, or None where the job is not one of ours.

    >>> token_of("grid.0f3a9c2e11d7"), token_of("interactive")
    ('0f3a9c2e11d7', None)
    """
    tail = job.rpartition(".")[2]
    return tail if TOKEN.fullmatch(tail) else None
