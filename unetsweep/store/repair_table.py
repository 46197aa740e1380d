"""The files of a sweep: for each kind, how it is checked and how it is recovered. `TABLE`, at the end, is the table.

Rule 1: the order matters. What a file is rebuilt from comes before it: a submission before its attempts, the split
        (data.json) before the configs, trials before runs.
Rule 2: a copied folder stays a copy: while any file knows where the sweep lives, no recovery writes another place.
"""

import errno
import os
import socket
import zipfile
from dataclasses import replace
from functools import partial

from unetsweep import contract
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.config.load import load
from unetsweep.core import paths
from unetsweep.core.trials import trial_config
from unetsweep.errors import SpecError, StateError
from unetsweep.package import digest, sources
from unetsweep.process import find_processes
from unetsweep.record_files import read_record, record_from
from unetsweep.records import (
    AttemptFile,
    AttemptTrial,
    ClaimFile,
    CodeFile,
    DataFile,
    ErrorFile,
    ExitFile,
    JobFile,
    LocalJobFile,
    LostFile,
    MarkFile,
    PackFile,
    ProcessFile,
    PruneFile,
    ReconcilerFile,
    RequeueFile,
    SlotReuseFile,
    SlotTakenFile,
    SubmissionFile,
    SweepFile,
    TerminationFile,
)
from unetsweep.store.attempts import read_intent
from unetsweep.store.observation import list_names, numbered_folders
from unetsweep.store.progress import read_progress
from unetsweep.store.repair import (
    CheckedFile,
    FileRule,
    Goal,
    Recovery,
    check_lines,
    delete,
    drop_corrupt_lines,
    give_up,
    is_folder,
    is_old,
    is_record,
    modified_at,
    quarantine,
    readable,
    rebuild,
    rebuild_marker,
)
from unetsweep.store.sweep_dir import SweepDir, read_data
from unetsweep.store.trials import (
    check_config,
    make_trial_file,
    read_config,
    read_result,
    read_trial,
    sweep_name,
    swept_parameters,
)

NO_TOKEN = "0" * 12
"""Stands for the token of a submission that no file knows."""

# ---- the sweep itself


def check_spec(file: CheckedFile) -> None:
    os.lstat(file.path)
    try:
        load(file.path)
    except SpecError as error:
        raise StateError(f"not a sweep ({error.problems[0].message})") from error


def recover_spec(file: CheckedFile) -> Recovery:
    outer, _, inner = sweep_name(file.sources.root).partition("/")
    command = f"`unetsweep confirm {outer}`" if inner else "`unetsweep submit` with the sweep's own YAML file"
    advice = f"run {command} again: it writes the file, and all trials stay"
    return quarantine(advice=advice)(file) if os.path.lexists(file.path) else Recovery(advice=advice)


def recover_sweep_json(file: CheckedFile) -> Recovery:
    """Rebuild it from its readable fields and the submissions. The last submission names the folder its jobs know."""
    known = file.sources.read(file.path)
    intents = sorted((intent for _, intent in file.sources.submissions()), key=lambda intent: intent.at)
    executor = known.get("executor") if known.get("executor") in ("slurm", "local") else None
    record = SweepFile(
        executor or (intents[0].kind if intents else file.sources.find_executor()),
        cluster=None,
        folder=intents[-1].folder if intents else str(file.sources.root.absolute()),
        created=utc_now(),
        working_directory=os.getcwd(),
    )
    for name in ("cluster", "folder", "created", "working_directory", "adopted"):
        better = readable(
            partial(record_from, SweepFile, {**contract.encode(record), name: known.get(name)}, file.path)
        )
        record = better if better is not None and known.get(name) is not None else record
    source = f"what is readable and the submissions; a trainer command starts in {record.working_directory}"
    return rebuild(file, record, source)


