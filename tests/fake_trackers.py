"""Experiment trackers for tests: one that keeps what it gets in files, one that fails, and one that hangs."""

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from unetsweep.contract import dumps, encode
from unetsweep.errors import TrackerError
from unetsweep.training.trackers.export import RunExport


@dataclass(frozen=True)
class FolderTracker:
    """Its server is a folder. It is switched on by `trainer.comet`, because a test cannot add a setting."""

    server: Path
    setting: str = "comet"

    def archive_path(self, export: RunExport, out: Path) -> Path:
        return out / "folder-tracker" / f"{export.file_stem}.json"

    def write_archive(self, export: RunExport, out: Path) -> Path:
        path = self.archive_path(export, out)
        path.parent.mkdir(exist_ok=True)
        path.write_text(dumps(encode(export)))
        return path

    def is_uploaded(self, archive: Path) -> bool:
        return (self.server / archive.name).exists()

    def check_reachable(self) -> None:
        self.server.mkdir(exist_ok=True)

    def upload(self, archive: Path, timeout_s: float) -> None:
        shutil.copy(archive, self.server)


class FailingTracker(FolderTracker):
    """Writes archives, and no server answers."""

    def check_reachable(self) -> None:
        raise TrackerError("failing.invalid did not answer")


class BrokenTracker(FolderTracker):
    """Ends the process when it writes an archive, as a library may do."""

    def write_archive(self, export: RunExport, out: Path) -> Path:
        raise SystemExit("broken")


class HangingTracker(FolderTracker):
    """Never finishes an archive."""

    def write_archive(self, export: RunExport, out: Path) -> Path:
        threading.Event().wait()
        return out
