"""A trainer of the user's own: a program that reads config.json and writes result.json."""

import json
import os
import shlex
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from unetsweep import contract
from unetsweep.adapters.files import write_json
from unetsweep.adapters.logs import last_line
from unetsweep.adapters.pinned_code import without_code
from unetsweep.adapters.process import tied_to_us
from unetsweep.contract import TrialConfig
from unetsweep.core import layout
from unetsweep.errors import StateError, SupersededError, TrainingError


def run_command(
    config: TrialConfig,
    path: Path,
    folder: Path,
    epochs: Sequence[int],
    job_id: str,
    working_directory: str,
    holds: Callable[[], bool],
) -> None:
    """A program of the user's: it reads config.json and writes result.json."""
    published = folder / layout.RESULT
    words = shlex.split(config.trainer.command or "")
    command = [word.replace("{config}", str(path)).replace("{out}", str(folder)) for word in words]
    if not _is_whole(published):
        published.unlink(missing_ok=True)
        env = without_code(os.environ)
        with subprocess.Popen(command, cwd=working_directory, env=env, preexec_fn=tied_to_us()) as program:
            status = program.wait()
        if not published.exists():
            raise TrainingError(
                f"`{shlex.join(command)}` ended with status {status} and wrote no {published}; {_last_words()}"
            )
    try:
        raw = json.loads(published.read_bytes(), parse_constant=lambda _: None)  # NaN and Infinity are no values
    except ValueError as error:
        raise StateError(f"{published}: not readable as JSON ({error}); the trainer command wrote it") from error
    result = contract.encode(contract.result_from(raw, str(published)))
    if not holds():
        raise SupersededError(f"another job owns {folder.name}")
    (folder / "horizons").mkdir(exist_ok=True)
    about = {"job_id": job_id, "epochs": epochs[-1], "host": socket.gethostname()}
    filled = {key: value for key, value in about.items() if result[key] is None}
    for each in epochs:
        write_json(folder / layout.horizon(each), {**result, **filled})


def _is_whole(published: Path) -> bool:
    """Whether an earlier start left its result; a torn file is that of a program that was killed in writing it."""
    try:
        json.loads(published.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return True


def _last_words() -> str:
    """What our output ends with, where it goes into a file."""
    log = Path(os.readlink("/proc/self/fd/1"))
    said = last_line(log if log.is_file() else None)
    return f"its last line: {said}" if said else "its output is in the job's log"
