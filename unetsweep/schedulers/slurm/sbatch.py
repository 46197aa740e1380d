"""Runs sbatch once, and interprets its answer.

Rule 1: an id in the answer is a job, whatever the exit status: a site's wrapper may fail after sbatch has succeeded.
Rule 2: only a refusal by SLURM itself means that there is no job; a time-out does not.
Rule 3: if the answer has no id, and is no refusal, the job is looked up by its token at once.
"""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unetsweep.core.spec import Resources
from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.schedulers.slurm import answers, commands
from unetsweep.schedulers.slurm.batch_script import ENVIRONMENT
from unetsweep.schedulers.slurm.parse_sbatch import Refusal, classify, parse_job_id
from unetsweep.store.permissions import original_umask

_QUERY_S = 10.0
"""Time limit of the queries after an answer that is no id; the next reconciliation repeats them if they fail."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What sbatch, or a site's wrapper around it, printed."""

    status: int
    output: str
    errors: str

    @property
    def job_id(self) -> str | None:
        """The id of the job; None if none can be read."""
        return parse_job_id(self.output, self.errors)

    @property
    def message(self) -> str:
        """What it says besides an id, on one line."""
        messages = answers.join_messages(self.errors)
        if self.status == 0:
            return f"it printed no job id but {answers.quoted(self.output)}" + (
                f" and {messages!r}" if messages else ""
            )
        return messages or f"exit status {self.status}"


def sbatch(path: Path, token: str, resources: Resources, timeout: float) -> str:
    """Submit the script at `path`, whose job's name has the token, and return the job's id.

    Raises RefusedError if SLURM refused the job, LimitError if it refused it for now, and SchedulerError if it is not
    known whether the job exists, for example after `timeout` seconds without an answer. `resources`: what the script
    requests, for advice.
    """
    try:
        answer = _run(path, timeout)
    except subprocess.TimeoutExpired as error:
        messages = answers.join_messages(answers.readable(error.stderr or b""))
        return _find_job(token, f"no answer within {timeout:g} s" + (f": {messages}" if messages else ""))
    except OSError as error:
        raise _refusal(f"sbatch cannot be run: {error}", resources) from error
    if answer.job_id is not None:
        return answer.job_id
    match classify(answer.status, answer.errors):
        case Refusal.UNKNOWN:
            return _find_job(token, answer.message)
        case Refusal.LIMIT:
            raise LimitError(f"sbatch: {answers.join_messages(answer.errors)}")
        case Refusal.REFUSED:
            raise _refusal(f"sbatch: {answers.join_messages(answer.errors)}", resources)


def _run(path: Path, timeout: float) -> Answer:
    done = subprocess.run(
        ["sbatch", "--parsable", str(path)],
        env=commands.scrubbed(os.environ) | {ENVIRONMENT: "sbatch"},  # the job inherits it
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
        umask=original_umask(),  # the job inherits it as well
    )
    return Answer(done.returncode, answers.readable(done.stdout), answers.readable(done.stderr))


def _find_job(token: str, message: str) -> str:
    """Return the id of the job with this token; SchedulerError with the message if it is not listed."""
    with contextlib.suppress(SchedulerError):
        for job in commands.list_jobs([token], _QUERY_S):
            return job.job_id.partition("_")[0]
    raise SchedulerError(f"sbatch: {message}; the job may exist nevertheless; the next reconciliation checks that")


def _refusal(message: str, resources: Resources) -> RefusedError:
    return RefusedError("; ".join([message, *_advice(message, resources, os.environ)]))


def _advice(message: str, resources: Resources, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what helps to correct the request: the names that the cluster has, the lines to write, and the variables
    that were ignored."""
    about = message.lower()
    wanted = {
        "partition": resources.partition is None or "partition" in about,
        "account": resources.account is None or "account" in about,
    }
    if any(word in about for word in ("partition", "account", "association", "project", "unspecified error")):
        names = {key: each for key, each in _names().items() if wanted[key] and each}
        yield from (f"{key}s here: {', '.join(each)}" for key, each in names.items())
        lines = [f"`{key}: {each[0]}`" for key, each in names.items()]
        if lines:
            where = f"the profile {resources.profile}, or below `slurm:` in the sweep"
            yield f"write for example {' and '.join(lines)} into {where}"
    if "SLURM_JOB_ID" in environment:
        yield (
            f"on the compute node {socket.gethostname()}: if nodes may not call sbatch, set `run: {{driver: cli}}` "
            "and keep `unetsweep submit … --watch` running"
        )
    ignored = sorted(name for name in environment if name.startswith("SBATCH_"))
    if ignored:
        yield f"{', '.join(ignored)} of your shell are ignored: write them into the profile"


def _names() -> dict[str, tuple[str, ...]]:
    """Return the cluster's partitions and this user's accounts, as far as they are known."""
    partitions: tuple[str, ...] = ()
    with contextlib.suppress(SchedulerError):  # the refusal matters more
        partitions = commands.partitions(_QUERY_S)
    return {"partition": partitions, "account": commands.account_names(_QUERY_S)}