def recover_data(file: CheckedFile) -> Recovery:
    """Rebuild it from a config.json. That has the split, but not which images leak, so a leak stays a warning."""
    root = file.sources.root
    configs = (readable(partial(read_config, folder)) for _, folder in numbered_folders(root / paths.TRIALS))
    data = next((config.data for config in configs if config is not None and config.data.manifest), None)
    if data is None:
        return quarantine("no trial knows the split: run `unetsweep submit` with the sweep's own YAML file again")(file)
    unknown = "which images have a copy in training is not known any more (allow_leak is set)"
    leak = dict.fromkeys(("val", "test"), unknown) if data.split.allow_leak else {}
    found = DataFile(contract.encode(data.manifest), leak)
    others = (root / paths.CONFIRM / paths.DATA, root.parent / paths.DATA)  # of its confirmation, or the reverse
    known = (readable(partial(read_data, other)) for other in others)
    groups = next((other.val_groups for other in known if other is not None and other.val_groups), None)
    if groups:
        return rebuild(file, replace(found, val_groups=groups), "a trial's config.json")
    lost = "the groups of the validation images are lost, so a confirmation counts each image separately"
    return rebuild(file, found, f"a trial's config.json; {lost}")


def check_leftover(file: CheckedFile) -> None:
    """StateError for a leftover of ours. Other names in runs/ may be a trainer's temporary files: those stay."""
    folder = file.path.parent
    is_ours = file.path.name.startswith(".") or folder.name in ("checkpoints", "milestones")
    if (is_ours or folder == file.sources.root) and is_old(file):
        raise StateError("left unfinished by a process that was killed")


def check_code(file: CheckedFile) -> None:
    if digest(sources(file.path / "unetsweep")) != file.path.name:
        raise StateError("not the package that was copied")


# ---- submissions and jobs


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
    kind, folder = (about.executor, about.folder) if about is not None else ("local", str(file.sources.root))
    return rebuild(file, SubmissionFile(token, kind, at, folder, elements), "its attempts")


def recover_process(file: CheckedFile) -> Recovery:
    """Rebuild it from the supervisor if that runs on this machine, so that its training is not started twice."""
    token, index = file.letters["TOKEN"], file.letters["I"]
    for who, command in find_processes("supervise", str(file.sources.root), token, index):
        job_id = command[command.index("supervise") + 4]
        record = ProcessFile(int(index), job_id, socket.gethostname(), who.boot, who.pid, who.start)
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
    intent = readable(partial(read_record, SubmissionFile, path))
    record = PackFile(len(intent.elements) if intent is not None else 0, 1)
    return rebuild(file, record, "its submission, with one training at once in each job")


# ---- trials


def recover_trial(file: CheckedFile) -> Recovery:
    """Rebuild it from config.json. Without that file nothing says which point of the space the trial was."""
    number, sources = file.number("NNNN"), file.sources
    config = readable(lambda: read_config(file.path.parent))
    if config is None:
        cancel = f"`unetsweep cancel {sweep_name(sources.root)} {number}`"
        put_back = f"put {file.path.parent} back from a backup, or give the trial up: {cancel}"
        return Recovery(advice=f"config.json cannot be read either, so its point is not known; {put_back}")
    # the run that it may share: the one of which an attempt was submitted for it
    runs = [each.run for each in sources.attempts() if number in (served.trial for served in each.trials)]
    trial = make_trial_file(number, config, swept_parameters(sources.root), utc_now(), runs[0] if runs else None)
    if sources.spec is not None:
        trial = replace(trial, sampler=sources.spec.study.sampler, study_seed=sources.spec.study.seed)
    return rebuild(file, trial, "config.json")


def check_trial_config(file: CheckedFile) -> None:
    trial = readable(lambda: read_trial(file.path.parent))
    if trial is None:
        return  # its own row recovers it from this file, or names both
    os.lstat(file.path)
    if contract.config_id(read_config(file.path.parent)) != trial.config_id:
        raise StateError("found the config of another trial")


