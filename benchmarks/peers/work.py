"""The trial that every tool runs: it sleeps, logs when, and returns a value. Standard library only.

`python work.py LOG SCALE NUMBER RATE [OUT]`: with OUT it writes unetsweep's result.json there.
"""

import json
import random
import sys
import time
from pathlib import Path

TRIALS = 24


def lengths(scale: float) -> list[float]:
    """Return the seconds of the 24 trials of a search: from 2 to 12 times `scale`, the same for every tool."""
    draw = random.Random(0)  # noqa: S311
    return [scale * draw.uniform(2, 12) for _ in range(TRIALS)]


def run_trial(log: str, length: float, rate: float) -> float:
    """Sleep, with a log line at the begin and one at the end; return a value that is best at the rate 0.01."""
    _log(log, "begin")
    time.sleep(length)
    _log(log, "end")
    return 1 / (1 + abs(rate - 0.01))


def count(log: str, epochs: int) -> float:
    """Log the epochs that a training would take; return them."""
    _log(log, f"epochs {epochs}")
    return float(epochs)


def _log(log: str, event: str) -> None:
    with open(log, "a") as stream:
        stream.write(f"{time.time():.3f} {event}\n")


def main(log: str, scale: str, number: str, rate: str, out: str = "") -> None:
    """Run a trial. `number` may be a path that ends in the number; `rate` may be a config.json that has the rate."""
    value = float(json.loads(Path(rate).read_bytes())["learning_rate"]) if rate.endswith(".json") else float(rate)
    length = lengths(float(scale))[int(Path(number).name) % TRIALS]
    score = run_trial(log, length, value)
    if out:
        Path(out, "result.json").write_text(json.dumps({"val_iou": score}))


if __name__ == "__main__":
    main(*sys.argv[1:])
