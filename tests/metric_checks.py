"""Checks of every score against numpy, scikit-learn and torchmetrics on the same arrays.

`tests/training/test_evaluate.py` applies them for every number of images and ranks, and `test_planted_errors.py` shows
that each of them fails when the code is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score
from torchmetrics.classification import BinaryF1Score, BinaryJaccardIndex, BinaryPrecision, BinaryRecall

from unetsweep.contract import ModelConfig
from unetsweep.datasets.layout import Pair
from unetsweep.datasets.reading import Images, read_pairs
from unetsweep.datasets.scores import under_other_masks
from unetsweep.training.evaluate import Scores, evaluate
from unetsweep.training.unet import UNet

MOST = 21
ALSO = (0.0, 200.0)
EMPTY = 2
"""The number of an image without a vessel."""
NEAR = pytest.approx


@dataclass(frozen=True)
class Case:
    """The true mask and the predicted probabilities of an image."""

    true: np.ndarray
    probability: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        return self.probability > 0.5


# ---- a data set, and how unetsweep scores it


def write_set(root: Path) -> Path:
    """Write `MOST` images of different sizes, so that pixels and not images are weighted, with grey-edged masks."""
    rng = np.random.default_rng(7)
    root.mkdir()
    for n in range(MOST):
        height, width = 20 + 3 * (n % 5), 34 - 2 * (n % 7)
        mask = np.zeros((height, width), np.uint8)
        for _ in range(0 if n == EMPTY else 3):
            ends = [(int(rng.integers(0, width)), int(rng.integers(0, height))) for _ in range(2)]
            cv2.line(mask, *ends, 255, 1 + n % 3)
        cv2.imwrite(str(root / f"mask-{n}.png"), cv2.GaussianBlur(mask, (3, 3), 0))
        cv2.imwrite(str(root / f"image-{n}.png"), rng.integers(0, 256, (height, width, 3)).astype(np.uint8))
    return root


def pairs_of(root: Path) -> list[Pair]:
    return [Pair(f"im{n}", root / f"image-{n}.png", root / f"mask-{n}.png") for n in range(MOST)]


def first(images: Images, count: int) -> Images:
    also = tuple(masks[:count] for masks in images.also)
    return Images(images.names[:count], images.images[:count], images.masks[:count], also)


def some_unet() -> UNet:
    torch.manual_seed(4)
    return UNet(ModelConfig(base=2, depth=2))


def as_dict(scores: Scores) -> dict[str, Any]:
    """Everything that an evaluation returns, as plain values."""
    return {
        "names": list(scores.names),
        "table": scores.table.tolist(),
        "iou": scores.iou,
        "loss": scores.loss,
        "summary": scores.summary(),
        "per_image": list(scores.per_image()),
        "also": under_other_masks(ALSO, scores.also_counts, ()),
    }


def scene(context: Any, out: Path, root: Path, counts: dict[str, list[int]], plants: dict[str, Callable]) -> None:
    """Every rank scores the first images, as many as `counts` says, with each error planted, and saves the scores."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{context.port}", rank=context.rank, world_size=context.size
    )
    found = {}
    for plant, numbers in counts.items():
        with plants[plant]():
            images, unet = read_pairs(pairs_of(root), None, "half", also=ALSO), some_unet()
            for count in numbers:
                scores = evaluate(unet, first(images, count), torch.device("cpu"), "32", context.rank, context.size)
                found[plant, count] = as_dict(scores)
    torch.save(found, out / f"scores-{context.rank}.pt")
    torch.distributed.destroy_process_group()


def read_scores(out: Path, rank: int) -> dict[tuple[str, int], dict[str, Any]]:
    return torch.load(out / f"scores-{rank}.pt", weights_only=True)


# ---- the references


@cache
def references(root: Path) -> list[Case]:
    """The images by OpenCV, numpy and a forward pass: the only code of ours is the network."""
    unet, cases = some_unet().eval(), []
    for n in range(MOST):
        bgr = cv2.imread(str(root / f"image-{n}.png"), cv2.IMREAD_COLOR)
        x = torch.from_numpy(bgr[..., ::-1].transpose(2, 0, 1).copy())[None].float() / 127.5 - 1.0
        with torch.no_grad():
            logit = unet(x)[0, 0].double().numpy()
        cases.append(Case(_grey(root, n) > 127.5, 1 / (1 + np.exp(-logit))))
    return cases


def _grey(root: Path, n: int) -> np.ndarray:
    """The grey levels of a mask, stretched to 0 to 255."""
    grey = cv2.imread(str(root / f"mask-{n}.png"), cv2.IMREAD_GRAYSCALE).astype(float)
    return grey if n == EMPTY else (grey - grey.min()) * 255 / (grey.max() - grey.min())


