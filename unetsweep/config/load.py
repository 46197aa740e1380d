"""A sweep's YAML file as a SweepSpec, or all of its problems with their lines."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetsweep.config.decoded import decoded, unknown_keys
from unetsweep.config.paths import absolute
from unetsweep.config.places import placed
from unetsweep.config.profiles import Folders, resources_from
from unetsweep.config.rules import CheckAugment, Parts, broken
from unetsweep.config.space import axes_from
from unetsweep.config.study import study_from
from unetsweep.config.yaml12 import read
from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig
from unetsweep.core import paths
from unetsweep.core.spec import RunSpec, SweepSpec
from unetsweep.datasets.layout import home_of
from unetsweep.errors import Problem, SpecError

SECTIONS = ("name", "data", "space", "study", "model", "trainer", "run", "slurm")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


def load(
    path: Path, *, profile: str | None = None, groups: str | None = None, check_augment: CheckAugment | None = None
) -> SweepSpec:
    """The sweep of a file; relative paths in it are taken from the working directory.

    `profile` replaces `slurm.profile`; `groups` is `data.split.groups` where the file has none; `check_augment` (of
    training.augment) is asked about a list of augmentations. Raises SpecError with every problem, in the file's order.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpecError(str(path), ["there is no such file; `sweeps/quickstart.yaml` is one to start from"]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not a text in UTF-8: {error}"
        raise SpecError(str(path), [f"cannot be read: {reason}"]) from error
    is_own = path.name == paths.SPEC and (path.parent / paths.SWEEP).exists()  # written by us, from a spec
    return spec_from(text, str(path), profile=profile, groups=groups, check_augment=check_augment, any_parameter=is_own)


def spec_from(
    text: str,
    source: str,
    *,
    profile: str | None = None,
    groups: str | None = None,
    check_augment: CheckAugment | None = None,
    working: Path | None = None,
    home: Path | None = None,
    any_parameter: bool = False,
) -> SweepSpec:
    """`load` for a text; `source` names it in errors, and its stem the sweep.

    `working` and `home` are the folders where relative paths and profiles are looked for. `any_parameter`: the space
    may vary any field of the trial config, by its path.
    """
    folders = Folders(working or Path.cwd(), home or Path.home())
    document = read(text)
    if isinstance(document, Problem):
        raise SpecError(source, [document])
    problems = list(document.problems)
    raw = document.value
    if not isinstance(raw, Mapping):
        found = "is empty" if raw is None else "is no mapping"
        problems = problems or [Problem(f"{found}; {', '.join(SECTIONS)} are expected", "", 1, 1)]
        raise SpecError(source, placed(problems, document.places))
    if groups is not None:
        raw = {**raw, "data": _with_groups(raw.get("data"), groups)}
    spec = _spec(raw, Path(source).stem, folders, profile, check_augment, problems, any_parameter=any_parameter)
    if problems or spec is None:
        raise SpecError(source, placed(problems, document.places))
    return spec


def _spec(
    raw: Mapping[str, Any],
    stem: str,
    folders: Folders,
    profile: str | None,
    check_augment: CheckAugment | None,
    problems: list[Problem],
    *,
    any_parameter: bool,
) -> SweepSpec | None:
    problems += unknown_keys(raw, SECTIONS, "")
    name = _name(raw.get("name"), stem, problems)
    study, sampler_known = study_from(raw.get("study"), problems)
    trainer = decoded(TrainerConfig, _trainer_keys(raw.get("trainer")), problems, "trainer")
    parts = Parts(
        data=_data(raw.get("data"), trainer.command is not None, folders.working, problems),
        axes=axes_from(raw.get("space"), problems, any_parameter=any_parameter),
        study=study,
        sampler_known=sampler_known,
        model=decoded(ModelConfig, raw.get("model"), problems, "model"),
        trainer=trainer,
        run=decoded(RunSpec, raw.get("run"), problems, "run"),
        slurm=resources_from(raw.get("slurm"), folders, problems, profile),
    )
    problems += broken(parts, check_augment)
    space = parts.axes.space()
    if space is None:
        return None
    return SweepSpec(name, parts.data, space, parts.study, parts.model, parts.trainer, parts.run, parts.slurm)


def is_name(text: str) -> bool:
    """Whether a sweep may be called so."""
    return _NAME.fullmatch(text) is not None


def _name(raw: object, stem: str, problems: list[Problem]) -> str:
    wanted = "letters, digits, - and _, at most 60, the first a letter or digit"
    if raw is None:
        if not is_name(stem):
            problems.append(Problem(f"the file's name {stem!r} cannot be the sweep's; say name: with {wanted}", "name"))
        return stem
    if not isinstance(raw, str) or not is_name(raw):
        problems.append(Problem(f"found {raw!r}; {wanted}", "name"))
    return str(raw)


def _trainer_keys(raw: object) -> object:
    """`precision: 32` may be written as the number that it looks like."""
    if isinstance(raw, Mapping) and type(raw.get("precision")) is int and raw["precision"] == 32:
        return {**raw, "precision": "32"}
    return raw


def _data(raw: object, is_optional: bool, working: Path, problems: list[Problem]) -> DataConfig:
    """The data with absolute paths; a trainer of the user's own may need none."""
    if is_optional and (raw is None or isinstance(raw, Mapping)):
        raw = {"root": ".", **(raw or {})}
    data = decoded(DataConfig, raw, problems, "data", needed={"root": "."})
    if not data.root.strip() or not data.root.isprintable():
        problems.append(Problem(f"found {data.root!r}; a folder", "data.root"))
        return data
    root = Path(absolute(data.root, working))
    split = dataclasses.replace(data.split, groups=_groups(data.split.groups, root, working))
    return dataclasses.replace(data, root=str(root), split=split)


def _with_groups(data: object, groups: str) -> object:
    """The section `data` with these groups, where it can have some and names none."""
    split = (data.get("split") or {}) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(split, Mapping):
        return data
    return {**data, "split": {"groups": groups, **split}}


def _groups(groups: str, root: Path, working: Path) -> str:
    """A CSV file is one in the data's folder, else one from the working directory."""
    if not groups.lower().endswith(".csv") or any((folder / groups).is_file() for folder in (root, home_of(root))):
        return groups
    other = absolute(groups, working)
    return other if Path(other).is_file() else groups
