"""Records `recorded_scores.json`: real scores, from which `test_significance.py` and `benchmarks.winners` draw sweeps.

    python tests/analysis/record_scores.py [SEEDS]

Draws a small sample set, trains two small configs with SEEDS seeds each (default 15) on the CPU, and writes the score
of each best checkpoint on every validation image: `{about, eyes: {image: eye}, configs: {name: [{seed, val_iou,
test_iou, per_image: {image: IoU}}]}}`, rounded to 6 digits. The runs of a config differ only in the
seed. It takes some minutes on one core; the last digits depend on the machine.
"""

import csv
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from unetsweep.contract import DataConfig, ModelConfig, Split, TrainerConfig, TrialConfig
from unetsweep.datasets.sample import draw_sample
from unetsweep.training import data
from unetsweep.training.checkpoints import load_unet
from unetsweep.training.evaluate import evaluate
from unetsweep.training.run import train

FILE = Path(__file__).with_name("recorded_scores.json")
SIZE, EYES, EPOCHS = 64, 12, 40
AUGMENTS = {"plain": "none", "augmented": "default"}
"""`trainer.augment` of each config; they differ in nothing else."""
VAL = 20 / (4 * EYES)
"""Five eyes in four variants each: 20 images, as in the dataset of 100 images."""


def record(seeds: int) -> dict[str, Any]:
    """The content of the file."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "eyes")
        draw_sample(root, size=SIZE, eyes=EYES, test_eyes=EYES)
        plain = TrialConfig(
            DataConfig(str(root), Split(val=VAL, groups="groups.csv")),
            epochs=EPOCHS,
            batch_size=4,
            learning_rate=1e-2,
            model=ModelConfig(base=8, depth=2),
            trainer=TrainerConfig(schedule="cosine", val_every=4),
            accelerator="cpu",
        )
        configs: dict[str, list[dict[str, Any]]] = {}
        for name, augment in AUGMENTS.items():
            config = dataclasses.replace(plain, trainer=dataclasses.replace(plain.trainer, augment=augment))
            configs[name] = [_run(config, seed, Path(folder, f"{name}{seed}")) for seed in range(1, seeds + 1)]
        eyes = {Path(row["file"]).stem: row["group"] for row in csv.DictReader((root / "groups.csv").open())}
        images = sorted(configs["plain"][0]["per_image"])
        about = (
            f"tests/analysis/record_scores.py: {SIZE} pixels, {EYES} eyes, base 8, depth 2, {EPOCHS} epochs, "
            f"batch size 4, learning rate 0.01, cosine, augment {AUGMENTS}"
        )
        return {"about": about, "eyes": {image: eyes[image] for image in images}, "configs": configs}


def _run(config: TrialConfig, seed: int, out: Path) -> dict[str, Any]:
    out.mkdir()
    train(dataclasses.replace(config, seed=seed), out)
    result = json.loads((out / "milestones" / f"{EPOCHS}.json").read_text())
    unet, config, _ = load_unet(out / result["checkpoint"])
    scores = evaluate(unet, data.read(config).val, torch.device("cpu"))
    run = {
        "seed": seed,
        "val_iou": round(scores.iou, 6),
        "test_iou": round(result["test_iou"], 6),
        "per_image": {row["image"]: round(row["iou"], 6) for row in scores.per_image()},
    }
    assert abs(scores.iou - result["val_iou"]) < 1e-9
    sys.stderr.write(f"{out.name}: val {run['val_iou']} test {run['test_iou']}\n")
    return run


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(int(sys.argv[1]) if sys.argv[1:] else 15), indent=None) + "\n")
