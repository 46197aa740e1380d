"""The report of a sweep, and the copy of it in the sweep's folder."""

import contextlib
from pathlib import Path

from unetsweep.analysis.rows import SweepRecord
from unetsweep.atomic import write_text
from unetsweep.core import paths
from unetsweep.errors import StateError
from unetsweep.report import formats
from unetsweep.store.permissions import check_private


def refresh_report(record: SweepRecord, sweep_dir: Path) -> None:
    """Bring the sweep's `report/` folder up to date, where it can be written.

    It is a copy of what the other files say: on somebody else's sweep, or on a full disk, it stays as it is.
    """
    with contextlib.suppress(OSError, StateError):
        check_private(sweep_dir)
        folder = sweep_dir / paths.REPORT
        folder.mkdir(exist_ok=True)
        for name, text in formats.files(record).items():
            write_text(folder / name, text)
