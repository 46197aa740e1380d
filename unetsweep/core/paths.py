"""The names of all files in a sweep's directory, relative to it. This module reads and writes no file."""

import re
from collections.abc import Iterable

SPEC = "sweep.yaml"
SWEEP = "sweep.json"
"""Where the sweep belongs: its executor, cluster and folder, and the working directory of a trainer command."""
DATA = "data.json"
"""The split of the images when the sweep was submitted, with a digest of each pair of files, and whether it leaks."""
REPRODUCED = "reproduced"
"""Trials that `reproduce` has trained again, by number."""
CONFIRM = "confirm"
"""The sweep in which `confirm` trains the leaders again with other seeds."""
STUDY = "study.journal"
LEDGER = "ledger.jsonl"
LEASE = "lease"
TRIALS = "trials"
RUNS = "runs"
SUBMISSIONS = "submissions"
REPORT = "report"
SUMMARY = f"{REPORT}/summary.json"
"""What `unetsweep list` shows of a sweep that has ended."""
PAGE = f"{REPORT}/index.html"
"""The report as a page, which is made when the sweep has ended."""
CODE = "code"
"""Copies of the package, by their hash: a job runs the version with which it was submitted."""
CODE_NOTE = "code.json"
"""Which copy new jobs run."""
RECONCILERS = "reconcilers"
PACKED = "packed"
"""Slot tables of jobs that run several trainings side by side."""
COLLECTABLE = "collectable"
"""Marks of the runs whose last checkpoints may be deleted, by number."""
LAST_CHECKPOINT = "checkpoints/last.ckpt"
"""The checkpoint of a run from which its training continues."""
LAST_RECONCILIATION = "last-reconciliation"
"""Touched when a reconciliation begins: while its mtime is recent, no periodic reconciliation is due."""

CONFIG = "config.json"
TRIAL = "trial.json"
PRUNE = "prune.json"
RESULT = "result.json"
CANCELLED = "cancelled.json"
"""In the folder of a trial: the user cancelled it. In the sweep's folder: the user cancelled the whole sweep, so no new
trials are proposed."""


NUMBER = r"(?:0|[1-9][0-9]{0,8})"
"""Regular expression of a number in the name of a file, as this program writes it."""
_JSON = re.compile(rf"({NUMBER})\.json")
_CLAIM = re.compile(rf"({NUMBER})-({NUMBER})")


def number_of(name: str) -> int | None:
    """The number of a file that is named by it; None: it is another file.

    >>> number_of("12.json"), number_of("12.job.json"), number_of("012.json")
    (12, None, None)
    """
    found = _JSON.fullmatch(name)
    return int(found[1]) if found else None


def numbers_of(names: Iterable[str]) -> list[int]:
    """The numbers of those files that are named by one, in order."""
    return sorted(number for name in names if (number := number_of(name)) is not None)


def claim_of(name: str) -> tuple[int, int] | None:
    """The attempt and the restart in the name of a claim; None: it is another file.

    >>> claim_of("2-0"), claim_of("2-")
    ((2, 0), None)
    """
    found = _CLAIM.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def trial_dir(number: int) -> str:
    """The folder of a trial.

    >>> trial_dir(7)
    'trials/0007'
    """
    return f"{TRIALS}/{number:04d}"


def run_dir(number: int) -> str:
    """The folder of a run.

    >>> run_dir(12345)
    'runs/12345'
    """
    return f"{RUNS}/{number:04d}"


def submitted(run: int) -> str:
    """Marks a run that has been submitted. It is in the folder of the first trial of the run, which has its number: a
    trainer command may delete the run's."""
    return f"{trial_dir(run)}/submitted"


def attempt(run: int, number: int) -> str:
    """The intent to submit an attempt. Only the process that created it may submit its token."""
    return f"{run_dir(run)}/attempts/{number}.json"


def attempt_job(run: int, number: int) -> str:
    """The job id of an attempt."""
    return f"{run_dir(run)}/attempts/{number}.job.json"


def attempt_throttle(run: int, number: int) -> str:
    """The throttle of an attempt's array, if it was changed after the submission."""
    return f"{run_dir(run)}/attempts/{number}.throttle.json"


