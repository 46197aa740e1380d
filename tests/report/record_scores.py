"""Make recorded_scores.json: validation scores by image of one config trained with many seeds.

    python tests/report/record_scores.py FOLDER

FOLDER gets the images and the trainings (some minutes on one core). The config is a small U-Net on synthetic eyes of
64x64; only the seed of the training differs, the split and the images stay.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from unetsweep.contract import DataConfig, ModelConfig, Split, TrainerConfig, TrialConfig
from unetsweep.images.sample import draw_sample
from unetsweep.training.run import train

SEEDS = range(1, 11)
RECORDED = Path(__file__).with_name("recorded_scores.json")


def main(folder: Path) -> None:
    root = folder / "eyes"
    draw_sample(root, size=64, eyes=20, test_eyes=2)
    data = DataConfig(str(root), Split(groups="groups.csv"))
    trainer = TrainerConfig(schedule="cosine")
    config = TrialConfig(data, 12, 4, 0.01, ModelConfig(base=8, depth=2), trainer, accelerator="cpu")
    runs = {}
    for seed in SEEDS:
        out = folder / str(seed)
        out.mkdir(parents=True)
        train(replace(config, seed=seed), out)
        result = json.loads((out / f"horizons/{config.epochs}.json").read_text())
        runs[seed] = {row["image"]: round(row["iou"], 6) for row in result["val_per_image"]}
        print(seed, result["val_iou"], flush=True)  # noqa: T201
    RECORDED.write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
