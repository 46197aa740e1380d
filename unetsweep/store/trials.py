"""Reading one trial's files, and what is still known of a trial when one of them cannot be read.

Rule 1: an unreadable file stops its own trial and no other; the trial's number stays taken.
Rule 2: a file says which trial it belongs to, and that is compared: another trial's file is unreadable here.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

from unetsweep import contract
from unetsweep.bounded_json import read_json
from unetsweep.contract import Result, TrialConfig
from unetsweep.core import paths
from unetsweep.core.observation import Trial
from unetsweep.errors import ConfigError, StateError

AXES = ("epochs", "batch_size", "learning_rate")


def read_trial(folder: Path) -> dict[str, Any]:
    """A trial.json that says all that is needed; StateError names the file where it does not."""
    path = f"{folder}/{paths.TRIAL}"  # a Path of each would take longer than its stat: there may be thousands
    try:
        raw = read_json(path, quick=True)
    except FileNotFoundError:
        raise StateError(f"{path}: is missing") from None
    try:
        numbers = [raw["trial"], *(raw["params"][name] for name in AXES), raw["config_id"]]
        numbers += [part[name] for part in raw["runs"] for name in ("run", "epochs")]
    except (KeyError, TypeError) as error:
        raise StateError(f"{path}: not a trial's file ({error} is missing)") from error
    if len(numbers) < 7 or not all(isinstance(n, int | float) for n in (*numbers[:4], *numbers[5:])):
        raise StateError(f"{path}: not a trial's file")
    if raw["trial"] != (number := _number(folder)):
        raise StateError(f"{path}: found the file of trial {raw['trial']} in the place of trial {number}'s")
    return raw


def _number(folder: Path | str) -> int:
    return int(os.path.basename(folder))


def read_config(folder: Path) -> TrialConfig:
    """The config.json beside it; StateError where it cannot be read."""
    path = folder / paths.CONFIG
    try:
        return contract.config_from(read_json(path), str(path))
    except (FileNotFoundError, ConfigError) as error:
        raise StateError(f"{path}: not a trial's config ({error})") from error


def read_result(folder: Path) -> Result | None:
    """The trial's result; None: it has not ended. StateError where it cannot be read."""
    path = f"{folder}/{paths.RESULT}"
    try:
        result = contract.result_from(read_json(path, quick=True), path)
    except FileNotFoundError:
        return None
    if result.trial is not None and result.trial != (number := _number(folder)):
        raise StateError(f"{path}: found the result of trial {result.trial} in the place of trial {number}'s")
    return result


def check_config(result: Result, wanted: str | None, path: str) -> None:
    """StateError where the result says that another config than `wanted` (its digest; None: not known) was trained."""
    if result.config_id is not None and wanted and result.config_id != wanted:
        raise StateError(
            f"{path}: found the result of another training, of config {result.config_id[:12]}, not {wanted[:12]}"
        )


def rebuilt(number: int, config: TrialConfig, run: int | None = None) -> dict[str, Any]:
    """A trial.json, as a new trial gets it. `run`: the one that it shares; None: its own."""
    return {
        "trial": number,
        "params": {name: getattr(config, name) for name in AXES},
        "config_id": contract.config_id(config),
        "run_key": contract.run_key(config),
        "training_seed": config.seed,
        "runs": [{"run": number if run is None else run, "epochs": config.epochs}],
    }


def as_known(number: int, folder: Path) -> dict[str, Any]:
    """trial.json, with `result`, `cancelled`, and `unreadable`: which file cannot be read, or None.

    Where that is trial.json, all comes from config.json; `params` are None where both are unreadable.
    """
    unreadable: str | None = None
    try:
        trial = read_trial(folder)
    except (StateError, FileNotFoundError) as error:
        unreadable = str(error)
        try:
            trial = rebuilt(number, read_config(folder))
        except (StateError, FileNotFoundError):
            trial = {"trial": number, "params": None, "config_id": "", "runs": [{"run": number, "epochs": 0}]}
    try:
        result = read_result(folder)
        if result is not None:
            check_config(result, trial["config_id"], f"{folder}/{paths.RESULT}")
    except StateError as error:
        result, unreadable = None, unreadable or str(error)
    trial["result"] = None if result is None else _shallow(result)
    trial["cancelled"] = os.path.exists(f"{folder}/{paths.CANCELLED}")
    trial["unreadable"] = unreadable
    return trial


def _shallow(result: Result) -> dict[str, Any]:
    """Its fields as they are: `contract.encode` would copy every row of its tables, and a report reads thousands."""
    return {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}


def open_trial(number: int, folder: Path, *, cancelled: bool) -> Trial:
    """A trial that has not ended, as the plan sees it."""
    try:
        raw = read_trial(folder)
    except StateError as error:
        return Trial(number, number, 0, cancelled, unreadable=advised(error, folder.parents[1]))
    part = raw["runs"][0]
    return Trial(number, part["run"], part["epochs"], cancelled, raw["params"]["batch_size"], raw["config_id"])


def name_of(root: Path) -> str:
    """What the sweep in this folder is called: `grid`, or `grid/confirm` within it."""
    inner = root.name == paths.CONFIRM and (root.parent / paths.SPEC).exists()
    return f"{root.parent.name}/{root.name}" if inner else root.name


def advised(error: Exception | str, root: Path) -> str:
    """What is unreadable, and what to do about it."""
    return f"{error}: run `unetsweep repair {name_of(root)}`"
