"""A folder in which the real command line sweeps a trainer of a few lines, on processes of this machine."""

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
"""Far more than anything here takes: what is not there by then never comes."""

TRAINER = """
import json, os, sys, time
config, out = json.load(open(sys.argv[1])), sys.argv[2]
rate, folder = config["learning_rate"], os.path.dirname(os.path.abspath(__file__))
def note(word):
    with open(f"{folder}/notes.jsonl", "a") as log:
        log.write(json.dumps([word, os.path.basename(out), rate, time.time(), os.getpid()]) + "\\n")
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
UNTIL_TOLD = "while not os.path.exists(f'{folder}/go'): time.sleep(0.02)"

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
    return ", ".join(f"{k + 1}e-4" for k in range(count))


def with_signals() -> None:
    """For a child: the signals of a terminal do what they do there, though a background job's are ignored."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


class Place:
    """A working directory with a trainer, sweeps and results.

    Its processes are forks (tests/forks.py); `cold`: each is a Python that starts from nothing, as a user's is.
    """

    def __init__(self, folder: Path, *, cold: bool = False) -> None:
        self.folder = folder
        self.cold = cold
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def trains(self) -> bool:
        """Whether our own trainer is what trains here."""
        return not (self.folder / "trainer.py").exists()

    def trainer(self, body: str) -> None:
        (self.folder / "trainer.py").write_text(TRAINER.replace("{body}", body))

    def sweep(self, text: str, name: str = "s", **more: str) -> Path:
        command = shlex.join([sys.executable, "-I", "-S", str(self.folder / "trainer.py"), "{config}", "{out}"])
        path = self.folder / f"{name}.yaml"
        path.write_text(f"{text}trainer: {{command: {json.dumps(command)}}}\n" + "".join(more.values()))
        return path

    def grid(self, trials: int, name: str = "s") -> Path:
        return self.sweep(GRID.replace("RATES", rates(trials)), name)

    def run(self, *words: object, status: int | None = 0, **more: Any) -> "subprocess.CompletedProcess[str]":
        """`unetsweep WORDS…`, as a user in this folder types it."""
        return self._python("unetsweep", *words, status=status, **more)

    def worker(self, *words: object, status: int) -> "subprocess.CompletedProcess[str]":
        """A process of a job, as a supervisor starts it."""
        return self._python("unetsweep.worker", *words, status=status)

    def _python(
        self, module: str, *words: object, status: int | None, **more: Any
    ) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", module, *map(str, words)]
        about: dict[str, Any] = {"cwd": self.folder, "env": environment(), "timeout": DEADLINE_S, **more}
        if self.cold:
            done = subprocess.run(command, capture_output=True, text=True, check=False, **about)
        else:
            done = forks.run(command, **about, torch=self.trains)
        assert status is None or done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def submit(self, sweep: Path, *words: str, status: int | None = 0) -> "subprocess.CompletedProcess[str]":
        return self.run("submit", sweep.name, "--executor", "local", *words, status=status)

    def watched(self, sweep: Path) -> "forks.Process":
        """`submit --watch` in a process group of its own, as a terminal starts it."""
        words = [sys.executable, "-m", "unetsweep", "submit", sweep.name, "--executor", "local", "--watch"]
        about: dict[str, Any] = {"cwd": self.folder, "env": environment(), "stdout": subprocess.PIPE}
        return forks.start(words, **about, process_group=0, preexec_fn=with_signals, torch=self.trains)

    def status(self, name: str = "s") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", name, "--json").stdout)
        return found

    def root(self, name: str = "s") -> Path:
        return self.folder / "results" / name

    def results(self, name: str = "s") -> list[dict[str, Any]]:
        """Of the trials that have ended, in their order."""
        return [json.loads(path.read_bytes()) for path in sorted(self.root(name).glob("trials/*/result.json"))]

    def notes(self, word: str) -> list[tuple[str, float, float, int]]:
        """(run, learning rate, time, pid) of each training that began, or ended."""
        path = self.folder / "notes.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [tuple(rest) for first, *rest in lines if first == word]

    def wait(self, fine: Callable[[], Any]) -> Any:
        """What `fine` says as soon as it says something true."""
        until = time.monotonic() + DEADLINE_S
        while not (said := fine()):
            assert time.monotonic() < until, self.account()
            time.sleep(0.05)
        return said

    def wait_ended(self, trials: int, name: str = "s") -> list[dict[str, Any]]:
        self.wait(lambda: len(self.results(name)) >= trials)
        self.wait_quiet()
        return self.results(name)

    def wait_quiet(self) -> None:
        """No process of ours is at work any more: each carries this folder on its command line."""
        self.wait(lambda: not self.processes())

    def processes(self, word: str = "") -> list[int]:
        """Every process that names this folder, and `word`, on its command line."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{self.folder}/" in line and word in line and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        return found

    def end(self) -> None:
        """Whatever still runs here, after a test that failed."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def account(self) -> str:
        """All logs, for a failure's report."""
        logs = sorted(self.folder.glob("results/*/submissions/*/*.log"))
        return "\n".join(f"--- {path}\n{path.read_text()}" for path in logs)


class Finished:
    """A place as it is when its sweep has ended: `anew` gives each test the same folder, as it was then."""

    def __init__(self, place: Place) -> None:
        place.wait_quiet()
        self._place = place
        self._kept = place.folder.with_name(f"{place.folder.name}-kept")
        shutil.copytree(place.folder, self._kept, symlinks=True, copy_function=_copied)

    def anew(self) -> Place:
        self._place.end()
        self._place.wait_quiet()
        shutil.rmtree(self._place.folder)
        shutil.copytree(self._kept, self._place.folder, symlinks=True, copy_function=_copied)
        return self._place


def _copied(source: str, target: str) -> None:
    """The copies of the package are most of the files, and nobody writes into them."""
    if re.search(r"/results/[^/]+(/confirm)?/code/", source):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def environment() -> dict[str, str]:
    """As a user has it: no SLURM job around, one machine. Only that whoever waits looks more often."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return {"UNETSWEEP_CLOCKS": "watch=0.2,settle=0.5", **outer}
