"""Which photographs show one eye: copies that were mirrored, turned, squashed, lit or compressed otherwise.

Rule 1: a pair above SURE is joined; groups are what such pairs connect. Between DOUBTFUL and SURE a pair
        is shown to a person and joined by nobody.
Rule 2: which images are joined depends on the pixels only, never on a file's name or place.

The correlation of a pair (`fingerprints.fit`), as measured on CHASE_DB1 (28 photographs, both eyes of a child
among them) and synthetic eyes of 64 and 128 pixels:

    copies, lowest              0.98   the 100-image set's recipe at 512x512, with black borders, quarter turns and
                                       mirrored turns too; the same made as small as 128x128
                                0.80   the same against copies lit otherwise and kept as JPEG of quality 40
                                0.96   turned on an enlarged canvas, padded, squashed, cut at top and bottom to 3:2,
                                       zoomed by 0.8 and 1.2, shifted by 6 % (14 pictures of each eye, each with each)
                                0.80   the same, lit otherwise and kept as JPEG
                                0.95   synthetic eyes
    different eyes, highest     0.39   the photographs, with the black around the eyes painted white too
                                0.54   changed as above, lit otherwise and kept as JPEG
                                0.60   changed as above, the longer side 128 pixels: too few are left of the vessels

What is not found: a picture squashed, then turned, then put on another canvas; a zoom or a shift where no dark or
even surround shows the field; colours inverted. What all photographs share, such as a line of text or a grid drawn
over them, makes different eyes alike.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.datasets.duplicates_cache import Contents, Found, default_folder, file_of, recall, remember
from unetsweep.datasets.fingerprints import DOUBTFUL as DOUBTFUL
from unetsweep.datasets.fingerprints import (
    LIKELY,
    LIKELY_BY_FIELD,
    Alignment,
    Fingerprint,
    Fit,
    Looks,
    fit,
    in_words,
    likely_turns,
    looks,
)
from unetsweep.datasets.fingerprints import SURE as SURE
from unetsweep.datasets.layout import Pair
from unetsweep.datasets.patients import left_right as left_right
from unetsweep.datasets.reading import read_image
from unetsweep.errors import DataError, Problem

SAME_FILE = "the same file"


@dataclass(frozen=True, slots=True)
class Match:
    """Two photographs of one eye, `part/name` each."""

    a: str
    b: str
    correlation: float
    """Of the vessels, -1 to 1, once `b` is turned back onto `a`."""
    how: str
    """What makes `b` of `a`, in words."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What shows one eye among some images."""

    groups: tuple[tuple[str, ...], ...]
    """All images, each in one group, as `train/01`; sorted, those without a copy by themselves."""
    matches: tuple[Match, ...]
    """The sure pairs that make the groups, mostly each image with the first of its group."""
    suspicious: tuple[Match, ...]
    """Pairs that are alike, but not enough to be joined."""


def find_duplicates(
    parts: Mapping[str, Sequence[Pair]], cache: Path | None = None, use_cache: bool = True
) -> Duplicates:
    """The copies among the images of all parts, remembered in the folder `cache` (None: the user's own).

    Raises DataError with every image that cannot be read.
    """
    files = {f"{part}/{pair.name}": pair.image for part, pairs in parts.items() for pair in pairs}
    digest_of = _digests(files)
    digests = list(dict.fromkeys(digest_of.values()))
    folder = (cache or default_folder()) if use_cache else None
    file = file_of(folder, digests) if folder else None
    contents = recall(file, digests) if file else None
    if contents is None:
        path_of = {digest: files[name] for name, digest in reversed(digest_of.items())}
        contents = _compared(digests, _looks([path_of[digest] for digest in digests]))
        if file:
            remember(file, digests, contents)
    return _named(digest_of, contents)


def eyes(pairs: Sequence[Pair], duplicates: Duplicates | None = None) -> dict[str, str]:
    """The group of each pair, by its name, for `groups: auto`: copies of one eye, and both eyes of one person.

    `duplicates` is what was found already among these and others; training images that only a test image joins
    are then one group. A group has the name of its first member. Raises DataError with every image that
    cannot be read.
    """
    patients: dict[str, list[str]] = {}
    for name, patient in left_right([pair.name for pair in pairs]).items():
        patients.setdefault(patient, []).append(name)
    duplicates = duplicates or find_duplicates({"train": pairs})
    ours = {f"train/{pair.name}" for pair in pairs}
    same = [[name.removeprefix("train/") for name in group if name in ours] for group in duplicates.groups]
    groups = joined([pair.name for pair in pairs], _chained([*same, *patients.values()]))
    return {name: group[0] for group in groups for name in group}