def recover_trial_config(file: CheckedFile) -> Recovery:
    """Rebuild it from trial.json and sweep.yaml, if these ask for exactly the training that the trial was made for."""
    trial, spec = read_trial(file.path.parent), file.sources.spec
    if spec is None:
        return Recovery(advice="it can be rebuilt from sweep.yaml: restore that, then repair again")
    pinned = readable(lambda: SweepDir(file.sources.root).data)
    asked = trial_config(spec, {**trial.params, "seed": trial.training_seed})
    manifest = pinned.manifest if pinned is not None else asked.data.manifest
    # allow_leak may have been changed since the trial was made
    configs = [
        replace(asked, data=replace(asked.data, manifest=manifest, split=replace(asked.data.split, allow_leak=leak)))
        for leak in (asked.data.split.allow_leak, not asked.data.split.allow_leak)
    ]
    config = next((each for each in configs if contract.config_id(each) == trial.config_id), None)
    if config is None:
        return Recovery(advice="sweep.yaml asks for another training than the trial's; restore the file from a backup")
    return rebuild(file, config, "trial.json and sweep.yaml")


def check_trial_result(file: CheckedFile) -> None:
    result, trial = read_result(file.path.parent), readable(lambda: read_trial(file.path.parent))
    if result is not None and trial is not None:
        check_config(result, trial.config_id, str(file.path))


def recover_trial_result(file: CheckedFile) -> Recovery:
    """Rebuild it from what its run published at the trial's milestone."""
    number, root = file.number("NNNN"), file.sources.root

    def published() -> contract.Result:
        trial = read_trial(file.path.parent)
        path = root / paths.run_dir(trial.run) / paths.milestone(trial.epochs)
        result = contract.result_from(read_json(path), str(path))
        check_config(result, trial.config_id, str(path))
        return replace(result, trial=number)

    result = readable(published)
    if result is None:
        return quarantine("the next reconciliation finishes the trial again")(file)
    return rebuild(file, result, "its run's milestone")


# ---- runs


def check_attempt(file: CheckedFile) -> None:
    read_intent(file.path, file.number("NNNN"), file.number("K"))


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
    return give_up(file, record, lost, "no submission names it alone; its run is submitted again")


def recover_claim(file: CheckedFile) -> Recovery:
    """Rebuild it from its name and its attempt's job. Without the claim, the training that holds it would end."""
    path = file.sources.root / paths.attempt_job(file.number("NNNN"), file.number("K"))
    job = readable(partial(read_record, JobFile, path))
    record = ClaimFile(job.job_id if job is not None else "unknown", modified_at(file))
    return rebuild(file, record, "its name and its attempt's job")


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
    """StateError if the archive is damaged, checked byte by byte. A user's own trainer may use any format."""
    if file.sources.spec is None or file.sources.spec.trainer.command is not None:
        return
    try:
        with zipfile.ZipFile(file.path) as archive:
            bad = archive.testzip()
    except Exception as error:  # corrupt bytes raise whatever they happen to mean; EINVAL is an offset below zero
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            return  # it was just replaced or deleted, or the disk has trouble: no reason to move it
        raise StateError(f"corrupt ({error})") from error
    if bad is not None:
        raise StateError(f"corrupt at {bad}")


def recover_last_checkpoint(file: CheckedFile) -> Recovery:
    folder = file.path.parents[1]
    progress = readable(lambda: read_progress(folder, list_names(folder)))
    done = max((point.epoch for point in progress.points), default=0) if progress else 0
    lost = f"; its epochs 1 to {done} are lost" if done else ""
    return quarantine(f"if a result is missing, the run starts from the beginning{lost}")(file)


# ---- the table: path in the sweep's directory (letters as in docs/files.md), check, recovery

NEXT_RECONCILER = quarantine("another reconciler job is submitted when one is needed")
FOUND_BY_TOKEN = quarantine("the job is found again by its token")
ASK_QUEUE = quarantine("the queue says how its job ended")
WRITTEN_AGAIN = quarantine("whoever needs it writes it again")
PUBLISH_AGAIN = quarantine("the training publishes it again, from its checkpoint")

