"""The text that `unetsweep data check` prints."""

import statistics
import textwrap
from collections.abc import Iterator, Sequence

from unetsweep.app.data import DataCheck, summarize_masks
from unetsweep.datasets.findings import describe_group_sizes
from unetsweep.datasets.inspection import VAL, Finding, Inspection
from unetsweep.texts import counted

WIDTH = 120
MAX_GROUPS = 40
"""More groups than these do not fit on a few screens; --json and --report have all."""


def format_lines(check: DataCheck) -> Iterator[str]:
    """Yield the lines of the text."""
    inspection = check.inspection
    yield str(inspection.root)
    for part, sizes in inspection.sizes.items():
        yield _row(
            part, f"{counted(sum(sizes.values()), 'image')}, {', '.join(sorted(sizes)) or 'none of them readable'}"
        )
    if inspection.masks:
        masks = summarize_masks(inspection)
        grey = f"{masks.grey_edged} with grey edges ({masks.grey_share:.1%} of the pixels)"
        shares = f"{masks.vessel_share_half:.1%} of the pixels at half, {masks.vessel_share_above_0:.1%} above 0"
        if inspection.mask_threshold != "half":
            chosen = statistics.fmean(mask.chosen for mask in inspection.masks.values())
            shares = f"{chosen:.1%} of the pixels as chosen, {shares.replace(' of the pixels', '', 1)}"
        yield _row("masks", f"{masks.count}, {grey}; vessels {shares}")
    for part in inspection.sizes:
        groups = inspection.groups(part)
        if groups:
            yield _row("groups", f"{len(groups)} in {part}: {describe_group_sizes(groups)}")
            yield from _groups(inspection, groups)
    if inspection.images("train"):
        leak = f"{inspection.random_split_leak():.1%} of its validation images"
        yield _row("leak", f"a random split (val {VAL}) would leak {leak}")
    if check.findings:
        yield ""
    yield from format_findings(check.findings)
    yield ""
    yield f"{counted(check.errors, 'error')}: fix before you use these images" if check.errors else "usable"


def format_findings(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines about findings."""
    for finding in findings:
        where = f"{finding.where}: " if finding.where else ""
        yield from _wrap(f"{finding.level:8s} ", f"{where}{finding.message}", " " * 9)


def _groups(inspection: Inspection, groups: Sequence[Sequence[str]]) -> Iterator[str]:
    several = [group for group in groups if len(group) > 1]
    for first, *others in several[:MAX_GROUPS]:
        names = [f"{inspection.files([name])[0]} ({inspection.transform(first, name)})" for name in others]
        yield from _wrap("         ", ", ".join([*inspection.files([first]), *names]), " " * 13)
    if len(several) > MAX_GROUPS:
        yield f"         and {counted(len(several) - MAX_GROUPS, 'more group')}: --json or --report has all"


def _row(head: str, text: str) -> str:
    return f"{head:8s} {text}"


def _wrap(head: str, text: str, indent: str) -> list[str]:
    """Wrap the first line at WIDTH; further lines are kept as they are."""
    first, *rest = text.split("\n")
    wrapped = textwrap.wrap(
        first, WIDTH, initial_indent=head, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [*wrapped, *(indent + line for line in rest)]
