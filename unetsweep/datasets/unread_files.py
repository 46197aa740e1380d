"""The files of a dataset's folders that are not read: why, and whether images are lost with them.

Rule 1: a file is an error if a pair would silently be missing: a broken link, an image in a form that is not read, or
        something in the folder of the images with a counterpart in the folder of the masks.
Rule 2: what is no image, or is hidden, is a note.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unetsweep.datasets.file_names import EXTENSIONS, composed, location, owner, printable, stem_of
from unetsweep.errors import Problem
from unetsweep.texts import counted

MAX_NAMES = 4
"""Names of unread files that a message lists."""

Kind = Literal["link", "special", "compressed", "archive", "format", "folder", "other", "hidden", "text"]

_COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".z", ".zst"})
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".7z", ".rar"})
_FORMATS = frozenset(
    {".avif", ".dcm", ".dng", ".exr", ".h5", ".hdr", ".heic", ".heif", ".j2k", ".jp2", ".mat", ".mha", ".nii", ".npy"}
    | {".npz", ".nrrd", ".psd", ".raw", ".svg", ".tga"}
)
_TEXTS = frozenset(
    {".csv", ".db", ".doc", ".docx", ".htm", ".html", ".ini", ".json", ".log", ".m", ".md", ".pdf", ".py", ".rtf"}
    | {".sh", ".tsv", ".txt", ".url", ".xls", ".xlsx", ".xml", ".yaml", ".yml"}
)
_TEXT_NAMES = frozenset({"readme", "license", "licence", "copying", "icon\r", "__macosx"})

_WHAT: dict[Kind, tuple[str, str]] = {
    "link": ("broken link", "restore what is linked to, or remove the link"),
    "special": ("no regular file", "remove it"),
    "compressed": ("compressed", "decompress with gunzip or the like, or move away"),
    "archive": ("archive", "unpack, or move away"),
    "format": ("a format that is not read", "convert to PNG, or move away"),
    "folder": ("subfolder with images", "move its images up, or move it away"),
    "other": ("no known suffix", "give images the suffix of their format, or move away"),
    "hidden": ("hidden", "rename if it belongs to the set"),
    "text": ("no image", ""),
}


@dataclass(frozen=True, slots=True)
class Unread:
    """A file or folder that is not read."""

    file: Path
    kind: Kind


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds."""

    images: tuple[Path, ...]
    """Files that are read, sorted by name."""
    unread: tuple[Unread, ...]


def list_folder(folder: Path) -> Listing:
    """Return the image files of a folder, and everything else in it."""
    images: list[Path] = []
    unread: list[Unread] = []
    for file in sorted(folder.iterdir()):
        kind = _kind(file)
        if kind is None:
            images.append(file)
        else:
            unread.append(Unread(file, kind))
    return Listing(tuple(images), tuple(unread))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the unread files of a folder mean: a problem for each kind."""

    errors: tuple[Problem, ...]
    """Images or masks are lost with them."""
    warnings: tuple[Problem, ...]
    """They look like images, but no pair is lost."""
    notes: tuple[Problem, ...]
    """They are no images."""


def judge(listing: Listing, counterpart: Listing | None = None) -> Judgement:
    """Judge the unread files of a folder.

    `counterpart` is the folder of the masks for that of the images, and the other way round; None if there is none.
    """
    stems = {composed(image.stem) for image in listing.images}
    others = counterpart.unread if counterpart is not None else ()
    errors = [each for each in listing.unread if _loses_images(each, stems, others)]
    rest = [each for each in listing.unread if each not in errors]
    notes = [each for each in rest if each.kind == "text"]
    warnings = [each for each in rest if each.kind != "text"]
    return Judgement(*(tuple(_problems(some)) for some in (errors, warnings, notes)))


def is_no_image(name: str) -> bool:
    """Return whether a file of this name is certainly no image.

    >>> is_no_image("Thumbs.db"), is_no_image("01.png")
    (True, False)
    """
    plain = composed(name).lower()
    return Path(plain).suffix in _TEXTS or plain in _TEXT_NAMES or plain.startswith(("._", ".ds_store"))


def _kind(file: Path) -> Kind | None:
    """Return why a file is not read; None if it is."""
    suffix, is_text = file.suffix.lower(), is_no_image(file.name)
    if file.name.startswith("."):
        return "hidden" if suffix in EXTENSIONS and not is_text else "text"
    if not file.exists():
        return "link"
    if file.is_dir():
        empty: Kind = "special" if suffix in EXTENSIONS else "text"  # a folder 01.png in the place of an image
        return empty if is_text or not _holds_images(file) else "folder"
    if not file.is_file():
        return "special"
    if suffix in EXTENSIONS:
        return None
    by_suffix: list[tuple[frozenset[str], Kind]] = [
        (_COMPRESSED, "compressed"),
        (_ARCHIVES, "archive"),
        (_FORMATS, "format"),
    ]
    return "text" if is_text else next((kind for suffixes, kind in by_suffix if suffix in suffixes), "other")


def _loses_images(unread: Unread, stems: set[str], others: Sequence[Unread]) -> bool:
    """Return whether an image or a mask is lost with this file."""
    if unread.kind in ("link", "special"):
        return True
    if unread.kind in ("hidden", "text") or stems & _stems(unread.file):
        return False  # with stems: the same image is also there in a form that is read
    if unread.kind in ("compressed", "format"):
        return True
    same = [other.file for other in others if other.kind == unread.kind]
    return bool(same) if unread.kind != "other" else any(_are_a_pair(unread.file, other) for other in same)


def _are_a_pair(a: Path, b: Path) -> bool:
    return owner(stem_of(a), [stem_of(b)]) is not None or owner(stem_of(b), [stem_of(a)]) is not None


def _stems(file: Path) -> set[str]:
    """Return what may be the stem of the image: the name without one and without two suffixes, and as it is.

    >>> sorted(_stems(Path("05.png.gz")))
    ['05', '05.png', '05.png.gz']
    """
    once = Path(file.stem)
    return {composed(file.name), composed(once.name), composed(once.stem)}


def _holds_images(folder: Path) -> bool:
    return any(Path(name).suffix.lower() in EXTENSIONS for _, _, names in os.walk(folder) for name in names)


def _problems(unread: Sequence[Unread]) -> Iterator[Problem]:
    for kind, (reason, advice) in _WHAT.items():
        files = [each.file for each in unread if each.kind == kind]
        if files:
            names = ", ".join(printable(file.name) for file in files[:MAX_NAMES])
            more = f" and {len(files) - MAX_NAMES} more" if len(files) > MAX_NAMES else ""
            were = "was" if len(files) == 1 else "were"
            text = f"{counted(len(files), 'file')} {were} not read: {names}{more} ({reason})"
            where = location(files[0]).rpartition("/")[0]
            yield Problem(f"{text}; {advice}" if advice else text, where)
