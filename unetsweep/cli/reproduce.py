"""`unetsweep reproduce`: train a trial again, and say whether it comes out the same."""

import contextlib
import fcntl
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.core import paths
from unetsweep.errors import ConfigError, DataError, UsageError

if TYPE_CHECKING:
    from unetsweep.contract import Result, TrialConfig


MARKER = "reproduces.json"
"""Says that the folder is ours to clear."""
LOCK = ".lock"
"""Keeps a second one out of the folder; it stays."""


@click.command("reproduce")
@click.argument("sweep")
@click.argument("trial", type=click.IntRange(min=0))
@click.option("--data", type=click.Path(path_type=Path), metavar="ROOT", help="Where the images lie now.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads, to see what another number does.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder of its files [in the sweep: reproduced/NNNN]."
)
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str, trial: int, data: Path | None, threads: int | None, out: Path | None, results: Path) -> None:
    """Train TRIAL of SWEEP again from its config.json, here and now, and compare: weights, scores, every image.

    Status 0: all is equal, bit for bit. Status 1: something differs; what may have caused it is named (versions,
    hardware, threads, code, data). The trial and its study are left alone. It goes on where it was interrupted.
    """
    from unetsweep.analysis.reproducibility import compared, surroundings, unequal
    from unetsweep.app.sweeps import resolve
    from unetsweep.atomic import write_text
    from unetsweep.contract import dumps, encode
    from unetsweep.store.trials import name_of

    root = resolve(sweep, results, anywhere=True)
    asked, then = _asked(root, trial, data)
    _check_images(asked)
    asked = replace(asked, trainer=replace(asked.trainer, threads=threads or asked.trainer.threads, comet="off"))
    folder = root / paths.REPRODUCED / f"{trial:04d}" if out is None else out.resolve()
    with _alone(folder):
        _clear(folder, asked)
        path = folder / paths.CONFIG
        write_text(path, dumps(encode(asked)))
        now = _trained(asked, path, folder)
    wrong, around = unequal(then, now), surroundings(then, now)
    for line in wrong:
        click.echo(f"differs  {line}")
    for line in around:
        click.echo(f"changed  {line}")
    if not wrong:
        click.echo(f"trial {trial} of {name_of(root)} again: bit for bit the same ({', '.join(compared(then))})")
        return
    cause = "see what has changed, above" if around else "nothing that is recorded has changed; on a GPU, some kernels"
    click.echo(f"trial {trial} of {name_of(root)} again: not the same; {cause}")
    sys.exit(1)


def _asked(root: Path, trial: int, data: Path | None) -> "tuple[TrialConfig, Result]":
    """Its config and what it left. UsageError where there is nothing to compare with."""
    from unetsweep.store.trials import read_config, read_result

    folder = root / paths.trial_dir(trial)
    if not folder.is_dir():
        raise UsageError(f"sweep {root.name} has no trial {trial}")
    asked, then = read_config(folder), read_result(folder)
    if asked.trainer.command is not None:
        raise UsageError(f"sweep {root.name} trains by trainer.command: run that program on {folder / paths.CONFIG}")
    if then is None or then.state != "complete":
        state = "has not ended" if then is None else f"is {then.state}"
        raise UsageError(f"trial {trial} of {root.name} {state}; only a complete trial can be compared with")
    if data is not None:
        asked = replace(asked, data=replace(asked.data, root=str(data.absolute())))
    return asked, then


def _check_images(asked: "TrialConfig") -> None:
    from unetsweep.datasets.prepare import verify_pinned  # imports cv2

    try:
        verify_pinned(asked.data)
    except DataError as error:
        raise DataError(error.source, ["not trained, since the data are not the same:", *error.problems]) from error


def _clear(folder: Path, asked: "TrialConfig") -> None:
    """A training of this config that was interrupted goes on; whatever else an earlier call left is taken away."""
    from unetsweep.atomic import write_json
    from unetsweep.contract import config_from, config_id

    if any(path.name != LOCK for path in folder.iterdir()) and not (folder / MARKER).exists():
        raise UsageError(f"{folder}: is not empty, and was not made by `unetsweep reproduce`; name another folder")
    path = folder / paths.CONFIG
    known = False
    with contextlib.suppress(OSError, ValueError, ConfigError):
        known = config_id(config_from(json.loads(path.read_bytes()), str(path))) == config_id(asked)
    if not known or (folder / paths.milestone(asked.epochs)).exists():
        _empty(folder)
    write_json(folder / MARKER, {"config_id": config_id(asked)})


def _empty(folder: Path) -> None:
    """The marker goes last, so that a call that is killed in between leaves a folder that is ours."""
    try:
        there = (path for path in folder.iterdir() if path.name != LOCK)
        for each in sorted(there, key=lambda path: path.name == MARKER):
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink()
    except OSError as error:
        raise UsageError(f"{folder}: cannot be cleared ({error}); remove it, or name another one by --out") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder, and keep others out of it. UsageError where either cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / LOCK, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror}); name another folder by --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: another `unetsweep reproduce` is at work there; wait, or use --out") from None
        except OSError:  # a file system without locks
            pass
        yield


def _trained(asked: "TrialConfig", path: Path, folder: Path) -> "Result":
    from unetsweep.cli.train import train_here
    from unetsweep.contract import result_from

    train_here(asked, path, folder)
    done = folder / paths.milestone(asked.epochs)
    return result_from(json.loads(done.read_bytes()), str(done))
