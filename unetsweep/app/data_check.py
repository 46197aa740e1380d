"""What `unetsweep data check` says: for people, as one JSON object, and as a page."""

import json
import os
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from unetsweep.datasets.duplicates import Match
from unetsweep.datasets.findings import MUCH, Finding, findings, group_sizes
from unetsweep.datasets.inspection import VAL, Inspection, inspect
from unetsweep.datasets.layout import shown

WIDTH = 120
SHOWN = 40
"""Groups that are listed for people; --json and --report have all."""


def run(folder: Path, as_json: bool, report: Path | None, cut: str | float, use_cache: bool) -> int:
    """Look, print, write the page; the exit status."""
    seen = inspect(folder, cut, use_cache)
    found = findings(seen)
    if report is not None:
        from unetsweep.app.data_page import page

        write_whole(report, page(seen, found))
        click.echo(f"{report}: written", err=True)
    if as_json:
        click.echo(json.dumps(as_object(seen, found), indent=1))
    else:
        click.echo("\n".join(lines(seen, found)))
    return 1 if any(finding.level == "error" for finding in found) else 0


def as_object(seen: Inspection, found: Sequence[Finding]) -> dict[str, Any]:
    """All of it, for programs; groups hold bare file names, as groups.csv does."""
    return {
        "schema": 1,
        "root": str(seen.root),
        "train": len(seen.of("train")),
        "test": len(seen.of("test")),
        "groups": [seen.files(group) for group in seen.groups("train")],
        "test_groups": [seen.files(group) for group in seen.groups("test")],
        "test_copies": [_test_duplicate(seen, match) for match in seen.test_copies()],
        "matches": [_match(seen, match) for match in seen.duplicates.matches],
        "suspicious": [_match(seen, match) for match in seen.duplicates.suspicious],
        "patients": [seen.files(patient) for patient in seen.patients],
        "sizes": {part: dict(sizes) for part, sizes in seen.sizes.items()},
        "masks": _masks(seen),
        "random_split_leak": round(seen.random_split_leak(), 5),
        "findings": [{"level": f.level, "kind": f.kind, "where": f.where, "message": f.message} for f in found],
    }


def lines(seen: Inspection, found: Sequence[Finding]) -> Iterator[str]:
    """The same for people."""
    yield shown(seen.root)
    for part, sizes in seen.sizes.items():
        yield _row(part, f"{sum(sizes.values())} images, " + (", ".join(sorted(sizes)) or "none that can be read"))
    if seen.masks:
        masks = _masks(seen)
        shares = f"vessels {masks['vessel_share_half']:.1%} of the pixels at half, {masks['vessel_share_above_0']:.1%}"
        grey = f"{masks['grey_edged']} with grey edges ({masks['grey_share']:.1%} of the pixels)"
        yield _row("masks", f"{masks['count']}, {grey}; {shares} above 0")
    for part in seen.sizes:
        groups = seen.groups(part)
        if groups:
            yield _row("eyes", f"{len(groups)} in {part}: {group_sizes(groups)}")
            yield from _groups(seen, groups)
    if seen.of("train"):
        yield _row(
            "leak", f"a random split (val {VAL}) would leak {seen.random_split_leak():.1%} of its validation images"
        )
    if found:
        yield ""
    for finding in found:
        where = f"{finding.where}: " if finding.where else ""
        yield from _wrapped(f"{finding.level:8s} ", f"{where}{finding.message}", " " * 9)
    yield ""
    errors = sum(finding.level == "error" for finding in found)
    yield f"{errors} to mend before these images are used" if errors else "usable"


def how_of(seen: Inspection, first: str, name: str) -> str:
    """What makes an image of the first of its group, or by way of which other it was found."""
    direct = seen.link(first, name)
    if direct is not None:
        return direct.how
    other = next((m.a if m.b == name else m.b for m in seen.duplicates.matches if name in (m.a, m.b)), None)
    return f"like {other}" if other else ""


def write_whole(file: Path, text: str) -> None:
    """The file is there whole, or as it was before; its user's alone, since it may hold patients' photographs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise


def _groups(seen: Inspection, groups: Sequence[Sequence[str]]) -> Iterator[str]:
    several = [group for group in groups if len(group) > 1]
    for group in several[:SHOWN]:
        files = seen.files(group)
        rest = [f"{file} ({how_of(seen, group[0], name)})" for file, name in zip(files[1:], group[1:], strict=True)]
        yield from _wrapped("         ", ", ".join([files[0], *rest]), " " * 13)
    if len(several) > SHOWN:
        yield f"         and {len(several) - SHOWN} more groups: --json or --report has all"


def _masks(seen: Inspection) -> dict[str, Any]:
    masks = seen.masks
    count = max(1, len(masks))
    return {
        "count": len(masks),
        "mask_threshold": seen.mask_threshold,
        "grey_edged": sum(mask.between > 0 for mask in masks.values()),
        "grey_share": round(sum(mask.between for mask in masks.values()) / count, 5),
        "vessel_share_half": round(sum(mask.half for mask in masks.values()) / count, 5),
        "vessel_share_above_0": round(sum(mask.above_zero for mask in masks.values()) / count, 5),
        "empty": [name for name, mask in masks.items() if mask.chosen == 0],
        "mostly_vessel": [name for name, mask in masks.items() if mask.chosen > MUCH],
    }


def _file(seen: Inspection, name: str) -> str:
    return f"{name.partition('/')[0]}/{seen.pairs[name].image.name}"


def _match(seen: Inspection, match: Match) -> dict[str, Any]:
    a, b = _file(seen, match.a), _file(seen, match.b)
    return {"a": a, "b": b, "correlation": match.correlation, "how": match.how}


def _test_duplicate(seen: Inspection, match: Match) -> dict[str, Any]:
    train, test = seen.files([match.a, match.b])
    return {"test": test, "train": train, "correlation": match.correlation, "how": match.how}


def _row(head: str, text: str) -> str:
    return f"{head:8s} {text}"


def _wrapped(head: str, text: str, below: str) -> list[str]:
    """Folded at WIDTH; what has lines of its own keeps them."""
    first, *rest = text.split("\n")
    folded = textwrap.wrap(
        first, WIDTH, initial_indent=head, subsequent_indent=below, break_long_words=False, break_on_hyphens=False
    )
    return [*folded, *(below + line for line in rest)]