def attempt_lost(run: int, number: int) -> str:
    """Why an attempt is lost."""
    return f"{run_dir(run)}/attempts/{number}.lost.json"


def attempt_end(run: int, number: int) -> str:
    """Why a reconciliation terminates an attempt: written before its job is cancelled."""
    return f"{run_dir(run)}/attempts/{number}.end.json"


def attempt_exit(run: int, number: int, restart: int) -> str:
    """The exit status of an attempt's processes, written when all of them have ended."""
    return f"{run_dir(run)}/attempts/{number}.exit-{restart}.json"


def claim_name(attempt: int, restart: int) -> str:
    """The name of one start of a run; the highest (attempt, restart) owns the run.

    >>> claim_name(2, 0)
    '2-0'
    """
    return f"{attempt}-{restart}"


def prune_file(run: int) -> str:
    """Which milestones of which attempt are pruned, and why. The trainer reads it at the end of each epoch."""
    return f"{run_dir(run)}/{PRUNE}"


def requeue(run: int, claim: str) -> str:
    """Written by a training that saves a checkpoint and stops before its last milestone, to continue later.

    >>> requeue(3, "1-0")
    'runs/0003/requeue-1-0.json'
    """
    return f"{run_dir(run)}/requeue-{claim}.json"


def progress(run: int, claim: str) -> str:
    """One line for each epoch that this start has finished."""
    return f"{run_dir(run)}/progress-{claim}.jsonl"


def retry_exempt(run: int, number: int) -> str:
    """Marks an attempt that may have been running when the user retried the run: if it is lost, that does not count."""
    return f"{run_dir(run)}/attempts/{number}.retry-exempt.json"


def retries_reset_at(run: int, number: int) -> str:
    """Marks the last attempt before the user's retry: attempts up to it do not count."""
    return f"{run_dir(run)}/attempts/{number}.retries-reset.json"


def claim(run: int, attempt: int, restart: int) -> str:
    """Created by process 0 of a start, which then owns the run until a higher claim exists."""
    return f"{run_dir(run)}/claims/{claim_name(attempt, restart)}"


PARAMETERS = "parameters.json"
"""What a trainer command reads, within its output folder: its parameters, seed and paths."""


def milestone(epochs: int) -> str:
    """The result of a milestone, within a trainer's output folder."""
    return f"milestones/{epochs}.json"


def error(rank: int) -> str:
    """The error that ended a rank, within a trainer's output folder."""
    return f"error-{rank}.json"


def job_log(token: str, job_id: str, rank: int = 0) -> str:
    """The log of one rank of a job, which exists once the job has started. The log of rank 0 also has the output of the
    batch script."""
    return f"{submission(token)}/{job_id}_{rank}_log.out"


def awaited(token: str, index: int | str) -> str:
    """Lists the results that an element will publish. When all of them exist, its job reconciles."""
    return f"{submission(token)}/{index}.awaited"


def element_log(token: str, index: int) -> str:
    """The log of all processes of an element, for a scheduler that creates it before the job (local)."""
    return f"{submission(token)}/{index}.log"


def submission(token: str) -> str:
    """The folder of one submission: submitit's files, the logs, and the run of each element."""
    return f"{SUBMISSIONS}/{token}"


def packed(token: str) -> str:
    """The slot table of a submission with several trainings side by side in a job."""
    return f"{PACKED}/{token}"


def job_name(sweep: str, token: str) -> str:
    """The name of a job, by which its token is found in the queue.

    >>> job_name("grid", "0f3a9c2e11d7")
    'grid.0f3a9c2e11d7'
    """
    return f"{sweep}.{token}"


TOKEN = re.compile(r"[0-9a-f]{12}")


def token_of(job: str) -> str | None:
    """The token in a job's name; None: the job is not one of ours.

    >>> token_of("grid.0f3a9c2e11d7"), token_of("interactive")
    ('0f3a9c2e11d7', None)
    """
    tail = job.rpartition(".")[2]
    return tail if TOKEN.fullmatch(tail) else None
