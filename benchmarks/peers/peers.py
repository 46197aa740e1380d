"""The commands by which each tool does the work. All trials sleep, so the tool is what is measured."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import venvs, work
from unetsweep import __version__

HERE = Path(__file__).parent
SLOTS = 4
LATER = "now+1day"
EPOCHS, BATCHES, RATES = (100, 200, 300, 400, 1000), (2, 4), (1e-4, 1e-3)
"""The grid, with the epochs of sweeps/grid.yaml."""
TEMPLATE = """\
name: {name}
space: {{epochs: [1], batch_size: [1], learning_rate: {rates}}}
study: {study}
trainer: {{command: "{python} {work} {log} {scale} {{out}} {{config}} {{out}}"}}
run: {run}
slurm: {{mem: {mem}, time: 5m{slurm}}}
"""


@dataclass(frozen=True, slots=True)
class Task:
    """The folder that a tool works in, and the factor of its trials' lengths."""

    folder: Path
    scale: float = 1.0

    @property
    def log(self) -> Path:
        return self.folder / "log"


@dataclass(frozen=True, slots=True)
class Peer:
    """One tool."""

    name: str
    version: str
    is_adaptive: bool = True

    def search(self, task: Task) -> Sequence[str]:
        """Return the command that runs 24 trials on 4 slots."""
        raise NotImplementedError

    def submit(self, task: Task, trials: int) -> Sequence[str]:
        """Return the command that submits so many trials, which do not start before tomorrow."""
        raise NotImplementedError

    def grid(self, task: Task) -> Sequence[str] | None:
        """Return the command that runs the grid and only counts epochs; None: use a dry run of unetsweep."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Ours(Peer):
    """unetsweep, with `pack` trainings in each job."""

    pack: int = 1

    def search(self, task: Task) -> Sequence[str]:
        study = f"{{sampler: tpe, trials: {work.TRIALS}, seed: 0}}"
        return self._make_submit(task, "{low: 1e-4, high: 1, log: true}", study, f"{{parallel: {SLOTS}}}", "")

    def submit(self, task: Task, trials: int) -> Sequence[str]:
        rates = "[" + ", ".join(f"{0.001 + number * 1e-6:.6f}" for number in range(trials)) + "]"
        return self._make_submit(task, rates, "{}", "{}", f", sbatch: {{begin: {LATER}}}")

    def grid(self, task: Task) -> None:
        return None

    def _make_submit(self, task: Task, rates: str, study: str, run: str, slurm: str) -> Sequence[str]:
        about = {"name": "ours", "python": sys.executable, "work": HERE / "work.py", "log": task.log}
        slurm += f", pack: {self.pack}" if self.pack > 1 else ""
        yaml = TEMPLATE.format(
            **about, scale=task.scale, rates=rates, study=study, run=run, slurm=slurm, mem=f"{200 * self.pack}M"
        )
        (task.folder / "ours.yaml").write_text(yaml)
        return [sys.executable, "-m", "unetsweep", "submit", "ours.yaml", "--executor", "slurm"]


@dataclass(frozen=True, slots=True)
class Hydra(Peer):
    """Hydra with its submitit launcher, and its Optuna sweeper except for the grid."""

    def search(self, task: Task) -> Sequence[str]:
        return self._make_search(task, work.TRIALS, SLOTS)

    def submit(self, task: Task, trials: int) -> Sequence[str]:
        return [*self._make_search(task, trials, trials), f"+hydra.launcher.additional_parameters.begin='{LATER}'"]

    def grid(self, task: Task) -> Sequence[str]:
        axes = {"epochs": EPOCHS, "+batch_size": BATCHES, "+learning_rate": RATES}
        return [*self._make_base(task), *(f"{'+' * (n == 'epochs')}{n}={_choices(c)}" for n, c in axes.items())]

    def _make_search(self, task: Task, trials: int, jobs: int) -> Sequence[str]:
        sweeper = ["hydra/sweeper=optuna", f"hydra.sweeper.n_trials={trials}", f"hydra.sweeper.n_jobs={jobs}"]
        about = ["hydra.sweeper.direction=maximize", "+rate=tag(log, interval(0.0001, 1))", f"+scale={task.scale}"]
        return [*self._make_base(task), *sweeper, *about]

    def _make_base(self, task: Task) -> list[str]:
        launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5", f"hydra.sweep.dir={task.folder}/h"]
        memory = "+hydra.launcher.additional_parameters.mem=200M"
        return [str(venvs.python("hydra")), str(HERE / "hydra_app.py"), "-m", *launcher, f"+log={task.log}", memory]


@dataclass(frozen=True, slots=True)
class MapArray(Peer):
    """`submitit.map_array`."""

    def search(self, task: Task) -> Sequence[str]:
        return self._make_map(task, str(work.TRIALS), SLOTS)

    def submit(self, task: Task, trials: int) -> Sequence[str]:
        return [*self._make_map(task, str(trials), trials), LATER]

    def grid(self, task: Task) -> Sequence[str]:
        return self._make_map(task, "count", SLOTS)

    def _make_map(self, task: Task, what: str, throttle: int) -> list[str]:
        script = [str(venvs.python("submitit")), str(HERE / "map_array.py")]
        return [*script, what, f"{task.folder}/submitit", str(task.log), str(task.scale), str(throttle)]


@dataclass(frozen=True, slots=True)
class Plain(Peer):
    """`sbatch --array` with a script of a few lines."""

    def search(self, task: Task) -> Sequence[str]:
        return self._make_sbatch(task, f"0-{work.TRIALS - 1}%{SLOTS}")

    def submit(self, task: Task, trials: int) -> Sequence[str]:
        return [*self._make_sbatch(task, f"0-{trials - 1}")[:-1], f"--begin={LATER}", str(task.folder / "job.sh")]

    def grid(self, task: Task) -> Sequence[str]:
        cells = [epochs for epochs in EPOCHS for _ in BATCHES for _ in RATES]
        line = f"E=({' '.join(map(str, cells))}); echo 0 epochs ${{E[$SLURM_ARRAY_TASK_ID]}} >>{task.log}"
        return self._make_sbatch(task, f"0-{len(cells) - 1}%{SLOTS}", line)

    def _make_sbatch(self, task: Task, array: str, line: str | None = None) -> list[str]:
        parts = [sys.executable, HERE / "work.py", task.log, task.scale, "$SLURM_ARRAY_TASK_ID", 0.01]
        line = line or " ".join(map(str, parts))
        (task.folder / "job.sh").write_text(f"#!/bin/bash\n{line}\n")
        options = ["--mem=200M", "--time=5", f"--output={task.folder}/%a.log", f"--array={array}"]
        return ["sbatch", *options, str(task.folder / "job.sh")]


def make_peers(*, packed: bool) -> list[Peer]:
    slurm = subprocess.run(["sbatch", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    submitit = venvs.versions("submitit")
    ours = [Ours("unetsweep", __version__)]
    if packed:
        ours.append(Ours(f"unetsweep, pack: {SLOTS}", __version__, pack=SLOTS))
    return [
        *ours,
        Hydra("hydra", venvs.versions("hydra")),
        MapArray("submitit.map_array", submitit, is_adaptive=False),
        Plain("sbatch --array", slurm, is_adaptive=False),
    ]


def format_command(command: Sequence[str], folder: Path) -> str:
    """Return a command as a user would type it, without this run's folders."""
    text = shlex.join(command).replace(str(folder), "DIR").replace(str(HERE), "benchmarks/peers")
    return text.replace(os.path.abspath(venvs.FOLDER), str(venvs.FOLDER)).replace(sys.executable, "python")


def _choices(values: Sequence[float]) -> str:
    return ",".join(map(str, values))
