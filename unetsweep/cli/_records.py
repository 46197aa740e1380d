"""A sweep's files as the report's records; the scheduler and the study are not asked."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from unetsweep import contract
from unetsweep.adapters import sweep_look
from unetsweep.adapters.files import read_json
from unetsweep.adapters.sweep_dir import SweepDir
from unetsweep.adapters.sweep_look import read_run
from unetsweep.adapters.trial_files import AXES, advised, as_known, check_config
from unetsweep.cli._confirmed import confirmed
from unetsweep.config.load import load
from unetsweep.contract import Result
from unetsweep.core import layout
from unetsweep.core.observation import Run
from unetsweep.core.pruning import why_pruned
from unetsweep.core.sharing import why_later
from unetsweep.errors import StateError
from unetsweep.report.rows import SweepRecord, TrialRecord

NO_GROUPS = (
    "groups: none: images of one eye may be in training and validation at once, so val_IoU may look better than it is"
)


def records(sweep_dir: Path) -> SweepRecord:
    """All that a report shows."""
    directory = SweepDir(sweep_dir)
    spec = load(sweep_dir / layout.SPEC)
    trials = tuple(_record(directory, number, folder) for number, folder in sweep_look.trials(sweep_dir))
    leaky = spec.data.split.groups == "none" and spec.trainer.command is None
    leak, val_groups, lost = _images(directory)
    warnings = [f"LEAKED: {text}: these scores reward memory" for text in leak.values()]
    warnings += [lost] if lost else [NO_GROUPS] if leaky and not leak else []
    record = SweepRecord(directory.name, spec, trials, leak=leak, val_groups=val_groups)
    repeats, unread = confirmed(sweep_dir, record)
    return replace(record, warnings=(*warnings, *unread), confirmed=repeats)


def _images(directory: SweepDir) -> tuple[Mapping[str, str], Mapping[str, str] | None, str | None]:
    """What leaks, by part; the group of each validation image; and why that is not known: all may leak then."""
    try:
        data = directory.data or {"leak": {}}
    except StateError as error:
        unknown = "whether these images have a copy in training cannot be read"
        return dict.fromkeys(("val", "test"), unknown), None, advised(error, directory.root)
    return data["leak"], data.get("val_groups"), None


def _record(directory: SweepDir, number: int, folder: Path) -> TrialRecord:
    trial = as_known(number, folder)
    part, unreadable = trial["runs"][0], trial["unreadable"]
    params = trial["params"] or dict.fromkeys(AXES, 0)
    run_dir = f"{directory.root}/{layout.run_dir(part['run'])}"
    known = trial["result"]  # read once: there may be thousands
    paths = (f"{folder}/{layout.RESULT}", f"{run_dir}/{layout.milestone(part['epochs'])}")
    result, unread = _result(trial["config_id"], *paths) if known is None else (Result(**known), None)
    unreadable = unreadable or unread
    state: str
    if unreadable is not None:
        state, reason, job_id = "waiting", advised(unreadable, directory.root), None
    elif result is not None:
        state, reason, job_id = result.state, result.message or "", result.job_id
    else:
        state, reason, job_id = _open(
            read_run(directory.root, part["run"]), part["epochs"], (folder / layout.CANCELLED).exists()
        )
    return TrialRecord(
        number,
        params["epochs"],
        params["batch_size"],
        params["learning_rate"],
        state,
        job_id,
        result,
        reason,
        run_dir,
        _archive(run_dir),
        trial.get("training_seed"),
    )


def _result(config_id: str, *paths: str) -> tuple[Result | None, str | None]:
    """What the first of these files that is there says, or why it cannot be read."""
    for path in paths:
        try:
            result = contract.result_from(read_json(path), path)
            check_config(result, config_id, path)
            return result, None
        except FileNotFoundError:
            continue
        except StateError as error:
            return None, str(error)
    return None, None


def _open(run: Run, epochs: int, cancelled: bool) -> tuple[str, str, str | None]:
    """State, reason and job of a trial without a result, by its files alone."""
    last = run.last
    job_id = (last.claimed_by or last.job_id) if last else None
    if cancelled:
        return "cancelled", "you cancelled it", job_id
    if run.unreadable is not None:
        return "waiting", run.unreadable, None
    if last is None or last.lost is not None:
        return "waiting", (last.lost or "") if last else "", job_id
    if run.is_through:  # it has joined since: its own milestone would have a result
        return "waiting", f"its run goes on from epoch {last.milestones[-1]}", None
    if (later := why_later(run, last, epochs)) is not None:
        return "waiting", later, None
    if last.ending is not None and last.ending.is_final:
        return "failed", last.ending.message, job_id
    return ("running" if last.claimed_by else "submitted"), _ending(run, epochs), job_id


def _ending(run: Run, epochs: int) -> str:
    why = why_pruned(run, epochs)
    return f"to be pruned: {why}" if why else ""


def _archive(run_dir: str) -> str | None:
    try:
        found = sorted(name for name in os.listdir(f"{run_dir}/comet") if name.endswith(".zip"))
    except OSError:
        return None
    return f"{run_dir}/comet/{found[-1]}" if found else None
