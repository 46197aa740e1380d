"""Compare the paddings and output resizes of the U-Net by the validation IoU of three seeds each.

`python -m benchmarks.output_resize ROOT [EPOCHS …] [NETWORK …]` trains the NETWORKS (default: `same`, and `valid` with
each `output_resize`) on the images in ROOT, resized to 128x128, to each of EPOCHS (default: 12 and 60), and prints a
table. Images of `unetsweep data sample` are split by eye, those of CHASE_DB1 by child. The sweeps are in
`build/output_resize`: a call that was interrupted continues, and a repeated one only prints.

Before that it prints what a mask keeps of itself if it is resized to the size of a valid output and back: the most that
a network could reach whose image and output are resized so.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from unetsweep.datasets.panels import confusion
from unetsweep.datasets.reading import read_mask
from unetsweep.datasets.scores import iou
from unetsweep.training.unet import valid_input, valid_output

SEEDS = (0, 1, 2)
NETWORKS = {
    "same": "padding: same",
    "valid-none": "padding: valid, output_resize: none",
    "valid-bilinear": "padding: valid, output_resize: bilinear",
    "valid-nearest": "padding: valid, output_resize: nearest",
}
SIDE, DEPTH, BATCH, RATE = 128, 3, 2, 3e-3
"""At 128 pixels and depth 3 a valid output has 132 pixels."""
RESULTS = Path("build/output_resize")


def sweep_text(root: Path, network: str, epochs: list[int]) -> str:
    """Return the YAML file of a sweep that trains one network with every seed."""
    groups = "groups.csv" if (root / "groups.csv").exists() else r"'Image_(\d+)'"
    points = [
        f"{{epochs: {each}, batch_size: {BATCH}, learning_rate: {RATE}, seed: {seed}}}"
        for seed in SEEDS
        for each in epochs
    ]
    return f"""
data: {{root: {root}, split: {{val: 0.25, seed: 0, groups: {groups}}}, image_size: {SIDE}}}
points: [{", ".join(points)}]
model: {{base: 8, depth: {DEPTH}, norm: batch, {NETWORKS[network]}}}
trainer: {{loss: bce_dice, val_every: 4, score_test: false}}
run: {{parallel: 2}}
"""


def val_ious(name: str) -> dict[int, list[float]]:
    """Return the validation IoU of each seed of the sweep `name`, by epochs."""
    command = [sys.executable, "-m", "unetsweep", "report", name, "--results", str(RESULTS), "--format", "json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rows"]
    found: dict[int, list[float]] = {}
    for row in sorted(rows, key=lambda row: (row["epochs"], row["seed"])):
        found.setdefault(row["epochs"], []).append(row["val_iou"])
    return found


def kept_iou(root: Path) -> float:
    """Return the IoU of the training masks of ROOT with themselves, resized to a valid output's size and back."""
    total = torch.zeros(3)
    lattice = valid_output(valid_input(SIDE, DEPTH), DEPTH)
    for path in sorted((root / "train" / "mask").iterdir()):
        mask = read_mask(path, SIDE, "half")
        there = F.interpolate(torch.from_numpy(mask)[None, None].float(), (lattice, lattice), mode="bilinear")
        back = F.interpolate((there > 0.5).float(), (SIDE, SIDE), mode="bilinear")
        total += torch.tensor(confusion((back[0, 0] > 0.5).byte().numpy(), mask))
    return iou(*total.tolist())


def main(root: Path, epochs: list[int], networks: list[str]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    print(f"resized to a valid output and back, a mask keeps IoU {kept_iou(root):.2f}\n")
    print("| network | epochs | val IoU, mean | each seed |\n| --- | --- | --- | --- |")
    for network in networks:
        name = f"{root.name}-{network}"
        path = RESULTS / f"{name}.yaml"
        path.write_text(sweep_text(root, network, epochs), encoding="utf-8")
        command = [sys.executable, "-m", "unetsweep", "submit", str(path), "--results", str(RESULTS), "--watch"]
        subprocess.run([*command, "--executor", "local"], check=True, stdout=subprocess.DEVNULL)
        for count, scores in val_ious(name).items():
            each = " ".join(f"{score:.4f}" for score in scores)
            print(f"| {network} | {count} | {statistics.fmean(scores):.4f} | {each} |", flush=True)


if __name__ == "__main__":
    given = sys.argv[2:]
    wanted = sorted(int(each) for each in given if each.isdigit())
    main(Path(sys.argv[1]).absolute(), wanted or [12, 60], [each for each in given if each in NETWORKS] or [*NETWORKS])
