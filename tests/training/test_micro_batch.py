"""A step that is computed in parts (micro-batches) is the same step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_scenes as scenes
from training_scenes import FOUR, MILESTONES, left_behind, trained

from unetsweep.training import data
from unetsweep.training.checkpoints import LAST

# SGD, because Adam would hide a gradient of the wrong size.
PLAIN: dict[str, Any] = {"model": {"norm": "none"}, "epochs": 2, "learning_rate": 0.05, "trainer": {"optimizer": "sgd"}}


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_every_rank_has_equally_many_parts_with_the_weights_of_the_whole_step(size: int, most: int, root: Path) -> None:
    for count in (1, 2, 5, 8):
        config = scenes.config(root, batch_size=8, processes=size)
        batch = list(range(count))
        ranks = [data.in_parts(batch, r, size, most, data.parts_of_step(config, most)) for r in range(size)]
        assert len({len(parts) for parts in ranks}) == 1
        assert all(0 < len(part) <= most for parts in ranks for part in parts)
        mine = [[pair for part in parts for pair in part if pair[1]] for parts in ranks]
        assert sorted(index for pairs in mine for index, _ in pairs) == batch
        share = data.parts_of_step(config, most) * size / count
        assert all(weight == pytest.approx(share) for pairs in mine for _, weight in pairs)


@pytest.mark.parametrize("micro_batch", [None, 1, 2, 3])
@pytest.mark.parametrize("count", [8, 9, 10, 11])
def test_a_loader_is_as_long_as_it_says(micro_batch: int | None, count: int, root: Path) -> None:
    config = scenes.config(root, batch_size=8, processes=2)
    for rank in (0, 1):
        shares = data.Shares(count, config, rank, 2, lambda: 0, micro_batch)
        assert len(list(shares)) == len(shares)


@pytest.mark.train
@pytest.mark.parametrize(("size", "micro_batch"), [(1, 1), (1, 3), (2, 1)])
def test_a_step_in_parts_gives_the_weights_of_the_whole_step(size: int, micro_batch: int, tmp_path: Path) -> None:
    images = scenes.write_images(tmp_path / "seven", count=7)  # five training images: the last step is one sample
    config = scenes.config(images, **PLAIN, processes=size)
    whole = trained(tmp_path / "whole", config, size)
    parts = trained(tmp_path / "parts", config, size, micro_batch=micro_batch)
    for (name, a), b in zip(scenes.weights(whole / LAST).items(), scenes.weights(parts / LAST).values(), strict=True):
        np.testing.assert_allclose(np.frombuffer(a, "f4"), np.frombuffer(b, "f4"), atol=1e-5, err_msg=name)
    for a, b in zip(scenes.progress(whole).values(), scenes.progress(parts).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    assert scenes.result(parts, 2)["micro_batch"] == micro_batch
    steps = [torch.load(out / LAST, weights_only=True)["global_step"] for out in (whole, parts)]
    assert steps == [4, 4]


@pytest.mark.train
def test_a_part_as_large_as_the_batch_changes_no_bit(root: Path, whole: Path, tmp_path: Path) -> None:
    out = trained(tmp_path / "out", scenes.config(root, **FOUR), milestones=MILESTONES, micro_batch=64)
    assert left_behind(out) == left_behind(whole)


@pytest.mark.train
def test_a_training_in_parts_resumes_bit_for_bit(root: Path, tmp_path: Path) -> None:
    config = scenes.config(root, **FOUR)
    calm = trained(tmp_path / "calm", config, milestones=MILESTONES, micro_batch=1)
    out = trained(tmp_path / "out", config, milestones=MILESTONES, micro_batch=1, stop_after=2)
    trained(out, config, milestones=MILESTONES, micro_batch=1, claim="1-1")
    assert left_behind(out) == left_behind(calm)
