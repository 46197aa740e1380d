"""What a job runs: claim the run, open the door to the training, say how it ended.

Rule 1: the claim comes before torch; the highest (attempt, restart) owns the run.
Rule 2: the first act of every start: if the results are there, leave.
Rule 3: whatever goes wrong is written into the run's `error-<rank>.json`, then raised again.

On SLURM every task of srun calls an `Element`; locally a supervisor (`python -m unetsweep.worker
supervise`) starts the ranks, waits for them and makes the last act.
"""

import contextlib
import ctypes
import fcntl
import importlib.util
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetsweep import contract
from unetsweep.adapters import local_jobs
from unetsweep.adapters.files import link_json, read_json, utc_now, write_json
from unetsweep.adapters.process import Identity
from unetsweep.adapters.sweep_dir import SweepDir, last_line
from unetsweep.contract import TrialConfig
from unetsweep.core import layout
from unetsweep.errors import StateError, TrainingError, UnetsweepError

PACKAGES = ("torch", "pytorch_lightning", "albumentations", "cv2", "numpy")
CLAIM_WAIT_S = 120.0
"""How long the other ranks wait for rank 0's claim."""
LAST_ACT_S = 30.0
STOP_S = 15.0
"""How long the other ranks may go on when one has died, before they are killed."""


@dataclass(frozen=True, slots=True)
class Element:
    """The payload of every element of a submission: which run it is, it finds by (token, index)."""

    sweep_dir: str
    token: str

    def __call__(self) -> None:
        """One task of srun."""
        env = os.environ
        array = env.get("SLURM_ARRAY_JOB_ID")
        index = int(env.get("SLURM_ARRAY_TASK_ID", "0"))
        start = Start(
            Path(self.sweep_dir),
            self.token,
            index,
            int(env.get("SLURM_RESTART_COUNT", "0")),
            f"{array}_{index}" if array else env.get("SLURM_JOB_ID", "0"),
        )
        run_rank(start, int(env.get("SLURM_PROCID", "0")), int(env.get("SLURM_NTASKS", "1")))


@dataclass(frozen=True, slots=True)
class Start:
    """One start of one element."""

    root: Path
    token: str
    index: int
    restart: int
    job_id: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A started job's word that it now owns the run."""

    folder: Path
    """The run's."""
    attempt: int
    restart: int
    port: int

    @property
    def name(self) -> str:
        return layout.claim_name(self.attempt, self.restart)

    def holds(self) -> bool:
        """Whether no later attempt or restart has claimed the run, and nobody gave this one up."""
        if (self.folder / "attempts" / f"{self.attempt}.lost.json").exists():
            return False
        return max(_claims(self.folder)) == (self.attempt, self.restart)


def run_rank(start: Start, rank: int, size: int) -> None:
    """One process of a training, from its first act to its results."""
    intent = SweepDir(start.root).intent(start.token)
    run, attempt = intent["elements"][start.index]
    folder = start.root / layout.run_dir(run)
    try:
        claim = _enter(start, folder, attempt, rank)
        if claim is None:
            return
        _train(start, folder, claim, rank, size)
    except Exception as error:
        if _superseded(error):
            print(error, flush=True)  # noqa: T201
            return
        _write_error(folder, error, attempt, start.restart, rank)
        raise


def _enter(start: Start, folder: Path, attempt: int, rank: int) -> Claim | None:
    """The claim, made by rank 0 and awaited by the others; None where there is nothing to do."""
    name = layout.claim_name(attempt, start.restart)
    path = folder / "claims" / name
    until = time.monotonic() + CLAIM_WAIT_S
    while True:
        reason = _nothing_to_do(start, folder, attempt)
        if reason:
            print(f"leaving: {reason}", flush=True)  # noqa: T201
            return None
        if rank == 0:
            return _claim(start, folder, attempt, path)
        if path.exists():
            return Claim(folder, attempt, start.restart, read_json(path)["port"])
        if time.monotonic() > until:
            raise TrainingError(f"rank {rank} waited {CLAIM_WAIT_S:.0f} s for rank 0 to claim {folder} as {name}")
        time.sleep(0.05)


def _nothing_to_do(start: Start, folder: Path, attempt: int) -> str | None:
    intent = read_json(folder / "attempts" / f"{attempt}.json")
    if (intent["token"], intent["index"]) != (start.token, start.index):
        return f"attempt {attempt} of {folder.name} belongs to submission {intent['token']}"
    if (folder / "attempts" / f"{attempt}.lost.json").exists():
        return f"attempt {attempt} of {folder.name} was given up"
    if all((folder / layout.horizon(each["epochs"])).exists() for each in intent["horizons"]):
        return f"{folder.name} has its results already"
    trials = [start.root / layout.trial_dir(each["trial"]) for each in intent["horizons"]]
    if all((trial / layout.RESULT).exists() for trial in trials):
        return f"the trials of {folder.name} have ended without it"
    if all((trial / layout.CANCELLED).exists() for trial in trials):
        return f"the trials of {folder.name} were cancelled"
    return None


