"""Our uses of internals of Lightning and torch: each test fails when such an internal disappears or changes.

The patches are tested by their effect in a real training, and against the same training without the patch. If
Lightning no longer does what a patch prevents, the test fails too, and the patch should be deleted.
"""

import ast
import functools
import inspect
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import training_scenes as scenes
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from unetsweep import training
from unetsweep.contract import TrialConfig
from unetsweep.training import callbacks, ranks, run
from unetsweep.training.checkpoints import OwnedCheckpointIO
from unetsweep.training.lightning_compat import epochs_done
from unetsweep.training.ranks import OrderedDDP, Ranks

SIZE, EPOCHS = 2, 2
PATCHES = ("keep_signal_handlers", "skip_sigterm_broadcast", "skip_memory_fill")
BATCHES_AN_EPOCH = 2
"""Six training images in batches of four."""


class Observer(pl.Callback):
    """Records, at the end of each batch, the state that the patches are about."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.counts = dict.fromkeys(("broadcast", "mean_in_order"), 0)

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, which counts its calls under `name`."""

        @functools.wraps(function)
        def call(*args: Any, **keywords: Any) -> Any:
            self.counts[name] += 1
            return function(*args, **keywords)

        return call

    def on_train_epoch_start(self, trainer: pl.Trainer, module: Any) -> None:
        self.counts = dict.fromkeys(self.counts, 0)  # broadcasts between epochs are our own

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        batch = {
            **self.counts,
            "epochs done": epochs_done(trainer),
            "SIGTERM": repr(signal.getsignal(signal.SIGTERM)),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "fills memory": torch.utils.deterministic.fill_uninitialized_memory,
            "new memory is NaN": torch.empty(3).isnan().all().item(),
        }
        self.batches.append(batch)


def train_observed(context: Any, out: Path, config: TrialConfig, without: str) -> None:
    """Train without one of the patches, and write what the observer recorded into a file."""
    observer, build = Observer(), run._trainer
    torch.distributed.broadcast = observer.counted("broadcast", torch.distributed.broadcast)
    ranks.mean_in_order = observer.counted("mean_in_order", ranks.mean_in_order)

    def with_observer(*args: Any) -> pl.Trainer:
        trainer = build(*args)
        trainer.callbacks.append(observer)  # type: ignore[attr-defined]
        return trainer

    run._trainer = with_observer
    if without:
        assert callable(getattr(run, without))
        setattr(run, without, lambda *_: None)
    scenes.train(context, out, config)
    (out / f"batches-{context.rank}.json").write_text(json.dumps(observer.batches))


