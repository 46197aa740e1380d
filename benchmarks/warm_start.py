"""Measure how long a training takes from being handed its trial to its first step: forked from a warm server, and as a
new process.

`python -m benchmarks.warm_start`: trains one epoch on drawn images of 128x128 in each round, without a scheduler.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import is_within, print_row
from unetsweep import process
from unetsweep.contract import DataConfig, ModelConfig, Split, TrialConfig, encode
from unetsweep.datasets.sample import draw_sample
from unetsweep.worker.rank_command import RankCommand
from unetsweep.worker.warm import WarmServer
from unetsweep.worker.warm_server import MODULES

ROUNDS = 5
WARM_S = 0.5
START = "import sys, benchmarks.first_step; from unetsweep.worker.__main__ import run; run(sys.argv[1:])"
"""Starts a rank as a new process that notes its first step."""


def seconds_to_first_step(folder: Path, config: Path, server: WarmServer | None) -> float:
    """Train one epoch, and return the seconds from its start to its first step."""
    step, out = folder / "step", Path(tempfile.mkdtemp(dir=folder))
    environment = {**os.environ, "FIRST_STEP": str(step)}
    arguments = ("hand", str(config), str(out), "0", "1", "0")
    warm = tuple(process.program("unetsweep.worker", *arguments))
    new = (sys.executable, "-c", START, *arguments)
    begin = time.time()
    command = RankCommand(warm if server else new, out / "log", environment, tuple(os.sched_getaffinity(0)))
    status = (server.start(command) if server else command.start()).wait()
    if status:
        sys.exit((out / "log").read_text())
    return float(step.read_text()) - begin


def main() -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_sample(folder / "images", eyes=6, test_eyes=2)
        data = DataConfig(str(folder / "images"), Split(groups="groups.csv"), image_size=128)
        config = folder / "config.json"
        config.write_text(json.dumps(encode(TrialConfig(data, 1, 4, 1e-3, ModelConfig(base=8, depth=3)))))
        server = WarmServer((*MODULES, "benchmarks.first_step"))
        seconds_to_first_step(folder, config, server)  # the first one waits for the imports
        found: dict[str, list[float]] = {"warm": [], "new": []}
        for _ in range(ROUNDS):
            found["warm"].append(seconds_to_first_step(folder, config, server))
            found["new"].append(seconds_to_first_step(folder, config, None))
    warm, new = (statistics.median(found[name]) for name in ("warm", "new"))
    is_met, speed = is_within(warm, WARM_S)
    return print_row(
        "from being handed a trial to its first step: second training of a warm server",
        f"{warm:.2f} s; as a new process {new:.2f} s (medians of {ROUNDS}){speed}",
        f"{WARM_S} s",
        is_met and not server.is_lost,
    )


if __name__ == "__main__":
    sys.exit(not main())
