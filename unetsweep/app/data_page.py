"""The page of `unetsweep data check --report`: one HTML file with embedded images, without scripts or links."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import jinja2
import numpy as np

from unetsweep.app.data import DataCheck
from unetsweep.atomic import write_text
from unetsweep.datasets.duplicates_cache import Match
from unetsweep.datasets.findings import describe_group_sizes
from unetsweep.datasets.fingerprints import DOUBTFUL, SURE, aligned
from unetsweep.datasets.inspection import VAL, Inspection
from unetsweep.datasets.reading import Pixels, read_image
from unetsweep.texts import printable

TEMPLATE = "data_check.html"
SMALL, LARGE = 120, 240
"""Longer side of an image in pixels: a group of four fits in a row, and two vessel trees can be compared."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An image with its caption."""

    name: str
    caption: str
    source: str
    """A data URL."""
    side: int


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
        groups=list(_groups(inspection)),
        describe_group_sizes=describe_group_sizes,
        constants={"sure": SURE, "doubtful": DOUBTFUL, "val": VAL},
    )


def _compare(inspection: Inspection, match: Match) -> list[Figure]:
    a, b = (_read(inspection, name) for name in (match.a, match.b))
    return [
        _figure(a, match.a, "", LARGE),
        _figure(b, match.b, f"{match.transform}, correlation {match.correlation:.2f}", LARGE),
        _figure(aligned(a, b), match.b, "aligned to the first", LARGE),
    ]


def _groups(inspection: Inspection) -> Iterator[list[Figure]]:
    """Yield the images of each group with duplicates, a training image first."""
    for group in inspection.duplicates.groups:
        if len(group) > 1:
            first = next((name for name in group if name.startswith("train/")), group[0])
            others = [name for name in group if name != first]
            captions = ["", *(_describe(inspection, first, name) for name in others)]
            names = zip([first, *others], captions, strict=True)
            yield [_figure(_read(inspection, name), name, caption, SMALL) for name, caption in names]


def _describe(inspection: Inspection, first: str, name: str) -> str:
    match = inspection.match(first, name)
    return inspection.transform(first, name) + (f", correlation {match.correlation:.2f}" if match else "")


def _read(inspection: Inspection, name: str) -> Pixels:
    return read_image(inspection.pairs[name].image)


def _figure(pixels: Pixels, name: str, caption: str, side: int) -> Figure:
    return Figure(name, caption, _embed(pixels, side), side)


def _embed(pixels: Pixels, side: int) -> str:
    """Return a small JPEG as a data URL."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    _, content = cv2.imencode(".jpg", np.ascontiguousarray(small[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()
