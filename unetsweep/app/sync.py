"""`sync`: upload the runs of a sweep to Comet."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unetsweep.contract import TrialConfig, config_from
from unetsweep.core import paths
from unetsweep.errors import TrackerError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.training import comet


@dataclass(frozen=True, slots=True)
class TrialSkipped:
    """A trial whose files cannot be read is left out."""

    reason: str


@dataclass(frozen=True, slots=True)
class ArchiveMissing:
    """A run has no archive of all that it has reached, so one is written now."""

    run: str
    epochs: int
    results: int


@dataclass(frozen=True, slots=True)
class UploadPlanned:
    """All archives are there."""

    sweep: str
    runs: int
    """Runs that have trained for an epoch."""
    to_upload: int
    """Those of them that Comet does not have yet."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Comet has this archive now."""

    archive: Path


@dataclass(frozen=True, slots=True)
class UploadFailed:
    """Comet did not take this archive; it is kept."""

    archive: Path


SyncEvent = TrialSkipped | ArchiveMissing | UploadPlanned | Uploaded | UploadFailed
Notify = Callable[[SyncEvent], None]


def sync(directory: SweepDir, notify: Notify) -> None:
    """Upload each run that has trained for an epoch, if Comet does not have it yet.

    TrackerError at the end if an archive was not uploaded: the command can be repeated.
    """
    archives = list(_archives(directory, notify))
    new = [archive for archive in archives if not comet.is_uploaded(archive)]
    notify(UploadPlanned(directory.name, len(archives), len(new)))
    if new:
        comet.check_reachable()
    errors = [error for archive in new if (error := _upload(archive, notify)) is not None]
    if errors:
        failed = f"{len(errors)} of {len(new)} archives were not uploaded and are kept; run this again"
        raise TrackerError("\n".join([failed, *errors]))


def _upload(archive: Path, notify: Notify) -> str | None:
    """Upload an archive and return why it failed."""
    try:
        comet.upload(archive)
    except TrackerError as error:
        notify(UploadFailed(archive))
        return str(error)
    notify(Uploaded(archive))
    return None


def _archives(directory: SweepDir, notify: Notify) -> Iterator[Path]:
    """The archive of each run that has trained for an epoch, written anew if it is not up to date."""
    for run, config in _configs(directory, notify).items():
        folder = directory.root / paths.run_dir(run)
        export = comet.read_export(config, folder, f"{directory.name}/{folder.name}")
        if export.curves or export.scores:
            if not (folder / comet.FOLDER / export.archive).exists():
                notify(ArchiveMissing(export.name, len(export.curves), len(export.scores)))
            yield comet.write_archive(export, folder)


def _configs(directory: SweepDir, notify: Notify) -> dict[int, TrialConfig]:
    """The config of each run: that of its trial with the most epochs, as in the job."""
    longest: dict[int, tuple[int, int]] = {}
    for trial in directory.trials():
        if trial.unreadable is not None:
            notify(TrialSkipped(trial.unreadable))
            continue
        mine = (trial.epochs, trial.number)
        longest[trial.run] = max(longest.get(trial.run, mine), mine)
    configs = {run: directory.config_path(trial) for run, (_, trial) in sorted(longest.items())}
    return {run: config_from(json.loads(path.read_bytes()), str(path)) for run, path in configs.items()}
