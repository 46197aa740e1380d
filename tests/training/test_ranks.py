"""A training makes the same steps with any number of ranks, and in every start."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import training_scenes as scenes
from torch.optim.optimizer import register_optimizer_step_post_hook
from training_scenes import FOUR, MILESTONES, left_behind, trained

from unetsweep.contract import TrialConfig
from unetsweep.training.checkpoints import LAST, load_unet, weights_digest
from unetsweep.training.ranks import DistributedContext

pytestmark = pytest.mark.train

WHOLE = list(range(12))
BATCHES = [WHOLE, [0], [3, 1], [5, 4, 2], [7, 8, 9, 6, 1], WHOLE[:7], WHOLE[::-1]]
"""Global batches of 12 and smaller last ones: for 1 to 4 ranks even, uneven, and with ranks that get no sample."""
SMALL_STEPS: dict[str, Any] = {"epochs": 1, "batch_size": 12, "learning_rate": 1e-30, "seed": 1}
"""The learning rate is so small that the weights are equal in each step. With seed 0 one value is so close to the kink
of a ReLU that in float32 it is on the other side with 2 ranks: the gradient is then off by 1e-4, but not in float64."""
HARD: dict[str, Any] = {"norm": "batch", "dropout": 0.25}
PLAIN: dict[str, Any] = {"norm": "none"}


def gradients(context: DistributedContext, out: Path, config: TrialConfig, micro_batch: int | None = None) -> None:
    """Train on BATCHES and save the gradients of each step; in float64 if the name of `out` ends with it."""
    from unetsweep.training import data

    if out.name.endswith("float64"):
        torch.set_default_dtype(torch.float64)
        torch.Tensor.float = torch.Tensor.double  # type: ignore[assignment, method-assign]
    data.steps = lambda *_: BATCHES  # type: ignore[assignment]
    data.Shares.__len__ = lambda shares: sum(1 for _ in shares)  # type: ignore[method-assign]
    found: list[list[torch.Tensor]] = []

    def record(optimizer: torch.optim.Optimizer, *_: object) -> None:
        found.append([value.grad.clone() for group in optimizer.param_groups for value in group["params"]])

    register_optimizer_step_post_hook(record)
    scenes.train(context, out, config, micro_batch=micro_batch)
    torch.save(found, out / f"gradients-{context.rank}.pt")


def of_ranks(root: Path, out: Path, size: int, micro_batch: int | None = None, **model: Any) -> list[torch.Tensor]:
    """The gradient of each step as one vector, and the buffers at the end; they are equal on all ranks."""
    trainer = {"optimizer": "sgd", "augment": "none"}
    config = scenes.config(root, **SMALL_STEPS, processes=size, trainer=trainer, model=model)
    assert scenes.run(gradients, out, config, micro_batch, size=size) == [0] * size, scenes.error(out)["trace"]
    ranks = [[torch.cat([part.flatten() for part in step]) for step in torch.load(out / f"gradients-{r}.pt")]
             for r in range(size)]  # fmt: skip
    assert all(torch.equal(mine, first) for rank in ranks for mine, first in zip(rank, ranks[0], strict=True))
    state = torch.load(out / LAST, weights_only=True)["state_dict"]
    buffers = [value.flatten().double() for name, value in state.items() if "running" in name]
    return [*ranks[0], *([torch.cat(buffers)] if buffers else [])]


def differences(several: list[torch.Tensor], one: list[torch.Tensor]) -> list[float]:
    """The norm of each difference, relative to the norm of the right vector."""
    return [float((a - b).norm() / b.norm()) for a, b in zip(several, one, strict=True)]


@pytest.fixture(scope="module")
def dozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training images and four validation images."""
    return scenes.write_images(tmp_path_factory.mktemp("dozen") / "set", count=16, test=1)


@pytest.mark.parametrize(
    ("kind", "bound"), [pytest.param("float32", 1e-5, marks=pytest.mark.thorough), ("float64", 1e-10)]
)
def test_any_number_of_ranks_has_the_gradients_of_one_rank(
    kind: str, bound: float, dozen: Path, tmp_path: Path
) -> None:
    one = of_ranks(dozen, tmp_path / f"1-{kind}", 1)
    assert len(one) == len(BATCHES) + 1
    for size in (2, 3, 4) if kind == "float32" else (2, 3):
        found = differences(of_ranks(dozen, tmp_path / f"{size}-{kind}", size), one)
        print(f"{size} ranks, {kind}, batch norm:", *(f"{value:.1e}" for value in found))  # noqa: T201  # a table, with -s
        assert max(found) < bound


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(HARD | {"dropout": 0.0}, id="batch norm"),
        pytest.param(PLAIN, id="none", marks=pytest.mark.thorough),
    ],
)
def test_the_parts_of_a_step_are_normalised_over_all_ranks(model: Any, dozen: Path, tmp_path: Path) -> None:
    one = of_ranks(dozen, tmp_path / "1", 1, 4, **model)
    assert max(differences(of_ranks(dozen, tmp_path / "4", 4, 1, **model), one)) < 1e-5


thorough = pytest.mark.thorough  # test_training.py has 1 and 2 ranks
RANKS = [
    pytest.param(size, model, id=f"{size} ranks, {name}", marks=[] if size == 3 and model is HARD else thorough)
    for size in (1, 2, 3, 4)
    for name, model in (("batch norm and dropout", HARD), ("neither", PLAIN))
]


@pytest.mark.parametrize(("size", "model"), RANKS)
def test_stopped_or_killed_ranks_continue_with_the_same_bits(
    size: int, model: dict[str, Any], dozen: Path, tmp_path: Path
) -> None:
    config = scenes.config(dozen, **FOUR, model=model, processes=size, batch_size=6 if size == 3 else 4)
    calm = trained(tmp_path / "calm", config, size, milestones=MILESTONES, snapshots=True)
    again = trained(tmp_path / "again", config, size, milestones=MILESTONES)
    stopped = trained(tmp_path / "stopped", config, size, milestones=MILESTONES, stop_after=1)
    trained(stopped, config, size, milestones=MILESTONES, claim="1-1")
    states = scenes.states_of(calm)
    killed = states[sorted(states)[len(states) // 2]]
    assert (killed / LAST).exists()
    trained(killed, config, size, milestones=MILESTONES, claim="1-1")
    for name, out in (("uninterrupted", calm), ("once more", again), ("stopped", stopped), ("killed", killed)):
        unet, _, _ = load_unet(out / "checkpoints/best-4.ckpt")
        print(f"{size} ranks, {model}, {name}: {weights_digest(unet.state_dict())}")  # noqa: T201  # a table, with -s
        assert left_behind(out) == left_behind(calm)
    alone = trained(tmp_path / "alone", dataclasses.replace(config, epochs=3), size)
    assert scenes.row(alone, 3) == scenes.row(calm, 3)
