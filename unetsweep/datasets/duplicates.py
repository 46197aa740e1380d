"""Duplicates: photographs of the same eye that were mirrored, rotated, squashed, relit or recompressed.

Rule 1: a pair with a correlation from SURE on is a match; matches connect images to groups. A pair from DOUBTFUL on is
        suspicious: it is reported, but not grouped.
Rule 2: the groups depend only on the pixels, not on a file's name or folder.

Correlations of pairs (`fingerprints.align`), measured on CHASE_DB1 (28 photographs, with both eyes of each child) and
on synthetic eyes of 64 and 128 pixels:

    duplicates, lowest          0.98   both flips and a rotation, as in the 100-image set, at 512x512; also with black
                                       borders, quarter rotations and mirrored rotations; the same down to 128x128
                                0.80   the same against duplicates relit and saved as JPEG of quality 40
                                0.96   rotated on an enlarged canvas, padded, squashed, cut at top and bottom to 3:2,
                                       zoomed by 0.8 and 1.2, shifted by 6 % (14 images of each eye, all pairs)
                                0.80   the same, relit and saved as JPEG
                                0.95   synthetic eyes
    different eyes, highest     0.39   the photographs, also with the black border painted white
                                0.54   changed as above, relit and saved as JPEG
                                0.60   changed as above, longer side 128 pixels: too little is left of the vessels

Images of at most TOO_SMALL pixels are not compared, except by their bytes: CHASE_DB1 shrunk to 24 and 32 pixels has
different eyes with 0.55 and 0.51, and at 16 pixels with 0.72.

Not found: an image squashed, then rotated, then put on another canvas; a zoom or a shift if no dark or uniform border
shows the field; inverted colours. Anything that all photographs share, such as text or a grid drawn over them, makes
different eyes similar.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.datasets.duplicates_cache import (
    Match,
    Matches,
    cache_file,
    default_folder,
    load_matches,
    save_matches,
)
from unetsweep.datasets.fingerprints import (
    CANDIDATE,
    CANDIDATE_BY_FIELD,
    DOUBTFUL,
    SURE,
    Fingerprint,
    Fingerprints,
    Fit,
    Rotation,
    align,
    candidate_rotations,
    describe_transform,
    take_fingerprints,
)
from unetsweep.datasets.layout import Pair
from unetsweep.datasets.patients import left_right
from unetsweep.datasets.reading import read_image
from unetsweep.errors import DataError, Problem

SAME_FILE = "the same file"
TOO_SMALL = 32
"""Longer side in pixels up to which nothing tells whether two images show the same eye."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The duplicates among the images of a dataset, which are named `part/name`."""

    groups: tuple[tuple[str, ...], ...]
    """All images in groups that show the same eye, sorted; an image without a duplicate is a group of one."""
    matches: tuple[Match, ...]
    """Sure pairs that connect the groups, usually each image with the first of its group."""
    suspicious: tuple[Match, ...]
    """Pairs that are similar, but not enough to be grouped."""


def find_duplicates(
    parts: Mapping[str, Sequence[Pair]], cache: Path | None = None, use_cache: bool = True
) -> Duplicates:
    """Find the duplicates among the images of all parts; `cache` is the cache's folder (None: the user's own).

    Raises DataError with every image that cannot be read.
    """
    files = {f"{part}/{pair.name}": pair.image for part, pairs in parts.items() for pair in pairs}
    digest_of = _digests(files)
    digests = list(dict.fromkeys(digest_of.values()))
    folder = (cache or default_folder()) if use_cache else None
    file = cache_file(folder, digests) if folder else None
    matches = load_matches(file, digests) if file else None
    if matches is None:
        path_of = {digest: files[name] for name, digest in reversed(digest_of.items())}
        prints = _take_fingerprints({digest: path_of[digest] for digest in digests})
        matches = _find_matches(list(prints), list(prints.values()))
        if file:
            save_matches(file, digests, matches)
    return _with_names(digest_of, matches)


def image_groups(pairs: Sequence[Pair], duplicates: Duplicates | None = None) -> dict[str, str]:
    """Return the group of each pair for `groups: auto`: duplicates of an eye, and both eyes of a patient.

    `duplicates` saves a search; it may hold other images too, and training images that are connected only through a
    test image are then one group. A group has the name of its first member. Raises DataError with every image that
    cannot be read.
    """
    patients: dict[str, list[str]] = {}
    for name, patient in left_right([pair.name for pair in pairs]).items():
        patients.setdefault(patient, []).append(name)
    duplicates = duplicates or find_duplicates({"train": pairs})
    ours = {f"train/{pair.name}" for pair in pairs}
    same_eye = [[name.removeprefix("train/") for name in group if name in ours] for group in duplicates.groups]
    links = (link for group in (*same_eye, *patients.values()) for link in itertools.pairwise(group))
    return {name: group[0] for group in connect([pair.name for pair in pairs], links) for name in group}