@pytest.fixture(scope="module")
def batches(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What rank 1 observed in each batch, by the patch that was left out (empty: none)."""
    found = {}
    for without in ("", *PATCHES):
        out = tmp_path_factory.mktemp("observed") / (without or "none")
        config = scenes.config(root, epochs=EPOCHS, processes=SIZE)
        assert scenes.run(train_observed, out, config, without, size=SIZE) == [0] * SIZE, scenes.error(out)["trace"]
        found[without] = json.loads((out / "batches-1.json").read_text())
        assert len(found[without]) == EPOCHS * BATCHES_AN_EPOCH
    return found


def of_each(batches: list[dict[str, Any]], name: str) -> list[Any]:
    return [batch[name] for batch in batches]


@pytest.mark.train
def test_lightning_installs_no_signal_handler(batches: Any) -> None:
    assert set(of_each(batches[""], "SIGTERM")) == {repr(signal.SIG_DFL)}
    assert all("_HandlersCompose" in each for each in of_each(batches["keep_signal_handlers"], "SIGTERM"))


@pytest.mark.train
def test_no_batch_waits_for_a_broadcast(batches: Any) -> None:
    assert set(of_each(batches[""], "broadcast")) == {0}
    within_an_epoch = [n % BATCHES_AN_EPOCH for n in range(EPOCHS * BATCHES_AN_EPOCH)]
    # Lightning broadcasts before each batch, and the observer begins to count after the first one has begun.
    counts = of_each(batches["skip_sigterm_broadcast"], "broadcast")
    assert [count - counts[0] for count in counts] == within_an_epoch
    assert max(counts) > 0


@pytest.mark.train
def test_new_memory_is_not_filled_in_deterministic_mode(batches: Any) -> None:
    assert all(of_each(batches[""], "deterministic"))
    assert not any(of_each(batches[""], "fills memory"))
    assert all(of_each(batches["skip_memory_fill"], "new memory is NaN"))


@pytest.mark.train
def test_the_number_of_finished_epochs_is_right_within_an_epoch(batches: Any) -> None:
    assert of_each(batches[""], "epochs done") == [epoch for epoch in range(EPOCHS) for _ in range(BATCHES_AN_EPOCH)]


@pytest.mark.train
def test_ddp_calls_our_communication_hook(batches: Any) -> None:
    """`OrderedDDP` registers it after `configure_ddp`; a second hook of Lightning's own would be refused by DDP."""
    assert all(count > 0 for count in of_each(batches[""], "mean_in_order"))


def train_to_epoch_1(context: Any, out: Path, config: TrialConfig) -> None:
    """Train with a last epoch that is set after the fit has begun."""
    begin = callbacks.EpochEnds.on_train_start

    def on_train_start(self: Any, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        begin(self, trainer, module)
        callbacks.set_last_epoch(trainer, 1)

    callbacks.EpochEnds.on_train_start = on_train_start  # type: ignore[method-assign]
    scenes.train(context, out, config, milestones=(1, 2))


@pytest.mark.train
def test_the_last_epoch_can_be_set_while_the_fit_runs(root: Path, tmp_path: Path) -> None:
    assert scenes.run(train_to_epoch_1, tmp_path, scenes.config(root, epochs=2)) == [1]
    assert "training ended without a result for epochs [2]" in scenes.error(tmp_path)["message"]
    assert scenes.progress(tmp_path).keys() == {1}


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (_SignalConnector, "register_signal_handlers"),
        (_TrainingEpochLoop, "_broadcast_sigterm_tensor"),
        (DDPStrategy, "configure_ddp"),
    ],
)
def test_replaced_methods_take_no_arguments_and_return_nothing(owner: type, name: str) -> None:
    signature = inspect.signature(vars(owner)[name])
    assert list(signature.parameters) == ["self"]
    assert signature.return_annotation in (None, "None")


def test_no_other_module_touches_a_private_attribute() -> None:
    for path in Path(str(training.__file__)).parent.glob("*.py"):
        if path.name == "lightning_compat.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                assert isinstance(node.value, ast.Name), f"{path.name}:{node.lineno}"
                is_exit = (node.value.id, node.attr) == ("os", "_exit")  # documented, despite its name
                assert is_exit or node.value.id == "self", f"{path.name}:{node.lineno}"


def test_the_objects_with_the_replaced_methods_are_where_we_replace_them() -> None:
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    assert isinstance(trainer._signal_connector, _SignalConnector)
    assert isinstance(trainer.fit_loop.epoch_loop, _TrainingEpochLoop)


def test_the_plugins_override_exactly_what_lightning_calls() -> None:
    assert vars(Ranks).keys() >= ClusterEnvironment.__abstractmethods__
    for name in ("save_checkpoint", "load_checkpoint"):
        ours, theirs = (inspect.signature(vars(cls)[name]) for cls in (OwnedCheckpointIO, TorchCheckpointIO))
        assert list(ours.parameters) == list(theirs.parameters)
    assert "configure_ddp" in vars(OrderedDDP)


def test_the_operators_of_our_batch_normalisation_have_the_arguments_that_we_pass() -> None:
    """torch documents neither of them."""
    assert str(torch.ops.aten.native_batch_norm_backward.default._schema) == (
        "aten::native_batch_norm_backward(Tensor grad_out, Tensor input, Tensor? weight, Tensor? running_mean, "
        "Tensor? running_var, Tensor? save_mean, Tensor? save_invstd, bool train, float eps, bool[3] output_mask) "
        "-> (Tensor, Tensor, Tensor)"
    )
    assert str(torch.ops.aten.batch_norm_update_stats.default._schema) == (
        "aten::batch_norm_update_stats(Tensor input, Tensor? running_mean, Tensor? running_var, float momentum) "
        "-> (Tensor, Tensor)"
    )
