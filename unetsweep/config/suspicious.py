"""What in a valid file of a sweep is probably a mistake. It is a warning, because it may be right."""

import math
import shlex
from collections.abc import Iterator

from unetsweep.contract import ModelConfig
from unetsweep.core import trainer_command
from unetsweep.core.missing_points import points_wanted
from unetsweep.core.space import Range, Space
from unetsweep.core.space_size import size
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import has_epochs, is_own
from unetsweep.errors import Problem
from unetsweep.texts import counted

_COMMAND = "trainer.command"


def suspicious(spec: SweepSpec, *, has_data: bool) -> list[Problem]:
    """Return what is probably wrong in a sweep. `has_data`: the folder `data.root` is there."""
    found, command = [*_too_few_points(spec)], spec.trainer.command
    if command is not None:
        found += [*_unused_parameters(command, spec.space), *_shell_syntax(command)]
        found += _unread_sections(spec, has_data=has_data)
    return found


def _too_few_points(spec: SweepSpec) -> Iterator[Problem]:
    asked = spec.study.trials
    if asked is None or spec.added or math.isinf(size(spec.space)) or (there := points_wanted(spec)) >= asked:
        return
    domains = {path: each for path, each in spec.space.domains().items() if is_own(path) and isinstance(each, Range)}
    whole = next((path for path, each in domains.items() if each.is_whole), None)
    hint = f"; {whole} takes whole numbers only: for others write low or high with a point, as in 1.0" if whole else ""
    yield Problem(f"{asked} are asked for, and the space has {counted(there, 'point')}{hint}", "study.trials")


def _unused_parameters(command: str, space: Space) -> Iterator[Problem]:
    """Yield the parameters that a command leaves out, if it names others and no file that has them all."""
    names, used = trainer_command.names_of(space.paths), set(trainer_command.placeholders(command))
    if "config" in used or names.keys().isdisjoint(used.difference(trainer_command.FIXED)):
        return
    right = "right if the program reads it itself (parameters.json, the client)"
    passed = {names.get(name, name) for name in used}
    for path in space.paths:
        if path not in passed and (path != "epochs" or has_epochs(space)):
            yield Problem(f"is in space, but {_COMMAND} has no {{{path}}}; {right}", f"space.{path}")


def _shell_syntax(command: str) -> Iterator[Problem]:
    if found := trainer_command.shell_syntax(shlex.split(command)):
        message = (
            f"found {', '.join(found)}, but no shell runs the command, so the program gets it as it is; "
            "if you need a shell, name a script of yours"
        )
        yield Problem(message, _COMMAND)


def _unread_sections(spec: SweepSpec, *, has_data: bool) -> Iterator[Problem]:
    if not has_data:
        yield Problem(f"found {spec.data.root}, which is not there; with {_COMMAND} leave it out", "data.root")
    if spec.model != ModelConfig():
        why = "right if the program reads config.json itself"
        yield Problem(f"is of the built-in trainer, which {_COMMAND} replaces; {why}", "model")
