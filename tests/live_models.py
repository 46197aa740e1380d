"""Models of sweeps at one time, for the tests of what draws them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from unetsweep.core.end_estimate import EndEstimate
from unetsweep.core.failures import FailedTrials
from unetsweep.core.live import BestTrial, LiveSweep, LiveTrial, SweepEvent, UsedHours

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
BUSY = "waits behind jobs of higher priority (Priority)"
HOSTILE = "boom\n0009\x1b]0;title\x07\x1b[2J\x1b[31m\u202e\u200b\x9b1A\udcff 画像 é\u0301"


def running(number: int, epochs: int = 50, ago_s: float = 10.0) -> LiveTrial:
    """A trial that runs. The higher its number, the more epochs it has finished."""
    curve = tuple((epoch, 0.7 - 0.4 / epoch + 0.01 * (epoch * number % 3)) for epoch in range(1, 10 + number % 30))
    at, best = NOW - timedelta(seconds=ago_s), max(value for _, value in curve)
    return LiveTrial(
        number, "running", "running", f"18808_{number}", f"node{number % 7}", len(curve), epochs, curve, best, at
    )


def waiting(first: int, count: int, state: str = "submitted", reason: str = BUSY) -> tuple[LiveTrial, ...]:
    """Trials that wait for one reason; of the first of them the scheduler knows when it may start."""
    found = [LiveTrial(number, state, reason, f"18808_{number}") for number in range(first, first + count)]
    return (replace(found[0], starts_at=NOW + timedelta(hours=2) if state == "submitted" else None), *found[1:])


def make_live(*trials: LiveTrial, failures: tuple[FailedTrials, ...] = (), complete: int = 9, **more) -> LiveSweep:
    """A sweep with these open trials."""
    counts = {"complete": complete, "failed": sum(len(each.trials) for each in failures)}
    for trial in trials:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    given = {
        "name": "grid",
        "executor": "slurm",
        "wanted": sum(counts.values()),
        "metric": "val_IoU",
        "at": NOW,
        "counts": {state: count for state, count in counts.items() if count},
        "open_trials": trials,
        "failures": failures,
        "best": BestTrial(3, 0.7412) if complete else None,
        "used": UsedHours(3.2, "GPU"),
        "end": EndEstimate((600, 1500), "from 4 running and 9 finished trainings; 4 at once"),
        "events": tuple(SweepEvent(NOW - timedelta(minutes=20 - i), f"trial {i} complete") for i in range(20)),
        "answered_at": NOW,
        **more,
    }
    return LiveSweep(**given)


def usual() -> LiveSweep:
    """A sweep in which something fails, runs and waits."""
    trials = (running(5, ago_s=400), *(running(number) for number in (6, 7, 8)), *waiting(20, 5))
    more = waiting(40, 9, "waiting", "all 4 slots are in use")
    failures = (FailedTrials("CUDA out of memory (see runs/0000/error-0.json)", (0, 2)), FailedTrials("no x", (4,)))
    return make_live(*trials, *more, failures=failures)
