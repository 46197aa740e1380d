"""Mending trials: each of config.json and trial.json follows from the other, a result from its run."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from unetsweep import contract
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.contract import Result
from unetsweep.core import paths
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import trial_config
from unetsweep.errors import StateError
from unetsweep.store.observation import numbered, trials
from unetsweep.store.repairs import Finding, for_user, quarantined, trouble, written, written_at
from unetsweep.store.trials import (
    check_config,
    name_of,
    read_config,
    read_result,
    read_trial,
    swept_parameters,
    trial_file,
)


def findings(root: Path, spec: SweepSpec | None) -> Iterator[Finding]:
    """Of every trial. `spec`: the sweep, where its file can be read."""
    known = dict(trials(root))
    for number, folder in numbered(root / paths.TRIALS):
        if number not in known:
            yield Finding(folder, "a trial's folder without a file", "taken away", folder.rmdir)
    for number, folder in known.items():
        if folder.exists() and not folder.is_dir():
            yield quarantined(folder, "found a file, not a trial's folder", "now it counts as a lost trial")
            continue
        yield from _point(root, number, folder, spec)
        yield from _ends(root, number, folder)


def _point(root: Path, number: int, folder: Path, spec: SweepSpec | None) -> Iterator[Finding]:
    trial, config = folder / paths.TRIAL, folder / paths.CONFIG
    no_trial = _why(lambda: read_trial(folder), trial)
    no_config = _why(lambda: read_config(folder), config)
    if (
        no_trial is None
        and no_config is None
        and contract.config_id(read_config(folder)) != read_trial(folder).config_id
    ):
        no_config = "found the config of another trial"
    if no_trial is not None and no_config is not None:
        advice = (
            f"which point it was is not known; put {folder} back from a backup, or give the trial up: "
            f"`unetsweep cancel {name_of(root)} {number}`"
        )
        yield for_user(trial, f"{no_trial}; and config.json: {no_config}", advice)
    elif no_trial is not None:
        rebuilt = trial_file(number, read_config(folder), swept_parameters(root), utc_now(), _run_of(root, number))
        if spec is not None:
            rebuilt = replace(rebuilt, sampler=spec.study.sampler, study_seed=spec.study.seed)
        yield written(trial, no_trial, contract.encode(rebuilt), "config.json")
    elif no_config is not None:
        yield _config(folder, no_config, spec)


def _run_of(root: Path, trial: int) -> int | None:
    """The run of which an attempt was sent for this trial; None: there is none, so that its own is as good."""
    for run, folder in numbered(root / paths.RUNS):
        for path in sorted((folder / "attempts").glob("*.json")):
            if path.stem.isdecimal() and _why(lambda path=path: read_json(path), path) is None:  # type: ignore[misc]
                milestones = read_json(path).get("milestones") or ()
                if any(each.get("trial") == trial for each in milestones):
                    return run
    return None


def _config(folder: Path, why: str, spec: SweepSpec | None) -> Finding:
    path, trial = folder / paths.CONFIG, read_trial(folder)
    if spec is None:
        return for_user(path, why, "sweep.yaml is needed to write it anew: mend that first, then repair again")
    asked = trial_config(spec, {**trial.params, "seed": trial.training_seed})
    # Trials of before the sweep pinned its split, or before allow_leak was changed, are what they were.
    configs = [
        replace(asked, data=replace(asked.data, manifest=manifest, split=replace(asked.data.split, allow_leak=leak)))
        for manifest in (asked.data.manifest, None)
        for leak in (asked.data.split.allow_leak, not asked.data.split.allow_leak)
    ]
    config = next((each for each in configs if contract.config_id(each) == trial.config_id), None)
    if config is None:
        advice = "sweep.yaml asks for another training than the trial was made for; put the file back from a backup"
        return for_user(path, why, advice)
    return written(path, why, contract.encode(config), "trial.json and sweep.yaml")


def _ends(root: Path, number: int, folder: Path) -> Iterator[Finding]:
    path = folder / paths.RESULT
    why = _why(lambda: _own(folder), path)
    if why is not None:
        published = _published(root, folder)
        if published is not None:
            content = contract.encode(replace(published, trial=number))
            yield written(path, why, content, "what its run published")
        else:
            yield quarantined(path, why, "the next reconciliation ends the trial anew")
    cancelled = folder / paths.CANCELLED
    if cancelled.exists() and (why := trouble(cancelled)):
        yield written(cancelled, why, {"at": written_at(cancelled)}, "its being there")


def _own(folder: Path) -> None:
    """StateError where the trial's result cannot be read, or is another's."""
    result = read_result(folder)
    if result is not None and _why(lambda: read_trial(folder), folder / paths.TRIAL) is None:
        check_config(result, read_trial(folder).config_id, str(folder / paths.RESULT))


def _published(root: Path, folder: Path) -> Result | None:
    """What the run left at the trial's milestone, as far as it can be read."""
    try:
        trial = read_trial(folder)
        path = root / paths.run_dir(trial.run) / paths.milestone(trial.epochs)
        result = contract.result_from(read_json(path), str(path)) if path.exists() else None
        if result is not None:
            check_config(result, read_trial(folder).config_id, str(path))
        return result
    except StateError:
        return None


def _why(read: Callable[[], object], path: Path) -> str | None:
    try:
        read()
    except FileNotFoundError:
        return "is missing"
    except StateError as error:
        return str(error).removeprefix(f"{path}: ")
    return None
