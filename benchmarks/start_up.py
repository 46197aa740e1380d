"""Measure the CPU that a training's process takes before its first step: for imports and for decoding its images.

`python -m benchmarks.start_up [EYES]` (default 20): 100 images of 512x512, as for sweeps/grid.yaml. The imports
are compared with PyTorch and its Adam alone. Every process decodes the images for itself; sharing decoded images on a
node could save at most what decoding takes here.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import print_row
from unetsweep.contract import SCHEMA
from unetsweep.datasets.sample import draw_sample

ROUNDS = 5
SIZE = 512
ADAM = "import torch; torch.optim.Adam(torch.nn.Linear(1, 1).parameters())"
"""PyTorch imports a good part of itself when the first optimizer is made."""
BARE = f"import cv2, json, sys; {ADAM}"
IMPORTS = f"import json, sys; from unetsweep import contract; from unetsweep.training import data, run; {ADAM}"
DECODING = f"{IMPORTS}; data.read(contract.config_from(json.load(open(sys.argv[1]))))"


def main() -> bool:
    eyes = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        draw_sample(Path(folder) / "sample", size=SIZE, eyes=eyes, test_eyes=eyes)
        data = {"root": f"{folder}/sample", "split": {"groups": "groups.csv"}}
        config = Path(folder) / "config.json"
        config.write_text(
            json.dumps({"schema": SCHEMA, "data": data, "epochs": 1, "batch_size": 2, "learning_rate": 0.001})
        )
        took = [[cpu_seconds(code, config) for code in (BARE, IMPORTS, DECODING)] for _ in range(ROUNDS + 1)][1:]
    bare, imports, both = (statistics.median(each) for each in zip(*took, strict=True))
    return print_row(
        f"a training's process before its first step, {5 * eyes} images of {SIZE}x{SIZE}",
        f"CPU: {imports:.2f} s of imports (PyTorch, its Adam and OpenCV alone: {bare:.2f} s), "
        f"{both - imports:.2f} s of decoding (medians of {ROUNDS})",
        "none",
        True,
    )


def cpu_seconds(code: str, config: Path) -> float:
    """Return the seconds of CPU that a Python process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, str(config)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    sys.exit(not main())
