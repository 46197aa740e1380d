"""Workspaces in which the real command line runs sweeps of a trainer of a few lines, on processes of this machine."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forks

DEADLINE_S = 90.0
"""Far longer than anything here takes: what has not happened by then never happens."""

TRAINER = """
import json, os, sys, time
config, out = json.load(open(sys.argv[1])), sys.argv[2]
rate, folder = config["learning_rate"], os.path.dirname(os.path.abspath(__file__))
def note(event):
    with open(f"{folder}/notes.jsonl", "a") as log:
        log.write(json.dumps([event, os.path.basename(out), rate, time.time(), os.getpid()]) + "\\n")
note("begin")
print("training at", rate, flush=True)
{body}
note("end")
with open(f"{out}/result.tmp", "w") as stream:
    json.dump({"val_iou": 0.5 + rate, "val_loss": 0.1, "test_iou": 0.4, "test_loss": 0.2}, stream)
os.replace(f"{out}/result.tmp", f"{out}/result.json")
"""
AT_ONCE = "pass"
SLOWLY = "time.sleep(0.4)"
UNTIL_RELEASED = "while not os.path.exists(f'{folder}/go'): time.sleep(0.02)"

GRID = """\
space: {epochs: [8], batch_size: [4], learning_rate: [RATES]}
run: {parallel: 2}
"""
TPE = """\
space: {epochs: [8], batch_size: [4], learning_rate: {low: 1e-5, high: 1e-2, log: true}}
study: {sampler: tpe, trials: 6}
run: {parallel: 2}
"""


def rates(count: int) -> str:
    """So many learning rates, for the YAML of a sweep."""
    return ", ".join(f"{k + 1}e-4" for k in range(count))


def with_signals() -> None:
    """In a child process: handle a terminal's signals as usual. A background job would ignore them."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


class Workspace:
    """A working directory with a trainer, sweeps and results.

    Its processes are forks (tests/forks.py). `cold`: each is a new Python process, as for a user.
    """

    def __init__(self, folder: Path, *, cold: bool = False) -> None:
        self.folder = folder
        self.cold = cold
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def trains(self) -> bool:
        """Whether sweeps here use our own trainer."""
        return not (self.folder / "trainer.py").exists()

    def trainer(self, body: str) -> None:
        """Write the trainer; `body` is what it does between the start and its result."""
        (self.folder / "trainer.py").write_text(TRAINER.replace("{body}", body))

    def sweep(self, text: str, name: str = "s", **more: str) -> Path:
        """Write a sweep of that trainer."""
        command = shlex.join([sys.executable, "-I", "-S", str(self.folder / "trainer.py"), "{config}", "{out}"])
        path = self.folder / f"{name}.yaml"
        path.write_text(f"{text}trainer: {{command: {json.dumps(command)}}}\n" + "".join(more.values()))
        return path

    def grid(self, trials: int, name: str = "s") -> Path:
        """Write a grid of so many trials of that trainer."""
        return self.sweep(GRID.replace("RATES", rates(trials)), name)

    def run(self, *arguments: object, status: int | None = 0, **more: Any) -> "subprocess.CompletedProcess[str]":
        """Run `unetsweep ARGUMENTS…` here; fail the test for another exit status (None: any) or a traceback."""
        return self._python("unetsweep", *arguments, status=status, **more)

    def worker(self, *arguments: object, status: int) -> "subprocess.CompletedProcess[str]":
        """Run a process of a job, as a supervisor starts it."""
        return self._python("unetsweep.worker", *arguments, status=status)

    def _python(
        self, module: str, *arguments: object, status: int | None, **more: Any
    ) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", module, *map(str, arguments)]
        options: dict[str, Any] = {"cwd": self.folder, "env": environment(), "timeout": DEADLINE_S, **more}
        if self.cold:
            done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        else:
            done = forks.run(command, **options, torch=self.trains)
        assert status is None or done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def submit(self, sweep: Path, *options: str, status: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """Submit a sweep to processes of this machine."""
        return self.run("submit", sweep.name, "--executor", "local", *options, status=status)

    def start_watching(self, sweep: Path) -> "forks.Process":
        """Start `submit --watch` in its own process group, as a terminal does."""
        command = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--executor", "local", "--watch"]
        options: dict[str, Any] = {"cwd": self.folder, "env": environment(), "stdout": subprocess.PIPE}
        return forks.start(command, **options, process_group=0, preexec_fn=with_signals, torch=self.trains)

    def status(self, name: str = "s") -> dict[str, Any]:
        """The JSON of `unetsweep status`."""
        found: dict[str, Any] = json.loads(self.run("status", name, "--json").stdout)
        return found

    def root(self, name: str = "s") -> Path:
        """The folder of a sweep."""
        return self.folder / "results" / name

    def results(self, name: str = "s") -> list[dict[str, Any]]:
        """The results of the trials that have ended, by number."""
        return [json.loads(path.read_bytes()) for path in sorted(self.root(name).glob("trials/*/result.json"))]

    def notes(self, event: str) -> list[tuple[str, float, float, int]]:
        """(run, learning rate, time, pid) of each training that began or ended; `event`: `begin` or `end`."""
        path = self.folder / "notes.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [tuple(rest) for first, *rest in lines if first == event]

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until `condition` returns something true; return that."""
        until = time.monotonic() + DEADLINE_S
        while not (found := condition()):
            assert time.monotonic() < until, self.logs()
            time.sleep(0.05)
        return found

    def wait_ended(self, trials: int, name: str = "s") -> list[dict[str, Any]]:
        """Wait until so many trials have ended and no process is left; return the results."""
        self.wait(lambda: len(self.results(name)) >= trials)
        self.wait_quiet()
        return self.results(name)

    def wait_quiet(self) -> None:
        """Wait until no process of this workspace is left."""
        self.wait(lambda: not self.processes())

    def processes(self, text: str = "") -> list[int]:
        """The processes with this folder, and `text`, on their command lines."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{self.folder}/" in line and text in line and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        return found

    def end(self) -> None:
        """Kill every process of this workspace, for example after a failed test."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def logs(self) -> str:
        """All logs of jobs, for the message of a failure."""
        logs = sorted(self.folder.glob("results/*/submissions/*/*.log"))
        return "\n".join(f"--- {path}\n{path.read_text()}" for path in logs)


class Finished:
    """A workspace in which a sweep has ended. `restore` gives each test the same folder in the same state."""

    def __init__(self, workspace: Workspace) -> None:
        workspace.wait_quiet()
        self._place = workspace
        self._kept = workspace.folder.with_name(f"{workspace.folder.name}-kept")
        shutil.copytree(workspace.folder, self._kept, symlinks=True, copy_function=_copy)

    def restore(self) -> Workspace:
        """Undo all changes since the sweep has ended."""
        self._place.end()
        self._place.wait_quiet()
        shutil.rmtree(self._place.folder)
        shutil.copytree(self._kept, self._place.folder, symlinks=True, copy_function=_copy)
        return self._place


def _copy(source: str, target: str) -> None:
    """Copy a file, or link it if it belongs to a copy of the package: those are many, and nothing writes into them."""
    if re.search(r"/results/[^/]+(/confirm)?/code/", source):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def environment() -> dict[str, str]:
    """The environment of a user without SLURM, with shorter waiting times."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return {"UNETSWEEP_TIMEOUTS": "watch=0.2,settle=0.5", **outer}