def _claim(start: Start, folder: Path, attempt: int, path: Path) -> Claim | None:
    path.parent.mkdir(exist_ok=True)
    taken = _claims(folder)
    mine = (attempt, start.restart)
    port = _free_port()
    about = {"job_id": start.job_id, "host": socket.gethostname(), "port": port, "at": utc_now().isoformat()}
    if (taken and max(taken) >= mine) or not link_json(path, {**about, **Identity.of_this_process().as_json()}):
        print(f"leaving: {folder.name} is owned by {max(_claims(folder))}", flush=True)  # noqa: T201
        return None
    print(f"job {start.job_id} on {socket.gethostname()} claims {folder.name} as {path.name}", flush=True)  # noqa: T201
    return Claim(folder, attempt, start.restart, port)


def _claims(folder: Path) -> list[tuple[int, int]]:
    with contextlib.suppress(FileNotFoundError):
        pairs = [name.split("-") for name in os.listdir(folder / "claims") if name.replace("-", "").isdecimal()]
        return [(int(attempt), int(restart)) for attempt, restart in pairs]
    return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _train(start: Start, folder: Path, claim: Claim, rank: int, size: int) -> None:
    sweep = SweepDir(start.root)
    horizons = sorted(read_json(folder / "attempts" / f"{claim.attempt}.json")["horizons"], key=lambda h: h["epochs"])
    path = sweep.config_path(horizons[-1]["trial"])
    config = contract.config_from(json.loads(path.read_bytes()), str(path))
    epochs = [each["epochs"] for each in horizons]
    if config.trainer.command is not None:
        if rank == 0:
            _run_command(config, path, folder, epochs, start.job_id, sweep.working_directory, claim.holds)
        return
    check_packages()
    from unetsweep.training.run import World, train  # the one door into the torch room

    world = World(rank, size, "127.0.0.1", claim.port)
    name = f"{start.root.name}/{folder.name}"
    train(
        config, folder, horizons=epochs, world=world, claim=claim.name, job_id=start.job_id, owns=claim.holds, name=name
    )


