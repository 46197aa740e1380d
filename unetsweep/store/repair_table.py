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
from typing import Any

from unetsweep import contract
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.config.load import load
from unetsweep.core import paths
from unetsweep.core.trials import trial_config
from unetsweep.errors import SpecError, StateError
from unetsweep.package import digest, sources
from unetsweep.process import with_words
from unetsweep.store.home import TEXTS, check_about
from unetsweep.store.observation import listed, numbered
from unetsweep.store.progress import read_progress
from unetsweep.store.repair import (
    FileRule,
    Goal,
    Recovery,
    SweepFile,
    check_lines,
    delete,
    drop_corrupt_lines,
    give_up,
    has,
    is_folder,
    is_old,
    modified_at,
    quarantine,
    read_attempt,
    readable,
    rebuild,
    rebuild_marker,
    require,
)
from unetsweep.store.sweep_dir import SweepDir, is_data
from unetsweep.store.trials import check_config, name_of, read_config, read_result, read_trial, rebuilt

NO_TOKEN = "0" * 12
"""Stands for the token of a submission that no file knows."""
CORRUPT_INTENT = {"reason": "its intent file was corrupt", "cause": "VANISHED"}

# ---- the sweep itself


def check_spec(file: SweepFile) -> None:
    os.lstat(file.path)
    try:
        load(file.path)
    except SpecError as error:
        raise StateError(f"not a sweep ({error.problems[0].message})") from error


def recover_spec(file: SweepFile) -> Recovery:
    outer, _, inner = name_of(file.sources.root).partition("/")
    command = f"`unetsweep confirm {outer}`" if inner else "`unetsweep submit` with the sweep's own YAML file"
    advice = f"run {command} again: it writes the file, and all trials stay"
    return quarantine(advice=advice)(file) if os.path.lexists(file.path) else Recovery(advice=advice)


def recover_sweep_json(file: SweepFile) -> Recovery:
    """From its own readable fields and the submissions, of which the last one names the folder its jobs know."""
    known = file.sources.read(file.path)
    intents = [raw for _, raw in file.sources.submissions()]
    kinds = [raw["kind"] for raw in intents if raw.get("kind") in ("slurm", "local")]
    homes = sorted((str(raw.get("at")), raw["folder"]) for raw in intents if isinstance(raw.get("folder"), str))
    content = {
        "cluster": None,
        "folder": homes[-1][1] if homes else str(file.sources.root.absolute()),
        "created": utc_now().isoformat(),
        "working_directory": os.getcwd(),
        **{name: known[name] for name in (*TEXTS, "cluster") if isinstance(known.get(name), str)},
    }
    if "executor" not in content:
        content["executor"] = kinds[0] if kinds else file.sources.find_executor()
    start = content["working_directory"]
    return rebuild(
        file, {**known, **content}, f"what is readable and the submissions; a trainer command starts in {start}"
    )


def recover_data(file: SweepFile) -> Recovery:
    """From a config.json, which has the split too. It does not say which images leak, so a leak stays a warning."""
    root = file.sources.root
    configs = (readable(partial(read_config, folder)) for _, folder in numbered(root / paths.TRIALS))
    data = next((config.data for config in configs if config is not None and config.data.manifest), None)
    if data is None:
        return quarantine("no trial knows the split: run `unetsweep submit` with the sweep's own YAML file again")(file)
    unknown = "which images have a copy in training is not known any more (allow_leak is set)"
    leak = dict.fromkeys(("val", "test"), unknown) if data.split.allow_leak else {}
    content = {"manifest": contract.encode(data.manifest), "leak": leak}
    others = (root / paths.CONFIRM / paths.DATA, root.parent / paths.DATA)  # of its confirmation, or the reverse
    groups = next((found for other in others if (found := file.sources.read(other).get("val_groups"))), None)
    if groups:
        return rebuild(file, {**content, "val_groups": groups}, "a trial's config.json")
    lost = "the groups of the validation images are lost, so a confirmation counts each image by itself"
    return rebuild(file, content, f"a trial's config.json; {lost}")


def check_leftover(file: SweepFile) -> None:
    """Other names than ours are left: a trainer's own temporary files in runs/ are not ours to delete."""
    folder = file.path.parent
    is_ours = file.path.name.startswith(".") or folder.name in ("checkpoints", "milestones")
    if (is_ours or folder == file.sources.root) and is_old(file):
        raise StateError("left unfinished by a process that was killed")


