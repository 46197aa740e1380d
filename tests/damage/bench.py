"""Runs commands in this process, on sweeps whose scheduler is in memory. A command that hangs is interrupted."""

import contextlib
import copy
import io
import os
import random
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import FrameType
from unittest import mock

import optuna  # noqa: F401 - slow to import, and no command shall count it
from fakes import FakeJob, FakeScheduler

from unetsweep.app import cancel, prepare, reconcile, repair, start
from unetsweep.app.executors import EXECUTORS, Executor
from unetsweep.cli.main import main
from unetsweep.core import cancellation
from unetsweep.core.observation import JobState
from unetsweep.core.ports import Submission
from unetsweep.errors import StateError
from unetsweep.store import code_snapshot

LIMIT_S = 10.0
"""No command here takes longer than a second."""
LIMIT_BYTES = 2**29
"""How much memory a command may take."""
PATIENCE_S = 0.2
"""How long a command waits for the lease, and `cancel` for jobs to end."""


class Hang(BaseException):
    """A command did not end in time; `except Exception` does not catch it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and how it ended."""

    command: str
    status: int
    out: str
    err: str
    bug: str = ""
    """The traceback of an error that is no message; empty: none."""
    hung: bool = False

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(slots=True)
class Cluster(FakeScheduler):
    """The cluster in memory. It remembers which run a job trains, because the file that says so may be damaged."""

    runs: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """Run and attempt of each element that was submitted."""

    def submit(self, submission: Submission) -> list[str]:
        ids = FakeScheduler.submit(self, submission)
        for each in self.found[-submission.elements :]:
            self.runs[each.job.token, each.job.index] = FakeScheduler.run_of(self, each)
        return list(ids)

    def run_of(self, each: FakeJob) -> tuple[int, int]:
        return self.runs[each.job.token, each.job.index]

    def work(self) -> None:
        """Finish what runs, and start what waits. A job that cannot read a file dies, as a real one does."""
        for step, jobs in ((self.finish, self.running()), (self.start, self.live())):
            for each in jobs:
                if each.job.state.is_live:
                    try:
                        step(each)
                    except (StateError, OSError, AssertionError, LookupError, TypeError):
                        self.die(each, JobState.NODE_FAILED)


class Bench:
    """A folder with one sweep, `results/s`, and its cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "results" / "s"
        self.cluster = Cluster(root=self.root)
        self.random = random.Random(0)
        """Tokens come from it, so that the files of a sweep have the same names each time."""

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """Let the commands use this cluster and a package of two files, and wait for nothing."""
        package = self.folder / "checkout" / "unetsweep"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "py.typed").write_text("")
        executor = Executor("slurm", "SLURM", scheduler=lambda root: self.cluster)
        waits = "unlisted_grace=0,result_grace=0,settle=0.01"
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.dict(EXECUTORS, slurm=executor))  # type: ignore[arg-type]  # a dict
            stack.enter_context(mock.patch.dict(os.environ, UNETSWEEP_TIMEOUTS=waits, COLUMNS="200"))
            for module in (cancel, reconcile, repair, start):
                stack.enter_context(mock.patch.object(module, "PATIENCE_S", PATIENCE_S))
            stack.enter_context(mock.patch.object(cancel, "POLL_S", 0.01))
            for module in (cancel, cancellation):
                stack.enter_context(mock.patch.object(module, "CHECKPOINT_WAIT", timedelta(0)))
            stack.enter_context(mock.patch.object(prepare, "_commit", return_value=None))
            stack.enter_context(mock.patch.object(prepare, "check_images", return_value=None))
            stack.enter_context(mock.patch.object(code_snapshot, "_commit", return_value=None))
            stack.enter_context(mock.patch("unetsweep.package.folder", return_value=package))
            stack.enter_context(mock.patch("os.fsync"))
            stack.enter_context(mock.patch("secrets.token_hex", lambda size: self.random.randbytes(size).hex()))
            stack.enter_context(contextlib.chdir(self.folder))
            yield

    def call(self, *arguments: str) -> Answer:
        """Run `unetsweep ARGUMENTS…` in this process."""
        out, err, status, bug, hung = io.StringIO(), io.StringIO(), 0, "", False
        with (
            mock.patch.object(sys, "argv", ["unetsweep", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            before, limits = signal.signal(signal.SIGALRM, _interrupt), resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (_memory() + LIMIT_BYTES, limits[1]))
            signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
            try:
                main()
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else bool(ended.code)
            except Hang:
                bug, hung = traceback.format_exc(), True
            except BaseException:
                bug = traceback.format_exc()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
                resource.setrlimit(resource.RLIMIT_AS, limits)
        return Answer(" ".join(arguments), status, out.getvalue(), err.getvalue(), bug, hung)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Hang


def _memory() -> int:
    """The address space of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


class Snapshot:
    """The files and the cluster of a bench at one time, which can be put back in place."""

    def __init__(self, bench: Bench, kept: Path) -> None:
        self._bench, self._kept = bench, kept
        self.cluster = copy.deepcopy(bench.cluster)
        shutil.copytree(bench.root, kept, symlinks=True)

    def restore(self) -> Bench:
        shutil.rmtree(self._bench.folder / "results")
        self._bench.root.parent.mkdir()
        shutil.copytree(self._kept, self._bench.root, symlinks=True)
        self._bench.cluster = copy.deepcopy(self.cluster)
        return self._bench
