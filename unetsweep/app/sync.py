"""`sync`: upload the runs of a sweep to its experiment trackers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unetsweep.bounded_json import read_json
from unetsweep.contract import TrialConfig, config_from
from unetsweep.core import paths
from unetsweep.errors import TrackerError, UnetsweepError, UsageError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.training.trackers.export import read_export
from unetsweep.training.trackers.table import DEFAULT, TRACKERS, switched_on
from unetsweep.training.trackers.tracker import Tracker

UPLOAD_S = 120.0
"""Time limit of an upload. It can be long, because no training waits for it."""


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
    """All archives for one tracker are there."""

    sweep: str
    tracker: str
    """Its name."""
    runs: int
    """Runs that have trained for an epoch."""
    to_upload: int
    """Those of them that the tracker does not have yet."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The tracker has this archive now."""

    archive: Path


@dataclass(frozen=True, slots=True)
class UploadFailed:
    """The tracker did not take this archive; it is kept."""

    archive: Path


SyncEvent = TrialSkipped | ArchiveMissing | UploadPlanned | Uploaded | UploadFailed
Notify = Callable[[SyncEvent], None]


def sync(directory: SweepDir, notify: Notify) -> None:
    """Upload each run that has trained for an epoch to each tracker of the sweep that does not have it yet.

    The trackers are those that the sweep's configs switch on, or the default one if they switch none on. If a tracker
    fails, the others get the runs. Then an error is raised, and the command can be repeated: TrackerError if an archive
    was not uploaded, UsageError if a tracker needs something that is missing.
    """
    configs = _configs(directory, notify)
    used = {name: tracker for config in configs.values() for name, tracker in switched_on(config.trainer).items()}
    errors: dict[str, UnetsweepError] = {}
    for name, tracker in (used or {DEFAULT: TRACKERS[DEFAULT]}).items():
        try:
            _sync_to(name, tracker, directory, configs, notify)
        except (TrackerError, UsageError) as error:
            errors[name] = error
    if len(errors) > 1:
        raise TrackerError("\n".join(f"{name}: {each}" for name, each in errors.items()))
    for failure in errors.values():
        raise failure


def _sync_to(
    name: str, tracker: Tracker, directory: SweepDir, configs: Mapping[int, TrialConfig], notify: Notify
) -> None:
    """Upload the runs to one tracker. Raises TrackerError if it did not get all of them."""
    archives = list(_archives(tracker, directory, configs, notify))
    new = [archive for archive in archives if not tracker.is_uploaded(archive)]
    notify(UploadPlanned(directory.name, name, len(archives), len(new)))
    if new:
        tracker.check_reachable()
    errors = [error for archive in new if (error := _upload(tracker, archive, notify)) is not None]
    if errors:
        failed = f"{len(errors)} of {len(new)} archives were not uploaded to {name} and are kept; run this again"
        raise TrackerError("\n".join([failed, *errors]))


def _upload(tracker: Tracker, archive: Path, notify: Notify) -> str | None:
    """Upload an archive and return why it failed."""
    try:
        tracker.upload(archive, UPLOAD_S)
    except TrackerError as error:
        notify(UploadFailed(archive))
        return str(error)
    notify(Uploaded(archive))
    return None


def _archives(
    tracker: Tracker, directory: SweepDir, configs: Mapping[int, TrialConfig], notify: Notify
) -> Iterator[Path]:
    """The archive of each run that has trained for an epoch, written again if it is not up to date."""
    for run, config in configs.items():
        folder = directory.root / paths.run_dir(run)
        export = read_export(config, folder, f"{directory.name}/{folder.name}")
        if export.curves or export.scores:
            if not tracker.archive_path(export, folder).exists():
                notify(ArchiveMissing(export.name, len(export.curves), len(export.scores)))
            yield tracker.write_archive(export, folder)


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
    return {run: config_from(read_json(path), str(path)) for run, path in configs.items()}
