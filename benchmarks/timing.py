"""How the benchmarks here measure: subjects take turns within one run, medians are compared, one line comes out.

A ratio of medians within one run means the same on a fast and on a slow machine; milliseconds do not.
"""

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

HEADING = "| what | measured | budget | |\n|---|---|---|---|"


def in_turns(rounds: int, subjects: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each subject in each round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds + 1):
        for name, subject in subjects.items():
            start = time.perf_counter()
            subject()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(each) for name, each in seconds.items()}


def process(*command: str) -> Callable[[], object]:
    """A subject that runs a command to its end; CalledProcessError when it fails."""
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


printed: list[str] = []
"""The rows so far."""


def line(what: str, measured: str, budget: str, kept: bool) -> bool:
    """Print one row of a Markdown table (`HEADING`); whether the budget was kept."""
    printed.append(f"| {what} | {measured} | {budget} | {'kept' if kept else '**missed**'} |")
    print(printed[-1], flush=True)
    return kept
