"""Time subjects in turns within one run, compare their medians, and print one table row for each budget.

A ratio of medians within one run means the same on a fast and on a slow machine. Seconds do not, so a budget in
seconds is multiplied by how much slower this machine is than the reference (`is_within`).
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

HEADING = "| what | measured | budget | |\n|---|---|---|---|"

REFERENCE_START_S = 0.012
"""Seconds that `python -c pass` takes on the reference machine."""
START_ROUNDS = 15

rows: list[str] = []
"""The rows printed so far."""


def time_in_turns(rounds: int, subjects: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the seconds of each subject in each round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds + 1):
        for name, subject in subjects.items():
            start = time.perf_counter()
            subject()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each subject."""
    return {name: statistics.median(each) for name, each in seconds.items()}


def command_runner(*command: str) -> Callable[[], object]:
    """Return a subject that runs a command to its end and raises CalledProcessError when it fails."""
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def is_within(seconds: float, budget: float) -> tuple[bool, str]:
    """Return whether a time is within its budget on this machine as fast as it is now, and what to add to the row.

    A budget in seconds is for the reference machine, where an interpreter starts in REFERENCE_START_S. On a slower one
    it grows by the same factor, which is measured again for each row: a virtual machine is at times half as fast as an
    hour before.
    """
    start = command_runner(sys.executable, "-c", "pass")
    slower = max(1.0, medians(time_in_turns(START_ROUNDS, {"start": start}))["start"] / REFERENCE_START_S)
    return (
        seconds <= budget * slower,
        f"; a machine {slower:.1f} times slower than the reference" if slower > 1.05 else "",
    )


def print_row(what: str, measured: str, budget: str, is_met: bool) -> bool:
    """Print one row of a Markdown table (`HEADING`) and return `is_met`."""
    rows.append(f"| {what} | {measured} | {budget} | {'met' if is_met else '**missed**'} |")
    print(rows[-1], flush=True)
    return is_met
