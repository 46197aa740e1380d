"""The section `slurm:`: the resources of a job, from a profile of the cluster and the keys of the sweep.

Rule 1: the sweep's keys override the profile's, one by one; `null` restores the default. Options under `sbatch` and
        `reconciler` are merged option by option; a value also replaces those that SLURM does not accept beside it
        (`mem` and `mem-per-cpu`).
Rule 2: a profile is a path (it has a / or ends in .yaml), or a name that is looked up in ./slurm/profiles and then in
        ~/.config/unetsweep. If there is no file for `default`, it is empty.
Rule 3: a sweep that has every key itself needs no profile, so none is read; the `sweep.yaml` of a sweep's directory is
        of that kind.
"""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unetsweep.bounded_json import read_user_text
from unetsweep.config.gpu_requests import GpuRequest, gpu_request, gpus_in_gres, type_in_gres
from unetsweep.config.names import MEMORY_OPTIONS, rivals
from unetsweep.config.slurm_keys import GPU_OPTIONS, SlurmKeys, key_problems, normal_option
from unetsweep.config.units import WHOLE_NODE, memory, memory_kb, minutes
from unetsweep.config.yaml12 import located, read
from unetsweep.core.spec import Resources
from unetsweep.decode import decode_with_defaults
from unetsweep.errors import Problem
from unetsweep.texts import counted

_LATER = ("gpu_option", "mem_per_cpu", "mem_per_gpu")
"""Keys that the `sweep.yaml` of an earlier version does not have."""
_KEYS = tuple(f.name for f in fields(SlurmKeys) if f.name not in ("profile", *_LATER))


@dataclass(frozen=True, slots=True)
class Folders:
    """Where paths start, and where profiles are looked up."""

    working: Path
    """Relative paths start here."""
    home: Path

    def of_profiles(self) -> tuple[Path, ...]:
        """Return the folders in which a profile is looked up by its name."""
        return self.working / "slurm" / "profiles", self.home / ".config" / "unetsweep"

    def absolute(self, path: str) -> str:
        """Return an absolute path, so a job on another machine finds it. Links are kept, and it need not exist."""
        return os.path.abspath(self.working / os.path.expanduser(path))

    def shorten(self, path: Path) -> str:
        """Return a path relative to the working directory or the home folder, for a message."""
        for root, sign in ((self.working, ""), (self.home, "~/")):
            if path.is_relative_to(root):
                return sign + str(path.relative_to(root))
        return str(path)


def resources_from(
    raw: object, folders: Folders, problems: list[Problem], profile: str | None = None, at: str = "slurm"
) -> Resources:
    """Return the resources under `slurm:`; `profile` (of the command line) overrides the file's."""
    keys = decode_with_defaults(SlurmKeys, raw, problems, at)
    problems += key_problems(keys, at)
    name = profile or keys.profile or "default"
    own = raw if isinstance(raw, Mapping) else {}
    is_complete = set(_KEYS) <= set(own) and profile is None
    profile_keys = {} if is_complete else _read_profile(name, folders, problems, f"{at}.profile")
    merged = decode_with_defaults(SlurmKeys, _merge(profile_keys, own), [], at)
    resources = _resources(merged, name, folders)
    problems += _conflicts(resources, merged, own, profile_keys, at)
    return resources


def _read_profile(name: str, folders: Folders, problems: list[Problem], at: str) -> Mapping[str, Any]:
    """Return the keys of a profile; its problems get the position at which the sweep names it."""
    file = find_profile(name, folders)
    if file is None:
        if name != "default":
            problems.append(Problem(f"found {name!r}, {_not_found(name, folders)}", at))
        return {}
    text = read_user_text(file)
    document = text if isinstance(text, Problem) else read(text)
    source = folders.shorten(file)
    if isinstance(document, Problem):
        problems.append(Problem(document.text(source), at))
        return {}
    raw = {} if document.value is None else document.value
    found = list(document.problems)
    keys = decode_with_defaults(SlurmKeys, raw, found, "")
    found += key_problems(keys, "")
    if isinstance(raw, Mapping) and raw.get("profile") is not None:
        found.append(Problem("a profile cannot name another profile", "profile"))
    # Numbered, because all have one position in the sweep's file, and located() keeps the first of a field.
    problems += [Problem(p.text(source), f"{at}#{n}") for n, p in enumerate(located(found, document.positions))]
    return {key: value for key, value in raw.items() if key != "profile"} if isinstance(raw, Mapping) else {}


