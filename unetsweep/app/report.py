"""`report`: the results of a sweep as text, and the copy of them in the sweep's folder."""

import contextlib
import gc
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.analysis.records import read_sweep_record
from unetsweep.analysis.rows import SweepRecord
from unetsweep.app.costs import with_costs
from unetsweep.app.spending import with_limit_warning
from unetsweep.atomic import SHARED, write_text
from unetsweep.core import paths
from unetsweep.errors import StateError, UsageError
from unetsweep.report import formats
from unetsweep.report.formats import Format
from unetsweep.report.view import is_cost
from unetsweep.store.home import relocation_warning
from unetsweep.store.permissions import check_private
from unetsweep.store.sweep_dir import SweepDir


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What the user wants to see."""

    form: Format = Format.TABLE
    columns: Sequence[str] = ()
    """The columns by name; empty: those of the format."""
    sort: str | None = None
    """The column to sort by; descending if `-` precedes it."""
    top: int | None = None
    """Show only this many of the best complete trials; None: all trials."""
    base: str = ""
    """The folder that paths are relative to; empty: they are absolute."""
    colour: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A rendered report."""

    text: str
    warning: str | None
    """Why unfinished trials may be out of date: the folder was copied or moved."""


def report(sweep_dir: Path, request: ReportRequest) -> Report:
    """The results of a sweep. The `report/` folder of the sweep is updated as well."""
    with _without_gc():
        record = with_limit_warning(read_sweep_record(sweep_dir), SweepDir(sweep_dir))
        rendered = with_costs(record, SweepDir(sweep_dir)) if _shows_costs(request) else record
        text = formats.render(
            rendered,
            request.form,
            columns=request.columns or None,
            sort=request.sort,
            top=request.top,
            base=request.base,
            colour=request.colour,
        )
        refresh_report(record, sweep_dir)
    return Report(text, relocation_warning(sweep_dir))


def _shows_costs(request: ReportRequest) -> bool:
    """Whether the report needs what the trials cost, which takes long to read."""
    if any(map(is_cost, (*request.columns, request.sort or ""))):
        return True
    return request.form is Format.JSON and not request.columns


@contextlib.contextmanager
def _without_gc() -> Iterator[None]:
    """Switch off garbage collection inside the `with` block: it frees nothing there, and takes a sixth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def refresh_report(record: SweepRecord, sweep_dir: Path) -> None:
    """Update the sweep's `report/` folder if it can be written.

    It is a copy of what other files say, so on another user's sweep or a full disk it simply stays as it is.
    """
    with contextlib.suppress(OSError, StateError):
        check_private(sweep_dir)
        folder = sweep_dir / paths.REPORT
        folder.mkdir(exist_ok=True)
        for name, text in formats.files(record).items():
            write_text(folder / name, text)


def write_output(path: Path, text: str) -> None:
    """Write a file of the user's completely or not at all; UsageError if it cannot be written.

    It gets the usual permissions, unlike the files of a sweep, which only the user may read.
    """
    target = path.resolve()
    try:
        if path.is_symlink() and (owner := path.lstat().st_uid) not in (os.getuid(), 0):
            raise UsageError(f"{path}: a link of user {owner} to {target}; remove it, or name another file")
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")  # a device or pipe, such as /dev/stdout: it cannot be renamed
            return
        write_text(target, text, mode=SHARED)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a file that can be written") from error