def check_code(file: SweepFile) -> None:
    if digest(sources(file.path / "unetsweep")) != file.path.name:
        raise StateError("not the package that was copied")


# ---- submissions and jobs


def check_submission(file: SweepFile) -> None:
    for element in read_json(file.path)["elements"]:
        run, attempt = element
        require({"run": run, "attempt": attempt}, run=int, attempt=int)


def recover_submission(file: SweepFile) -> Recovery:
    """From its attempts. An element that belongs to another submission gets a placeholder: only its place matters."""
    token, known, at = file.letters["TOKEN"], dict[int, list[int]](), modified_at(file)
    for raw in file.sources.attempts():
        if raw["token"] == token:
            known[raw["index"]], at = [raw["run"], raw["attempt"]], raw["at"]
    if not known:
        return quarantine("no attempt belongs to this submission")(file)
    elements = [known.get(index, min(known.values())) for index in range(max(known) + 1)]
    kind = file.sources.read(file.sources.root / paths.SWEEP).get("executor", "local")
    return rebuild(file, {"token": token, "kind": kind, "at": at, "elements": elements}, "its attempts")


def recover_process(file: SweepFile) -> Recovery:
    """From the supervisor itself if it runs on this machine, so that its training is not started a second time."""
    token, index = file.letters["TOKEN"], file.letters["I"]
    for who, words in with_words("supervise", str(file.sources.root), token, index):
        job_id = words[words.index("supervise") + 4]
        content = {"index": int(index), "job_id": job_id, "host": socket.gethostname(), **who.as_json()}
        return rebuild(file, content, f"its supervisor, process {who.pid}")
    return quarantine("its training counts as gone and starts again")(file)


def recover_local_job(file: SweepFile) -> Recovery:
    """From its supervisor's record. Without one, only the job number stays taken."""
    for path in (file.sources.root / paths.SUBMISSIONS).glob("*/*.process.json"):
        raw = file.sources.read(path)
        if raw.get("job_id") == file.letters["JOB"]:
            content = {"token": path.parent.name, "index": raw.get("index", 0)}
            return rebuild(file, content, "its supervisor's record")
    return rebuild(file, {"token": NO_TOKEN, "index": 0}, "its name")


def recover_reconciler(file: SweepFile) -> Recovery:
    lost = file.path.with_name(f"{file.letters['K']}.lost.json")
    content = {"token": NO_TOKEN, "at": modified_at(file)}
    return give_up(file, content, lost, CORRUPT_INTENT, "another reconciler job is submitted when one is needed")


def recover_packed(file: SweepFile) -> Recovery:
    """From its submission. One training at once is right for every job, if not the fastest."""
    intent = file.sources.read(file.sources.root / paths.submission(file.letters["TOKEN"]) / "intent.json")
    content = {"count": len(intent.get("elements", ())), "pack": 1, "mem": None}
    return rebuild(file, content, "its submission, with one training at once in each job")


# ---- trials


def recover_trial(file: SweepFile) -> Recovery:
    """From config.json. Without it nothing says which point of the space it was."""
    number, sources = file.number("NNNN"), file.sources
    config = readable(lambda: read_config(file.path.parent))
    if config is None:
        cancel = f"`unetsweep cancel {name_of(sources.root)} {number}`"
        put_back = f"put {file.path.parent} back from a backup, or give the trial up: {cancel}"
        return Recovery(advice=f"config.json cannot be read either, so its point is not known; {put_back}")
    # the run that it may share: the one of which an attempt was submitted for it
    runs = [raw["run"] for raw in sources.attempts() if number in (each["trial"] for each in raw["milestones"])]
    origin: dict[str, Any] = {"sampler": "repaired"}
    if sources.spec is not None:
        origin = {"sampler": sources.spec.study.sampler, "seed": sources.spec.study.seed}
    trial = rebuilt(number, config, runs[0] if runs else None)
    return rebuild(file, {**trial, "at": utc_now().isoformat(), **origin}, "config.json")


def check_trial_config(file: SweepFile) -> None:
    trial = readable(lambda: read_trial(file.path.parent))
    if trial is None:
        return  # its own row recovers it from this file, or names both
    os.lstat(file.path)
    if contract.config_id(read_config(file.path.parent)) != trial["config_id"]:
        raise StateError("found the config of another trial")


