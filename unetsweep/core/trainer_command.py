"""The placeholders of `trainer.command`: `{config}`, `{out}`, `{seed}`, `{epochs}` and every parameter of the space.

Rule 1: no shell: the command is split into its arguments first, so a value is never more than a part of one argument.
"""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FIXED = ("config", "out", "seed", "epochs")
"""The placeholders of every command."""
_OPERATOR = re.compile(r"\|\|?|&&?|;|<|\d?>>?(&\d|[\w./{~][^\s]*)?")
_VARIABLE = re.compile(r"\$[A-Za-z_]\w*")
_PLACEHOLDER = re.compile(r"\{(\w[\w.-]*)\}")


def placeholders(command: str) -> list[str]:
    """Return the names in braces, in their order.

    >>> placeholders("python train.py --rate {learning_rate} {out}/log {}")
    ['learning_rate', 'out']
    """
    return _PLACEHOLDER.findall(command)


def has_single_brace(argument: str) -> bool:
    """Return whether an argument opens a brace that it does not close, or the other way round.

    >>> [has_single_brace(each) for each in ("{lr", "a}{b", "{lr}", '{"a": {lr}}')]
    [True, True, False, False]
    """
    depth = 0
    for character in argument:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return True
    return depth > 0


def shell_syntax(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that a shell would replace or carry out. What follows `-c` is for a shell that runs it.

    >>> shell_syntax(["cd", "a", "&&", "x", "--in=$HOME/data", "|", "tee", ">log", "2>&1", "a>b"])
    ['&&', '--in=$HOME/data', '|', '>log', '2>&1']
    >>> shell_syntax(["bash", "-c", "$PROGRAM"])
    []
    """
    return [
        each
        for before, each in zip(["", *arguments], arguments, strict=False)
        if before != "-c" and (_OPERATOR.fullmatch(each) or (_VARIABLE.search(each) and " " not in each))
    ]


def names_of(paths: Iterable[str]) -> dict[str, str]:
    """Return the names by which a command may call parameters, with the path of each: the path itself, and its last
    part unless another parameter or a placeholder of every command has that name.

    >>> names_of(["sigma", "model.base", "a.rate", "b.rate", "data.seed"])
    {'base': 'model.base', 'sigma': 'sigma', 'model.base': 'model.base', 'a.rate': 'a.rate', 'b.rate': 'b.rate', \
'data.seed': 'data.seed'}
    """
    known = list(paths)
    counts = Counter(path.rpartition(".")[2] for path in known)
    short = {last: path for path in known if counts[last := path.rpartition(".")[2]] == 1 and last not in FIXED}
    nested = {name: path for name, path in short.items() if name != path}
    return {**nested, **{path: path for path in known}}


def fill(command: str, fixed: Mapping[str, str], params: Mapping[str, Any]) -> list[str]:
    """Return the arguments of a command with the values of its placeholders.

    A parameter that the trial does not have is empty.

    >>> fill("x -s {sigma} '{out}/a b' {log} {y}", {"out": "/r"}, {"sigma": 1e-4, "opt.log": True})
    ['x', '-s', '0.0001', '/r/a b', 'true', '']
    """
    names = names_of(params)
    values = {**{name: _text(params[path]) for name, path in names.items()}, **fixed}
    return [_PLACEHOLDER.sub(lambda found: values.get(found[1], ""), each) for each in shlex.split(command)]


def _text(value: Any) -> str:
    """A value as YAML and JSON write it; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value)