TABLE = (
    FileRule("sweep.yaml", check_spec, recover_spec, required=True),
    FileRule("PATH.tmp", check_leftover, delete),
    FileRule("PATH.probe", check_leftover, delete),
    FileRule("PATH.stale", check_leftover, delete),
    FileRule("submissions/TOKEN/intent.json", is_record(SubmissionFile), recover_submission),
    FileRule("submissions/TOKEN/I.process.json", is_record(ProcessFile), recover_process),
    FileRule("sweep.json", is_record(SweepFile), recover_sweep_json, required=True),
    FileRule("cancelled.json", is_record(MarkFile), rebuild_marker),
    FileRule("data.json", lambda file: read_data(file.path), recover_data),
    FileRule("jobs/JOB.json", is_record(LocalJobFile), recover_local_job),
    FileRule("reconcilers/K.json", is_record(ReconcilerFile), recover_reconciler),
    FileRule("reconcilers/K.job.json", is_record(JobFile), NEXT_RECONCILER),
    FileRule("reconcilers/K.lost.json", is_record(LostFile), NEXT_RECONCILER),
    FileRule("packed/TOKEN/about.json", is_record(PackFile), recover_packed),
    FileRule("packed/TOKEN/N.reused.json", is_record(SlotReuseFile), WRITTEN_AGAIN),
    FileRule("packed/TOKEN/N.taken.json", is_record(SlotTakenFile), WRITTEN_AGAIN),
    FileRule("packed/TOKEN/NAME.json", is_record(MarkFile), WRITTEN_AGAIN),
    FileRule("code/HASH", check_code, quarantine("jobs that were submitted with it run the installed package")),
    FileRule("code.json", is_record(CodeFile), quarantine("the next `unetsweep submit` copies the package again")),
    FileRule("ledger.jsonl", check_lines, drop_corrupt_lines),
    FileRule("trials/NNNN", is_folder, quarantine("the trial counts as lost")),
    FileRule("trials/NNNN/trial.json", lambda file: read_trial(file.path.parent), recover_trial, required=True),
    FileRule("trials/NNNN/config.json", check_trial_config, recover_trial_config, required=True),
    FileRule("trials/NNNN/result.json", check_trial_result, recover_trial_result),
    FileRule("trials/NNNN/cancelled.json", is_record(MarkFile), rebuild_marker),
    FileRule("runs/NNNN/attempts/K.json", check_attempt, recover_attempt),
    FileRule("runs/NNNN/attempts/K.job.json", is_record(JobFile), FOUND_BY_TOKEN),
    FileRule(
        "runs/NNNN/attempts/K.lost.json",
        is_record(LostFile),
        quarantine("the next reconciliation finds the reason again"),
    ),
    FileRule("runs/NNNN/attempts/K.end.json", is_record(TerminationFile), ASK_QUEUE),
    FileRule("runs/NNNN/attempts/K.exit-R.json", is_record(ExitFile), ASK_QUEUE),
    FileRule("runs/NNNN/attempts/K.retries-reset.json", is_record(MarkFile), rebuild_marker),
    FileRule("runs/NNNN/attempts/K.retry-exempt.json", is_record(MarkFile), rebuild_marker),
    FileRule("runs/NNNN/claims", is_folder, quarantine("the next job of the run claims it again")),
    FileRule("runs/NNNN/claims/K-R", is_record(ClaimFile), recover_claim),
    FileRule("runs/NNNN/milestones", is_folder, PUBLISH_AGAIN),
    FileRule("runs/NNNN/milestones/E.json", check_milestone, PUBLISH_AGAIN),
    FileRule("runs/NNNN/error-P.json", is_record(ErrorFile), quarantine("the exit status stays")),
    FileRule("runs/NNNN/requeue-K-R.json", is_record(RequeueFile), ASK_QUEUE),
    FileRule(
        "runs/NNNN/prune.json",
        is_record(PruneFile),
        quarantine("the pruner decides again"),
    ),
    FileRule("runs/NNNN/progress-K-R.jsonl", check_progress, drop_corrupt_lines),
    FileRule("runs/NNNN/checkpoints/last.ckpt", check_checkpoint, recover_last_checkpoint),
    FileRule(
        "runs/NNNN/checkpoints/NAME.ckpt",
        check_checkpoint,
        quarantine("`unetsweep predict` cannot use it; the numbers in the results stay"),
    ),
)
