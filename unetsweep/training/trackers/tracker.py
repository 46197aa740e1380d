"""The interface of an experiment tracker, such as Comet.

A tracker writes a run's numbers into an archive in the run's folder. It can upload the archive, then or later. So a
run loses nothing without a network, and `unetsweep sync` needs only files.

Rule 1: a tracker never stops or delays a training. `mirror` calls it in a thread, logs what it raises, and waits for a
        bounded time.
Rule 2: every method can be repeated: jobs are killed and started again, and `unetsweep sync` runs at any time.
Rule 3: a tracker imports its library inside its methods. A training without it must not pay for the import.
"""

from pathlib import Path
from typing import Literal, Protocol

from unetsweep.training.trackers.export import RunExport

Mode = Literal["off", "offline", "online"]
"""`offline`: write the archive when the training ends. `online`: also upload it at once."""


class Tracker(Protocol):
    """Writes and uploads the archives of runs.

    A method may raise any exception when a training ends. For `unetsweep sync` it raises UsageError if the user has to
    do something first, and TrackerError if a repetition may help.
    """

    @property
    def setting(self) -> str:
        """The field of `TrainerConfig` that has the tracker's mode."""

    def archive_path(self, export: RunExport, out: Path) -> Path:
        """The path of the archive with exactly this content. `out` is the run's folder."""

    def write_archive(self, export: RunExport, out: Path) -> Path:
        """Write the archive into `out` unless it exists, and return its path. `out` has the run's other files too."""

    def is_uploaded(self, archive: Path) -> bool:
        """Whether the tracker has accepted exactly this archive. True if the tracker works without uploads."""

    def check_reachable(self) -> None:
        """Raise UsageError if an upload needs something that is missing, TrackerError if the server does not answer."""

    def upload(self, archive: Path, timeout_s: float) -> None:
        """Upload the archive and remember that. Raise TrackerError if that fails or takes longer than `timeout_s`."""
