"""The baseline of `report_ratio`: open and parse each trial's two files, with the standard library alone.

`python -m benchmarks.read_trials SWEEP`
"""

import json
import sys
from pathlib import Path


def read_trials(root: Path) -> None:
    for folder in sorted((root / "trials").iterdir()):
        for name in ("trial.json", "result.json"):
            json.loads((folder / name).read_bytes())


if __name__ == "__main__":
    read_trials(Path(sys.argv[1]))
