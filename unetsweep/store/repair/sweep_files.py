"""Checks and recovers the files of the sweep itself.

Rule 1: a copied folder stays a copy: while any file names the sweep's folder, no recovery writes another one.
"""

import os
from dataclasses import replace
from functools import partial

from unetsweep import contract
from unetsweep.clock import utc_now
from unetsweep.config.load import load
from unetsweep.core import paths
from unetsweep.errors import SpecError, StateError
from unetsweep.package import digest, sources
from unetsweep.record_files import read_record, record_from
from unetsweep.records import DataFile, SweepFile
from unetsweep.store.observation import numbered_folders
from unetsweep.store.repair.find_damage import CheckedFile, Recovery
from unetsweep.store.repair.recoveries import is_old, quarantine, rebuild
from unetsweep.store.repair.sources import readable
from unetsweep.store.sweep_dir import read_data
from unetsweep.store.trials import read_config, sweep_name


def check_spec(file: CheckedFile) -> None:
    os.lstat(file.path)
    try:
        load(file.path)
    except SpecError as error:
        raise StateError(f"not a sweep ({error.problems[0].message})") from error


def recover_spec(file: CheckedFile) -> Recovery:
    outer, _, inner = sweep_name(file.sources.root).partition("/")
    command = f"`unetsweep confirm {outer}`" if inner else "`unetsweep submit` with the sweep's own YAML file"
    advice = f"run {command} again: it writes the file, and all trials stay"
    return quarantine(advice=advice)(file) if os.path.lexists(file.path) else Recovery(advice=advice)


def check_sweep_json(file: CheckedFile) -> None:
    """StateError if the file cannot be read, or names an executor that does not exist."""
    found, allowed = read_record(SweepFile, file.path).executor, file.sources.executors
    if found not in allowed:
        raise StateError(f"executor: found {found!r}; allowed: {', '.join(allowed)}")


def recover_sweep_json(file: CheckedFile) -> Recovery:
    """Rebuild it from its readable fields and the submissions. The last submission names the folder its jobs know."""
    known = file.sources.read(file.path)
    intents = sorted((intent for _, intent in file.sources.submissions()), key=lambda intent: intent.at)
    record = SweepFile(
        file.sources.executor,
        cluster=None,
        folder=intents[-1].folder if intents else str(file.sources.root.absolute()),
        created=utc_now(),
        working_directory=os.getcwd(),
    )
    for name in ("cluster", "folder", "created", "working_directory", "adopted", "overrides"):
        better = readable(
            partial(record_from, SweepFile, {**contract.encode(record), name: known.get(name)}, file.path)
        )
        record = better if better is not None and known.get(name) is not None else record
    source = f"what is readable and the submissions; a trainer command starts in {record.working_directory}"
    return rebuild(file, record, source)


def recover_data(file: CheckedFile) -> Recovery:
    """Rebuild it from a config.json. That has the split, but not which images leak, so a leak stays a warning."""
    root = file.sources.root
    configs = (readable(partial(read_config, folder)) for _, folder in numbered_folders(root / paths.TRIALS))
    data = next((config.data for config in configs if config is not None and config.data.manifest), None)
    if data is None:
        return quarantine("no trial knows the split: run `unetsweep submit` with the sweep's own YAML file again")(file)
    unknown = "which images have a copy in training is not known any more (allow_leak is set)"
    leak = dict.fromkeys(("val", "test"), unknown) if data.split.allow_leak else {}
    found = DataFile(contract.encode(data.manifest), leak)
    others = (root / paths.CONFIRM / paths.DATA, root.parent / paths.DATA)  # of its confirmation, or the reverse
    known = (readable(partial(read_data, other)) for other in others)
    groups = next((other.val_groups for other in known if other is not None and other.val_groups), None)
    if groups:
        return rebuild(file, replace(found, val_groups=groups), "a trial's config.json")
    lost = "the groups of the validation images are lost, so a confirmation counts each image separately"
    return rebuild(file, found, f"a trial's config.json; {lost}")


def check_leftover(file: CheckedFile) -> None:
    """StateError for a leftover of ours. Other names in runs/ may be a trainer's temporary files: those stay."""
    folder = file.path.parent
    is_ours = file.path.name.startswith(".") or folder.name in ("checkpoints", "milestones")
    if (is_ours or folder == file.sources.root) and is_old(file):
        raise StateError("left unfinished by a process that was killed")


def check_code(file: CheckedFile) -> None:
    if digest(sources(file.path / "unetsweep")) != file.path.name:
        raise StateError("not the package that was copied")