def recover_trial_config(file: SweepFile) -> Recovery:
    """From trial.json and sweep.yaml, if these ask for exactly the training that the trial was made for."""
    trial, spec = read_trial(file.path.parent), file.sources.spec
    if spec is None:
        return Recovery(advice="it can be rebuilt from sweep.yaml: restore that, then repair again")
    pinned = readable(lambda: SweepDir(file.sources.root).data)
    asked = trial_config(spec, {**trial["params"], "seed": trial.get("training_seed", spec.study.seed)})
    # the trial may be older than the pinned split, or than a change of allow_leak
    configs = [
        replace(asked, data=replace(asked.data, manifest=manifest, split=replace(asked.data.split, allow_leak=leak)))
        for manifest in (pinned["manifest"] if pinned else asked.data.manifest, None)
        for leak in (asked.data.split.allow_leak, not asked.data.split.allow_leak)
    ]
    config = next((each for each in configs if contract.config_id(each) == trial["config_id"]), None)
    if config is None:
        return Recovery(advice="sweep.yaml asks for another training than the trial's; restore the file from a backup")
    return rebuild(file, contract.encode(config), "trial.json and sweep.yaml")


def check_trial_result(file: SweepFile) -> None:
    result, trial = read_result(file.path.parent), readable(lambda: read_trial(file.path.parent))
    if result is not None and trial is not None:
        check_config(result, trial["config_id"], str(file.path))


def recover_trial_result(file: SweepFile) -> Recovery:
    """From what its run published at the trial's milestone."""
    number, root = file.number("NNNN"), file.sources.root

    def published() -> contract.Result:
        trial = read_trial(file.path.parent)
        path = root / paths.run_dir(trial["runs"][0]["run"]) / paths.milestone(trial["runs"][0]["epochs"])
        result = contract.result_from(read_json(path), str(path))
        check_config(result, trial["config_id"], str(path))
        return replace(result, trial=number)

    result = readable(published)
    if result is None:
        return quarantine("the next reconciliation finishes the trial again")(file)
    return rebuild(file, contract.encode(result), "its run's milestone")


# ---- runs


def check_attempt(file: SweepFile) -> None:
    read_attempt(file.path, file.number("NNNN"), file.number("K"))


def recover_attempt(file: SweepFile) -> Recovery:
    """From the one submission that names it. Without one it is given up, and its run is submitted again."""
    run, number, at = file.number("NNNN"), file.number("K"), modified_at(file)
    goals = file.sources.goals.get(run, [Goal(run, 0, "")])
    milestones = [{"trial": goal.trial, "epochs": goal.epochs} for goal in goals]
    content: dict[str, Any] = {"run": run, "attempt": number, "milestones": milestones}
    found = []
    for token, raw in file.sources.submissions():
        elements = raw["elements"] if isinstance(raw.get("elements"), list) else []
        found += [(token, index, raw.get("at", at)) for index, each in enumerate(elements) if each == [run, number]]
    if len(found) == 1:
        token, index, at = found[0]
        others = (raw.get("throttle") for raw in file.sources.attempts() if raw["token"] == token)
        content |= {"token": token, "index": index, "at": at, "throttle": next(others, None)}
        return rebuild(file, content, f"submission {token}")
    content |= {"token": NO_TOKEN, "index": 0, "at": at, "throttle": None}
    lost, reason = file.sources.root / paths.attempt_lost(run, number), {**CORRUPT_INTENT, "at": at}
    return give_up(file, content, lost, reason, "no submission names it alone; its run is submitted again")


def recover_claim(file: SweepFile) -> Recovery:
    """A claim counts by its name. Without it the training that holds it would end."""
    job = file.sources.root / paths.attempt_job(file.number("NNNN"), file.number("K"))
    content = {"job_id": file.sources.read(job).get("job_id"), "host": "", "port": 0, "at": modified_at(file)}
    return rebuild(file, content, "its name and its attempt's job")


def check_milestone(file: SweepFile) -> None:
    result = contract.result_from(read_json(file.path), str(file.path))
    configs = {goal.epochs: goal.config_id for goal in file.sources.goals.get(file.number("NNNN"), ())}
    check_config(result, configs.get(file.number("E")), str(file.path))


def check_progress(file: SweepFile) -> None:
    """StateError if lines are corrupt, unless a training may be writing the last one now."""
    attempts, number = file.path.parent / "attempts", file.letters["K"]
    has_ended = any((attempts / f"{number}.{mark}.json").exists() for mark in ("lost", f"exit-{file.letters['R']}"))
    if has_ended or not file.path.is_file() or is_old(file):
        check_lines(file)


