"""Recovers the files of submissions and of their jobs."""

import socket
from collections.abc import Iterator
from functools import partial

from unetsweep.core import paths
from unetsweep.process import find_processes
from unetsweep.record_files import read_record
from unetsweep.records import LocalJobFile, PackFile, ProcessFile, ReconcilerFile, SubmissionFile, SweepFile
from unetsweep.store.attempts import read_submission
from unetsweep.store.repair.find_damage import CheckedFile, Recovery
from unetsweep.store.repair.recoveries import NO_TOKEN, give_up, modified_at, quarantine, rebuild
from unetsweep.store.repair.sources import Sources, readable


def check_submission(file: CheckedFile) -> None:
    read_submission(file.path)


def attempted_submissions(sources: Sources) -> Iterator[str]:
    """Yield the intent of each submission of which an attempt has a job."""
    for attempt in sources.attempts():
        if (sources.root / paths.attempt_job(attempt.run, attempt.attempt)).is_file() and attempt.token != NO_TOKEN:
            yield f"{paths.submission(attempt.token)}/intent.json"


def recover_submission(file: CheckedFile) -> Recovery:
    """Rebuild it from its attempts. An element of another submission gets a placeholder: only its position matters."""
    token, known, at = file.letters["TOKEN"], dict[int, tuple[int, int]](), modified_at(file)
    for attempt in file.sources.attempts():
        if attempt.token == token:
            known[attempt.index], at = (attempt.run, attempt.attempt), attempt.at
    if not known:
        return quarantine("no attempt belongs to this submission")(file)
    elements = tuple(known.get(index, min(known.values())) for index in range(max(known) + 1))
    about = readable(partial(read_record, SweepFile, file.sources.root / paths.SWEEP))
    folder = about.folder if about is not None else str(file.sources.root)
    return rebuild(file, SubmissionFile(token, file.sources.executor, at, folder, elements), "its attempts")


def recover_process(file: CheckedFile) -> Recovery:
    """Rebuild it from the supervisor if that runs on this machine, so that its training is not started twice."""
    token, index = file.letters["TOKEN"], file.letters["I"]
    for who, command in find_processes("supervise", str(file.sources.root), token, index):
        job_id = command[command.index("supervise") + 4]
        record = ProcessFile(int(index), job_id, socket.gethostname(), who.boot, who.pid, who.start_ticks)
        return rebuild(file, record, f"its supervisor, process {who.pid}")
    return quarantine("its training counts as gone and starts again")(file)


def recover_local_job(file: CheckedFile) -> Recovery:
    """Rebuild it from its supervisor's record. Without such a record, only the job number stays taken."""
    for path in (file.sources.root / paths.SUBMISSIONS).glob("*/*.process.json"):
        record = readable(partial(read_record, ProcessFile, path))
        if record is not None and record.job_id == file.letters["JOB"]:
            return rebuild(file, LocalJobFile(path.parent.name, record.index), "its supervisor's record")
    return rebuild(file, LocalJobFile(NO_TOKEN, 0), "its name")


def recover_reconciler(file: CheckedFile) -> Recovery:
    lost = file.path.with_name(f"{file.letters['K']}.lost.json")
    intent = ReconcilerFile(NO_TOKEN, modified_at(file))
    return give_up(file, intent, lost, "another reconciler job is submitted when one is needed")


def recover_packed(file: CheckedFile) -> Recovery:
    """Rebuild it from its submission, with one training at a time in each job: always correct, if not the fastest."""
    path = file.sources.root / paths.submission(file.letters["TOKEN"]) / "intent.json"
    intent = readable(partial(read_submission, path))
    record = PackFile(len(intent.elements) if intent is not None else 0, 1)
    return rebuild(file, record, "its submission, with one training at a time in each job")
