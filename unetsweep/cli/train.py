"""`unetsweep train`: one training by hand, through the door that jobs use."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from unetsweep.contract import TrialConfig


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of its files.")
def command(config: Path, out: Path) -> None:
    """Train CONFIG (a config.json; its data, epochs, batch_size and learning_rate are enough) into DIR.

    A training that was interrupted goes on where it was; a finished one is not done again. DIR/config.json is the
    config with the split as it was, by name.
    """
    from unetsweep import contract
    from unetsweep.adapters.files import write_text
    from unetsweep.core import layout
    from unetsweep.worker import train_by_hand, train_ranks_by_hand

    try:
        asked = contract.config_from(json.loads(config.read_bytes()), str(config))
    except FileNotFoundError:
        raise ConfigError(str(config), ["there is no such file"]) from None
    except ValueError as error:
        raise ConfigError(str(config), [f"not readable as JSON: {error}"]) from error
    if asked.trainer.command is not None:
        raise UsageError(f"{config}: trainer.command is set: run that program itself")
    from unetsweep.images.check import check

    asked = _as_before(asked, out)
    checked = check(asked.data)
    for warning in checked.warnings:
        click.echo(f"warning: {warning}", err=True)
    out.mkdir(parents=True, exist_ok=True)
    pinned = replace(asked, data=replace(asked.data, manifest=checked.manifest))
    path = out / layout.CONFIG
    write_text(path, contract.dumps(contract.encode(pinned)))
    if asked.processes == 1:
        train_by_hand(path, out)
    else:
        status = train_ranks_by_hand(path, out, asked.processes)
        if status:
            sys.exit(status)
    path = out / layout.horizon(asked.epochs)
    result = contract.result_from(json.loads(path.read_bytes()), str(path))
    write_text(out / layout.RESULT, path.read_text())
    shown = {"val_iou": result.val_iou, "val_loss": result.val_loss, "test_iou": result.test_iou}
    words = ", ".join(f"{name} {value:.4f}" for name, value in shown.items() if value is not None)
    click.echo(f"{result.state}: best epoch {result.best_epoch} of {result.epochs}: {words}")
    click.echo(f"{out / layout.RESULT}")


def _as_before(asked: "TrialConfig", out: Path) -> "TrialConfig":
    """With the split of the training in `out`, where it is the same but for its epochs. UsageError where it is another
    one: then nothing of it is touched."""
    from unetsweep.contract import config_from, run_key
    from unetsweep.core import layout
    from unetsweep.training.checkpoints import LAST

    path = out / layout.CONFIG
    if not path.exists() or not ((out / LAST).exists() or (out / "horizons").exists()):
        return asked
    try:
        before = config_from(json.loads(path.read_bytes()), str(path))
    except ValueError as error:
        raise UsageError(f"{path}: not readable as JSON ({error}); remove {out}, or name another --out") from error
    if asked.data.manifest is None:
        asked = replace(asked, data=replace(asked.data, manifest=before.data.manifest))
    looks_at_total = asked.trainer.schedule != "constant" and asked.epochs != before.epochs
    if run_key(asked) != run_key(before) or looks_at_total:
        raise UsageError(f"{out} holds another training, of {path}; name another --out, or remove that one")
    return asked