def check_checkpoint(file: SweepFile) -> None:
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


def recover_last_checkpoint(file: SweepFile) -> Recovery:
    folder = file.path.parents[1]
    progress = readable(lambda: read_progress(folder, listed(folder)))
    done = max((point.epoch for point in progress.points), default=0) if progress else 0
    lost = f"; its epochs 1 to {done} are lost" if done else ""
    return quarantine(f"if a result is missing, the run starts from the beginning{lost}")(file)


# ---- the table: path in the sweep's directory (letters as in docs/files.md), check, recovery

NEXT_RECONCILER = quarantine("another reconciler job is submitted when one is needed")
ASK_QUEUE = quarantine("the queue says how its job ended")
PUBLISH_AGAIN = quarantine("the training publishes it again, from its checkpoint")

TABLE = (
    FileRule("sweep.yaml", check_spec, recover_spec, required=True),
    FileRule("PATH.tmp", check_leftover, delete),
    FileRule("PATH.probe", check_leftover, delete),
    FileRule("PATH.stale", check_leftover, delete),
    FileRule("submissions/TOKEN/intent.json", check_submission, recover_submission),
    FileRule("submissions/TOKEN/I.process.json", has(index=int, job_id=str), recover_process),
    FileRule("sweep.json", lambda file: check_about(read_json(file.path)), recover_sweep_json, required=True),
    FileRule("stopped.json", has(), rebuild_marker),
    FileRule("data.json", lambda file: is_data(read_json(file.path)), recover_data),
    FileRule("jobs/JOB.json", has(token=str, index=int), recover_local_job),
    FileRule("reconcilers/K.json", has(token=str, at=str), recover_reconciler),
    FileRule("reconcilers/K.job.json", has(job_id=str), NEXT_RECONCILER),
    FileRule("reconcilers/K.lost.json", has(reason=str), NEXT_RECONCILER),
    FileRule("packed/TOKEN/about.json", has(pack=int, count=int), recover_packed),
    FileRule("packed/TOKEN/NAME.json", has(), quarantine("whoever needs it writes it again")),
    FileRule("code/HASH", check_code, quarantine("jobs that were submitted with it run the installed package")),
    FileRule("code.json", has(hash=str), quarantine("the next `unetsweep submit` copies the package again")),
    FileRule("ledger.jsonl", check_lines, drop_corrupt_lines),
    FileRule("trials/NNNN", is_folder, quarantine("the trial counts as lost")),
    FileRule("trials/NNNN/trial.json", lambda file: read_trial(file.path.parent), recover_trial, required=True),
    FileRule("trials/NNNN/config.json", check_trial_config, recover_trial_config, required=True),
    FileRule("trials/NNNN/result.json", check_trial_result, recover_trial_result),
    FileRule("trials/NNNN/cancelled.json", has(), rebuild_marker),
    FileRule("runs/NNNN/attempts/K.json", check_attempt, recover_attempt),
    FileRule("runs/NNNN/attempts/K.job.json", has(job_id=str), quarantine("the job is found again by its token")),
    FileRule(
        "runs/NNNN/attempts/K.lost.json", has(reason=str), quarantine("the next reconciliation finds the reason again")
    ),
    FileRule("runs/NNNN/attempts/K.end.json", has(cause=str), ASK_QUEUE),
    FileRule("runs/NNNN/attempts/K.exit-R.json", has(status=int, at=str), ASK_QUEUE),
    FileRule("runs/NNNN/attempts/K.retries-reset.json", has(), rebuild_marker),
    FileRule("runs/NNNN/attempts/K.retry-exempt.json", has(), rebuild_marker),
    FileRule("runs/NNNN/claims", is_folder, quarantine("the next job of the run claims it again")),
    FileRule("runs/NNNN/claims/K-R", has(job_id=str | None, at=str), recover_claim),
    FileRule("runs/NNNN/milestones", is_folder, PUBLISH_AGAIN),
    FileRule("runs/NNNN/milestones/E.json", check_milestone, PUBLISH_AGAIN),
    FileRule("runs/NNNN/error-P.json", has(kind=str, message=str), quarantine("the exit status stays")),
    FileRule("runs/NNNN/requeue-K-R.json", has(), ASK_QUEUE),
    FileRule(
        "runs/NNNN/stop.json",
        has(attempt=int, trial=int, milestones=list, epoch=int, reason=str),
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
