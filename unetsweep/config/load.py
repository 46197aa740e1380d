"""Load a sweep's YAML file into a SweepSpec, or report all of its problems with their lines."""

import dataclasses
import difflib
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unetsweep.bounded_json import read_user_text
from unetsweep.config.listed import ADDED, listed_from
from unetsweep.config.overrides import Overridden, override
from unetsweep.config.profiles import Folders, resources_from
from unetsweep.config.rules import CheckAugment, Sections, check_rules
from unetsweep.config.space import field_in
from unetsweep.config.study import study_from
from unetsweep.config.yaml12 import Document, read
from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig, TrialConfig
from unetsweep.core.space import REQUIRED
from unetsweep.core.spec import NO_SAMPLER, RunSpec, StudySpec, SweepSpec
from unetsweep.datasets.layout import home_of
from unetsweep.decode import decode_with_defaults, unknown_keys
from unetsweep.errors import Problem, SpecError

SECTIONS = ("name", "data", "space", "points", "exclude", "study", "model", "trainer", "run", "slurm")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


def load(
    path: Path,
    *,
    profile: str | None = None,
    check_augment: CheckAugment | None = None,
    overrides: Sequence[str] = (),
) -> SweepSpec:
    """Return the sweep of a file, or raise SpecError with every problem, in the file's order.

    Relative paths in the file start at the working directory. `profile` overrides `slurm.profile`; `check_augment` (of
    training.augment) checks a list of augmentations. `overrides`: keys of the file that have another value, each as
    `KEY=VALUE`.
    """
    try:
        text = read_user_text(path)
    except FileNotFoundError:
        raise SpecError(str(path), [f"there is no such file; {_instead_of(path)}"]) from None
    if isinstance(text, Problem):
        raise SpecError(str(path), [text])
    return spec_from(text, str(path), profile=profile, check_augment=check_augment, overrides=overrides)


def _instead_of(path: Path) -> str:
    """What to do if there is no such file: take the sweep file with nearly this name, or start from one of ours."""
    folder = path.parent
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    near = difflib.get_close_matches(path.stem, [file.stem for file in files], 1)
    if near:
        return f"did you mean {folder / near[0]}.yaml?"
    return "start from `sweeps/quickstart.yaml`, or let `unetsweep init` write one"


def load_stored(path: Path) -> SweepSpec:
    """Return the sweep of a `sweep.yaml`, as `load`. Such a file depends on no profile, so the same text is read once
    by a command."""
    try:
        text = read_user_text(path)
    except FileNotFoundError:
        text = Problem("is missing")
    if isinstance(text, Problem):
        raise SpecError(str(path), [text])
    return _spec_of_stored(text, str(path))


@functools.lru_cache(maxsize=2)
def _spec_of_stored(text: str, source: str) -> SweepSpec:
    return spec_from(text, source)


def error_in(path: Path, overrides: Sequence[str], problems: Sequence[Problem]) -> SpecError:
    """Return the error about a file that was loaded, with the lines of the fields."""
    found = overridden_file(path, overrides)
    if found is None:
        return SpecError(str(path), problems)
    named = [dataclasses.replace(problem, field=field_in(found.document, problem.field)) for problem in problems]
    return SpecError(str(path), found.located(named))


def overridden_file(path: Path, overrides: Sequence[str]) -> Overridden | None:
    """Return a file with the values of `overrides`; None if it is not YAML any more."""
    text = read_user_text(path)
    document = text if isinstance(text, Problem) else read(text)
    return override(document, overrides) if isinstance(document, Document) else None


def spec_from(
    text: str,
    source: str,
    *,
    profile: str | None = None,
    check_augment: CheckAugment | None = None,
    working: Path | None = None,
    home: Path | None = None,
    overrides: Sequence[str] = (),
) -> SweepSpec:
    """Return the sweep of a text. `source` names the text in errors, and its stem is the default name of the sweep.

    Relative paths start at `working`; profiles are looked up in `working` and `home`.
    """
    folders = Folders(working or Path.cwd(), home or Path.home())
    document = read(text)
    if isinstance(document, Problem):
        raise SpecError(source, [document])
    given = override(document, overrides)
    problems = list(given.document.problems)
    raw = given.document.value
    if not isinstance(raw, Mapping):
        found = "is empty" if raw is None else "is not a mapping"
        problems = problems or [Problem(f"{found}; {', '.join(SECTIONS)} are expected", "", 1, 1)]
        raise SpecError(source, given.located(problems))
    spec = _spec(raw, Path(source).stem, folders, profile, check_augment, problems)
    if problems or spec is None:
        raise SpecError(source, given.located(problems))
    return spec