def connect(names: Iterable[str], links: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Return the names in groups that the links connect, all sorted.

    >>> connect("dcba", [("a", "c"), ("c", "d")])
    (('a', 'c', 'd'), ('b',))
    """
    root = {name: name for name in names}
    for a, b in links:
        _union(root, a, b)
    groups: dict[str, list[str]] = {}
    for name in sorted(root):
        groups.setdefault(_find(root, name), []).append(name)
    return tuple(sorted(tuple(group) for group in groups.values()))


def _find(root: dict[str, str], name: str) -> str:
    while root[name] != name:
        root[name] = root[root[name]]
        name = root[name]
    return name


def _union(root: dict[str, str], a: str, b: str) -> None:
    root[_find(root, b)] = _find(root, a)


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the sha256 of each file's bytes, by the image's name."""
    digests: dict[str, str] = {}
    problems: list[Problem] = []
    for name, path in files.items():
        try:
            digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            problems.append(Problem(f"{path}: cannot be read ({error.strerror or error}); check the file"))
    _raise_if_any(problems, files.values())
    return digests


def _take_fingerprints(path_of: Mapping[str, Path]) -> dict[str, Fingerprints]:
    """Return the fingerprints of the images that are large enough, by their digests."""
    prints: dict[str, Fingerprints] = {}
    problems: list[Problem] = []
    for digest, path in path_of.items():
        try:
            image = read_image(path)
        except DataError as error:
            problems += [Problem(p.text(error.source)) for p in error.problems]
        else:
            if max(image.shape) > TOO_SMALL:
                prints[digest] = take_fingerprints(image)
    _raise_if_any(problems, path_of.values())
    return prints


def _raise_if_any(problems: Sequence[Problem], paths: Iterable[Path]) -> None:
    if problems:
        raise DataError(str(next(iter(paths)).parent.parent.parent), problems)


def _find_matches(digests: Sequence[str], prints: Sequence[Fingerprints]) -> Matches:
    """Compare all candidates, except those whose images other matches connect already."""
    root = {digest: digest for digest in digests}
    sure: list[Match] = []
    suspicious: dict[tuple[str, str], Match] = {}
    for rotation, first, second, least in _candidates(prints):
        a, b = digests[rotation.a], digests[rotation.b]
        if _find(root, a) == _find(root, b):
            continue
        best = _align_both_ways(first, second, rotation)
        if best.correlation < least:
            continue
        match = Match(a, b, round(best.correlation, 4), describe_transform(best.pose, best.mirrored))
        if best.correlation >= SURE:
            sure.append(match)
            _union(root, a, b)
        elif (a, b) not in suspicious or suspicious[a, b].correlation < best.correlation:
            suspicious[a, b] = match
    unconnected = (match for match in suspicious.values() if _find(root, match.a) != _find(root, match.b))
    return Matches(tuple(sure), tuple(sorted(unconnected, key=lambda match: (match.a, match.b))))


def _candidates(prints: Sequence[Fingerprints]) -> Iterator[tuple[Rotation, Fingerprint, Fingerprint, float]]:
    """Yield the pairs to align, each with the least correlation that counts.

    Fields come first, since they are more reliable; then the canvas, unless both fields are certain.
    """
    fields = [(index, each.field) for index, each in enumerate(prints) if each.field is not None]
    for rotation in candidate_rotations([field for _, field in fields], CANDIDATE_BY_FIELD):
        (a, first), (b, second) = fields[rotation.a], fields[rotation.b]
        yield replace(rotation, a=a, b=b), first, second, DOUBTFUL
    if all(each.certain for each in prints):
        return
    for rotation in candidate_rotations([each.canvas for each in prints], CANDIDATE):
        ours, theirs = prints[rotation.a], prints[rotation.b]
        if not (ours.certain and theirs.certain):
            have_fields = ours.field is not None and theirs.field is not None
            yield rotation, ours.canvas, theirs.canvas, SURE if have_fields else DOUBTFUL


def _align_both_ways(a: Fingerprint, b: Fingerprint, rotation: Rotation) -> Fit:
    """Align `b` to `a`; unless that is sure, also `a` to `b`, so that the order of the images does not matter."""
    best = align(a, b, rotation)
    if best.correlation >= SURE:
        return best
    back = align(b, a, rotation.inverse())
    return max(best, back.inverse(), key=lambda fit: fit.correlation)


def _with_names(digest_of: Mapping[str, str], matches: Matches) -> Duplicates:
    """Replace digests by names, and match files with the same content."""
    first: dict[str, str] = {}
    same_file: list[Match] = []
    for name, digest in digest_of.items():
        if first.setdefault(digest, name) != name:
            same_file.append(Match(first[digest], name, 1.0, SAME_FILE))
    sure, suspicious = (
        [replace(match, a=first[match.a], b=first[match.b]) for match in some]
        for some in (matches.sure, matches.suspicious)
    )
    sure = sorted([*same_file, *sure], key=lambda match: (match.a, match.b))
    return Duplicates(connect(digest_of, ((match.a, match.b) for match in sure)), tuple(sure), tuple(suspicious))
