"""Give unetsweep and other tools the same work: `python -m benchmarks.peers [submit] [search] [grid] [--scale S]`.

Needs a SLURM with accounting (`make slurm-up VARIANT=dbd`). Makes environments for the other tools under build/peers.
Prints Markdown tables and, at full scale, writes them to benchmarks/peers/RESULTS.md.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, results_page
from benchmarks.idle_share import AttemptSpan, idle_share
from benchmarks.peers import work
from benchmarks.peers.peers import BATCHES, EPOCHS, RATES, SLOTS, Peer, Task, format_command, make_peers
from benchmarks.slurm_calls import CallCounter
from benchmarks.sweep_folder import SweepFolder

MANY = 200
TIMEOUT_S = 400
"""Hydra's search, the slowest, takes a quarter of it."""
CELLS = len(EPOCHS) * len(BATCHES) * len(RATES)
OUR_GRID = ["unetsweep", "submit", "grid.yaml", "--dry-run", "--json"]
QUERIES = ("squeue", "sacct", "scontrol", "sinfo")
ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("RESULTS.md")


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not is_true():
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {TIMEOUT_S} s")
        time.sleep(0.1)


def read_times(log: Path, event: str) -> list[float]:
    """Return the times of an event in a log, in order."""
    rows = log.read_text().splitlines() if log.exists() else []
    return sorted(float(row.split()[0]) for row in rows if row.split()[1] == event)


def start(counter: CallCounter, command: Sequence[str], folder: Path) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own, with its output in a file."""
    env = counter.environment() | {"PYTHONPATH": str(ROOT)}  # where the other tools' jobs find `benchmarks.peers.work`
    with (folder / "output").open("wb") as stream:
        return subprocess.Popen(command, cwd=folder, env=env, stdout=stream, stderr=stream, start_new_session=True)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a command and all jobs, and wait until the queue is empty."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    subprocess.run(["scancel", "--me"], check=True)
    wait_until(lambda: not list_jobs(), "the end of the jobs")


def list_jobs() -> list[str]:
    listed = subprocess.run(["squeue", "--me", "-h", "-r", "-o", "%i %j"], check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def measure_submit(peer: Peer, task: Task) -> list[str]:
    """Measure the seconds from the command's start to the end of its last sbatch call, and its calls up to then."""
    counter = CallCounter(task.folder / "bin")
    counter.install()
    command = peer.submit(task, MANY)
    at = time.time()
    process = start(counter, command, task.folder)
    wait_until(lambda: len(list_jobs()) >= MANY or process.poll() not in (None, 0), f"{peer.name}: {MANY} jobs")
    if process.poll() not in (None, 0):
        sys.exit((task.folder / "output").read_text())
    took, sent = max(counter.end_times("sbatch")) - at, len(counter.start_times("sbatch"))
    wait_until(lambda: process.poll() is not None or time.time() > at + took + 3, "the command")
    whole = f"{time.time() - at:.1f}" if process.poll() is not None else "waits for the results"
    queries = sum(len(counter.start_times(name)) for name in QUERIES)
    stop(process)
    return [f"{took:.2f}", whole, str(sent), str(queries)]


def measure_search(peer: Peer, task: Task) -> list[str]:
    """Measure the seconds from the command's start to the last trial's end, and the idle share of the 4 slots."""
    counter = CallCounter(task.folder / "bin")
    counter.install()
    at = time.time()
    process = start(counter, peer.search(task), task.folder)
    wait_until(lambda: len(read_times(task.log, "end")) >= work.TRIALS, f"{peer.name}: {work.TRIALS} trials")
    begins, ends = read_times(task.log, "begin"), read_times(task.log, "end")
    stop(process)
    if len(begins) != work.TRIALS:
        sys.exit(f"{peer.name} ran {len(begins)} trials")
    idle = idle_share(SLOTS, work.TRIALS, [AttemptSpan(at, at), *map(AttemptSpan, begins, ends)], ends) or 0.0
    least = sum(work.lengths(task.scale)) / SLOTS
    calls = sum(len(counter.start_times(name)) for name in ("sbatch", *QUERIES))
    adaptive = "yes" if peer.is_adaptive else "no: random points"
    return [adaptive, f"{ends[-1] - at:.1f}", f"{(ends[-1] - at) / least:.2f}", f"{idle:.1%}", str(calls)]