def by_sklearn(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The scores of two flat arrays by scikit-learn; `zero_division` follows rule 2 of datasets.scores."""
    zero = 0.0 if true.any() or predicted.any() else 1.0
    scores = {"iou": jaccard_score, "dice": f1_score, "precision": precision_score, "sensitivity": recall_score}
    return {name: float(score(true, predicted, zero_division=zero)) for name, score in scores.items()}


def by_torchmetrics(cases: list[Case]) -> dict[str, float]:
    """The scores by torchmetrics, updated image by image with probabilities that it thresholds itself."""
    zero = 0.0 if any(case.true.any() or case.predicted.any() for case in cases) else 1.0
    kinds = {
        "iou": BinaryJaccardIndex,
        "dice": BinaryF1Score,
        "precision": BinaryPrecision,
        "sensitivity": BinaryRecall,
    }
    found = {}
    for name, kind in kinds.items():
        metric = kind(threshold=0.5, zero_division=zero)
        for case in cases:
            metric.update(torch.from_numpy(case.probability.ravel()), torch.from_numpy(case.true.ravel().astype(int)))
        found[name] = float(metric.compute())
    return found


_KINDS = {"iou": BinaryJaccardIndex, "dice": BinaryF1Score, "precision": BinaryPrecision, "sensitivity": BinaryRecall}


@cache
def image_ious(root: Path) -> list[tuple[float, float]]:
    """The IoU of each image by scikit-learn and by torchmetrics."""
    return [
        (by_sklearn(case.true.ravel(), case.predicted.ravel())["iou"], by_torchmetrics([case])["iou"])
        for case in references(root)
    ]


def confusion(true: np.ndarray, predicted: np.ndarray) -> tuple[int, int, int]:
    return int((true & predicted).sum()), int((~true & predicted).sum()), int((true & ~predicted).sum())


# ---- the checks: they compare with the first `len(found["names"])` images of `root`


def check_counts(found: dict[str, Any], root: Path) -> None:
    """Each image once, in order, with its own pixels and cross-entropy."""
    cases = references(root)[: len(found["names"])]
    assert found["names"] == [f"im{n}" for n in range(len(cases))]
    for row, case in zip(found["table"], cases, strict=True):
        assert tuple(row[:3]) == confusion(case.true, case.predicted)
        p = np.where(case.true, case.probability, 1 - case.probability)
        assert row[3] == NEAR(-np.log(p).sum(), rel=1e-5)
        assert row[4] == case.true.size


def check_data_set(found: dict[str, Any], root: Path) -> None:
    """IoU, Dice, precision and sensitivity of all pixels together; the loss is a mean over pixels."""
    cases = references(root)[: len(found["names"])]
    scores = {"iou": found["iou"]} | {name: found["summary"][name] for name in ("dice", "precision", "sensitivity")}
    true = np.concatenate([case.true.ravel() for case in cases])
    assert scores == NEAR(by_sklearn(true, np.concatenate([case.predicted.ravel() for case in cases])), abs=1e-12)
    assert scores == NEAR(by_torchmetrics(cases), abs=1e-6)  # torchmetrics divides in float32
    p = np.concatenate([np.where(case.true, case.probability, 1 - case.probability).ravel() for case in cases])
    assert found["loss"] == NEAR(-np.log(p).mean(), rel=1e-5)


def check_images(found: dict[str, Any], root: Path) -> None:
    """Each image's own IoU, their mean and their sample standard deviation."""
    cases = references(root)[: len(found["names"])]
    assert [row["image"] for row in found["per_image"]] == found["names"]
    for row, case in zip(found["per_image"], cases, strict=True):
        assert (row["tp"], row["fp"], row["fn"]) == confusion(case.true, case.predicted)
    each = [sklearn for sklearn, _ in image_ious(root)[: len(cases)]]
    for row, (sklearn, torchmetrics) in zip(found["per_image"], image_ious(root), strict=False):
        assert row["iou"] == NEAR(sklearn, abs=1e-12)
        assert row["iou"] == NEAR(torchmetrics, abs=1e-6)
    assert found["summary"]["image_iou_mean"] == NEAR(np.mean(each), abs=1e-12)
    if len(each) == 1:
        assert "image_iou_sd" not in found["summary"]
    else:
        assert found["summary"]["image_iou_sd"] == NEAR(np.std(each, ddof=1), abs=1e-12)


def check_other_masks(found: dict[str, Any], root: Path) -> None:
    """The same predictions against masks with other thresholds, in grey levels of the file."""
    cases = references(root)[: len(found["names"])]
    predicted = np.concatenate([case.predicted.ravel() for case in cases])
    for key, level in (("0", 0), ("200", 200)):
        grey = [cv2.imread(str(root / f"mask-{n}.png"), cv2.IMREAD_GRAYSCALE) for n in range(len(cases))]
        scores = by_sklearn(np.concatenate([each.ravel() for each in grey]) > level, predicted)
        assert found["also"][key] == NEAR({"val_iou": scores["iou"], "val_dice": scores["dice"]}, abs=1e-12)


CHECKS = (check_counts, check_data_set, check_images, check_other_masks)