def joined(names: Iterable[str], links: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """The names in groups that the links connect, all sorted.

    >>> joined("dcba", [("a", "c"), ("c", "d")])
    (('a', 'c', 'd'), ('b',))
    """
    root = {name: name for name in names}
    for a, b in links:
        _join(root, a, b)
    groups: dict[str, list[str]] = {}
    for name in sorted(root):
        groups.setdefault(_root(root, name), []).append(name)
    return tuple(sorted(tuple(group) for group in groups.values()))


def _chained(groups: Iterable[Sequence[str]]) -> Iterable[tuple[str, str]]:
    return (pair for group in groups for pair in itertools.pairwise(group))


def _root(root: dict[str, str], name: str) -> str:
    while root[name] != name:
        root[name] = root[root[name]]
        name = root[name]
    return name


def _join(root: dict[str, str], a: str, b: str) -> None:
    root[_root(root, b)] = _root(root, a)


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    """The sha256 of each file's bytes, by the image's name."""
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for name, path in files.items():
        try:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            problems.append(Problem(f"{path}: cannot be read ({error.strerror or error}); check the file"))
    _raise(files.values(), problems)
    return found


def _looks(paths: Sequence[Path]) -> list[Looks]:
    seen: list[Looks] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            seen.append(looks(read_image(path)))
        except DataError as error:
            problems += [Problem(p.text(error.source)) for p in error.problems]
    _raise(paths, problems)
    return seen


def _raise(paths: Iterable[Path], problems: Sequence[Problem]) -> None:
    if problems:
        raise DataError(str(next(iter(paths)).parent.parent.parent), problems)


def _compared(digests: Sequence[str], seen: Sequence[Looks]) -> Contents:
    """What is alike; a pair that others have joined already is not looked at again."""
    root = {digest: digest for digest in digests}
    sure: list[Found] = []
    doubtful: dict[tuple[str, str], Found] = {}
    for turn, first, second, least in _likely(seen):
        a, b = digests[turn.a], digests[turn.b]
        if _root(root, a) == _root(root, b):
            continue
        best = _either_way(first, second, turn)
        if best.correlation < least:
            continue
        found = Found(a, b, round(best.correlation, 4), in_words(best.pose, best.mirrored))
        if best.correlation >= SURE:
            sure.append(found)
            _join(root, a, b)
        elif (a, b) not in doubtful or doubtful[a, b].correlation < best.correlation:
            doubtful[a, b] = found
    apart = (each for each in doubtful.values() if _root(root, each.a) != _root(root, each.b))
    return Contents(tuple(sure), tuple(sorted(apart, key=lambda each: (each.a, each.b))))


def _likely(seen: Sequence[Looks]) -> Iterator[tuple[Alignment, Fingerprint, Fingerprint, float]]:
    """What deserves a second look, and the least correlation that then means anything.

    First by their fields, which tell best. Then by the canvas, unless both fields are beyond doubt.
    """
    fields = [(index, look.field) for index, look in enumerate(seen) if look.field is not None]
    for turn in likely_turns([each for _, each in fields], LIKELY_BY_FIELD):
        (a, first), (b, second) = fields[turn.a], fields[turn.b]
        yield replace(turn, a=a, b=b), first, second, DOUBTFUL
    if all(look.whole for look in seen):
        return
    for turn in likely_turns([look.canvas for look in seen], LIKELY):
        ours, theirs = seen[turn.a], seen[turn.b]
        if not (ours.whole and theirs.whole):
            framed = ours.field is not None and theirs.field is not None
            yield turn, ours.canvas, theirs.canvas, SURE if framed else DOUBTFUL


def _either_way(a: Fingerprint, b: Fingerprint, turn: Alignment) -> Fit:
    """The fit of `b` onto `a`; or, where that is not sure, the better of it and of `a` onto `b`.

    So whether two are joined does not hang on which comes first.
    """
    best = fit(a, b, turn)
    if best.correlation >= SURE:
        return best
    back = fit(b, a, turn.back())
    return max(best, back.back(), key=lambda each: each.correlation)


def _named(digest_of: Mapping[str, str], contents: Contents) -> Duplicates:
    """Contents become names; files of one content are joined too."""
    first: dict[str, str] = {}
    matches: list[Match] = []
    for name, digest in digest_of.items():
        if first.setdefault(digest, name) != name:
            matches.append(Match(first[digest], name, 1.0, SAME_FILE))
    found, suspicious = (
        [Match(first[each.a], first[each.b], each.correlation, each.how) for each in some]
        for some in (contents.matches, contents.suspicious)
    )
    matches = sorted([*matches, *found], key=lambda match: (match.a, match.b))
    groups = joined(digest_of, ((match.a, match.b) for match in matches))
    return Duplicates(groups, tuple(matches), tuple(suspicious))