def measure_grid(peer: Peer, task: Task) -> list[str]:
    """Count the epochs that a tool trains for the grid."""
    command = peer.grid(task)
    if command is None:
        axes = f"epochs: {list(EPOCHS)}, batch_size: {list(BATCHES)}, learning_rate: {list(RATES)}"
        (task.folder / "grid.yaml").write_text(f"data: {{root: eyes}}\nspace: {{{axes}}}\n")
        sweeps = SweepFolder(task.folder)
        sweeps.unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "4")
        plan = json.loads(sweeps.unetsweep(*OUR_GRID[1:]))
        return [str(plan["epochs_asked"]), str(plan["epochs_to_train"])]
    counter = CallCounter(task.folder / "bin")
    counter.install()
    process = start(counter, command, task.folder)
    wait_until(lambda: len(read_times(task.log, "epochs")) >= CELLS, f"{peer.name}: the grid")
    stop(process)
    trained = sum(int(row.split()[2]) for row in task.log.read_text().splitlines())
    return [str(sum(EPOCHS) * len(BATCHES) * len(RATES)), str(trained)]


@dataclass(frozen=True, slots=True)
class Part:
    """One table."""

    title: str
    columns: Sequence[str]
    measure: Callable[[Peer, Task], list[str]]
    command: Callable[[Peer, Task], Sequence[str] | None]
    """The command that a tool runs; None: `OUR_GRID`."""


PARTS = {
    "submit": Part(
        f"Submitting {MANY} trivial trials",
        ["s until the last sbatch has answered", "s of the whole command", "sbatch calls", "other calls"],
        measure_submit,
        lambda peer, task: peer.submit(task, MANY),
    ),
    "search": Part(
        f"A search of {work.TRIALS} trials of uneven length on {SLOTS} slots",
        ["adaptive", "makespan, s", "times the least possible", "idle slots", "calls of the command"],
        measure_search,
        lambda peer, task: peer.search(task),
    ),
    "grid": Part(
        "A grid with the epochs of sweeps/grid.yaml",
        ["epochs asked", "epochs trained"],
        measure_grid,
        lambda peer, task: peer.grid(task),
    ),
}


def measure_part(name: str, scale: float) -> Iterator[str]:
    """Yield the lines of a table and of the list of commands below it."""
    part = PARTS[name]
    yield f"| | {' | '.join(part.columns)} |"
    yield f"|---{'|---:' * len(part.columns)}|"
    commands = []
    for peer in make_peers(packed=name == "search"):
        with tempfile.TemporaryDirectory() as folder:
            task = Task(Path(folder), scale)
            yield f"| {peer.name} | {' | '.join(part.measure(peer, task))} |"
            command = format_command(part.command(peer, task) or OUR_GRID, task.folder)
            commands.append(f"- {peer.name} ({peer.version}): `{command}`")
    yield ""
    yield from commands


def main() -> None:
    arguments = sys.argv[1:]
    scale = float(arguments[arguments.index("--scale") + 1]) if "--scale" in arguments else 1.0
    titles = [part.title for part in PARTS.values()]
    for name in [name for name in PARTS if name in arguments] or PARTS:
        title = PARTS[name].title
        print(f"\n## {title}\n", flush=True)
        lines = []
        for line in measure_part(name, scale):
            print(line, flush=True)
            lines.append(line)
        if scale == 1.0:
            about = machine.describe(f"python -m benchmarks.peers {name}")
            results_page.replace_section(RESULTS, title, "\n".join([about, "", *lines]), titles)


if __name__ == "__main__":
    main()
