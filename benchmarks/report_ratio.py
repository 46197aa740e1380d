"""Measure how long `unetsweep report` takes over finished trials, against opening and parsing their JSON files.

`python -m benchmarks.report_ratio [TRIALS]` (default 10000): makes a sweep of finished trials in a temporary folder
with the code of the package, then times `unetsweep report` and the baseline (`benchmarks.read_trials`) in turns.
"""

import random
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import command_runner, medians, print_row, time_in_turns
from unetsweep import contract
from unetsweep.atomic import link_all
from unetsweep.config.written import as_yaml
from unetsweep.core import paths
from unetsweep.core.space import Choices, Range, Space
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.datasets.scores import DATA_SET, OVER_IMAGES
from unetsweep.store.sweep_dir import SweepDir

ROUNDS = 5
BUDGET = 3.0
IMAGES = 20
"""Test images of each result, and as many validation images, as in the set of 100."""


def make_sweep(root: Path, trials: int) -> None:
    """Make a sweep of complete trials, with results as our trainer writes them."""
    data = contract.DataConfig(root=str(root.parent), split=contract.Split(groups="groups.csv"))
    space = Space.of(epochs=Choices((100,)), batch_size=Choices((4,)), learning_rate=Range(1e-5, 1e-1, log=True))
    spec = SweepSpec("many", data, space, study=StudySpec(sampler="random", trials=trials))
    directory = SweepDir(root)
    directory.create(as_yaml(spec), "local")
    draw = random.Random(0)  # noqa: S311 - made-up numbers
    configs = [contract.TrialConfig(data, 100, 4, 10 ** draw.uniform(-5, -1)) for _ in range(trials)]
    results = []
    for number in directory.add_trials(configs, {"sampler": "random"}):
        result = contract.encode(made_up_result(number, draw))
        results.append((root / paths.trial_dir(number) / paths.RESULT, result))
    link_all(results)


def made_up_result(number: int, draw: random.Random) -> contract.Result:
    """Return a result as a training on the set of 100 writes it."""
    per_image = tuple(
        {"image": f"{image}.png", "tp": 900, "fp": 80, "fn": 120, "iou": draw.random(), "loss": draw.random()}
        for image in range(IMAGES)
    )
    scores = {name: draw.random() for name in (*DATA_SET, *OVER_IMAGES)}
    files = {part: [f"{image}.png" for image in range(count)] for part, count in (("train", 60), ("val", 20))}
    return contract.Result(
        trial=number,
        job_id=f"18808_{number}",
        epochs=100,
        epochs_run=100,
        best_epoch=draw.randint(1, 100),
        val_iou=draw.random(),
        val_loss=draw.random(),
        test_iou=draw.random(),
        test_loss=draw.random(),
        test_per_image=per_image,
        val_per_image=per_image,
        val_scores=scores,
        test_scores=scores,
        checkpoint="checkpoints/best-100.ckpt",
        seconds=draw.uniform(60, 600),
        gpu_seconds=draw.uniform(60, 600),
        peak_memory_mb=2000.0,
        host="node1",
        versions={"torch": "2.13.0", "unetsweep": "0.1.0"},
        hardware={"cpu": "some CPU", "simd": "AVX2"},
        threads=1,
        weights_sha256="0" * 64,
        data_manifest={**files, "sha256": "0" * 64},
    )


def main() -> bool:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "many"
        make_sweep(root, trials)
        subjects = {
            "report": command_runner(sys.executable, "-m", "unetsweep", "report", str(root)),
            "read": command_runner(sys.executable, "-m", "benchmarks.read_trials", str(root)),
        }
        took = medians(time_in_turns(ROUNDS, subjects))
    ratio = took["report"] / took["read"]
    return print_row(
        f"`unetsweep report` over {trials} finished trials against parsing the same files",
        f"{ratio:.2f} times ({took['report']:.2f} / {took['read']:.2f} s, medians of {ROUNDS})",
        f"{BUDGET:.0f} times",
        ratio <= BUDGET,
    )


if __name__ == "__main__":
    sys.exit(not main())