def check_packages() -> None:
    """Say what this interpreter lacks, before anything is imported; TrainingError names host and interpreter."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"{', '.join(missing)} missing in {sys.executable} on {socket.gethostname()}; "
            "set slurm.python or slurm.setup to an environment in which unetsweep is installed"
        )


def _run_command(
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
    if not published.exists():
        with subprocess.Popen(command, cwd=working_directory, preexec_fn=die_with_parent) as program:
            status = program.wait()
        if not published.exists():
            raise TrainingError(
                f"`{shlex.join(command)}` ended with status {status} and wrote no {published}; {_last_words()}"
            )
    try:
        raw = json.loads(published.read_bytes())
    except ValueError as error:
        raise StateError(f"{published}: not readable as JSON ({error}); the trainer command wrote it") from error
    result = contract.encode(contract.result_from(raw, str(published)))
    if not holds():
        raise TrainingError(f"superseded: another job owns {folder.name}")
    (folder / "horizons").mkdir(exist_ok=True)
    about = {"job_id": job_id, "epochs": epochs[-1], "host": socket.gethostname()}
    filled = {key: value for key, value in about.items() if result[key] is None}
    for each in epochs:
        write_json(folder / layout.horizon(each), {**result, **filled})


def _last_words() -> str:
    """What our output ends with, where it goes into a file."""
    log = Path(os.readlink("/proc/self/fd/1"))
    said = last_line(log if log.is_file() else None)
    return f"its last line: {said}" if said else "its output is in the job's log"


def _superseded(error: Exception) -> bool:
    return isinstance(error, TrainingError) and str(error).startswith("superseded")


def _write_error(folder: Path, error: Exception, attempt: int, restart: int, rank: int) -> None:
    kind = "environment" if isinstance(error, TrainingError) else "exception"
    known = isinstance(error, UnetsweepError)
    message = str(error) if known else f"{type(error).__name__}: {error}"
    content: dict[str, Any] = {
        "kind": kind,
        "message": message[:2000],
        "traceback": "".join(traceback.format_exception(error)),
        "attempt": attempt,
        "restart": restart,
        "rank": rank,
        "host": socket.gethostname(),
        "echo": any(word in message for word in ("Connection closed", "Connection reset", "closed by peer")),
        "at": utc_now().isoformat(),
    }
    with contextlib.suppress(OSError):  # the error itself matters more than its record
        write_json(folder / layout.error(rank), content)


# ---- local runs: the supervisor and its ranks


def supervise(root: Path, token: str, index: int, job_id: str, driver: str) -> None:
    """Start the ranks of one local run, wait for them, write down how they ended, make the last act."""
    record = {"index": index, "job_id": job_id, "host": socket.gethostname(), **Identity.of_this_process().as_json()}
    if not link_json(local_jobs.process_path(root, token, index), record):
        return
    run, _ = SweepDir(root).intent(token)["elements"][index]
    size, gpus = _size(root, run)
    signal.signal(signal.SIGTERM, lambda *_: None)  # the ranks got it too; we wait for them
    with contextlib.ExitStack() as held:
        env = {**os.environ, **_devices(gpus, held)}
        status = wait_all([_start_rank(root, token, index, job_id, rank, size, env) for rank in range(size)])
    local_jobs.ended_path(root, token, index).touch()
    command = [sys.executable, "-P", "-m", "unetsweep", "last-act", str(root), token]
    command += ["--index", str(index), "--status", str(status)] + ([] if driver == "relay" else ["--no-pass"])
    subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, cwd=root)


def _size(root: Path, run: int) -> tuple[int, int]:
    """Processes and GPUs of a run."""
    first = read_json(root / layout.run_dir(run) / "attempts" / "1.json")["horizons"][0]["trial"]
    path = SweepDir(root).config_path(first)
    config = contract.config_from(json.loads(path.read_bytes()), str(path))
    size = 1 if config.trainer.command else config.processes
    return size, config.processes if config.accelerator == "gpu" else 0


def _start_rank(
    root: Path, token: str, index: int, job_id: str, rank: int, size: int, env: dict[str, str]
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "unetsweep.worker", "rank"]
    command += [str(root), token, str(index), job_id, str(rank), str(size)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=env)


def wait_all(ranks: "Sequence[subprocess.Popen[bytes]]") -> int:
    """Wait for all; when one dies the others get `STOP_S` to notice. The first bad status, else 0."""
    status, until = 0, float("inf")
    while any(rank.poll() is None for rank in ranks):
        bad = next((rank.returncode for rank in ranks if rank.returncode), 0)
        if bad and not status:
            status, until = bad, time.monotonic() + STOP_S
        if time.monotonic() > until:
            for rank in ranks:
                rank.kill()
        time.sleep(0.05)
    return status or next((rank.returncode for rank in ranks if rank.returncode), 0)


def _devices(gpus: int, held: contextlib.ExitStack) -> dict[str, str]:
    """The GPUs of a local run: each is held by a lock that ends with the supervisor."""
    mine: list[int] = []
    while len(mine) < gpus:
        for device in range(64):
            place = Path(tempfile.gettempdir(), f"unetsweep-{os.getuid()}-gpu-{device}")
            lock = held.enter_context(place.open("a"))
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine.append(device)
            if len(mine) == gpus:
                return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, mine))}
        time.sleep(1)
    return {}


def die_with_parent() -> None:
    """Have the kernel kill this process when its supervisor dies: nobody trains without being seen."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, linux/prctl.h


def _main(words: Sequence[str]) -> None:
    match words:
        case ["supervise", root, token, index, job_id, driver]:
            supervise(Path(root), token, int(index), job_id, driver)
        case ["rank", root, token, index, job_id, rank, size]:
            die_with_parent()
            run_rank(Start(Path(root), token, int(index), 0, job_id), int(rank), int(size))
        case ["hand", config, out, rank, size, port]:
            die_with_parent()
            train_by_hand(Path(config), Path(out), int(rank), int(size), int(port))
        case _:
            raise SystemExit(f"unetsweep.worker: not for people; got {list(words)}")


# ---- by hand: `unetsweep train config.json --out DIR`


def train_by_hand(path: Path, out: Path, rank: int = 0, size: int = 1, port: int = 0) -> None:
    """One process of a training outside any sweep: the same door."""
    config = contract.config_from(json.loads(path.read_bytes()), str(path))
    check_packages()
    from unetsweep.training.run import World, train

    train(config, out, world=World(rank, size, "127.0.0.1", port), name=out.name)


def train_ranks_by_hand(path: Path, out: Path, size: int) -> int:
    """All processes of such a training; the status of the first that went wrong, else 0."""
    port = str(_free_port())
    command = [sys.executable, "-m", "unetsweep.worker", "hand", str(path), str(out)]
    return wait_all([subprocess.Popen([*command, str(rank), str(size), port]) for rank in range(size)])


if __name__ == "__main__":
    _main(sys.argv[1:])