def find_profile(name: str, folders: Folders) -> Path | None:
    """Return the file of a profile; None: there is none."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        candidates = [Path(folders.absolute(name))]
    else:
        candidates = [folder / f"{name}.yaml" for folder in folders.of_profiles()]
    return next((file for file in candidates if file.is_file()), None)


def _not_found(name: str, folders: Folders) -> str:
    if "/" in name or name.endswith((".yaml", ".yml")):
        return f"but there is no file {folders.absolute(name)}"
    there = sorted({file.stem for folder in folders.of_profiles() if folder.is_dir() for file in folder.glob("*.yaml")})
    near = difflib.get_close_matches(name, there, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    searched = " nor in ".join(folders.shorten(folder) for folder in folders.of_profiles())
    return f"which is neither in {searched}; {hint}available: {', '.join(there) or 'none'}"


def _merge(profile_keys: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the profile's keys, overridden by the sweep's (`own`).

    If the sweep sets `gpus` or `pack`, the number of processes follows from them, not from the profile.
    """
    if (own.get("gpus") is not None or own.get("pack") is not None) and "processes" not in own:
        profile_keys = {key: value for key, value in profile_keys.items() if key != "processes"}
    merged: dict[str, Any] = {**profile_keys, **own}
    sbatch = _override(*({**_memory_keys(keys), **_options(keys, "sbatch")} for keys in (profile_keys, own)))
    merged |= {
        **{option.replace("-", "_"): sbatch.pop(option, None) for option in MEMORY_OPTIONS},
        "sbatch": {key: each for key, each in sbatch.items() if each is not None},
    }
    # null stays: the reconciler job then does not ask for what it would ask for by default
    merged["reconciler"] = _override(_options(profile_keys, "reconciler"), _options(own, "reconciler"))
    return merged


