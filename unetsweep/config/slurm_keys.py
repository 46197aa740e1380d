"""The keys of `slurm:` and of a profile, each checked on its own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from unetsweep.config.gpu_requests import FORMS, gpu_request
from unetsweep.config.names import MEMORY_OPTIONS, SBATCH_OURS, rivals
from unetsweep.config.units import AMOUNTS, MEMORIES, TIMES, WHOLE_NODE, memory, minutes, slurm_minutes
from unetsweep.core.spec import GpuOption
from unetsweep.decode import joined
from unetsweep.errors import Problem
from unetsweep.limits import bound_problem

GPU_OPTIONS: tuple[GpuOption, ...] = get_args(GpuOption)
_LONG_NAME = re.compile(r"[a-z][a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class SlurmKeys:
    """The keys as written in YAML; None: missing or null, so the default applies. See `core.spec.Resources`."""

    profile: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: Any = None
    """A number or text: `gpu_requests.gpu_request` reads it."""
    gpu_option: str | None = None
    pack: int | None = None
    reuse: bool | None = None
    processes: int | None = None
    cpus: int | None = None
    mem: Any = None
    """Text or a number: `units.memory` reads it, like the next three."""
    mem_per_cpu: Any = None
    mem_per_gpu: Any = None
    mem_max: Any = None
    time: Any = None
    python: str | None = None
    setup: tuple[str, ...] | None = None
    sbatch: Mapping[str, Any] | None = None
    reconciler: Mapping[str, Any] | None = None


def key_problems(keys: SlurmKeys, at: str) -> list[Problem]:
    """Return a problem for each value that no job can have, key by key."""
    found: list[Problem] = []

    def check_bounds(name: str, value: Any) -> None:
        message = bound_problem(f"slurm.{name}", value)
        found.extend([Problem(message, joined(at, name))] if message else [])

    def check(name: str, wanted: str, is_fine: Callable[[Any], bool]) -> None:
        value = getattr(keys, name)
        if value is not None and not is_fine(value):
            found.append(Problem(f"found {value!r}; {wanted}", joined(at, name)))

    for name in ("pack", "processes", "cpus"):
        check_bounds(name, getattr(keys, name))
    check("gpus", FORMS, lambda written: gpu_request(written) is not None)
    if (asked := gpu_request(keys.gpus)) is not None:
        check_bounds("gpus", asked.count)
    check("gpu_option", f"one of {', '.join(GPU_OPTIONS)}", lambda text: text in GPU_OPTIONS)
    for name in ("mem_per_cpu", "mem_per_gpu"):
        check(name, f"write {AMOUNTS}", lambda written: memory(written) not in (None, WHOLE_NODE))
    check("mem", f"write {MEMORIES}", lambda written: memory(written) is not None)
    check("mem_max", f"write {AMOUNTS}", lambda written: memory(written) not in (None, WHOLE_NODE))
    check("time", f"write {TIMES}", lambda written: minutes(written) is not None)
    for name in ("partition", "account", "qos", "constraint", "python"):
        check(name, "text on one line", lambda text: bool(text.strip()) and text.isprintable())
    found += _option_problems(keys, at)
    found += _memory_problems(keys, at)
    found += _rival_problems(keys.reconciler or {}, joined(at, "reconciler"))
    return found


def _option_problems(keys: SlurmKeys, at: str) -> list[Problem]:
    """Return a problem for each line of the set-up and each further option that no job can have."""
    found: list[Problem] = []
    for index, line in enumerate(keys.setup or ()):
        if not isinstance(line, str):
            found.append(Problem(f"found {line!r}; a line of a shell script", joined(at, f"setup.{index}")))
    for option, value in (keys.sbatch or {}).items():
        found += [Problem(message, joined(at, f"sbatch.{option}")) for message in _option(option, value, SBATCH_OURS)]
    for option, value in (keys.reconciler or {}).items():
        messages = _option(option, value, _RECONCILER_OURS) or _unit_problems(option, value)
        found += [Problem(message, joined(at, f"reconciler.{option}")) for message in messages]
    return found


def _memory_problems(keys: SlurmKeys, at: str) -> list[Problem]:
    """Return a problem for each key and option beyond the first that asks for memory: SLURM accepts one."""
    named = {name: getattr(keys, name.replace("-", "_")) for name in MEMORY_OPTIONS}
    own = [name for name, value in named.items() if value is not None]
    first, *others = [name.replace("-", "_") for name in own] or [""]
    found = [Problem(f"SLURM accepts only one of {first} and {each}", joined(at, each)) for each in others]
    options = {name: named[name] for name in own[:1]} | dict(keys.sbatch or {})
    return [*found, *_rival_problems(options, joined(at, "sbatch"))]


def _rival_problems(options: Mapping[str, Any], at: str) -> list[Problem]:
    """Return a problem for each option that SLURM does not accept together with an earlier one."""
    given = {option.replace("_", "-"): value for option, value in options.items() if value is not None}
    found = []
    for number, option in enumerate(given):
        other = next((each for each in rivals(option) if each in list(given)[:number]), None)
        if other is not None:
            found.append(Problem(f"SLURM accepts only one of {other} and {option}", joined(at, option)))
    return found


def _unit_problems(option: str, value: object) -> list[str]:
    """Return what is wrong with an amount of memory or a time of the reconciler job."""
    if value is None:
        return []
    if option.replace("_", "-") in MEMORY_OPTIONS:
        return [] if memory(value) is not None else [f"found {value!r}; write {MEMORIES}"]
    is_time = option != "time" or (_is_plain(value) and (slurm_minutes(str(value)) or minutes(str(value))))
    return [] if is_time else [f"found {value!r}; write {TIMES}"]


def normal_option(option: str, value: Any) -> Any:
    """Return the value of an option of the reconciler job as sbatch reads it."""
    return memory(value) if option in MEMORY_OPTIONS and value is not None else value


_RECONCILER_OURS = {
    **{name: None for name, instead in SBATCH_OURS.items() if not instead},
    **{name: SBATCH_OURS[name] for name in ("clusters", "cluster-constraint")},
    **dict.fromkeys(("begin", "dependency", "ntasks", "ntasks-per-node")),
}
"""Options of sbatch that `slurm.reconciler` may not set, each with what to set instead; None: unetsweep sets it."""


def _option(option: str, value: object, ours: Mapping[str, str | None]) -> list[str]:
    name = option.replace("_", "-")
    # sbatch accepts the beginning of a name for the whole name
    full = name if name in ours else next((each for each in ours if name and each.startswith(name)), None)
    if full is not None:
        instead = ours[full]
        return [f"use {instead}" if instead else "is set by unetsweep; leave it out"]
    if not _LONG_NAME.fullmatch(name):
        return [f"found {option!r}; the long name of an sbatch option, without leading dashes"]
    if value is None or value is True or (isinstance(value, list) and value and all(map(_is_plain, value))):
        return []
    wanted = "text, a number, a list of them, true for an option without a value, or null to remove the option"
    return [] if _is_plain(value) else [f"found {value!r}; {wanted}"]


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return bool(value) and value.isprintable()
    return isinstance(value, int | float) and not isinstance(value, bool)
