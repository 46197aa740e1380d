"""Whether it is known which levels of a mask are vessel, and how to choose if not.

Rule 1: half of the range is right for two plateaus only; see `levels`. With others, the message lists them with their
        shares, and says what to set. The most frequent level is the background, which need not be the lowest.
Rule 2: `mask_values` are exact levels, so they are advised only for masks without grey edges.
Rule 3: a user who has chosen is not asked again, but a choice that no mask can meet is named.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetsweep.datasets.decoding import decode_colours, has_alpha
from unetsweep.datasets.levels import Colour, Plateaus, colours_of, describe_plateaus, percent, plateaus
from unetsweep.datasets.reading import Cut


def levels_problem(mask: Path, levels: NDArray[Any], cut: Cut) -> str:
    """Return why the vessels of a mask, height x width, would be lost or mixed with others; empty if they are not."""
    highest = int(levels.max())
    if highest == int(levels.min()) and has_alpha(mask):
        return (
            f"holds only the level {highest}, and its shapes are in its transparency (alpha channel), which is not "
            "read; save the mask in black and white, without transparency"
        )
    if cut == "half":
        found = plateaus(levels)
        pixels = None if found.is_photograph else decode_colours(mask)
        colours = colours_of(pixels, levels) if pixels is not None else ()
        return "" if found.are_clear and not colours else _describe(found, colours)
    if not isinstance(cut, tuple) and highest == 1 and float(cut) >= 1 and not levels.min():
        share = percent(float(levels.mean()))
        return (
            f"holds 0 and 1 ({share}), so data.mask_threshold: {cut:g} finds no vessel in it; "
            "data.mask_threshold: half is right for masks of 0 and 1, and for those of 0 and 255"
        )
    return ""


def missing_values(cut: Cut, values: Sequence[tuple[int, ...]]) -> str:
    """Return which of `mask_values` no mask holds; `values` are those that each mask holds, among them at least.

    >>> missing_values((1, 3), [(0, 1, 2), (0, 1)])
    'no mask holds 3, of data.mask_values: [1, 3]; the masks hold 0, 1 and 2'
    """
    held = sorted({value for each in values for value in each})
    missing = [value for value in cut if value not in held] if isinstance(cut, tuple) else []
    if not missing or not held:
        return ""
    of = f"of data.mask_values: {list(cut)}"  # type: ignore[arg-type]
    return f"no mask holds {_listed(missing)}, {of}; the masks hold {_listed(held)}"


def _describe(found: Plateaus, colours: Sequence[Colour]) -> str:
    if found.is_photograph:
        return (
            "holds many grey levels, as a photograph or a map of probabilities does; put the masks of the vessels "
            "there, or choose a level with data.mask_threshold: 127"
        )
    plateau_levels = [each.level for each in found.found]
    background = max(found.found, key=lambda each: each.share).level
    if colours:
        each = [f"{colour.name} ({percent(colour.share)})" for colour in colours]
        text = f"holds the colours {_listed(each)}, with the grey levels {_listed([c.level for c in colours])}"
        levels = sorted(colour.level for colour in colours)
    else:
        text = f"holds {len(plateau_levels)} levels: {describe_plateaus(found.found)}"
        levels = [level for level in plateau_levels if level != background]
    text += "; half of their range would choose for you"
    ways = []
    if background < levels[0]:
        cut = background if found.are_exact else (background + levels[0]) // 2
        ways.append(f"data.mask_threshold: {cut} takes all above the background ({background})")
    if found.are_exact:
        ways.append(f"data.mask_values takes those that you name, for example {levels} or [{levels[0]}]")
    elif len(levels) > 1 and background < levels[0]:
        ways.append(f"data.mask_threshold: {(levels[-2] + levels[-1]) // 2} only the highest")
    return f"{text}; {', '.join(ways) or 'save the vessels as white on black'}"


def _listed(items: Sequence[object]) -> str:
    """Return `a, b and c`."""
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last
