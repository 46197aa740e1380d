"""Which settings a sweep may vary, and how a file names them: by the path in the trial config, or by the end of it."""

import dataclasses
import difflib
import typing
from collections.abc import Callable, Collection, Iterator, Mapping

from unetsweep.contract import TrialConfig
from unetsweep.core.space import REQUIRED
from unetsweep.core.trials import is_own
from unetsweep.decode import joined
from unetsweep.errors import Problem
from unetsweep.limits import MAX_KEY
from unetsweep.trial_config import is_own_name

SEED = "seed"
"""May vary in a grid or in points, but not in a search that learns from results."""
_ONE_SET = "all trials of a sweep use the same images and the same split, or their scores could not be compared"
_ONE_MASK = "it changes what counts as vessel, so the scores of the trials could not be compared"
_NO_EFFECT = "it changes no training"
_RESOURCES = "it says on what a training runs, not how; set it under slurm"

NOT_SWEPT: Mapping[str, str] = {
    "data.root": _ONE_SET,
    "data.split.val": _ONE_SET,
    "data.split.seed": _ONE_SET,
    "data.split.groups": _ONE_SET,
    "data.split.allow_leak": _NO_EFFECT,
    "data.mask_threshold": _ONE_MASK,
    "data.mask_values": _ONE_MASK,
    "data.allow_odd_masks": _NO_EFFECT,
    "data.also_score_at": _NO_EFFECT,
    "data.manifest": _ONE_SET,
    "model.classes": "vessel training has 1 class",
    "trainer.comet": _NO_EFFECT,
    "trainer.score_test": _NO_EFFECT,
    "trainer.threads": "it changes how fast a training is, not what it learns",
    "trainer.workers": "it changes how fast a training is, not what it learns",
    "trainer.command": "one program trains all trials of a sweep",
    "trainer.resumes": "it says what the program can do, and changes no training",
    "metric": "all trials of a sweep have one metric; set study.metric",
    "processes": _RESOURCES,
    "accelerator": _RESOURCES,
    "schema": "it is the version of the file",
    "params": "the parameters of a trainer.command are keys of space, by their own names",
}
"""Settings that no sweep may vary, each with the reason."""


def _leaves(section: type, at: str = "") -> Iterator[str]:
    for name, kind in typing.get_type_hints(section).items():
        path = joined(at, name)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from _leaves(kind, path)
        else:
            yield path


SWEEPABLE = tuple(path for path in _leaves(TrialConfig) if path not in NOT_SWEPT)
"""The paths of all settings that a sweep may vary, in the order of the trial config."""


def resolve(
    name: str, at: str, known: Collection[str] = SWEEPABLE, refused: Mapping[str, str] = NOT_SWEPT
) -> str | Problem:
    """Return the path of the setting that a key of a file names, or the problem at the field `at`.

    >>> resolve("base", "space.base"), resolve("trainer.loss", "space.trainer.loss")
    ('model.base', 'trainer.loss')
    """
    every = (*known, *refused)
    found = [name] if name in every else [path for path in every if path.endswith(f".{name}")]
    match found:
        case [path] if path in refused:
            return Problem(f"cannot be varied: {refused[path]}", at)
        case [path]:
            return path
        case [_, *_]:
            return Problem(f"{name!r} could be {' or '.join(found)}; write one of them", at)
    if inside := [path for path in known if path.startswith(f"{name}.")]:
        return Problem(f"{name!r} is a section; write its settings by their paths: {', '.join(inside)}", at)
    if hidden := [path for path in refused if f".{name}." in f".{path}"]:  # a section of which nothing may vary
        return Problem(f"cannot be varied: {refused[hidden[0]]}", at)
    return Problem(f"unknown key {name!r}; {_nearest(name, known)}", at)


_RESERVED = ("config", "out", "milestones", "schema")
"""Names under which a program gets something else."""
_OF_OURS = "of the built-in trainer, which trainer.command replaces, so your program does not read it"
_ANOTHER_NAME = "give the parameter of your program another name"


def resolve_own(name: str, at: str) -> str | Problem:
    """Return the parameter of a trainer command that a key of a file names, or the problem at the field `at`.

    >>> resolve_own("sigma", "space.sigma"), resolve_own("optimizer", "space.optimizer")
    ('sigma', 'optimizer')
    """
    if name in (*REQUIRED, SEED):
        return name
    if name in _RESERVED:
        return Problem(f"your program gets something else under the name {name!r}; {_ANOTHER_NAME}", at)
    if not is_own(name):
        what = f"of unetsweep: {NOT_SWEPT[name]}" if name in NOT_SWEPT and "." not in name else _OF_OURS
        return Problem(f"is a setting {what}; {_ANOTHER_NAME}", at)
    if not is_own_name(name):
        wanted = f"letters, digits, _, . and -, at most {MAX_KEY}, the first a letter, a digit or _"
        return Problem(f"found the name {name!r}; {wanted}"[:300], at)
    return name


Resolve = Callable[[str, str], str | Problem]
"""Returns the path of the parameter that a key of a file names, or the problem at a field."""


def resolver(*, has_command: bool) -> Resolve:
    """Return how the parameters of a sweep are named, which depends on whether it has a trainer command."""
    return resolve_own if has_command else resolve


def _nearest(name: str, known: Collection[str]) -> str:
    by_ending = {path.rpartition(".")[2]: path for path in known} | {path: path for path in known}
    near = difflib.get_close_matches(name, by_ending, 1) or difflib.get_close_matches(
        name.rpartition(".")[2], by_ending, 1
    )
    hint = f"did you mean {by_ending[near[0]]!r}?" if near else f"allowed are {', '.join(known)}."
    return f"{hint} Parameters of your own need trainer.command"


def short_name(path: str) -> str:
    """Return the last part of a path if it names no other setting, else the whole path.

    >>> short_name("trainer.weight_decay"), short_name("seed")
    ('weight_decay', 'seed')
    """
    ending = path.rpartition(".")[2]
    return ending if resolve(ending, "") == path else path
