"""`report`: the results of a sweep as text, and the copy of them in the sweep's folder."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.analysis.records import read_sweep_record
from unetsweep.analysis.rows import SweepRecord
from unetsweep.app.costs import with_costs
from unetsweep.app.spending import with_limit_warning
from unetsweep.atomic import SHARED, write_text
from unetsweep.core import paths
from unetsweep.errors import StateError, UnetsweepError, UsageError
from unetsweep.process import without_gc
from unetsweep.report import formats
from unetsweep.report.formats import Format
from unetsweep.report.page.content import PageContent
from unetsweep.report.view import is_cost
from unetsweep.store.home import relocation_warning
from unetsweep.store.permissions import check_private
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import with_repair_advice


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
    page: Path | None = None
    """Where the page was stored in the sweep's folder; None: it is no page, or the folder cannot be written."""


def report(sweep_dir: Path, request: ReportRequest) -> Report:
    """The results of a sweep. The `report/` folder of the sweep is updated as well."""
    with without_gc():
        record = with_limit_warning(read_sweep_record(sweep_dir), SweepDir(sweep_dir))
        rendered = _with_costs(record, sweep_dir, request) if _shows_costs(request) else record
        page = _page_content(rendered, sweep_dir) if request.form is Format.HTML else None
        text = formats.render(
            rendered,
            request.form,
            columns=request.columns or None,
            sort=request.sort,
            top=request.top,
            base="" if page is not None else request.base,  # a page is read from other folders too
            colour=request.colour,
            page=page,
        )
        refresh_report(record, sweep_dir)
        stored = _store_page(text, sweep_dir) if page is not None else None
    return Report(text, relocation_warning(sweep_dir), stored)


def _shows_costs(request: ReportRequest) -> bool:
    """Whether the report needs what the trials cost, which takes long to read."""
    if any(map(is_cost, (*request.columns, request.sort or ""))):
        return True
    return request.form is Format.HTML or (request.form is Format.JSON and not request.columns)


def _with_costs(record: SweepRecord, sweep_dir: Path, request: ReportRequest) -> SweepRecord:
    """The record with costs. A page is made without them if a file that they need is damaged."""
    try:
        return with_costs(record, SweepDir(sweep_dir))
    except (UnetsweepError, OSError) as error:
        if request.form is not Format.HTML:
            raise
        return replace(record, warnings=(*record.warnings, with_repair_advice(str(error), sweep_dir)))


def _page_content(record: SweepRecord, sweep_dir: Path) -> PageContent:
    from unetsweep.app.report_page import read_content  # with OpenCV: other formats start faster without it

    return read_content(record, SweepDir(sweep_dir))


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


def refresh_page(record: SweepRecord, sweep_dir: Path) -> None:
    """Make the page of a sweep that has ended, unless it is newer than all results.

    Whatever goes wrong is noted in the sweep's log: a reconciliation calls this, and must not fail.
    """
    try:
        if not _is_page_current(sweep_dir):
            text = formats.render(record, Format.HTML, page=_page_content(record, sweep_dir))
            _store_page(text, sweep_dir)
    except Exception as error:
        with contextlib.suppress(OSError, StateError):
            SweepDir(sweep_dir).note(action="page", trouble=f"{type(error).__name__}: {error}")


def _is_page_current(sweep_dir: Path) -> bool:
    """Whether the page is newer than the results of all trials, and of those that confirm them."""
    page, results = sweep_dir / paths.PAGE, f"{paths.TRIALS}/*/{paths.RESULT}"
    if not page.is_file():
        return False
    files = (*sweep_dir.glob(results), *(sweep_dir / paths.CONFIRM).glob(results))
    return page.stat().st_mtime > max((file.stat().st_mtime for file in files), default=0.0)


def _store_page(text: str, sweep_dir: Path) -> Path | None:
    """Write the page into the sweep's folder and return its path; None: it cannot be written."""
    path = sweep_dir / paths.PAGE
    with contextlib.suppress(OSError, StateError):
        check_private(sweep_dir)
        path.parent.mkdir(exist_ok=True)
        write_text(path, text)
        return path
    return None


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
