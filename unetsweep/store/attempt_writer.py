"""Writing what was sent, what became of it, and what is pruned of it.

Rule 1: attempts exist by link(): whoever is first owns it, the other one sees it.
Rule 2: written before it is acted on: an intent before sbatch.
"""

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from unetsweep.core import paths
from unetsweep.core.actions import Element, Prune
from unetsweep.core.observation import Stopped
from unetsweep.records import (
    AttemptFile,
    ExitFile,
    JobFile,
    LostFile,
    MilestoneOf,
    StopFile,
    SubmissionFile,
    TerminationFile,
    link_record,
    link_records,
    read_record,
    write_record,
)
from unetsweep.store.attempts import read_intent
from unetsweep.store.logs import last_line, tail
from unetsweep.store.progress import read_stopped


class AttemptWriter:
    """The part of a sweep's directory that tells of its submissions; `SweepDir` has the rest."""

    def __init__(self, root: Path, now: Callable[[], datetime]) -> None:
        self.root = root
        self._now = now

    def create_attempts(
        self, elements: Sequence[Element], throttle: int | None, kind: str, token: str | None = None
    ) -> tuple[str, list[Element]]:
        """Own the next attempts of these runs: token, and those that nobody else owns already.

        The submission's folder with `intent.json` says which element is which run; a job that
        starts finds its run there.
        """
        token = token or secrets.token_hex(6)
        at = self._now()
        files = {}
        for index, element in enumerate(elements):
            folder = self.root / paths.run_dir(element.run)
            for needed in (folder, folder / "attempts"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(needed)
            intent = AttemptFile(
                element.run,
                element.attempt,
                token,
                index,
                at,
                tuple(MilestoneOf(trial, epochs) for trial, epochs in element.milestones),
                throttle,
                element.mem,
                element.micro_batch,
            )
            files[self.root / paths.attempt(element.run, element.attempt)] = (element, intent)
        created = link_records([(path, intent) for path, (_, intent) in files.items()])
        owned = [files[path][0] for path in created]
        folder = self.root / paths.submission(token)
        folder.mkdir(exist_ok=True)
        # an element that another reconciliation owns keeps its index: its job finds that it is not the owner, and
        # leaves
        everything = tuple((element.run, element.attempt) for element in elements)
        link_record(folder / "intent.json", SubmissionFile(token, kind, at, str(self.root), everything))
        return token, owned

    def record_job(self, run: int, attempt: int, job_id: str) -> None:
        link_record(self.root / paths.attempt_job(run, attempt), JobFile(job_id))

    def record_jobs(self, elements: Sequence[Element], job_ids: Sequence[str]) -> None:
        link_records(
            [
                (self.root / paths.attempt_job(element.run, element.attempt), JobFile(job_id))
                for element, job_id in zip(elements, job_ids, strict=True)
            ]
        )

    def mark_lost(
        self,
        run: int,
        attempt: int,
        reason: str,
        *,
        cause: str | None = None,
        node: str | None = None,
        epoch: int = 0,
        refused: bool = False,
        limit: bool = False,
    ) -> None:
        """Write down that an attempt was given up, and why; the fields are those of `LostFile`."""
        lost = LostFile(reason, self._now(), cause, node, epoch, refused, limit)
        link_record(self.root / paths.attempt_lost(run, attempt), lost)

    def end_attempt(self, run: int, attempt: int, cause: str, reason: str) -> None:
        """Write down that a reconciliation ends the attempt's job: no user cancelled it."""
        link_record(self.root / paths.attempt_end(run, attempt), TerminationFile(cause, reason, self._now()))

    def log_tail(self, token: str, index: int, job_id: str) -> str:
        """The end of what a job printed; empty where there is nothing."""
        return tail(self.root / paths.slurm_log(token, job_id)) or tail(self.root / paths.local_log(token, index))

    def has_log(self, token: str, job_id: str) -> bool:
        """Whether SLURM ever started the job: then it opened its log, whatever came of it."""
        return (self.root / paths.slurm_log(token, job_id)).exists()

    def has_requeue_request(self, run: int, attempt: int, restart: int) -> bool:
        """Whether this start stopped in good order, to go on later."""
        return (self.root / paths.requeue(run, paths.claim_name(attempt, restart))).exists()

    def stop_run(self, stop: Prune) -> None:
        """Write down what is pruned; the trainer reads it at an epoch's end."""
        record = StopFile(stop.attempt, stop.trial, stop.milestones, stop.epoch, stop.reason, self._now())
        write_record(self.root / paths.stop(stop.run), record)

    def read_stop(self, run: int) -> Stopped | None:
        """What was last pruned of a run."""
        folder = self.root / paths.run_dir(run)
        return read_stopped(folder, os.listdir(folder), ()) if folder.exists() else None

    def is_owner(self, token: str, index: int) -> bool:
        """Whether this element has its attempt: another reconciliation may have been the first to make it."""
        run, attempt = self.read_submission(token).elements[index]
        intent = read_intent(str(self.root / paths.attempt(run, attempt)), run, attempt)
        return (intent.token, intent.index) == (token, index)

    def record_exit(self, run: int, attempt: int, restart: int, status: int, log: Path | None) -> None:
        """All processes of this start are gone; with the log's last line, for the reader."""
        node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
        exit_ = ExitFile(status, self._now(), str(log) if log else None, node, last_line(log))
        link_record(self.root / paths.attempt_exit(run, attempt, restart), exit_)

    def read_submission(self, token: str) -> SubmissionFile:
        """Which element of a submission is which attempt."""
        return read_record(SubmissionFile, self.root / paths.submission(token) / "intent.json")
