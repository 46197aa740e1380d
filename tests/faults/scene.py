"""The scene of a fault: a small sweep on a testbed. The functions in `causes_*.py` act on it."""

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
TIMEOUTS = "unlisted_grace=15,result_grace=3,hang_after=8,exit_timeout=20,reconciler=5"
PATIENCE_S = 180.0
"""Far longer than any fault takes: what has not happened by then never happens."""
QUIET_S = 90.0
"""So long after the last result no job or process may be left: a step that hangs after its result is ended after 20 s
(exit_timeout), a training without progress after 8 s (hang); the rest is for a busy machine."""
SWEEP = """\
name: {name}
space: {{epochs: [{epochs}], batch_size: [4], learning_rate: [{rates}]}}
trainer: {{command: {command}}}
run: {{parallel: {parallel}, reconcile_interval: 5{run}}}
slurm: {{time: {time}, mem: {mem}{slurm}}}
"""


class NotCaused(Exception):
    """The fault could not be caused; the message says why."""


@dataclass
class Scene:
    """One case: a folder, a sweep and a testbed."""

    bed: Bed
    folder: Path
    round: int
    shared: Path
    """Files that all cases of the campaign share."""
    name: str = "s"
    trials: int = 3
    epochs: int = 10
    shape: dict[str, Any] = field(default_factory=dict)
    expected: Expected = field(default_factory=Expected)
    caused: int = 0
    """How often the fault was caused."""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "results" / self.name

    @property
    def facts_path(self) -> Path:
        return self.folder / "facts.jsonl"

    # ---- what a user does

    def write(self, **changes: Any) -> Path:
        """Write the sweep's YAML file."""
        shape = {"parallel": 2, "time": "5m", "mem": "400M", "run": "", "slurm": "", **self.shape, **changes}
        trainer = [str(self.folder / "trainer.py"), "{config}", "{out}", str(self.facts_path)]
        command = shlex.join([sys.executable, "-I", "-S", *trainer, str(self.folder / "control.json")])
        rates = ", ".join(f"{k + 1}e-4" for k in range(self.trials))
        text = SWEEP.format(name=self.name, epochs=self.epochs, rates=rates, command=json.dumps(command), **shape)
        path = self.folder / f"{self.name}.yaml"
        path.write_text(text)
        return path

    def control(self, **content: Any) -> None:
        """Set how the trainers behave from now on; for one run with `_0001={…}`."""
        path = self.folder / "control.json"
        whole = {"seconds": 0.3, "every": 4, **{name.lstrip("_"): value for name, value in content.items()}}
        path.with_suffix(".tmp").write_text(json.dumps(whole))
        path.with_suffix(".tmp").replace(path)

    def environment(self) -> dict[str, str]:
        return {**self.bed.env, "UNETSWEEP_TIMEOUTS": TIMEOUTS, **self.env}

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `unetsweep ARGUMENTS…` in its own session."""
        return self.spawn([sys.executable, "-m", "unetsweep", *arguments])

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
        """Wait for a process and return its output; RuntimeError for another exit status (None: any) or a traceback."""
        output, _ = process.communicate(timeout=240)
        if status is not None and process.returncode != status:
            raise RuntimeError(f"{process.args} ended with {process.returncode}: {output}")
        if "Traceback" in output:
            raise RuntimeError(f"the user got a traceback: {output}")
        return output

    def unetsweep(self, *arguments: str, status: int | None = 0) -> str:
        """Run `unetsweep ARGUMENTS…` and return its output."""
        return self.end(self.begin(*arguments), status)

    def submit(self, status: int | None = 0, **changes: Any) -> str:
        """Write the sweep and submit it."""
        path = self.write(**changes)
        if not (self.folder / "control.json").exists():
            self.control()
        return self.unetsweep("submit", path.name, "--executor", "slurm", status=status)

    # ---- observations

    def facts(self, event: str | None = None) -> list[Fact]:
        """What the trainers logged, in order; `event`: only facts of this kind."""
        return [fact for fact in read_facts(self.facts_path) if event in (None, fact["event"])]

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in sorted(self.root.glob("trials/*/result.json"))]

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> None:
        """Wait until `condition` holds; TimeoutError with `what` was expected."""
        if not until(condition, seconds):
            raise TimeoutError(
                f"not within {seconds:.0f} s: {what}; queue: {self.bed.run('squeue', '-h', check=False)}"
            )

    def wait_epochs(self, count: int, run: str | None = None) -> list[Fact]:
        """Wait until a training has finished so many epochs; return the facts of the trainings that have."""

        def found() -> list[Fact]:
            return [f for f in self.facts("epoch") if f["epoch"] >= count and run in (None, f["run"])]

        self.wait(found, f"a training has finished {count} epochs")
        return found()

    def training_now(self) -> list[Fact]:
        """The last fact of each training with a living process, in the order of their starts."""
        last: dict[tuple[str, str], Fact] = {}
        for fact in self.facts():
            if fact["event"] != "alive":
                last[fact["run"], fact["claim"]] = fact
        living = [fact for fact in last.values() if fact["event"] not in ("leave", "raise")]
        return [fact for fact in living if f"{self.folder}/trainer.py" in command_of(fact["pid"])]

    def victim(self, epochs: int = 5) -> Fact:
        """Wait for a training past its first checkpoint and before its last epochs, and return its last fact."""
        self.wait(lambda: self._past(epochs), f"a training has finished {epochs} epochs and still trains")
        return self._past(epochs)[0]

    def _past(self, epochs: int) -> list[Fact]:
        return [fact for fact in self.training_now() if epochs <= fact["epoch"] < self.epochs - 2]

    def starts(self, run: str | None = None) -> int:
        """How often trainings were started, of one run or of all."""
        return len([fact for fact in self.facts("start") if run in (None, fact["run"])])

    def expect(self, state: str, *runs: str) -> None:
        """Expect that the trials of these runs end in this state. Each run serves the trial of its own number."""
        self.expected.states |= {int(run): state for run in runs}

    def ended(self) -> bool:
        return len(self.results()) >= self.trials

    def until_ended(self, seconds: float = PATIENCE_S) -> None:
        """Wait until all trials have ended. Nothing is submitted here, so the jobs must reconcile."""
        until(self.ended, seconds)

    def until_quiet(self, seconds: float = QUIET_S) -> list[str]:
        """Wait until no job and no process of the sweep is left; return those that are."""
        until(lambda: not self._alive(), seconds)
        return self._alive()

    def _alive(self) -> list[str]:
        jobs = self.bed.queue("job %i %j %T %r", "-t", "PD,R,S,CF")
        return jobs + [f"process {pid}: {command[:200]}" for pid, command in self.bed.processes()]

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Kill a process, and count it as one caused fault."""
        os.kill(pid, number)
        self.caused += 1

    def job_of(self, fact: Fact) -> str:
        """The id of the job that trains it, as squeue prints it: `18_2`, or `18`."""
        for line in self.bed.queue("%A %i"):
            raw, name = line.split()
            if raw == fact["job"]:
                return name
        raise NotCaused(f"job {fact['job']} has left the queue")

    def pids_of(self, job: str, text: str) -> list[int]:
        """The processes of a job with this text on their command line."""
        mine = f"SLURM_JOB_ID={job}".encode()
        found = []
        for pid, command in self.bed.processes():
            if text in command and mine in _environ(pid):
                found.append(pid)
        return found


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def command_of(pid: int) -> str:
    """The command line of a process, empty if it does not exist."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def pause(seconds: float) -> None:
    time.sleep(seconds)
