"""Checks and recovers the files of trials."""

import os
from dataclasses import replace

from unetsweep import contract
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.core.missing_points import LISTED, SEED, listed_points, meets
from unetsweep.core.trials import trial_config
from unetsweep.errors import StateError
from unetsweep.store.repair.find_damage import CheckedFile, Recovery
from unetsweep.store.repair.recoveries import quarantine, rebuild
from unetsweep.store.repair.sources import readable
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import (
    check_config,
    make_trial_file,
    read_config,
    read_result,
    read_trial,
    space_of,
    sweep_name,
)


def recover_trial(file: CheckedFile) -> Recovery:
    """Rebuild it from config.json. Without that file nothing says which point of the space the trial was."""
    number, sources = file.number("NNNN"), file.sources
    config = readable(lambda: read_config(file.path.parent))
    if config is None:
        cancel = f"`unetsweep cancel {sweep_name(sources.root)} {number}`"
        put_back = f"put {file.path.parent} back from a backup, or give the trial up: {cancel}"
        return Recovery(advice=f"config.json cannot be read either, so its point is not known; {put_back}")
    # its run, which it may share, is that of an attempt that was submitted for it
    runs = [each.run for each in sources.attempts() if number in (served.trial for served in each.trials)]
    trial = make_trial_file(number, config, space_of(sources.root), utc_now(), runs[0] if runs else None)
    if sources.spec is not None:
        spec, point = sources.spec, {**trial.params, SEED: trial.training_seed}
        is_listed = any(meets(spec, point, listed) for listed in listed_points(spec))
        trial = replace(trial, sampler=LISTED if is_listed else spec.study.sampler, study_seed=spec.study.seed)
    return rebuild(file, trial, "config.json")


def check_trial_config(file: CheckedFile) -> None:
    trial = readable(lambda: read_trial(file.path.parent))
    if trial is None:
        return  # the row of trial.json recovers that from this file, or reports both
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