def _spec(
    raw: Mapping[str, Any],
    stem: str,
    folders: Folders,
    profile: str | None,
    check_augment: CheckAugment | None,
    problems: list[Problem],
) -> SweepSpec | None:
    problems += unknown_keys((key for key in raw if key != ADDED), SECTIONS, "")
    name = _name(raw.get("name"), stem, problems)
    study, is_sampler_known = study_from(raw.get("study"), problems)
    fixed, rest = _fixed(raw.get("trainer"))
    rest = _with_meant_command(rest, problems)
    trainer = decode_with_defaults(TrainerConfig, _with_text_precision(rest), problems, "trainer")
    has_command = isinstance(rest, Mapping) and rest.get("command") is not None
    data = _data(raw.get("data"), trainer.command is not None, folders, problems)
    model = decode_with_defaults(ModelConfig, raw.get("model"), problems, "model")
    base = TrialConfig(data, 1, 1, 1.0, model, trainer)
    if raw.get("space") is None and raw.get("points"):
        problems += _unused(study, raw["study"] if isinstance(raw.get("study"), Mapping) else {})
        study = dataclasses.replace(study, sampler=NO_SAMPLER, sampler_args={}, trials=None)
    listed = listed_from(raw, fixed, base, study, problems, has_command=has_command)
    sections = Sections(
        data=data,
        axes=listed.axes,
        study=study,
        is_sampler_known=is_sampler_known,
        model=model,
        trainer=trainer,
        run=decode_with_defaults(RunSpec, raw.get("run"), problems, "run"),
        slurm=resources_from(raw.get("slurm"), folders, problems, profile),
        points=listed.points,
        has_points=bool(raw.get("points") or raw.get(ADDED)),
    )
    problems += check_rules(sections, check_augment)
    space = listed.space()
    if space is None:
        return None
    return SweepSpec(
        name,
        sections.data,
        space,
        sections.study,
        sections.model,
        sections.trainer,
        sections.run,
        sections.slurm,
        listed.points,
        listed.added,
    )


def _unused(study: StudySpec, raw: Mapping[str, Any]) -> list[Problem]:
    """What of `study:` has no use in a file with points and without a space."""
    why = "points without space: are the whole sweep, so nothing is sampled; remove it, or write a space"
    unused = {"sampler": raw.get("sampler") not in (None, NO_SAMPLER), "trials": study.trials is not None}
    return [Problem(f"found {raw[key]!r}; {why}"[:300], f"study.{key}") for key, is_there in unused.items() if is_there]


def is_name(text: str) -> bool:
    """Return whether a sweep may have this name."""
    return _NAME.fullmatch(text) is not None


def _name(raw: object, stem: str, problems: list[Problem]) -> str:
    wanted = "letters, digits, - and _, at most 60, the first a letter or digit"
    if raw is None:
        if not is_name(stem):
            message = f"the file's name {stem!r} cannot be the sweep's name; set name: to {wanted}"
            problems.append(Problem(message, "name"))
        return stem
    if not isinstance(raw, str) or not is_name(raw):
        problems.append(Problem(f"found {raw!r}; {wanted}", "name"))
    return str(raw)


def _fixed(raw: object) -> tuple[dict[str, Any], object]:
    """Return the parameters of the space that have one value in the section `trainer`, and the rest of the section."""
    if not isinstance(raw, Mapping):
        return {}, raw
    fixed = {path: raw[path] for path in REQUIRED if raw.get(path) is not None}
    return fixed, {key: value for key, value in raw.items() if key not in fixed}


def _with_meant_command(raw: object, problems: list[Problem]) -> object:
    """Return the section `trainer` with the command of a misspelled key, after adding that key to `problems`.

    Read as a file without a command, it would have other problems too, which are none.
    """
    names = [field.name for field in dataclasses.fields(TrainerConfig)]
    if not isinstance(raw, Mapping) or "command" in raw:
        return raw
    unknown = (key for key in raw if key not in names)
    meant = next((key for key in unknown if difflib.get_close_matches(str(key), names, 1) == ["command"]), None)
    if meant is None:
        return raw
    problems += unknown_keys([meant], names, "trainer")
    return {"command" if key == meant else key: value for key, value in raw.items()}


def _with_text_precision(raw: object) -> object:
    """Return the section `trainer` with `precision: 32` as a text."""
    if isinstance(raw, Mapping) and type(raw.get("precision")) is int and raw["precision"] == 32:
        return {**raw, "precision": "32"}
    return raw


def _data(raw: object, is_optional: bool, folders: Folders, problems: list[Problem]) -> DataConfig:
    """Return the data with absolute paths; a trainer command may need none."""
    if is_optional and (raw is None or isinstance(raw, Mapping)):
        raw = {"root": ".", **(raw or {})}
    data = decode_with_defaults(DataConfig, raw, problems, "data", required={"root": "."})
    if not data.root.strip() or not data.root.isprintable():
        problems.append(Problem(f"found {data.root!r}; a folder", "data.root"))
        return data
    root = Path(folders.absolute(data.root))
    split = dataclasses.replace(data.split, groups=_groups(data.split.groups, root, folders))
    return dataclasses.replace(data, root=str(root), split=split)


def _groups(groups: str, root: Path, folders: Folders) -> str:
    """Return `groups`; as an absolute path if it is a CSV file that only the working directory has."""
    if not groups.lower().endswith(".csv") or any((folder / groups).is_file() for folder in (root, home_of(root))):
        return groups
    other = folders.absolute(groups)
    return other if Path(other).is_file() else groups
