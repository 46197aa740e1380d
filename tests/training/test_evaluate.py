from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_scenes

from unetsweep.contract import ModelConfig
from unetsweep.images.read import Images
from unetsweep.training.data import scaled
from unetsweep.training.evaluate import evaluate
from unetsweep.training.unet import UNet

CPU = torch.device("cpu")


def some_images(count: int) -> Images:
    rng = np.random.default_rng(count)
    sides = [(20 + 3 * n, 33 - 2 * n) for n in range(count)]  # of different sizes: pixels count, not images
    return Images(
        tuple(f"im{n}" for n in range(count)),
        tuple(rng.integers(0, 256, (*side, 3)).astype(np.uint8) for side in sides),
        tuple((rng.random(side) > 0.8).astype(np.uint8) for side in sides),
    )


def some_unet() -> UNet:
    torch.manual_seed(4)
    return UNet(ModelConfig(base=2, depth=2))


def brute_force(unet: UNet, images: Images) -> np.ndarray:
    rows = []
    with torch.no_grad():
        for image, mask in zip(images.images, images.masks, strict=True):
            x = scaled(torch.from_numpy(image.transpose(2, 0, 1).copy()))[None]
            logit = unet.eval()(x)[0, 0].double().numpy()
            p = 1 / (1 + np.exp(-logit))
            said = p > 0.5
            bce = -(mask * np.log(p) + (1 - mask) * np.log1p(-p)).sum()
            rows.append(
                [(said & (mask == 1)).sum(), (said & (mask == 0)).sum(), (~said & (mask == 1)).sum(), bce, mask.size]
            )
    return np.array(rows, float)


def scene(world: Any, out: Path, counts: list[int]) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{world.port}", rank=world.rank, world_size=world.size
    )
    for count in counts:
        scores = evaluate(some_unet(), some_images(count), CPU, "32", world.rank, world.size)
        np.save(out / f"{count}-{world.rank}.npy", scores.table)
    torch.distributed.destroy_process_group()


@pytest.mark.train
def test_each_image_counts_once_on_one_and_two_ranks(tmp_path: Path) -> None:
    counts = [1, 2, 3, 4, 5]
    assert training_scenes.run(scene, tmp_path, counts, size=2) == [0, 0]
    for count in counts:
        images, unet = some_images(count), some_unet()
        truth = brute_force(unet, images)
        scores = evaluate(unet, images, CPU)
        np.testing.assert_allclose(scores.table, truth, rtol=1e-6)
        np.testing.assert_array_equal(scores.table[:, :3], truth[:, :3])
        tp, fp, fn, bce, pixels = truth.sum(0)
        assert scores.iou == tp / (tp + fp + fn)
        assert scores.loss == pytest.approx(bce / pixels)
        for rank in range(2):
            np.testing.assert_array_equal(np.load(tmp_path / f"{count}-{rank}.npy"), scores.table)


def test_rows_name_their_images_and_add_up() -> None:
    scores = evaluate(some_unet(), some_images(3), CPU)
    rows = scores.per_image()
    assert [row["image"] for row in rows] == ["im0", "im1", "im2"]
    assert rows[1]["iou"] == rows[1]["tp"] / (rows[1]["tp"] + rows[1]["fp"] + rows[1]["fn"])
    assert [sum(row[k] for row in rows) for k in ("tp", "fp", "fn")] == scores.table.sum(0)[:3].tolist()


def test_evaluation_leaves_network_and_random_state_as_they_were() -> None:
    unet = some_unet().train()
    before = {k: v.clone() for k, v in unet.state_dict().items()}
    chance = torch.get_rng_state()
    evaluate(unet, some_images(2), CPU, "bf16-mixed")
    assert unet.training
    assert torch.is_grad_enabled()
    assert torch.equal(chance, torch.get_rng_state())
    assert all(torch.equal(before[k], v) for k, v in unet.state_dict().items())


def test_nothing_to_find_and_nothing_found_is_full_agreement() -> None:
    unet = some_unet()
    torch.nn.init.constant_(unet.classify.bias, -1e4)
    images = some_images(1)
    empty = Images(images.names, images.images, (np.zeros_like(images.masks[0]),))
    assert evaluate(unet, empty, CPU).iou == 1.0
    assert evaluate(unet, images, CPU).iou == 0.0


def test_a_network_that_answers_nan_has_a_loss_of_nan() -> None:
    unet = some_unet()
    torch.nn.init.constant_(unet.classify.bias, float("nan"))
    assert np.isnan(evaluate(unet, some_images(1), CPU).loss)
