"""Writes a sweep that looks as if its trials had been trained: results, progress, attempts and predicted masks.

Nothing is trained, so a benchmark of the report, or a test, has a sweep of hundreds of trials in a second.
"""

import hashlib
import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from unetsweep import contract
from unetsweep.atomic import link_all
from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.core.trials import trial_config
from unetsweep.datasets.decoding import Pixels
from unetsweep.datasets.layout import Pair, find_pairs
from unetsweep.datasets.manifest import pin
from unetsweep.datasets.mask_png import encode_mask
from unetsweep.datasets.panels import confusion
from unetsweep.datasets.predicted_masks import PredictionsFile, chosen, file_name
from unetsweep.datasets.reading import read_mask
from unetsweep.datasets.scores import iou, over_images, over_set, summed
from unetsweep.records import DataFile
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.trial_config import ParameterValue

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH_S = 30.0
YAML = """\
name: {name}
data: {{root: {images}, split: {{groups: groups.csv}}}}
space:
  epochs: {epochs}
  batch_size: [2, 4, 8]
  learning_rate: {{low: 1e-5, high: 1e-1, log: true}}
  optimizer: [adam, sgd]
study: {{sampler: random, trials: {trials}}}
slurm: {{gpus: 0}}
"""


def write_sweep(root: Path, images: Path, trials: int, epochs: int, pruned: Sequence[int] = ()) -> SweepDir:
    """Write a sweep of complete trials, of which some were `pruned`, into the folder `root`; return its directory.

    `images`: a set of images, as `unetsweep data sample` draws it. Half of its training images are the validation set.
    """
    spec = spec_from(YAML.format(name=root.name, images=images, epochs=epochs, trials=trials), "sweep.yaml")
    parts = find_pairs(images)
    train, val = parts["train"][::2], parts["train"][1::2]
    manifest = pin(train, val, parts.get("test", ()))
    directory = SweepDir(root)
    directory.create(as_yaml(spec), "local", DataFile(manifest, val_groups={pair.name: pair.name for pair in val}))
    draw = random.Random(0)  # noqa: S311 - made-up numbers
    configs = []
    for _ in range(trials):
        point: dict[str, ParameterValue] = {
            "epochs": epochs,
            "batch_size": draw.choice([2, 4, 8]),
            "learning_rate": 10 ** draw.uniform(-5, -1),
            "trainer.optimizer": draw.choice(["adam", "sgd"]),
        }
        config = trial_config(spec, point)
        configs.append(replace(config, data=replace(config.data, manifest=manifest)))
    numbers = directory.add_trials(configs, {"sampler": "random"})
    truths = [read_mask(pair.mask) for pair in val]
    results = []
    for number, config in zip(numbers, configs, strict=True):
        result = _train(directory, number, config, val, truths, epochs // 4 if number in pruned else epochs)
        results.append((root / paths.trial_dir(number) / paths.RESULT, contract.encode(result)))
    link_all(results)
    return directory


def _train(
    directory: SweepDir,
    number: int,
    config: contract.TrialConfig,
    val: Sequence[Pair],
    truths: Sequence[Pixels],
    epochs: int,
) -> contract.Result:
    """Write what a training leaves, and return its result."""
    run = directory.root / paths.run_dir(number)
    directory.create_attempts([Element(number, 1, ((number, config.epochs),))], None, "local")
    _write_times(directory, number, epochs)
    good = math.exp(-((math.log10(config.learning_rate) + 3) ** 2) / 2)
    rng = np.random.default_rng(number)
    masks = [_predicted(truth, 0.02 + 0.3 * (1 - good), rng) for truth in truths]
    counts = [confusion(mask, truth) for mask, truth in zip(masks, truths, strict=True)]
    score = iou(*summed(counts))
    _write_progress(run, epochs, score, rng)
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    kept = [encode_mask(val[at].name, masks[at]) for at in chosen([pair.name for pair in val])]
    record, path = PredictionsFile(digest, tuple(kept)), run / file_name(config.epochs)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(contract.dumps({"schema": contract.SCHEMA, **contract.encode(record)}))
    return contract.Result(
        state="complete" if epochs == config.epochs else "pruned",
        message=None if epochs == config.epochs else "worse than the median",
        trial=number,
        job_id=str(number + 1),
        config_id=contract.config_id(config),
        epochs=config.epochs,
        epochs_run=epochs,
        best_epoch=epochs,
        val_iou=score,
        val_loss=1 - score,
        val_scores={**over_set(counts), **over_images(counts)},
        val_per_image=tuple(
            {"image": pair.name, "tp": tp, "fp": fp, "fn": fn, "iou": iou(tp, fp, fn), "loss": 0.1}
            for pair, (tp, fp, fn) in zip(val, counts, strict=True)
        ),
        checkpoint=f"checkpoints/best-{config.epochs}.ckpt",
        seconds=epochs * EPOCH_S,
        host="node1",
        versions={"torch": "2.13.0", "unetsweep": "1.0.0", "python": "3.11"},
        hardware={"cpu": "some CPU"},
        weights_sha256=digest,
        code={"package": "0f3a9c2e11d7"},
    )


def _predicted(truth: Pixels, noise: float, rng: np.random.Generator) -> Pixels:
    """A mask that misses vessels and finds wrong ones, in patches as a network does."""
    height, width = truth.shape
    small = rng.random((height // 8 + 1, width // 8 + 1)).astype(np.float32)
    patches = cv2.resize(small, (width, height))
    wrong = cv2.dilate(truth, np.ones((3, 3), np.uint8)) - truth
    found = np.where(patches < 0.25 + noise, 0, truth) | np.where(patches > 0.8 - noise, wrong, 0)
    return np.asarray(found, np.uint8)


def _write_progress(run: Path, epochs: int, score: float, rng: np.random.Generator) -> None:
    lines = []
    for epoch in range(1, epochs + 1):
        value = score * (1 - math.exp(-5 * epoch / epochs)) + rng.normal(0, 0.004)
        at = BEGIN + timedelta(seconds=90 + epoch * EPOCH_S)
        lines.append({"schema": 1, "epoch": epoch, "val_iou": value, "seconds": EPOCH_S, "at": at.isoformat()})
    (run / "progress-1-0.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def _write_times(directory: SweepDir, number: int, epochs: int) -> None:
    """Write when the only attempt of a run was submitted, started and ended."""
    run = directory.root / paths.run_dir(number)
    attempt = run / "attempts" / "1.json"
    intent = json.loads(attempt.read_text())
    attempt.write_text(contract.dumps({**intent, "at": BEGIN.isoformat()}))
    (run / "claims").mkdir(exist_ok=True)
    begin, end = BEGIN + timedelta(seconds=60), BEGIN + timedelta(seconds=120 + epochs * EPOCH_S)
    claim = {"schema": 1, "job_id": str(number + 1), "at": begin.isoformat(), "node": "node1"}
    (run / "claims" / "1-0").write_text(contract.dumps(claim))
    (run / "attempts" / "1.exit-0.json").write_text(
        contract.dumps({"schema": 1, "status": 0, "at": end.isoformat(), "node": "node1"})
    )
