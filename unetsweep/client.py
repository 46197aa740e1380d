"""Lets a training program of the user take part in a sweep. One file for any Python from 3.8, without other packages.

    run = client.start()
    first = load(run.resume_from) if run.resume_from else 0  # the program's own checkpoint, and its epoch
    for epoch in range(first + 1, run.params.get("epochs", 10) + 1):
        loss = train(rate=run.params.get("learning_rate", 0.01))
        run.report(epoch, val_loss=loss)
        with run.checkpoint() as path:
            save(path)
        run.milestone(epoch, val_loss=loss)
        if run.should_stop():
            break
    run.finish(val_loss=loss)

Outside a sweep the same program runs by itself: `params` is empty, so `get` returns the defaults, nothing is pruned,
and `finish` writes result.json into `out`: the folder that `start(out=...)` names, or a temporary one.

Rule 1: no error here ends a training. The first one is printed on stderr, and the call does nothing.
Rule 2: only rank 0 writes. It decides for all ranks, and the others read its decisions in the run's folder: the n-th
        question of every rank has the same answer. They wait WAIT_S for it, then answer "no" and never wait again.
Rule 3: a start whose run belongs to a later start publishes nothing, and `should_prune` answers yes.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import socket
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, TypeVar, cast

WAIT_S = 600.0
"""How long the other ranks wait for a decision of rank 0, which may be validating alone."""
MARGIN_S = 10.0
"""Time before the end of the job that is kept for the processes to exit and for the job to be requeued."""
FIRST_SAVE_S = 5.0
"""Assumed time of a checkpoint before one was measured."""
RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
"""Without RANK, a process in which one of these variables is not 0 is not rank 0."""
_Method = TypeVar("_Method", bound=Callable[..., Any])


def _never_raises(method: _Method) -> _Method:
    """Let a method return None where it would raise."""

    @functools.wraps(method)
    def call(self: Run, *positional: Any, **named: Any) -> Any:
        try:
            return method(self, *positional, **named)
        except Exception as error:
            self._warn(f"{method.__name__}: {type(error).__name__}: {error}")

    return cast(_Method, call)


def start(out: Any = None, rank: int | None = None) -> Run:
    """Return the run that this process trains.

    `out`: the folder of its files outside a sweep. `rank`: the number of this process among those of the training;
    None: as torch.distributed says if it is initialised, or else the variables of the launcher.
    """
    return Run(os.environ, out, rank)


class Run:
    """One start of a training."""

    params: dict[str, Any]
    """The parameters of the trial, as in `space:`, and `epochs`. Empty outside a sweep."""
    out: Path
    """The folder of the run, which all its starts share."""
    seed: int
    rank: int
    in_sweep: bool
    milestones: tuple[int, ...]
    """The epochs at which results are wanted, ascending; empty outside a sweep."""
    resume_from: Path | None
    """The checkpoint that this run saved last; None: train from the first epoch."""

    def __init__(self, environment: Mapping[str, str], out: Any = None, rank: int | None = None) -> None:
        self._warned = self._is_pruned = self._is_requeued = False
        self._epoch, self._save_s, self._last_s = 0, FIRST_SAVE_S, [0.0]
        self._began = self._reported = time.monotonic()
        self._asked: dict[str, int] = {}
        self._job_id: str | None = None
        self._wait_s = WAIT_S
        self.params, self.seed, self.milestones, self.in_sweep = {}, 0, (), False
        self._claim, self._gpus, self._deadline = "0-0", 0, math.inf
        self.rank, self.out, self.resume_from = 0, Path(os.devnull), None  # what cannot be made is not written
        self._find_rank(environment, rank)
        self._read(environment, out)

    @_never_raises
    def _find_rank(self, environment: Mapping[str, str], rank: int | None) -> None:
        distributed = sys.modules.get("torch.distributed")
        if rank is None and distributed is not None and distributed.is_available() and distributed.is_initialized():
            rank = int(distributed.get_rank())
        names = ["RANK"] if "RANK" in environment else RANKS
        launched = max((int(environment[name]) for name in names if name in environment), default=0)
        self.rank = launched if rank is None else int(rank)

    @_never_raises
    def _read(self, environment: Mapping[str, str], out: Any) -> None:
        if environment.get("UNETSWEEP_CLAIM") and environment.get("UNETSWEEP_OUT"):
            self.in_sweep, out = True, environment["UNETSWEEP_OUT"]
            self._claim, self._job_id = environment["UNETSWEEP_CLAIM"], environment.get("UNETSWEEP_JOB_ID")
            self._deadline = float(environment.get("UNETSWEEP_DEADLINE") or "inf")
            self._gpus, self.seed = int(environment.get("UNETSWEEP_GPUS") or 0), int(environment["UNETSWEEP_SEED"])
            self.milestones = tuple(sorted(int(each) for each in environment["UNETSWEEP_MILESTONES"].split(",")))
            self.params = dict(json.loads(environment["UNETSWEEP_PARAMS"]))
        self.out = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="unetsweep-"))
        self.out.mkdir(parents=True, exist_ok=True)
        checkpoint = self.out / "checkpoints" / "last.ckpt"
        self.resume_from = checkpoint if checkpoint.is_file() else None

    @_never_raises
    def report(self, epoch: int, **values: Any) -> None:
        """Report the values of an epoch, from 1. Pruners compare `study.metric`; NaN and infinity count as missing."""
        now = time.monotonic()
        seconds, self._reported, self._epoch = now - self._reported, now, int(epoch)
        self._last_s = [*self._last_s[-4:], seconds]
        if self.rank == 0:
            line = {
                "schema": 1,
                "epoch": self._epoch,
                "seconds": round(seconds, 3),
                "at": datetime.now(timezone.utc).isoformat(),
            }
            self._append(f"progress-{self._claim}.jsonl", {**self._plain(values), **line})

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[Path]:
        """Give a path to save a checkpoint to. When it is written, later starts resume from it (`resume_from`).

        A kill leaves the checkpoint before or the new one. On other ranks than 0 the file is deleted.
        """
        began, folder = time.monotonic(), self.out / "checkpoints"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._warn(f"checkpoint: {error}")
            folder = Path(tempfile.gettempdir())
        path = folder / f"last.ckpt.{self._claim}-{self.rank}-{os.getpid()}.tmp"
        try:
            yield path
            self._keep(path)
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
        self._save_s = max(time.monotonic() - began, 0.0 if self._save_s == FIRST_SAVE_S else self._save_s)

    @_never_raises
    def milestone(self, epoch: int, **scores: Any) -> None:
        """Publish the result at this epoch, if one is wanted there. Save the checkpoint of this epoch before."""
        self._epoch = int(epoch)
        if self._epoch in self.milestones:
            self._publish(self._epoch, "complete", None, scores)

    @_never_raises
    def finish(self, **scores: Any) -> None:
        """Publish the result, unless `milestone` has done so, or the run is to continue in a later start."""
        if self.rank != 0 or (self._is_requeued and self._ahead()):
            return
        if not self.in_sweep:
            self._write("result.json", {"schema": 1, "epochs_run": self._epoch or None, **self._plain(scores)})
        elif self._is_pruned and self._ahead():
            pruned, reason = self._prune_file()
            for each in self._ahead():
                if each in pruned:
                    self._publish(each, "pruned", reason, scores)
        else:
            self._publish(self.milestones[-1], "complete", None, scores)

    def should_prune(self) -> bool:
        """Whether to stop because the sweep prunes what is left, or a later start owns the run. Then call `finish`."""
        return bool(self._decide("prune", self._prune_reason))

    def should_requeue(self) -> bool:
        """Whether to stop because the job ends before another epoch would. Save the checkpoint before you ask."""
        return bool(self._decide("requeue", self._requeue_reason))

    def should_stop(self) -> bool:
        """Whether to stop after this epoch for one of these reasons. Save the checkpoint before you ask."""
        return self.should_prune() or self.should_requeue()

    def time_left(self) -> float:
        """Seconds until the time limit ends the job; infinity if none is known. Clocks of ranks may differ."""
        return self._deadline - time.time()

    @_never_raises
    def _decide(self, kind: str, find: Callable[[], str | None]) -> bool:
        if not self.in_sweep:
            return False
        number = self._asked[kind] = self._asked.get(kind, 0) + 1
        name = f"decisions-{self._claim}.jsonl"
        if self.rank != 0:
            return self._await_decision(self.out / name, kind, number)
        reason = find()
        # a decision that cannot be written is a "no", which is what the other ranks will assume
        self._append(name, {"decision": kind, "number": number, "epoch": self._epoch, "reason": reason})
        self._is_pruned = self._is_pruned or (kind == "prune" and reason is not None)
        return reason is not None

    def _await_decision(self, path: Path, kind: str, number: int) -> bool:
        until = time.monotonic() + self._wait_s
        while True:
            for line in _lines(path):
                if (line.get("decision"), line.get("number")) == (kind, number):
                    return line.get("reason") is not None
            if time.monotonic() >= until:
                break
            time.sleep(0.05)
        self._warn(f"rank {self.rank} waited {self._wait_s:.0f} s for a decision of rank 0, and continues")
        self._wait_s = 0.0
        return False

    @_never_raises
    def _prune_reason(self) -> str | None:
        if not self._is_owner():
            return "a later start owns this run"
        ahead, (pruned, reason) = self._ahead(), self._prune_file()
        return reason if ahead and all(each in pruned for each in ahead) else None

    @_never_raises
    def _requeue_reason(self) -> str | None:
        """Why to stop and continue later; a file asks for that later start."""
        reason = self._announced()
        left, needed = self.time_left(), 1.2 * max(self._last_s) + self._save_s
        if (reason is None and left >= needed + MARGIN_S) or not self._ahead():
            return None
        if reason is None:
            reason = f"the time limit is near: {left:.0f} s are left, and another epoch may need {needed:.0f} s"
        content = {"schema": 1, "reason": reason, "epoch": self._epoch, "at": datetime.now(timezone.utc).isoformat()}
        self._is_requeued = self._write(f"requeue-{self._claim}.json", content)
        return reason if self._is_requeued else None

    def _announced(self) -> str | None:
        """Why the job ends soon, if a signal announced that; None: only its time limit counts."""
        try:
            found = json.loads((self.out / f"deadline-{self._claim}.json").read_text(encoding="utf-8"))
            if found["end"] is not None:
                self._deadline = float(found["end"])  # an administrator may have changed it
            return None if found["reason"] is None else str(found["reason"])
        except FileNotFoundError:
            return None
        except Exception as error:  # the end that is known counts
            self._warn(f"deadline-{self._claim}.json: {type(error).__name__}: {error}")
            return None

    def _ahead(self) -> list[int]:
        """The milestones after this epoch that have no result."""
        return [each for each in self.milestones if each > self._epoch and not self._is_published(each)]

    def _is_published(self, epochs: int) -> bool:
        return (self.out / "milestones" / f"{epochs}.json").exists()

    def _prune_file(self) -> tuple[list[int], str]:
        """The milestones that the sweep prunes in this attempt, and why."""
        try:
            raw = json.loads((self.out / "prune.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return [], ""
        is_mine = str(raw["attempt"]) == self._claim.partition("-")[0]
        return [int(each) for each in raw["milestones"]] if is_mine else [], str(raw["reason"])

    def _is_owner(self) -> bool:
        """Whether no later start owns the run."""
        mine = tuple(map(int, self._claim.split("-")))
        if (self.out / "attempts" / f"{mine[0]}.lost.json").exists():
            return False
        names = (path.name for path in (self.out / "claims").glob("*-*"))
        claims = (tuple(map(int, name.split("-"))) for name in names if name.replace("-", "").isdecimal())
        return max(claims, default=mine) <= mine

    def _publish(self, epochs: int, state: str, message: str | None, scores: dict[str, Any]) -> None:
        if self.rank != 0 or self._is_published(epochs):
            return
        seconds = self._trained_s(self._epoch or math.inf)
        since = self._trained_s(max((each for each in self.milestones if each < min(epochs, self._epoch)), default=0))
        known = {"schema": 1, "state": state, "epochs": epochs, "epochs_run": self._epoch or epochs, "message": message}
        cost = {"seconds": round(seconds, 3), "gpu_seconds": round((seconds - since) * self._gpus, 3)}
        where = {"job_id": self._job_id, "host": socket.gethostname()}
        self._write(f"milestones/{epochs}.json", {**cost, **where, **self._plain(scores), **known})

    def _trained_s(self, until: float) -> float:
        """Seconds of the epochs up to this one. Epochs that were lost and trained again count once."""
        seconds: dict[int, float] = {}
        files = {tuple(map(int, path.stem.split("-")[1:])): path for path in self.out.glob("progress-*-*.jsonl")}
        for _, path in sorted(files.items()):
            seconds.update((line["epoch"], line["seconds"]) for line in _lines(path) if "seconds" in line)
        return sum(each for epoch, each in seconds.items() if epoch <= until)

    @_never_raises
    def _keep(self, path: Path) -> None:
        """Make a saved file the run's checkpoint, and delete what killed starts left of theirs."""
        if self.rank == 0 and self._is_owner():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(str(path), str(self.out / "checkpoints" / "last.ckpt"))
            for stale in (self.out / "checkpoints").glob("last.ckpt.*.tmp"):
                if f".{self._claim}-" not in stale.name:
                    stale.unlink()

    def _write(self, name: str, content: dict[str, Any]) -> bool:
        """Write a whole file, unless a later start owns the run; return whether it was written."""
        path, temporary = self.out / name, self.out / f"{name}.{self._claim}.tmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        if not self._is_owner():
            temporary.unlink()
            return False
        os.replace(str(temporary), str(path))
        return True

    def _append(self, name: str, content: dict[str, Any]) -> None:
        """Append a line in one write."""
        with (self.out / name).open("ab", buffering=0) as log:
            log.write((json.dumps(content) + "\n").encode())

    def _plain(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values that JSON can have."""
        found = {}
        for name, value in values.items():
            try:
                found[name] = _plain(value)
            except (TypeError, ValueError):
                self._warn(f"{name} is no number: {type(value).__name__}")
        return found

    def _warn(self, message: str) -> None:
        """Print the first warning."""
        if not self._warned:
            self._warned = True
            with contextlib.suppress(Exception):
                print(f"unetsweep client (the training continues): {message}", file=sys.stderr)  # noqa: T201


def _plain(value: Any) -> Any:
    """The value as JSON has it. Tensors and arrays become numbers or lists; NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return float(value) if math.isfinite(float(value)) else None


def _lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a file; none if there is no file."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict)]
