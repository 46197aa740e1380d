"""Runs the user's own trainer: a program that gets its parameters and writes result.json.

Rule 1: a result that it published counts, whatever its exit status.
Rule 2: death by a signal is not an error of the program, since its cause is unknown (out of memory, a user, the node):
        the run is resubmitted within `run.retries.unexplained`.
Rule 3: one that ends without a result after all its open milestones were pruned is no error: it obeyed.
Rule 4: it may implement the whole contract itself (milestones, progress, prune.json, requeue-<claim>.json); a single
        result.json serves all milestones that it left open, or with `trainer.resumes` the last one.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unetsweep import contract
from unetsweep.atomic import write_json
from unetsweep.bounded_json import parse_json, read_json
from unetsweep.core import paths, trainer_command
from unetsweep.errors import StateError, SupersededError, TrainingError
from unetsweep.process import die_with_parent
from unetsweep.record_files import read_record
from unetsweep.records import PruneFile
from unetsweep.regular_files import read_bytes
from unetsweep.store.code_snapshot import without_code
from unetsweep.store.logs import last_message
from unetsweep.trial_config import METRIC
from unetsweep.worker.announce import announcing
from unetsweep.worker.deadline import Deadline


@dataclass(frozen=True, slots=True)
class CommandInvocation:
    """One call of the user's program: its inputs and where it runs."""

    folder: Path
    """Folder of the run."""
    milestones: tuple[int, ...]
    """Epochs, ascending."""
    claim: str
    job_id: str
    working_directory: str
    end: float | None = None
    """When the job ends, in seconds since 1970; None if unknown."""
    config_ids: Mapping[int, str] = field(default_factory=dict)
    """`config_id` of each milestone, by epochs."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of the trial with the most epochs, by path: of a list or mapping its value."""
    seed: int = 0
    gpus: int = 0
    """GPUs of the training."""
    resumes: bool = False
    """Whether the program continues from its own checkpoints, so that a result of an earlier start is out of date."""
    metric: str = METRIC
    """The name of the number that the result must have."""

    def values(self) -> dict[str, Any]:
        """The parameters of the run: those of the space, and the epochs that it trains."""
        return {**self.params, "epochs": self.milestones[-1]}

    def parameters(self) -> dict[str, object]:
        """The content of the file that `{config}` names."""
        known = {"schema": contract.SCHEMA, "seed": self.seed, "out": str(self.folder), "milestones": self.milestones}
        return {**self.values(), **known}

    def arguments(self, trainer: str) -> list[str]:
        """The arguments of the command `trainer`, with the values of its placeholders."""
        files = {"config": str(self.folder / paths.PARAMETERS), "out": str(self.folder)}
        fixed = {**files, "seed": str(self.seed), "epochs": str(self.milestones[-1])}
        return trainer_command.fill(trainer, fixed, self.params)

    def environment(self) -> dict[str, str]:
        """The environment variables that describe the call to the program."""
        return {
            "UNETSWEEP_OUT": str(self.folder),
            "UNETSWEEP_PARAMS": json.dumps(self.values()),
            "UNETSWEEP_SEED": str(self.seed),
            "UNETSWEEP_GPUS": str(self.gpus),
            "UNETSWEEP_CLAIM": self.claim,
            "UNETSWEEP_MILESTONES": ",".join(map(str, self.milestones)),
            "UNETSWEEP_JOB_ID": self.job_id,
            "UNETSWEEP_DEADLINE": "" if self.end is None else f"{self.end:.0f}",
        }


def run_command(
    trainer: str, invocation: CommandInvocation, holds: Callable[[], bool], job_end: Deadline | None = None
) -> None:
    """Run the user's program, and publish its result at every milestone that it did not publish itself.

    `job_end`: if a signal announces it, the program can read that in its folder.

    Raises TrainingError if it wrote no result, StateError if its result cannot be read, SupersededError if
    another job owns the run by then (`holds`), and SystemExit with the status of the signal that ended it.
    """
    folder = invocation.folder
    command = invocation.arguments(trainer)
    result = folder / paths.RESULT
    if invocation.resumes or not _has_complete_result(result):
        result.unlink(missing_ok=True)
        write_json(folder / paths.PARAMETERS, invocation.parameters())
        claim = folder / "claims" / invocation.claim
        had_claim = claim.exists()
        with announcing(job_end or Deadline(), folder, invocation.claim):
            status = _run(command, invocation)
        is_deleted = had_claim and not claim.exists()
        if not holds():
            raise SupersededError(f"another job owns {folder.name}")
        if (folder / f"requeue-{invocation.claim}.json").exists():
            print("the trainer command stopped, to continue in a later start", flush=True)  # noqa: T201
            return
        if missing := _missing(invocation, result):
            if set(_open_milestones(invocation)) <= _pruned(invocation):
                print("the trainer command ended without a result, because its trials are pruned", flush=True)  # noqa: T201
                return
            found = f"the trainer command ended with {_describe_status(status)} and wrote no {' and no '.join(missing)}"
            if status == 0 and missing == [result.name] and not is_deleted:
                found += f', into which it must write {{"{invocation.metric}": NUMBER}} at its end'
            if is_deleted:
                found += f", and deleted {folder}, which the sweep needs: let it delete only its own files there"
            raise _failure(f"{found}: `{shlex.join(command)}`", status)
    if _open_milestones(invocation):
        _publish_result(result, invocation, holds)


