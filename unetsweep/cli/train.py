"""`unetsweep train`: one training by hand, through the door that jobs use."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetsweep.core import paths
from unetsweep.datasets.prepare import prepare
from unetsweep.errors import ConfigError, TrainingError, UnetsweepError, UsageError

if TYPE_CHECKING:
    from unetsweep.contract import TrialConfig


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of its files.")
def command(config: Path, out: Path) -> None:
    """Train CONFIG (a config.json; its data, epochs, batch_size and learning_rate are enough) into DIR.

    A training that was interrupted goes on where it was; a finished one is not done again. DIR/config.json is the
    config with the split as it was, by name; a training that goes on keeps it, and DIR holds one training only.
    """
    from unetsweep import contract
    from unetsweep.atomic import write_text

    raw, asked = _read(config)
    if asked.trainer.command is not None:
        raise UsageError(f"{config}: trainer.command is set: run that program itself")
    asked = _going_on(asked, out, has_groups="groups" in (raw["data"].get("split") or {}))
    dataset = prepare(asked.data)
    for warning in dataset.warnings:
        click.echo(f"warning: {warning}", err=True)
    path = out / paths.milestone(asked.epochs)
    if not path.exists():
        _train(replace(asked, data=replace(asked.data, manifest=dataset.manifest)), out)
    result = contract.result_from(json.loads(path.read_bytes()), str(path))
    write_text(out / paths.RESULT, path.read_text())
    shown = {"val_iou": result.val_iou, "val_loss": result.val_loss, "test_iou": result.test_iou}
    words = ", ".join(f"{name} {value:.4f}" for name, value in shown.items() if value is not None)
    click.echo(f"{result.state}: best epoch {result.best_epoch} of {result.epochs}: {words}")
    click.echo(f"{out / paths.RESULT}")


def _read(config: Path) -> "tuple[dict[str, Any], TrialConfig]":
    from unetsweep import contract

    try:
        raw = json.loads(config.read_bytes())
    except FileNotFoundError:
        raise ConfigError(str(config), ["there is no such file"]) from None
    except ValueError as error:
        raise ConfigError(str(config), [f"not readable as JSON: {error}"]) from error
    return raw, contract.config_from(raw, str(config))


def _train(config: "TrialConfig", out: Path) -> None:
    """DIR/config.json is what it was where the training does not come to its end."""
    from unetsweep import contract
    from unetsweep.atomic import write_text

    out.mkdir(parents=True, exist_ok=True)
    path = out / paths.CONFIG
    before = path.read_text() if path.exists() and _is_begun(out) else None
    write_text(path, contract.dumps(contract.encode(config)))
    try:
        train_here(config, path, out)
    except UnetsweepError:
        if before is not None:
            write_text(path, before)
        raise


def train_here(config: "TrialConfig", path: Path, out: Path) -> None:
    """Train the config that lies at `path`, by as many processes as it says. TrainingError where that fails."""
    from unetsweep.worker import train_by_hand, train_ranks_by_hand

    if config.processes == 1:
        train_by_hand(path, out)
    elif status := train_ranks_by_hand(path, out, config.processes):
        raise TrainingError(f"the training ended with status {status} and no result; its words are above")


def _is_begun(out: Path) -> bool:
    return (out / "checkpoints" / "last.ckpt").exists() or any((out / paths.milestone(1)).parent.glob("*.json"))


def _going_on(asked: "TrialConfig", out: Path, *, has_groups: bool) -> "TrialConfig":
    """`asked`, with the split of the training that DIR holds. UsageError where that is another one."""
    path = out / paths.CONFIG
    if not path.exists() or not _is_begun(out):
        return asked
    _, there = _read(path)
    split, manifest = asked.data.split, asked.data.manifest
    groups = split.groups if has_groups else there.data.split.groups  # the default may have been another one
    data = replace(asked.data, split=replace(split, groups=groups), manifest=manifest or there.data.manifest)
    asked = replace(asked, data=data)
    differing = list(_differing(there, asked))
    if differing:
        raise UsageError(
            f"{out} holds another training: {', '.join(differing)}; give this one a folder of its own with --out, "
            f"or ask for the same as {path}"
        )
    return asked


def _differing(there: "TrialConfig", asked: "TrialConfig") -> Iterator[str]:
    """`learning_rate 0.001 there, 0.01 asked`: what makes it another training."""
    was, now = (dict(_flat(config)) for config in (there, asked))
    free = {"data.split.allow_leak"} | ({"epochs"} if asked.trainer.schedule == "constant" else set())
    other = [name for name in was if was[name] != now[name] and name not in free]
    yield from (f"{name} {was[name]} there, {now[name]} asked" for name in other)
    if there.data.manifest not in (None, asked.data.manifest):
        yield "data.manifest names other images or other contents"


def _flat(config: "TrialConfig") -> Iterator[tuple[str, Any]]:
    from unetsweep.contract import encode

    def down(at: str, value: Any) -> Iterator[tuple[str, Any]]:
        for key, item in value.items():
            if isinstance(item, Mapping):
                yield from down(f"{at}{key}.", item)
            else:
                yield f"{at}{key}", item

    return down("", encode(replace(config, data=replace(config.data, manifest=None))))
