"""Checks and recovers the files of runs: attempts, claims, milestones, progress and checkpoints."""

import errno
import re
import zipfile
from collections.abc import Iterator
from functools import partial

from unetsweep import contract
from unetsweep.bounded_json import read_json
from unetsweep.core import paths
from unetsweep.errors import StateError
from unetsweep.records import AttemptFile, AttemptTrial, ClaimFile
from unetsweep.regular_files import is_damage, opened
from unetsweep.store.attempts import read_intent, read_job
from unetsweep.store.observation import list_names, numbered_folders
from unetsweep.store.progress import read_progress
from unetsweep.store.repair.find_damage import CheckedFile, Recovery
from unetsweep.store.repair.recoveries import NO_TOKEN, check_lines, give_up, is_old, modified_at, quarantine, rebuild
from unetsweep.store.repair.sources import Goal, Sources, readable
from unetsweep.store.trials import check_config

_MARK = re.compile(rf"({paths.NUMBER})\.(?:job|lost|end|exit-{paths.NUMBER})\.json")


def check_attempt(file: CheckedFile) -> None:
    read_intent(file.path, file.number("NNNN"), file.number("K"))


def submitted_attempts(sources: Sources) -> Iterator[str]:
    """Yield the first file of each attempt that a submission, or another file of the attempt, names."""
    for _, intent in sources.submissions():
        for run, number in intent.elements:
            yield paths.attempt(run, number)
    for run, folder in numbered_folders(sources.root / paths.RUNS):
        for name in readable(partial(list_names, folder / "attempts")) or ():
            if (found := _MARK.fullmatch(name)) is not None:
                yield paths.attempt(run, int(found[1]))


def recover_attempt(file: CheckedFile) -> Recovery:
    """Rebuild it from the one submission that names it. Otherwise give it up, so that its run is submitted again."""
    run, number, at = file.number("NNNN"), file.number("K"), modified_at(file)
    goals = file.sources.goals.get(run, [Goal(run, 0, "")])
    trials = tuple(AttemptTrial(goal.trial, goal.epochs) for goal in goals)
    found = []
    for token, intent in file.sources.submissions():
        found += [(token, at, intent.at) for at, each in enumerate(intent.elements) if each == (run, number)]
    if len(found) == 1:
        token, index, sent = found[0]
        throttle = next((each.throttle for each in file.sources.attempts() if each.token == token), None)
        record = AttemptFile(run, number, token, index, sent, trials, throttle)
        return rebuild(file, record, f"submission {token}")
    lost = file.sources.root / paths.attempt_lost(run, number)
    record = AttemptFile(run, number, NO_TOKEN, 0, at, trials)
    return give_up(file, record, lost, "not exactly one submission names it; its run is submitted again")


def recover_claim(file: CheckedFile) -> Recovery:
    """Rebuild it from its name and its attempt's job. Without the claim, the training that holds it would end."""
    run, number = file.number("NNNN"), file.number("K")
    job = readable(partial(read_job, file.sources.root / paths.attempt_job(run, number), run, number))
    record = ClaimFile(job.job_id if job is not None else "unknown", modified_at(file))
    return rebuild(file, record, "its name and its attempt's job")


def check_job(file: CheckedFile) -> None:
    read_job(file.path, file.number("NNNN"), file.number("K"))


def check_milestone(file: CheckedFile) -> None:
    result = contract.result_from(read_json(file.path), str(file.path))
    configs = {goal.epochs: goal.config_id for goal in file.sources.goals.get(file.number("NNNN"), ())}
    check_config(result, configs.get(file.number("E")), str(file.path))


def check_progress(file: CheckedFile) -> None:
    """StateError if lines are corrupt, unless a training may be writing the last one now."""
    attempts, number = file.path.parent / "attempts", file.letters["K"]
    has_ended = any((attempts / f"{number}.{mark}.json").exists() for mark in ("lost", f"exit-{file.letters['R']}"))
    if has_ended or not file.path.is_file() or is_old(file):
        check_lines(file)


def check_checkpoint(file: CheckedFile) -> None:
    """StateError if the archive is damaged; all its checksums are checked. A user's own trainer may use any format, so
    its files are not checked."""
    if file.sources.spec is None or file.sources.spec.trainer.command is not None:
        return
    try:
        with (
            opened(file.path) as descriptor,
            open(descriptor, "rb", closefd=False) as stream,
            zipfile.ZipFile(stream) as archive,
        ):
            bad = archive.testzip()
    except Exception as error:  # corrupt bytes may raise any exception; EINVAL means a negative offset
        if isinstance(error, OSError) and error.errno != errno.EINVAL and not is_damage(error):
            return  # it was just replaced or deleted, or the disk fails: it need not be damaged
        raise StateError(f"corrupt ({error})") from error
    if bad is not None:
        raise StateError(f"corrupt at {bad}")


def recover_last_checkpoint(file: CheckedFile) -> Recovery:
    folder = file.path.parents[1]
    progress = readable(lambda: read_progress(folder, list_names(folder)))
    done = max((point.epoch for point in progress.points), default=0) if progress else 0
    lost = f"; its epochs 1 to {done} are lost" if done else ""
    return quarantine(f"if a result is missing, the run starts from the beginning{lost}")(file)