def _run(command: list[str], invocation: CommandInvocation) -> int:
    """The program's exit status, or minus the number of the signal that ended it."""
    tie = die_with_parent()

    def prepare() -> None:  # SLURM signals every process of the step, which would end the program by default
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        tie()

    environment = {**without_code(os.environ), **invocation.environment()}
    try:
        with subprocess.Popen(
            command, cwd=invocation.working_directory, env=environment, preexec_fn=prepare
        ) as program:
            return program.wait()
    except OSError as error:
        raise TrainingError(
            f"the trainer command cannot be started in {invocation.working_directory}: {error}; "
            "check trainer.command, and the PATH that slurm.setup sets"
        ) from error


def _open_milestones(invocation: CommandInvocation) -> list[int]:
    """Milestones without a result. Raises StateError if a result that the program wrote cannot be read."""
    missing = []
    for epochs in invocation.milestones:
        path = invocation.folder / paths.milestone(epochs)
        if path.exists():
            contract.result_from(read_json(path), str(path))
        else:
            missing.append(epochs)
    return missing


def _missing(invocation: CommandInvocation, result: Path) -> list[str]:
    """The names of the files that the program should have written and did not."""
    missing = _open_milestones(invocation)
    if not invocation.resumes:
        return [result.name] if missing and not result.exists() else []
    last = invocation.milestones[-1] if result.exists() else None
    return [paths.milestone(epochs) for epochs in missing if epochs != last]


def _pruned(invocation: CommandInvocation) -> set[int]:
    """The milestones that this attempt need not reach any more."""
    try:
        prune = read_record(PruneFile, invocation.folder / paths.PRUNE)
    except (FileNotFoundError, StateError):
        return set()
    claim = paths.claim_of(invocation.claim)
    return set(prune.milestones) if claim is not None and prune.attempt == claim[0] else set()


def _publish_result(path: Path, invocation: CommandInvocation, holds: Callable[[], bool]) -> None:
    """Publish result.json at every open milestone."""
    try:
        raw = parse_json(read_bytes(path), lenient=True)  # NaN and Infinity become null
    except ValueError as error:
        raise StateError(f"{path}: not readable as JSON ({error}); the trainer command wrote it") from error
    result = contract.encode(contract.result_from(raw, str(path)))
    for note in contract.result_notes(raw):
        print(f"{path.name}: {note}", flush=True)  # noqa: T201
    if not holds():
        raise SupersededError(f"another job owns {invocation.folder.name}")
    (invocation.folder / "milestones").mkdir(exist_ok=True)
    defaults = {"job_id": invocation.job_id, "epochs": invocation.milestones[-1], "host": socket.gethostname()}
    for each in _open_milestones(invocation):
        known = {**defaults, "config_id": invocation.config_ids.get(each)}
        filled = {key: value for key, value in known.items() if result[key] is None}
        write_json(invocation.folder / paths.milestone(each), {**result, **filled})


def _has_complete_result(path: Path) -> bool:
    """Whether an earlier start wrote all of result.json. A kill while the program writes leaves a corrupt file."""
    try:
        parse_json(read_bytes(path), lenient=True)
    except (FileNotFoundError, ValueError, StateError):
        return False
    return True


def _failure(message: str, status: int) -> Exception | SystemExit:
    """The exception for a program that wrote no result: SystemExit if a signal ended it, else TrainingError.

    A status above 128 counts as a signal too: a shell has such a status if a signal ended its child.
    """
    number = -status if status < 0 else status - 128
    if number not in signal.valid_signals():
        return TrainingError(f"{message}; {_last_output()}")
    print(message, flush=True)  # noqa: T201
    return SystemExit(128 + number)


def _describe_status(status: int) -> str:
    return f"status {status}" if status >= 0 else f"status {128 - status} ({signal.strsignal(-status)})"


def _last_output() -> str:
    """The last message in our output, if that goes to a file."""
    log = Path(os.readlink("/proc/self/fd/1"))
    message = last_message(log if log.is_file() else None)
    return f"its last message: {message}" if message else "its output is in the job's log"
