"""The same work by unetsweep and by others: `python -m benchmarks.peers [submit] [search] [grid] [--scale S]`.

Needs a SLURM with accounting (`make slurm-up VARIANT=dbd`); environments for the others are made under build/peers.
Prints Markdown tables and, at full scale, writes them to benchmarks/peers/RESULTS.md.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import machine, page
from benchmarks.calls import Counted
from benchmarks.local_sweeps import Sweeps
from benchmarks.peers import work
from benchmarks.peers.peers import BATCHES, EPOCHS, RATES, SLOTS, Peer, Task, peers, shown
from unetsweep.core.idle import Spell, idle_share

MANY = 200
PATIENCE_S = 400
OURS_GRID = ["unetsweep", "submit", "grid.yaml", "--dry-run", "--json"]
RESULTS = Path(__file__).with_name("RESULTS.md")


def until(fine: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not fine():
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.1)


def lines(log: Path, word: str) -> list[float]:
    """The times of a word in a log."""
    rows = log.read_text().splitlines() if log.exists() else []
    return [float(row.split()[0]) for row in rows if row.split()[1] == word]


def started(counted: Counted, command: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    """A session of its own, its words in a file."""
    env = counted.environment() | {"PYTHONPATH": str(Path(__file__).parent)}  # the jobs of others find `work` by it
    with (folder / "said").open("wb") as stream:
        return subprocess.Popen(command, cwd=folder, env=env, stdout=stream, stderr=stream, start_new_session=True)


def over(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    subprocess.run(["scancel", "--me"], check=True)
    until(lambda: not queued(), "the end of the jobs")


def queued() -> list[str]:
    listed = subprocess.run(["squeue", "--me", "-h", "-r", "-o", "%i %j"], check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def submit(peer: Peer, task: Task) -> list[str]:
    """Seconds from the command's start to the end of its last sbatch call, and its calls up to then."""
    counted = Counted(task.folder / "bin")
    counted.make()
    command = list(peer.submit(task, MANY))
    at = time.time()
    process = started(counted, command, task.folder)
    until(lambda: len(queued()) >= MANY or process.poll() not in (None, 0), f"{peer.name}: {MANY} jobs")
    if process.poll() not in (None, 0):
        sys.exit((task.folder / "said").read_text())
    took, sent = max(counted.ends("sbatch")) - at, len(counted.times("sbatch"))
    until(lambda: process.poll() is not None or time.time() > at + took + 3, "the command")
    whole = f"{time.time() - at:.1f}" if process.poll() is not None else "waits for the results"
    asked = sum(len(counted.times(name)) for name in ("squeue", "sacct", "scontrol", "sinfo"))
    over(process)
    return [f"{took:.2f}", whole, str(sent), str(asked)]


def search(peer: Peer, task: Task) -> list[str]:
    """Seconds from the command's start to the last trial's end, and the share of the 4 slots that stood empty."""
    counted = Counted(task.folder / "bin")
    counted.make()
    at = time.time()
    process = started(counted, list(peer.search(task)), task.folder)
    until(lambda: len(lines(task.log, "end")) >= work.TRIALS, f"{peer.name}: {work.TRIALS} trials")
    begins, ends = sorted(lines(task.log, "begin")), sorted(lines(task.log, "end"))
    over(process)
    if len(begins) != work.TRIALS:
        sys.exit(f"{peer.name} ran {len(begins)} trials")
    spells = [Spell(at, at), *(Spell(begin, end) for begin, end in zip(begins, ends, strict=True))]
    idle = idle_share(SLOTS, work.TRIALS, spells, ends) or 0.0
    least = sum(work.lengths(task.scale)) / SLOTS
    calls = sum(len(counted.times(name)) for name in ("sbatch", "squeue", "sacct", "scontrol", "sinfo"))
    kind = "yes" if peer.is_adaptive else "no: random points"
    return [kind, f"{ends[-1] - at:.1f}", f"{(ends[-1] - at) / least:.2f}", f"{idle:.1%}", str(calls)]


def grid(peer: Peer, task: Task) -> list[str]:
    """Epochs that it trains for the docs' grid."""
    asked = sum(EPOCHS) * len(BATCHES) * len(RATES)
    command = peer.grid(task)
    if command is None:
        axes = f"epochs: {list(EPOCHS)}, batch_size: {list(BATCHES)}, learning_rate: {list(RATES)}"
        (task.folder / "grid.yaml").write_text(f"data: {{root: eyes}}\nspace: {{{axes}}}\n")
        sweeps = Sweeps(task.folder)
        sweeps.unetsweep("data", "sample", "eyes", "--size", "64", "--eyes", "4")
        told = json.loads(sweeps.unetsweep(*OURS_GRID[1:]))
        return [str(told["epochs_asked"]), str(told["epochs_to_train"])]
    counted = Counted(task.folder / "bin")
    counted.make()
    process = started(counted, list(command), task.folder)
    cells = len(EPOCHS) * len(BATCHES) * len(RATES)
    until(lambda: len(lines(task.log, "epochs")) >= cells, f"{peer.name}: the grid")
    over(process)
    return [str(asked), str(sum(int(row.split()[2]) for row in task.log.read_text().splitlines()))]


PARTS: dict[str, tuple[str, Callable[[Peer, Task], list[str]], list[str]]] = {
    "submit": (
        f"Submitting {MANY} trivial trials",
        submit,
        ["s until the last sbatch has answered", "s of the whole command", "sbatch calls", "other calls"],
    ),
    "search": (
        f"A search of {work.TRIALS} trials of uneven length on {SLOTS} slots",
        search,
        ["adaptive", "makespan, s", "times the least possible", "idle slots", "calls of the command"],
    ),
    "grid": ("The docs' grid", grid, ["epochs asked", "epochs trained"]),
}


def table(part: str, scale: float) -> Iterator[str]:
    _, measure, columns = PARTS[part]
    yield f"| | {' | '.join(columns)} |"
    yield f"|---{'|---:' * len(columns)}|"
    commands = []
    for peer in peers(packed=part == "search"):
        with tempfile.TemporaryDirectory() as folder:
            task = Task(Path(folder), scale)
            yield f"| {peer.name} | {' | '.join(measure(peer, task))} |"
            command = {"submit": lambda: peer.submit(task, MANY), "search": lambda: peer.search(task)}.get(  # noqa: B023
                part,
                lambda: peer.grid(task),  # noqa: B023
            )()
            commands.append(f"- {peer.name} ({peer.version}): `{shown(command or OURS_GRID, task.folder)}`")
    yield ""
    yield from commands


def main() -> None:
    words = sys.argv[1:]
    scale = float(words[words.index("--scale") + 1]) if "--scale" in words else 1.0
    parts = [part for part in PARTS if part in words] or list(PARTS)
    titles = {part: title for part, (title, _, _) in PARTS.items()}
    for part in parts:
        print(f"\n## {titles[part]}\n", flush=True)
        told = []
        for row in table(part, scale):
            print(row, flush=True)
            told.append(row)
        if scale == 1.0:
            about = machine.described(f"python -m benchmarks.peers {part}")
            page.replace(RESULTS, titles[part], "\n".join([about, "", *told]), list(titles.values()))


if __name__ == "__main__":
    main()
