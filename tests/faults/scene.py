"""A small sweep on a broken testbed: what a fault's function acts on."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bed import Bed, until
from judge import Expected, Fact, read_facts

HERE = Path(__file__).parent
CLOCKS = "unseen=15,result=3,hang=8,exit_timeout=20,reconciler=5"
PATIENCE_S = 180.0
"""Far more than any fault needs: what has not come by then never comes."""
QUIET_S = 90.0
"""Within so long of the last result nothing of the sweep may live: what hangs after its result is ended after 20 s
(exit_timeout) and what makes no progress after 8 (hang); the rest is for a busy machine."""
SWEEP = """\
name: {name}
space: {{epochs: [{epochs}], batch_size: [4], learning_rate: [{rates}]}}
trainer: {{command: {command}}}
run: {{parallel: {parallel}, reconcile_interval: 5{run}}}
slurm: {{time: {time}, mem: {mem}{slurm}}}
"""


class NotCaused(Exception):
    """The fault could not be caused here; why."""


@dataclass
class Scene:
    """One case: its folder, its sweep, its cluster."""

    bed: Bed
    folder: Path
    round: int
    shared: Path
    """What all cases of the campaign may use: files of one name hold the same for each of them."""
    name: str = "s"
    trials: int = 3
    epochs: int = 10
    shape: dict[str, Any] = field(default_factory=dict)
    expected: Expected = field(default_factory=Expected)
    caused: int = 0
    """How often the fault was really caused."""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "results" / self.name

    @property
    def facts_path(self) -> Path:
        return self.folder / "facts.jsonl"

    # ---- what a user does

    def write(self, **changes: Any) -> Path:
        """The sweep's file."""
        shape = {"parallel": 2, "time": "5m", "mem": "400M", "run": "", "slurm": "", **self.shape, **changes}
        trainer = [str(self.folder / "trainer.py"), "{config}", "{out}", str(self.facts_path)]
        command = shlex.join([sys.executable, "-I", "-S", *trainer, str(self.folder / "control.json")])
        rates = ", ".join(f"{k + 1}e-4" for k in range(self.trials))
        text = SWEEP.format(name=self.name, epochs=self.epochs, rates=rates, command=json.dumps(command), **shape)
        path = self.folder / f"{self.name}.yaml"
        path.write_text(text)
        return path

    def control(self, **content: Any) -> None:
        """How the trainers behave from now on; a run's number as `_0001={…}`."""
        path = self.folder / "control.json"
        whole = {"seconds": 0.3, "every": 4, **{name.lstrip("_"): value for name, value in content.items()}}
        path.with_suffix(".tmp").write_text(json.dumps(whole))
        path.with_suffix(".tmp").replace(path)

    def environment(self) -> dict[str, str]:
        return {**self.bed.env, "UNETSWEEP_CLOCKS": CLOCKS, **self.env}

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """`unetsweep WORDS…` from a shell of its own."""
        command = [sys.executable, "-m", "unetsweep", *words]
        return self.spawn(command)

    def spawn(self, command: Sequence[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, process: "subprocess.Popen[str]", status: int | None = 0) -> str:
        said, _ = process.communicate(timeout=240)
        if status is not None and process.returncode != status:
            raise RuntimeError(f"{process.args} ended with {process.returncode}: {said}")
        if "Traceback" in said:
            raise RuntimeError(f"a traceback for a user: {said}")
        return said

    def unetsweep(self, *words: str, status: int | None = 0) -> str:
        return self.end(self.begin(*words), status)

    def submit(self, status: int | None = 0, **changes: Any) -> str:
        """Write the sweep and submit it."""
        path = self.write(**changes)
        if not (self.folder / "control.json").exists():
            self.control()
        return self.unetsweep("submit", path.name, "--executor", "slurm", status=status)

    # ---- what can be seen

    def facts(self, event: str | None = None) -> list[Fact]:
        return [fact for fact in read_facts(self.facts_path) if event in (None, fact["event"])]

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in sorted(self.root.glob("trials/*/result.json"))]

    def wait(self, fine: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> None:
        if not until(fine, seconds):
            raise TimeoutError(f"after {seconds:.0f} s: {what}; queue: {self.bed.run('squeue', '-h', check=False)}")

    def wait_epochs(self, count: int, run: str | None = None) -> list[Fact]:
        """Until some training has finished so many epochs (each run its own count)."""

        def seen() -> list[Fact]:
            return [f for f in self.facts("epoch") if f["epoch"] >= count and run in (None, f["run"])]

        self.wait(seen, f"no training finished {count} epochs")
        return seen()

    def at_work(self) -> list[Fact]:
        """The last sign of life of each training that has not left, the earliest first; its process is there."""
        last: dict[tuple[str, str], Fact] = {}
        for fact in self.facts():
            if fact["event"] != "alive":
                last[fact["run"], fact["claim"]] = fact
        living = [fact for fact in last.values() if fact["event"] not in ("leave", "raise")]
        return [fact for fact in living if f"{self.folder}/trainer.py" in command_of(fact["pid"])]

    def victim(self, epochs: int = 5) -> Fact:
        """A training in its midst: past its first checkpoint, before its last."""
        self.wait(lambda: self._midst(epochs), f"no training is {epochs} epochs far")
        return self._midst(epochs)[0]

    def _midst(self, epochs: int) -> list[Fact]:
        return [fact for fact in self.at_work() if epochs <= fact["epoch"] < self.epochs - 2]

    def starts(self, run: str | None = None) -> int:
        return len([fact for fact in self.facts("start") if run in (None, fact["run"])])

    def expect(self, state: str, *runs: str) -> None:
        """These end so. A run of the campaign's sweeps serves one trial, of its own number."""
        self.expected.states |= {int(run): state for run in runs}

    def ended(self) -> bool:
        return len(self.results()) >= self.trials

    def until_ended(self, seconds: float = PATIENCE_S) -> None:
        """Nobody reconciles here: the jobs must do it themselves."""
        until(self.ended, seconds)

    def until_quiet(self, seconds: float = QUIET_S) -> list[str]:
        """Wait until nothing of the sweep lives; what does all the same."""
        until(lambda: not self._living(), seconds)
        return self._living()

    def _living(self) -> list[str]:
        jobs = self.bed.queue("job %i %j %T %r", "-t", "PD,R,S,CF")
        return jobs + [f"process {pid}: {words[:200]}" for pid, words in self.bed.processes()]

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(pid, number)
        self.caused += 1

    def job_of(self, fact: Fact) -> str:
        """The queue's name of the job in which it trains: `18_2`, or `18`."""
        for line in self.bed.queue("%A %i"):
            raw, name = line.split()
            if raw == fact["job"]:
                return name
        raise NotCaused(f"job {fact['job']} has left the queue")

    def pids_of(self, job: str, word: str) -> list[int]:
        """The job's processes with this word on their command line."""
        mine = f"SLURM_JOB_ID={job}".encode()
        found = []
        for pid, words in self.bed.processes():
            if word in words and mine in _environ(pid):
                found.append(pid)
        return found


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def pause(seconds: float) -> None:
    time.sleep(seconds)
