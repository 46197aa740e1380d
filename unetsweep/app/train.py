"""Train one config.json outside a sweep, with the trainer that a sweep's jobs run."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unetsweep.app.memory import memory_of_machine, reading_problem, training_problem
from unetsweep.atomic import write_text
from unetsweep.bounded_json import parse_json, read_json, read_user_text
from unetsweep.contract import (
    Result,
    TrialConfig,
    config_from,
    dumps,
    encode,
    one_value_problem,
    precision_problem,
    result_from,
)
from unetsweep.core import paths
from unetsweep.datasets.prepare import PreparedDataset, prepare
from unetsweep.errors import ConfigError, Problem, StateError, TrainingError, UnetsweepError, UsageError
from unetsweep.schedulers.local.machine import devices
from unetsweep.training.augment import check_augment
from unetsweep.training.augmented_sizes import least_side, size_problems
from unetsweep.worker import train_by_hand, train_ranks_by_hand


@dataclass(frozen=True, slots=True)
class FinishedTraining:
    """The result of a training by hand."""

    result: Result
    path: Path
    """The result file."""


def train(config: Path, out: Path, warn: Callable[[str], None]) -> FinishedTraining:
    """Train the config in the file `config` into the folder `out`, and return its result.

    An interrupted training in `out` continues; a finished one is not repeated. `warn` receives each warning about the
    images before the training starts. Raises UsageError if `out` holds another training.
    """
    raw, wanted = _read_config(config)
    if wanted.trainer.command is not None:
        raise UsageError(f"{config}: it sets trainer.command; run that program directly")
    wanted = _keep_split(wanted, out, has_groups="groups" in (raw["data"].get("split") or {}))
    dataset = _read_images(wanted, config)
    for warning in (*dataset.warnings, *filter(None, [dataset.no_test if wanted.trainer.score_test else None])):
        warn(warning)
    milestone = out / paths.milestone(wanted.epochs)
    if not milestone.exists():
        _train_into(replace(wanted, data=replace(wanted.data, manifest=dataset.manifest)), out)
    result = result_from(read_json(milestone), str(milestone))
    write_text(out / paths.RESULT, milestone.read_text())
    return FinishedTraining(result, out / paths.RESULT)


def _read_images(config: TrialConfig, source: Path) -> PreparedDataset:
    """Check and split the images. ConfigError if they, their augmentation or this machine do not fit the config."""
    gpus = config.accelerator != "cpu" and bool(devices())

    def refuse_if(problem: Problem | None) -> None:
        if problem is not None:
            raise ConfigError(str(source), [problem])

    found = precision_problem(config.trainer.precision, gpus=gpus)
    refuse_if(None if found is None else Problem(found, "trainer.precision"))
    if problems := check_augment(config.trainer.augment):
        raise ConfigError(str(source), problems)
    refuse_if(reading_problem(config.data.image_size))
    refuse_if(training_problem(config, memory_of_machine(), gpus=gpus))
    dataset = prepare(config.data)
    sizes, channels = dataset.training_sizes, config.model.in_channels
    for problem in size_problems(
        config.trainer.augment, sizes, batch_size=config.batch_size, processes=config.processes, channels=channels
    ):
        refuse_if(problem)
    side = least_side(config.trainer.augment, list(sizes), channels)
    found = one_value_problem(config.model, config.batch_size, dataset.training_images, side)
    refuse_if(None if found is None else Problem(found, "batch_size"))
    refuse_if(training_problem(config, memory_of_machine(), gpus=gpus, dataset=dataset))
    return dataset


def run_training(config: TrialConfig, path: Path, out: Path) -> None:
    """Train `config`, which is stored at `path`, into `out`, with as many processes as it asks for.

    Raises TrainingError if the training fails.
    """
    if config.processes == 1:
        train_by_hand(path, out)
    elif status := train_ranks_by_hand(path, out, config.processes):
        raise TrainingError(f"the training failed with exit status {status}; its output is above")


def _read_config(path: Path) -> tuple[dict[str, Any], TrialConfig]:
    """The parsed JSON and the config decoded from it."""
    try:
        text = read_user_text(path)
        if isinstance(text, Problem):
            raise ConfigError(str(path), [text])
        raw = parse_json(text.encode(), unique=True)
    except FileNotFoundError:
        raise ConfigError(str(path), ["there is no such file"]) from None
    except (ValueError, StateError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ConfigError(str(path), [f"not readable as JSON: {reason}"]) from error
    return raw, config_from(raw, str(path))


def _train_into(config: TrialConfig, out: Path) -> None:
    """Write out/config.json and train. If an existing training cannot continue, its old config.json is restored."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / paths.CONFIG
    before = path.read_text() if path.exists() and _has_training(out) else None
    write_text(path, dumps(encode(config)))
    try:
        run_training(config, path, out)
    except UnetsweepError:
        if before is not None:
            write_text(path, before)
        raise


def _has_training(out: Path) -> bool:
    return (out / "checkpoints" / "last.ckpt").exists() or any((out / paths.milestone(1)).parent.glob("*.json"))


def _keep_split(wanted: TrialConfig, out: Path, *, has_groups: bool) -> TrialConfig:
    """`wanted`, with the split of the training in `out`, if there is one. UsageError if that is another training."""
    path = out / paths.CONFIG
    if not path.exists() or not _has_training(out):
        return wanted
    _, stored = _read_config(path)
    split, manifest = wanted.data.split, wanted.data.manifest
    groups = split.groups if has_groups else stored.data.split.groups  # the default may have changed since
    data = replace(wanted.data, split=replace(split, groups=groups), manifest=manifest or stored.data.manifest)
    wanted = replace(wanted, data=data)
    differences = list(_differences(stored, wanted))
    if differences:
        raise UsageError(
            f"{out} holds another training ({', '.join(differences)}); "
            f"choose another folder with --out, or use the settings in {path}"
        )
    return wanted


def _differences(stored: TrialConfig, wanted: TrialConfig) -> Iterator[str]:
    """The settings that make `wanted` another training: `learning_rate was 0.001, now 0.01`."""
    before, now = (dict(_flatten(config)) for config in (stored, wanted))
    free = {"data.split.allow_leak"} | ({"epochs"} if wanted.trainer.schedule == "constant" else set())
    changed = [name for name in before if before[name] != now[name] and name not in free]
    yield from (f"{name} was {before[name]}, now {now[name]}" for name in changed)
    if stored.data.manifest not in (None, wanted.data.manifest):
        yield "data.manifest has other images or other contents"


def _flatten(config: TrialConfig) -> Iterator[tuple[str, Any]]:
    """Every setting with its full name, without the manifest."""

    def descend(prefix: str, section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for key, item in section.items():
            if isinstance(item, Mapping):
                yield from descend(f"{prefix}{key}.", item)
            else:
                yield f"{prefix}{key}", item

    return descend("", encode(replace(config, data=replace(config.data, manifest=None))))
