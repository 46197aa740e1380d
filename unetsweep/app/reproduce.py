"""Train a trial a second time, and compare the two results bit for bit."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.analysis.reproducibility import compared_fields, surroundings, unequal
from unetsweep.app.train import run_training
from unetsweep.atomic import open_to_append, write_json, write_text
from unetsweep.bounded_json import read_json
from unetsweep.contract import Result, TrialConfig, config_from, config_id, dumps, encode, result_from
from unetsweep.core import paths
from unetsweep.datasets.prepare import verify_pinned
from unetsweep.errors import ConfigError, DataError, StateError, UsageError
from unetsweep.store.trials import read_config, read_result, read_trial, sweep_name
from unetsweep.training.trackers.table import with_all_off

MARKER = "reproduces.json"
"""Only a folder with this file may be cleared: it was made by `reproduce`."""
LOCK = ".lock"
"""Held while a training runs in the folder. The file is never deleted: another process may hold it open."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How the second training of a trial compares with the first."""

    sweep: str
    trial: int
    compared: tuple[str, ...]
    """Names of the compared fields."""
    differences: tuple[str, ...]
    """A line for each field that differs; empty if the results are equal to the last bit."""
    changes: tuple[str, ...]
    """A line for each possible cause that changed: versions, hardware, precision, threads, code, data."""


def reproduce(
    root: Path, trial: int, *, data: Path | None = None, threads: int | None = None, out: Path | None = None
) -> Reproduction:
    """Train a trial of the sweep in `root` again on this machine, and compare the result with its own.

    `data` is where the images are now, `threads` overrides the number of CPU threads; None keeps what the trial used.
    `out` is the folder for the training's files (None: in the sweep). An interrupted call continues where it stopped.
    """
    config, before = _read_trial(root, trial)
    if data is not None:
        config = replace(config, data=replace(config.data, root=str(data.absolute())))
    _check_images(config)
    trainer = with_all_off(replace(config.trainer, threads=threads or config.trainer.threads))
    config = replace(config, trainer=trainer)
    folder = root / paths.REPRODUCED / f"{trial:04d}" if out is None else out.resolve()
    with _locked(folder):
        _clear(folder, config)
        path = folder / paths.CONFIG
        write_text(path, dumps(encode(config)))
        run_training(config, path, folder)
        milestone = folder / paths.milestone(config.epochs)
        now = result_from(read_json(milestone), str(milestone))
    return Reproduction(
        sweep_name(root),
        trial,
        tuple(compared_fields(before)),
        tuple(unequal(before, now)),
        tuple(surroundings(before, now)),
    )


def _read_trial(root: Path, trial: int) -> tuple[TrialConfig, Result]:
    """The trial's config and result. UsageError if there is no result to compare with."""
    folder = root / paths.trial_dir(trial)
    if not folder.is_dir():
        raise UsageError(f"sweep {root.name} has no trial {trial}")
    config, result = read_config(folder), read_result(folder)
    if config.trainer.command is not None:
        raise UsageError(
            f"sweep {root.name} trains with trainer.command; run that program yourself, with what it read in "
            f"{root / paths.run_dir(read_trial(folder).run) / paths.PARAMETERS}"
        )
    if result is None or result.state != "complete":
        state = "has not ended" if result is None else f"is {result.state}"
        raise UsageError(f"trial {trial} of {root.name} {state}; only a complete trial can be reproduced")
    return config, result


def _check_images(config: TrialConfig) -> None:
    """DataError if the images are not those that the trial was trained with."""
    try:
        verify_pinned(config.data, test=config.trainer.score_test)
    except DataError as error:
        raise DataError(error.source, ["nothing was trained, because the images changed:", *error.problems]) from error


def _clear(folder: Path, config: TrialConfig) -> None:
    """Delete what an earlier call left in the folder, except for an unfinished training of the same config."""
    if any(path.name != LOCK for path in folder.iterdir()) and not (folder / MARKER).exists():
        raise UsageError(f"{folder} is not empty and was not made by `unetsweep reproduce`; choose another --out")
    path = folder / paths.CONFIG
    is_same = False
    with contextlib.suppress(OSError, StateError, ConfigError):
        is_same = config_id(config_from(read_json(path), str(path))) == config_id(config)
    if not is_same or (folder / paths.milestone(config.epochs)).exists():
        _empty(folder)
    write_json(folder / MARKER, {"config_id": config_id(config)})


def _empty(folder: Path) -> None:
    """Delete everything in the folder except the lock. The marker is deleted last, so an interrupted call can be
    repeated."""
    try:
        entries = (path for path in folder.iterdir() if path.name != LOCK)
        for entry in sorted(entries, key=lambda path: path.name == MARKER):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise UsageError(f"{folder} cannot be cleared ({error}); remove it, or choose another --out") from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder and hold its lock. UsageError if either is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open_to_append(folder / LOCK)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror}); choose another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another `unetsweep reproduce` is running in {folder}; wait, or use --out") from None
        except OSError:  # a file system without locks
            pass
        yield
