"""The page of `unetsweep data check --report`: one file, no scripts, nothing fetched."""

import base64
from collections.abc import Iterator, Sequence
from html import escape

import cv2
import numpy as np

from unetsweep.app.data_check import how_of
from unetsweep.datasets.duplicates import DOUBTFUL, SURE, Match
from unetsweep.datasets.findings import Finding, group_sizes
from unetsweep.datasets.fingerprints import Pixels, turned_back
from unetsweep.datasets.inspection import VAL, Inspection
from unetsweep.datasets.reading import read_image

_SIDE, _LARGE = 120, 240
"""Pixels of the longer side, in a group and where two are compared."""
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --back: #fff; --ink: #1b1b1b; --soft: #666; --error: #b3261e;
 --warning: #8a5a00; --note: #35618a }
@media (prefers-color-scheme: dark) { :root { --back: #16181b; --ink: #e6e6e6; --soft: #a2a2a2; --error: #ff8a80;
 --warning: #f0bf60; --note: #8fc1ee } }
body { font: 15px/1.45 system-ui, sans-serif; background: var(--back); color: var(--ink); margin: 2rem auto;
 max-width: 70rem; padding: 0 1rem }
h1 { font-size: 1.4rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse } td, th { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top }
td { overflow-wrap: anywhere } tr + tr { border-top: 1px solid var(--line) }
.error, .warning, .note { font-weight: 600; white-space: nowrap }
.error { color: var(--error) } .warning { color: var(--warning) }
.note { color: var(--note) } .soft, figcaption { color: var(--soft) }
.row { display: flex; flex-wrap: wrap; gap: .8rem; padding: .6rem 0; border-top: 1px solid var(--line) }
figure { margin: 0 } figcaption { font-size: .78rem; line-height: 1.25; overflow-wrap: anywhere }
figcaption b { color: var(--ink) } img { display: block; border-radius: 3px; max-width: 100% }
"""


def page(seen: Inspection, found: Sequence[Finding]) -> str:
    """The whole page."""
    body = "\n".join([*_head(seen), *_findings(found), *_pairs(seen), *_groups(seen)])
    name = escape(f"Images of {seen.root}")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n'
    )


def _head(seen: Inspection) -> Iterator[str]:
    yield f"<h1>Images of {escape(str(seen.root))}</h1>\n<table>"
    for part, sizes in seen.sizes.items():
        groups = seen.groups(part)
        shown = ", ".join(f"{number} of {escape(size)}" for size, number in sorted(sizes.items())) or "none"
        eyes = f"; {len(groups)} eyes: {group_sizes(groups)}" if groups else ""
        yield f"<tr><th>{escape(part)}</th><td>{shown}{eyes}</td></tr>"
    leak = f"{seen.random_split_leak():.1%} of the validation images would have a copy in training (val {VAL})"
    yield f"<tr><th>random split</th><td>{leak}</td></tr>"
    text = f"from a correlation of {SURE} on; from {DOUBTFUL} on a pair is shown as suspicious"
    yield f"<tr><th>one eye</th><td>{text}</td></tr></table>"


def _findings(found: Sequence[Finding]) -> Iterator[str]:
    yield "<h2>Findings</h2>"
    if not found:
        yield "<p>None.</p>"
        return
    yield "<table>"
    for each in found:
        where = f"<b>{escape(each.where)}</b> " if each.where else ""
        text = escape(each.message).replace("\n", "<br>")
        yield f'<tr><td class="{each.level}">{each.level}</td><td>{where}{text}</td></tr>'
    yield "</table>"


def _pairs(seen: Inspection) -> Iterator[str]:
    for title, matches in (("Test images that copy a training image", seen.test_copies()),
                           ("Suspicious pairs: alike, and not joined", seen.duplicates.suspicious)):  # fmt: skip
        if matches:
            yield f"<h2>{title}</h2>"
            yield from (_side_by_side(seen, match) for match in matches)


def _side_by_side(seen: Inspection, match: Match) -> str:
    a, b = (_pixels(seen, name) for name in (match.a, match.b))
    said = f"{match.how}, correlation {match.correlation:.2f}"
    pictures = [
        _figure(a, match.a, "", _LARGE),
        _figure(b, match.b, said, _LARGE),
        _figure(turned_back(a, b), match.b, "turned back onto the first", _LARGE),
    ]
    return f'<div class="row">{"".join(pictures)}</div>'


def _groups(seen: Inspection) -> Iterator[str]:
    groups = [group for group in seen.duplicates.groups if len(group) > 1]
    if not groups:
        return
    yield f'<h2>Copies of one eye</h2><p class="soft">{len(groups)} groups; what makes each of the first.</p>'
    for group in groups:
        first = next((name for name in group if name.startswith("train/")), group[0])
        names = [first, *(name for name in group if name != first)]
        pictures = [_figure(_pixels(seen, n), n, _said(seen, first, n) if n != first else "") for n in names]
        yield f'<div class="row">{"".join(pictures)}</div>'


def _said(seen: Inspection, first: str, name: str) -> str:
    match = seen.link(first, name)
    how = how_of(seen, first, name)
    return f"{how}, correlation {match.correlation:.2f}" if match else how


def _pixels(seen: Inspection, name: str) -> Pixels:
    return read_image(seen.pairs[name].image)


def _figure(pixels: Pixels, name: str, said: str, side: int = _SIDE) -> str:
    caption = f"<b>{escape(name)}</b> {escape(said)}"
    image = f'<img alt="{escape(name)}" src="{_embedded(pixels, side)}">'
    return f'<figure style="width: {side}px">{image}<figcaption>{caption}</figcaption></figure>'


def _embedded(pixels: Pixels, side: int) -> str:
    """A small JPEG as a data address."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    _, content = cv2.imencode(".jpg", np.ascontiguousarray(small[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()
