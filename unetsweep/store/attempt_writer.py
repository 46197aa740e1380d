"""Writes attempts: what was submitted, what happened to it, and what is pruned.

Rule 1: attempts are created by link(): the first reconciliation owns the attempt, and another one notices that.
Rule 2: an intent is written before sbatch is called.
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
from unetsweep.core.observation import PruneDecision
from unetsweep.errors import UsageError
from unetsweep.record_files import link_record, link_records, write_record
from unetsweep.records import (
    AttemptFile,
    AttemptTrial,
    ExitFile,
    JobFile,
    LostFile,
    PruneFile,
    SubmissionFile,
    TerminationFile,
    ThrottleFile,
)
from unetsweep.store import restored_attempts
from unetsweep.store.attempts import read_intent, read_submission
from unetsweep.store.logs import first_error, last_message, tail
from unetsweep.store.progress import read_prune_decision
from unetsweep.texts import counted


class AttemptWriter:
    """The part of `SweepDir` that writes submissions and attempts."""

    def __init__(self, root: Path, now: Callable[[], datetime]) -> None:
        self.root = root
        self._now = now

    def create_attempts(
        self, elements: Sequence[Element], throttle: int | None, kind: str, token: str | None = None
    ) -> tuple[str, list[Element]]:
        """Create the next attempts of these runs; return the token, and the elements whose attempt this call created.

        The submission's `intent.json` names the run of each element, for the jobs that start.
        """
        token = token or secrets.token_hex(6)
        at = self._now()
        files = {}
        for index, element in enumerate(elements):
            if element.attempt == 1:
                self.restore_if_deleted(element.run)
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
                tuple(AttemptTrial(trial, epochs) for trial, epochs in element.trials),
                throttle,
                element.mem,
                element.micro_batch,
            )
            files[self.root / paths.attempt(element.run, element.attempt)] = (element, intent)
        created = link_records([(path, intent) for path, (_, intent) in files.items()])
        owned = [files[path][0] for path in created]
        folder = self.root / paths.submission(token)
        folder.mkdir(exist_ok=True)
        # an element that another reconciliation owns keeps its index; its job finds that it is not the owner, and exits
        everything = tuple((element.run, element.attempt) for element in elements)
        link_record(folder / "intent.json", SubmissionFile(token, kind, at, str(self.root), everything))
        for element in owned:
            if element.attempt == 1:
                restored_attempts.mark_submitted(self.root, element.run)
        return token, owned

    def restore_if_deleted(self, run: int) -> bool:
        """Write the attempts of the run again if its folder was deleted; return whether any were written."""
        return restored_attempts.restore_if_deleted(self.root, run, self._now())

    def record_job(self, run: int, attempt: int, job_id: str) -> None:
        """Record the job of an attempt."""
        link_record(self.root / paths.attempt_job(run, attempt), JobFile(job_id, run, attempt))

    def record_jobs(self, elements: Sequence[Element], job_ids: Sequence[str]) -> None:
        """Record the jobs of a submission's elements."""
        link_records(
            [
                (self.root / paths.attempt_job(each.run, each.attempt), JobFile(job_id, each.run, each.attempt))
                for each, job_id in zip(elements, job_ids, strict=True)
            ]
        )

    def record_throttle(self, attempts: Sequence[tuple[int, int]], throttle: int | None) -> None:
        """Record that the array of these attempts has another throttle than it was submitted with."""
        for run, attempt in attempts:
            write_record(self.root / paths.attempt_throttle(run, attempt), ThrottleFile(throttle))

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
        """Record that an attempt is lost, and why. The arguments are the fields of `LostFile`."""
        lost = LostFile(reason, self._now(), cause, node, epoch, refused, limit)
        link_record(self.root / paths.attempt_lost(run, attempt), lost)

    def end_attempt(self, run: int, attempt: int, cause: str, reason: str) -> None:
        """Record that a reconciliation terminates the attempt's job, so that it does not count as cancelled."""
        link_record(self.root / paths.attempt_end(run, attempt), TerminationFile(cause, reason, self._now()))

    def log_tail(self, token: str, index: int, job_id: str) -> str:
        """Return the end of a job's log; empty if it has none."""
        return tail(self.root / paths.job_log(token, job_id)) or tail(self.root / paths.element_log(token, index))

    def has_log(self, token: str, job_id: str) -> bool:
        """Whether the job has a log under its id, which shows that it has started."""
        return (self.root / paths.job_log(token, job_id)).exists()

    def has_requeue_request(self, run: int, attempt: int, restart: int) -> bool:
        """Whether this start stopped cleanly before its milestones, and asked to be requeued."""
        return (self.root / paths.requeue(run, paths.claim_name(attempt, restart))).exists()

    def record_prune(self, prune: Prune) -> None:
        """Record what is pruned. The trainer reads it at the end of each epoch."""
        record = PruneFile(prune.attempt, prune.trial, prune.milestones, prune.epoch, prune.reason, self._now())
        write_record(self.root / paths.prune_file(prune.run), record)

    def read_prune_decision(self, run: int) -> PruneDecision | None:
        """Read the newest decision to prune milestones of a run; None: there is none."""
        folder = self.root / paths.run_dir(run)
        return read_prune_decision(folder, os.listdir(folder), ()) if folder.exists() else None

    def is_owner(self, token: str, index: int) -> bool:
        """Whether this element owns its attempt, and not one that another reconciliation submitted."""
        run, attempt = self.read_submission(token).elements[index]
        self.restore_if_deleted(run)
        intent = read_intent(str(self.root / paths.attempt(run, attempt)), run, attempt)
        return (intent.token, intent.index) == (token, index)

    def record_exit(
        self, run: int, attempt: int, restart: int, status: int, log: Path | None, setup_from: int | None = None
    ) -> None:
        """Record that all processes of this start have exited, with the last message in their log.

        `setup_from`: the training never began, and what the lines before it printed starts at this byte of the log.
        """
        node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
        message = last_message(log) if setup_from is None else first_error(log, setup_from)
        exit_ = ExitFile(status, self._now(), str(log) if log else None, node, message, setup_from is not None)
        link_record(self.root / paths.attempt_exit(run, attempt, restart), exit_)

    def attempt_of(self, token: str, index: int) -> tuple[int, int]:
        """Read run and attempt of an element; UsageError if there is no such submission or element."""
        try:
            elements = self.read_submission(token).elements
        except FileNotFoundError:
            raise UsageError(f"{self.root} has no submission {token!r}") from None
        if not 0 <= index < len(elements):
            found = f"submission {token!r} of {self.root} has {counted(len(elements), 'element')}"
            raise UsageError(f"{found}, and none with the index {index}")
        return elements[index]

    def read_submission(self, token: str) -> SubmissionFile:
        """Read which attempt each element of a submission is."""
        return read_submission(self.root / paths.submission(token) / "intent.json")
