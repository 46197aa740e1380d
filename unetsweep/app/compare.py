"""`report A B`: several sweeps beside each other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from unetsweep.analysis.compared_sweeps import ComparedSweep
from unetsweep.analysis.records import read_sweep_record
from unetsweep.app.costs import with_costs
from unetsweep.app.sweeps import resolve
from unetsweep.errors import StateError, UsageError
from unetsweep.report import comparison_formats
from unetsweep.report.comparison import compare
from unetsweep.report.formats import Format
from unetsweep.store.sweep_dir import SweepDir

MOST_SWEEPS = 8
"""A table of more is not readable."""


def compare_sweeps(sweeps: Sequence[str], results: Path, form: Format, *, colour: bool = False) -> str:
    """The comparison of these sweeps as text; UsageError if one does not exist or is named twice, or if they are too
    many."""
    folders = [resolve(sweep, results, to_read=True) for sweep in sweeps]
    if len(folders) > MOST_SWEEPS:
        raise UsageError(f"found {len(folders)} sweeps; a report compares at most {MOST_SWEEPS}")
    twice = [sweep for sweep, folder in zip(sweeps, folders, strict=True) if folders.count(folder) > 1]
    if twice:
        raise UsageError(f"found {' and '.join(twice)}, which are the same sweep; name different ones")
    names = Counter(SweepDir(folder).name for folder in folders)
    found = [_compared(folder, is_unique=names[SweepDir(folder).name] == 1) for folder in folders]
    return comparison_formats.render(compare(found), form, colour=colour)


def _compared(folder: Path, *, is_unique: bool) -> ComparedSweep:
    directory = SweepDir(folder)
    record = with_costs(read_sweep_record(folder), directory)
    return ComparedSweep(directory.name if is_unique else str(folder), record, _images(directory))


def _images(directory: SweepDir) -> Mapping[str, Mapping[str, str]]:
    """The digests of the validation and test images; empty if they are not known. A damaged file is warned about in
    the record."""
    try:
        data = directory.data
    except StateError:
        return {}
    return {} if data is None else {part: dict(data.manifest.get(part, {})) for part in ("val", "test")}
