"""A trainer of the user's own: a program that reads config.json and writes result.json.

Rule 1: what it published counts, whatever its exit status.
Rule 2: a death by a signal explains nothing (the kernel short of memory, a person, a node): it is no error of the
        program's, and the run is sent again within `run.retries.unexplained`.
Rule 3: it may keep the whole contract itself (milestones, progress, stop.json, requeue-<claim>.json); a single
        result.json serves all milestones that it left open.
"""

import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unetsweep import contract
from unetsweep.atomic import write_json
from unetsweep.bounded_json import parse_json, read_bytes, read_json
from unetsweep.core import paths
from unetsweep.errors import StateError, SupersededError, TrainingError
from unetsweep.process import tied_to_us
from unetsweep.store.code_snapshot import without_code
from unetsweep.store.logs import last_line


@dataclass(frozen=True, slots=True)
class CommandInvocation:
    """What the program is to do, and where."""

    config: Path
    """Of config.json."""
    folder: Path
    """The run's."""
    milestones: tuple[int, ...]
    """Epochs, ascending."""
    claim: str
    job_id: str
    working_directory: str
    end: float | None = None
    """When the job ends, in seconds since 1970; None where it is not known."""
    config_ids: Mapping[int, str] = field(default_factory=dict)
    """Digest of the config with the epochs of each milestone."""

    def environment(self) -> dict[str, str]:
        """The variables that tell the program of it."""
        return {
            "UNETSWEEP_CLAIM": self.claim,
            "UNETSWEEP_MILESTONES": ",".join(map(str, self.milestones)),
            "UNETSWEEP_JOB_ID": self.job_id,
            "UNETSWEEP_DEADLINE": "" if self.end is None else f"{self.end:.0f}",
        }


def run_command(trainer: str, invocation: CommandInvocation, holds: Callable[[], bool]) -> None:
    """Run the user's program, and publish its result at every milestone that it did not publish itself.

    Raises TrainingError where it left nothing, StateError where what it left cannot be read, and
    SupersededError where another job owns the run by then (`holds`). A signal's status is passed on by SystemExit.
    """
    folder = invocation.folder
    words = shlex.split(trainer)
    command = [word.replace("{config}", str(invocation.config)).replace("{out}", str(folder)) for word in words]
    published = folder / paths.RESULT
    if not _is_whole(published):
        published.unlink(missing_ok=True)
        status = _run(command, invocation)
        if not holds():
            raise SupersededError(f"another job owns {folder.name}")
        if (folder / f"requeue-{invocation.claim}.json").exists():
            print("the trainer command stopped, to go on later", flush=True)  # noqa: T201
            return
        if not published.exists() and _open(invocation):
            said = f"the trainer command ended with {_words(status)} and wrote no {published.name}"
            raise _failure(f"{said}: `{shlex.join(command)}`", status)
    if _open(invocation):
        _serve(published, invocation, holds)


def _run(command: list[str], invocation: CommandInvocation) -> int:
    """The program's exit status; minus the signal's number where one ended it."""
    tie = tied_to_us()

    def begin() -> None:  # SLURM signals every process of the step, and the default would end the program
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        tie()

    environment = {**without_code(os.environ), **invocation.environment()}
    try:
        with subprocess.Popen(command, cwd=invocation.working_directory, env=environment, preexec_fn=begin) as program:
            return program.wait()
    except OSError as error:
        raise TrainingError(
            f"the trainer command cannot be started in {invocation.working_directory}: {error}; "
            "see trainer.command, and slurm.setup for the PATH that it is looked for in"
        ) from error


def _open(invocation: CommandInvocation) -> list[int]:
    """Milestones without a result. Raises StateError where one that the program wrote cannot be read."""
    missing = []
    for epochs in invocation.milestones:
        path = invocation.folder / paths.milestone(epochs)
        if path.exists():
            contract.result_from(read_json(path), str(path))
        else:
            missing.append(epochs)
    return missing


def _serve(published: Path, invocation: CommandInvocation, holds: Callable[[], bool]) -> None:
    """Publish result.json at every open milestone."""
    try:
        raw = parse_json(read_bytes(published), lenient=True)  # NaN and Infinity are no values
    except ValueError as error:
        raise StateError(f"{published}: not readable as JSON ({error}); the trainer command wrote it") from error
    result = contract.encode(contract.result_from(raw, str(published)))
    if not holds():
        raise SupersededError(f"another job owns {invocation.folder.name}")
    (invocation.folder / "milestones").mkdir(exist_ok=True)
    about = {"job_id": invocation.job_id, "epochs": invocation.milestones[-1], "host": socket.gethostname()}
    for each in _open(invocation):
        known = {**about, "config_id": invocation.config_ids.get(each)}
        filled = {key: value for key, value in known.items() if result[key] is None}
        write_json(invocation.folder / paths.milestone(each), {**result, **filled})


def _is_whole(published: Path) -> bool:
    """Whether an earlier start left its result; a torn file is that of a program that was killed in writing it."""
    try:
        parse_json(read_bytes(published), lenient=True)
    except (FileNotFoundError, ValueError, StateError):
        return False
    return True


def _failure(said: str, status: int) -> Exception | SystemExit:
    """An error of the program's; where a signal ended it (or what it waited for, as a shell says it), no error."""
    number = -status if status < 0 else status - 128
    if number not in signal.valid_signals():
        return TrainingError(f"{said}; {_last_words()}")
    print(said, flush=True)  # noqa: T201
    return SystemExit(128 + number)


def _words(status: int) -> str:
    return f"status {status}" if status >= 0 else f"status {128 - status} ({signal.strsignal(-status)})"


def _last_words() -> str:
    """What our output ends with, where it goes into a file."""
    log = Path(os.readlink("/proc/self/fd/1"))
    said = last_line(log if log.is_file() else None)
    return f"its last line: {said}" if said else "its output is in the job's log"