def _memory_keys(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys for memory under the names of sbatch."""
    names = {option: option.replace("-", "_") for option in MEMORY_OPTIONS}
    return {option: keys[name] for option, name in names.items() if name in keys}


def _options(keys: Mapping[str, Any], section: str) -> dict[str, Any]:
    given = keys.get(section)
    return {key.replace("_", "-"): each for key, each in given.items()} if isinstance(given, Mapping) else {}


def _override(options: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, overridden by those of the sweep. A value also replaces the options that exclude it."""
    replaced = {rival for option, value in by.items() if value is not None for rival in rivals(option)}
    return {**{option: value for option, value in options.items() if option not in replaced}, **by}


def _resources(keys: SlurmKeys, name: str, folders: Folders) -> Resources:
    asked, pack = gpu_request(keys.gpus) or GpuRequest(0), max(1, keys.pack or 1)
    gpus, plain = asked.count, Resources()
    option = next((each for each in GPU_OPTIONS if each == keys.gpu_option), plain.gpu_option)
    return Resources(
        profile=name,
        partition=keys.partition,
        account=keys.account,
        qos=keys.qos,
        constraint=keys.constraint,
        gpus=gpus,
        gpu_type=asked.type,
        gpu_option=option,
        pack=pack,
        reuse=keys.reuse or False,
        processes=max(1, keys.processes or gpus // pack),
        cpus=keys.cpus,
        mem=memory(keys.mem),
        mem_per_cpu=memory(keys.mem_per_cpu),
        mem_per_gpu=memory(keys.mem_per_gpu) if gpus else None,
        mem_max=memory(keys.mem_max),
        time_min=(minutes(keys.time) if keys.time is not None else None) or plain.time_min,
        python=_interpreter(keys.python, folders),
        setup=keys.setup or (),
        sbatch=dict(keys.sbatch or {}),
        reconciler={option: normal_option(option, value) for option, value in (keys.reconciler or {}).items()},
    )


def _interpreter(python: str | None, folders: Folders) -> str | None:
    """Return the interpreter: a path made absolute, with its links (a venv's python is one), or a name for the job."""
    if python is None or ("/" not in python and not python.startswith("~")):
        return python
    return folders.absolute(python)


def _conflicts(
    resources: Resources, keys: SlurmKeys, own: Mapping[str, Any], profile_keys: Mapping[str, Any], at: str
) -> list[Problem]:
    """Return a problem for each two keys that are valid alone but contradict each other."""

    def origin(key: str) -> str:
        return f" (from the profile {resources.profile})" if own.get(key) is None and key in profile_keys else ""

    found = []
    gpus, pack = resources.gpus, resources.pack
    if gpus >= 1 and gpus % pack and pack % gpus:
        message = (
            f"found {pack} trainings{origin('pack')} in a job of {counted(gpus, 'GPU')}{origin('gpus')}; "
            "one number must be a multiple of the other"
        )
        found.append(Problem(message, f"{at}.pack"))
    elif gpus >= 1 and keys.processes is not None and keys.processes not in (max(1, gpus // pack), 0):
        of_each = f" for {pack} trainings{origin('pack')}" if pack > 1 else ""
        message = (
            f"found {counted(keys.processes, 'process', 'processes')}{origin('processes')} "
            f"with {counted(gpus, 'GPU')}{origin('gpus')}{of_each}; "
            "each process uses one GPU: leave processes out, or set gpus: 0"
        )
        found.append(Problem(message, f"{at}.processes"))
    if own.get("mem_per_gpu") is not None and not gpus:
        found.append(Problem(f"found {own['mem_per_gpu']!r} without gpus; use mem", f"{at}.mem_per_gpu"))
    return [*found, *_gres_conflicts(resources, origin, at), *_memory_conflicts(resources, origin, at)]


def _gres_conflicts(resources: Resources, origin: Callable[[str], str], at: str) -> Iterator[Problem]:
    """Yield what is wrong with GPUs that the sbatch option `gres` asks for: the trainings use those of `gpus`."""
    gres = resources.sbatch.get("gres")
    count = gpus_in_gres(gres)
    if count is None or (count == resources.gpus and resources.gpu_type is None):
        return
    if count == resources.gpus:
        asked = GpuRequest(resources.gpus, resources.gpu_type).written
        yield Problem(f"asks for GPUs a second time, beside gpus: {asked}; remove them here", f"{at}.sbatch.gres")
        return
    kind = type_in_gres(gres)
    instead = f"gpus: {GpuRequest(count, kind).written} and gpu_option: gres"
    asked = GpuRequest(resources.gpus, resources.gpu_type).written
    message = f"found {counted(count, 'GPU')}, and gpus is {asked}{origin('gpus')}; write {instead} instead"
    yield Problem(message, f"{at}.sbatch.gres")


def _memory_conflicts(resources: Resources, origin: Callable[[str], str], at: str) -> Iterator[Problem]:
    most = resources.mem_max
    if most is None or most == WHOLE_NODE:
        return
    if resources.mem == WHOLE_NODE:
        message = f"found {most}{origin('mem_max')} with mem 0{origin('mem')}, which is all memory already"
        yield Problem(message, f"{at}.mem_max")
    elif resources.mem and memory_kb(most) < memory_kb(resources.mem):
        message = f"found {most}{origin('mem_max')}, less than mem {resources.mem}{origin('mem')}"
        yield Problem(message, f"{at}.mem_max")
