"""What each job asks of the cluster: a profile of the site with the sweep's own words on top.

Rule 1: the sweep's keys win, one by one; `null` says the default again; options under `sbatch`
        and `reconciler` are put together option by option.
Rule 2: a profile is a path (it has a / or ends in .yaml), or a name looked for in
        ./slurm/profiles and ~/.config/unetsweep. `default` may be nowhere: then it is empty.
Rule 3: a sweep that says every key itself needs no profile, so none is looked for; the written-out
        sweep.yaml is of that kind.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unetsweep.config.decoded import decoded
from unetsweep.config.paths import absolute
from unetsweep.config.places import placed
from unetsweep.config.slurm_keys import SlurmKeys, key_problems
from unetsweep.config.units import memory, memory_kb, minutes
from unetsweep.config.yaml12 import read
from unetsweep.core.spec import Resources
from unetsweep.errors import Problem

_KEYS = tuple(f.name for f in fields(SlurmKeys) if f.name != "profile")


@dataclass(frozen=True, slots=True)
class Folders:
    """Where profiles are looked for."""

    working: Path
    """Working directory: paths start here, and names in its slurm/profiles."""
    home: Path

    def named(self) -> tuple[Path, ...]:
        return self.working / "slurm" / "profiles", self.home / ".config" / "unetsweep"


def resources_from(
    raw: object, folders: Folders, problems: list[Problem], profile: str | None = None, at: str = "slurm"
) -> Resources:
    """The resources under `slurm:`; `profile` (of the command line) replaces the file's."""
    keys = decoded(SlurmKeys, raw, problems, at)
    problems += key_problems(keys, at)
    name = profile or keys.profile or "default"
    own = raw if isinstance(raw, Mapping) else {}
    site = {} if set(_KEYS) <= set(own) and profile is None else _profile(name, folders, problems, f"{at}.profile")
    merged = decoded(SlurmKeys, _merged(site, own), [], at)
    resources = _resources(merged, name, folders)
    problems += _together(resources, merged, own, site, at)
    return resources


def _profile(name: str, folders: Folders, problems: list[Problem], at: str) -> Mapping[str, Any]:
    """The keys of a profile; all of its problems stand at the place where the sweep names it."""
    file = _find(name, folders)
    if file is None:
        if name != "default":
            problems.append(Problem(f"found {name!r}, {_not_found(name, folders)}", at))
        return {}
    try:
        document = read(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        document = Problem(f"cannot be read ({error})")
    shown = _shown(file, folders)
    if isinstance(document, Problem):
        problems.append(Problem(document.text(shown), at))
        return {}
    raw = {} if document.value is None else document.value
    found = list(document.problems)
    keys = decoded(SlurmKeys, raw, found, "")
    found += key_problems(keys, "")
    if isinstance(raw, Mapping) and raw.get("profile") is not None:
        found.append(Problem("a profile cannot name another one", "profile"))
    # Numbered, since all stand at one place of the sweep and placed() keeps the first of a field.
    problems += [Problem(p.text(shown), f"{at}#{n}") for n, p in enumerate(placed(found, document.places))]
    return {key: value for key, value in raw.items() if key != "profile"} if isinstance(raw, Mapping) else {}


def _find(name: str, folders: Folders) -> Path | None:
    if "/" in name or name.endswith((".yaml", ".yml")):
        candidates = [Path(absolute(name, folders.working))]
    else:
        candidates = [folder / f"{name}.yaml" for folder in folders.named()]
    return next((file for file in candidates if file.is_file()), None)


def _not_found(name: str, folders: Folders) -> str:
    if "/" in name or name.endswith((".yaml", ".yml")):
        return f"and there is no file {absolute(name, folders.working)}"
    there = sorted({file.stem for folder in folders.named() if folder.is_dir() for file in folder.glob("*.yaml")})
    near = difflib.get_close_matches(name, there, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    looked = " nor ".join(_shown(folder, folders) for folder in folders.named())
    return f"which is in neither {looked}; {hint}there is {', '.join(there) or 'none'}"


def _shown(file: Path, folders: Folders) -> str:
    for root, sign in ((folders.working, ""), (folders.home, "~/")):
        if file.is_relative_to(root):
            return sign + str(file.relative_to(root))
    return str(file)


def _merged(site: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    if (own.get("gpus") is not None or own.get("pack") is not None) and "processes" not in own:
        site = {key: value for key, value in site.items() if key != "processes"}
    merged: dict[str, Any] = {**site, **own}
    for section in ("sbatch", "reconciler"):
        options: dict[str, Any] = {}
        for layer in (site, own):
            said = layer.get(section)
            options |= {key.replace("_", "-"): each for key, each in said.items()} if isinstance(said, Mapping) else {}
        merged[section] = {key: each for key, each in options.items() if each is not None}
    return merged


def _resources(keys: SlurmKeys, name: str, folders: Folders) -> Resources:
    gpus, pack = keys.gpus or 0, max(1, keys.pack or 1)
    plain = Resources()
    return Resources(
        profile=name,
        partition=keys.partition,
        account=keys.account,
        qos=keys.qos,
        constraint=keys.constraint,
        gpus=gpus,
        pack=pack,
        processes=max(1, keys.processes or gpus // pack),
        cpus=keys.cpus,
        mem=memory(keys.mem or ""),
        mem_max=memory(keys.mem_max or ""),
        time_min=(minutes(keys.time) if keys.time is not None else None) or plain.time_min,
        python=_interpreter(keys.python, folders),
        setup=keys.setup or (),
        sbatch=dict(keys.sbatch or {}),
        reconciler=dict(keys.reconciler or {}),
    )


def _interpreter(python: str | None, folders: Folders) -> str | None:
    """A path is made absolute, links kept (a venv's python is one); a bare name is found in the job."""
    if python is None or ("/" not in python and not python.startswith("~")):
        return python
    return absolute(python, folders.working)


def _together(
    resources: Resources, keys: SlurmKeys, own: Mapping[str, Any], site: Mapping[str, Any], at: str
) -> list[Problem]:
    """Where two keys, each fine by itself, do not fit."""

    def origin(key: str) -> str:
        return f" (of the profile {resources.profile})" if own.get(key) is None and key in site else ""

    found = []
    gpus, pack = resources.gpus, resources.pack
    if gpus >= 1 and gpus % pack and pack % gpus:
        message = (
            f"found {pack} trainings{origin('pack')} in a job of {gpus} GPUs{origin('gpus')}; "
            "one number must be a multiple of the other"
        )
        found.append(Problem(message, f"{at}.pack"))
    elif gpus >= 1 and keys.processes is not None and keys.processes not in (max(1, gpus // pack), 0):
        of_each = f" for {pack} trainings{origin('pack')}" if pack > 1 else ""
        message = (
            f"found {keys.processes} processes{origin('processes')} with {gpus} GPUs{origin('gpus')}{of_each}; "
            "a process has one GPU: leave processes out, or say gpus: 0"
        )
        found.append(Problem(message, f"{at}.processes"))
    if resources.mem and resources.mem_max and memory_kb(resources.mem_max) < memory_kb(resources.mem):
        message = f"found {resources.mem_max}{origin('mem_max')}, less than mem {resources.mem}{origin('mem')}"
        found.append(Problem(message, f"{at}.mem_max"))
    return found
