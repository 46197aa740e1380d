"""The page of `unetsweep data check --report`: one HTML file with embedded images, without scripts or links."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import jinja2

from unetsweep.app.data import DataCheck
from unetsweep.app.data_pictures import LARGE, SMALL, Figure, describe_count, figure, pictures
from unetsweep.atomic import write_text
from unetsweep.datasets.duplicates_cache import Match
from unetsweep.datasets.findings import describe_group_sizes
from unetsweep.datasets.fingerprints import DOUBTFUL, SURE, aligned
from unetsweep.datasets.inspection import VAL, Inspection
from unetsweep.datasets.reading import Pixels, read_image
from unetsweep.texts import printable

TEMPLATE = "data_check.html"
MAX_GROUPS = 40
"""More groups of duplicates than these are not shown; --json has all."""


def write_page(check: DataCheck, file: Path) -> None:
    """Write the page, readable by its user only, since it may show patients' eyes; an existing page is replaced."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, render_page(check))


def render_page(check: DataCheck) -> str:
    """Return the page as HTML."""
    inspection = check.inspection
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,  # the names of files come from outside
        finalize=lambda value: value if hasattr(value, "__html__") else printable(str(value)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        inspection=inspection,
        findings=check.findings,
        test_duplicates=[_compare(inspection, match) for match in inspection.test_duplicates()],
        suspicious=[_compare(inspection, match) for match in inspection.duplicates.suspicious],
        groups=list(itertools.islice(_groups(inspection), MAX_GROUPS)),
        number_of_groups=sum(len(group) > 1 for group in inspection.duplicates.groups),
        pictures=pictures(inspection),
        describe_count=describe_count,
        describe_group_sizes=describe_group_sizes,
        constants={"sure": SURE, "doubtful": DOUBTFUL, "val": VAL},
    )


def _compare(inspection: Inspection, match: Match) -> list[Figure]:
    a, b = (_read(inspection, name) for name in (match.a, match.b))
    return [
        figure(a, match.a, "", LARGE),
        figure(b, match.b, f"{match.transform}, correlation {match.correlation:.2f}", LARGE),
        figure(aligned(a, b), match.b, "aligned to the first", LARGE),
    ]


def _groups(inspection: Inspection) -> Iterator[list[Figure]]:
    """Yield the images of each group with duplicates, a training image first."""
    for group in inspection.duplicates.groups:
        if len(group) > 1:
            first = next((name for name in group if name.startswith("train/")), group[0])
            others = [name for name in group if name != first]
            captions = ["", *(_describe(inspection, first, name) for name in others)]
            names = zip([first, *others], captions, strict=True)
            yield [figure(_read(inspection, name), name, caption, SMALL) for name, caption in names]


def _describe(inspection: Inspection, first: str, name: str) -> str:
    match = inspection.match(first, name)
    return inspection.transform(first, name) + (f", correlation {match.correlation:.2f}" if match else "")


def _read(inspection: Inspection, name: str) -> Pixels:
    return read_image(inspection.pairs[name].image)
