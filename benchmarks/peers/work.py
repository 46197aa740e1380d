"""What every peer runs as its trial: it sleeps, writes down when, and gives a value. The standard library alone.

`python work.py LOG LENGTH RATE [OUT]`: with OUT it leaves unetsweep's result.json there.
"""

import json
import random
import sys
import time
from pathlib import Path

TRIALS = 24


def lengths(scale: float) -> list[float]:
    """Seconds of the 24 trials of a search, by their number: from 2 to 12 times `scale`, the same for every peer."""
    drawn = random.Random(0)  # noqa: S311
    return [scale * drawn.uniform(2, 12) for _ in range(TRIALS)]


def trial(log: str, length: float, rate: float) -> float:
    """Sleep; a line at the begin and one at the end; the value is best at 0.01."""
    _tell(log, "begin")
    time.sleep(length)
    _tell(log, "end")
    return 1 / (1 + abs(rate - 0.01))


def count(log: str, epochs: int) -> float:
    """A training that only counts its epochs."""
    _tell(log, f"epochs {epochs}")
    return float(epochs)


def _tell(log: str, what: str) -> None:
    with open(log, "a") as stream:
        stream.write(f"{time.time():.3f} {what}\n")


def main(log: str, scale: str, number: str, rate: str, out: str = "") -> None:
    """As a program: `number` is a trial's, or a path that ends in it; a rate `{config}` is read from that file."""
    value = float(json.loads(Path(rate).read_bytes())["learning_rate"]) if rate.endswith(".json") else float(rate)
    length = lengths(float(scale))[int(Path(number).name) % TRIALS]
    gives = trial(log, length, value)
    if out:
        Path(out, "result.json").write_text(json.dumps({"val_iou": gives}))


if __name__ == "__main__":
    main(*sys.argv[1:])
