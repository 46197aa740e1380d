"""Plans the import of a public set: which file of the distributed set becomes which image or mask of ours."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.datasets.arrange import GZIP, Transfer
from unetsweep.datasets.layout_advice import MAX_FILES, files_below
from unetsweep.datasets.part_folders import PARTS, describe
from unetsweep.datasets.public_sets import PublicSet, members, recognise
from unetsweep.datasets.splits import some_of
from unetsweep.errors import DataError, Problem, UsageError
from unetsweep.texts import counted

Files = Mapping[tuple[str, str], Path]
"""Files below the set's folder by (part, id)."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import writes."""

    transfers: tuple[Transfer, ...]
    texts: Mapping[str, str]
    """README.md, sources.csv, and groups.csv for a set with several images of a patient."""
    counts: Mapping[str, int]
    """Number of images in `train` and `test`."""
    notes: tuple[str, ...]


def plan_import(public: PublicSet, folder: Path, observer: int = 1) -> ImportPlan:
    """Plan the import of the set that lies below `folder`, with the masks of an observer (1 or 2).

    Raises DataError, with what was found, if the set is not there or not complete; UsageError for an observer that the
    set does not have.
    """
    if observer > len(public.masks):
        raise UsageError(f"--observer {observer}: {public.title} has the masks of one observer only")
    if not folder.is_dir():
        raise DataError(str(folder), ["is not a folder; name the one into which the set was unpacked"])
    files = files_below(folder)
    if len(files) > MAX_FILES:
        raise DataError(str(folder), [f"holds more than {MAX_FILES:,} files; name the folder of {public.title} alone"])
    images = _by_id(public, public.image, files, folder)
    masks = [_by_id(public, pattern, files, folder) for pattern in public.masks]
    if not images or not any(masks):
        raise DataError(str(folder), [_not_this_set(public, files, folder, len(images))])
    chosen, notes = _choose_masks(public, images, masks, observer)
    images = _complete(public, images, chosen, folder)
    transfers = tuple(
        Transfer(folder / file, f"{part}/{kind}/{_name(file)}")
        for kind, some in (("image", images), ("mask", chosen))
        for (part, _), file in sorted(some.items())
        if kind == "image" or (part, _) in images
    )
    counts = {part: sum(key[0] == part for key in images) for part in PARTS}
    return ImportPlan(transfers, _texts(public, transfers, images, folder, notes), counts, tuple(notes))


def _by_id(public: PublicSet, pattern: str, files: list[Path], folder: Path) -> dict[tuple[str, str], Path]:
    """Return the files that fit a pattern by part and id. DataError if the folder holds the set twice."""
    found: dict[tuple[str, str], Path] = {}
    for member in members(files, pattern, public):
        key = (member.part, member.id)
        other = found.get(key)
        if other is None or other == _uncompressed(member.file) or _uncompressed(other) == member.file:
            found[key] = min((file for file in (other, member.file) if file), key=lambda file: file.suffix == GZIP)
        else:
            text = f"holds {member.file.name} twice ({other} and {member.file})"
            raise DataError(str(folder), [f"{text}; name the folder of one copy, or move the other one away"])
    return found


def _choose_masks(
    public: PublicSet, images: Files, masks: Sequence[Files], observer: int
) -> tuple[dict[tuple[str, str], Path], list[str]]:
    """Return the masks of the observer; for a part that this observer did not draw, those of the other one."""
    chosen: dict[tuple[str, str], Path] = {}
    notes: list[str] = []
    for part in PARTS:
        of = [{key: file for key, file in some.items() if key[0] == part} for some in masks]
        drawn = next((number for number in (observer, 1, 2) if number <= len(of) and of[number - 1]), None)
        if drawn is None and any(key[0] == part for key in images):
            notes.append(f"the {part} images have no masks here, so they are not scored")
        elif drawn is not None:
            chosen |= of[drawn - 1]
            if drawn != observer:
                notes.append(f"the {part} masks are those of observer {drawn}: observer {observer} drew none")
    return chosen, notes


def _complete(public: PublicSet, images: Files, masks: Files, folder: Path) -> dict[tuple[str, str], Path]:
    """Return the images that belong to the set. DataError if there are not as many as the set has, with their masks."""
    problems: list[Problem] = []
    complete: dict[tuple[str, str], Path] = {}
    for part, number in public.counts.items():
        of_part = {key: file for key, file in images.items() if key[0] == part}
        drawn = {key for key in masks if key[0] == part}
        paired = {key: file for key, file in of_part.items() if key in drawn}
        wanted = paired if drawn or part == "train" else of_part
        if len(wanted) != number:
            without = [file.name for key, file in sorted(of_part.items()) if key not in drawn]
            lonely = [file.name for key, file in sorted(masks.items()) if key[0] == part and key not in of_part]
            text = f"{public.title} has {counted(number, f'{part} image')} with their masks, and {len(wanted)} are here"
            text += f"; without a mask: {some_of(without)}" if without else ""
            text += f"; masks without their image: {some_of(lonely)}" if lonely else ""
            problems.append(Problem(f"{text}; unpack all archives of the set below this folder"))
        complete |= wanted
    if problems:
        raise DataError(str(folder), problems)
    return complete


def _not_this_set(public: PublicSet, files: list[Path], folder: Path, images: int) -> str:
    found = recognise(files)
    if found is not None and found is not public:
        return f"is not {public.title} but {found.title}: unetsweep data import {found.key} …"
    kind = "images without any masks" if images else "no images"
    return f"holds {kind} of {public.title} (such as {public.example}); {describe(folder)}"


def _name(file: Path) -> str:
    return _uncompressed(file).name


def _uncompressed(file: Path) -> Path:
    return file.with_suffix("") if file.suffix.lower() == GZIP else file


def _texts(
    public: PublicSet, transfers: Sequence[Transfer], images: Files, folder: Path, notes: Sequence[str]
) -> dict[str, str]:
    rows = [(each.target, each.source.relative_to(folder).as_posix()) for each in transfers]
    texts = {"sources.csv": _csv(("file", "source"), rows)}
    if public.group_of is not None:
        of_train = sorted((_name(file), key[1]) for key, file in images.items() if key[0] == "train")
        texts["groups.csv"] = _csv(("file", "group"), [(name, public.group_of(key)) for name, key in of_train])
    texts["README.md"] = _readme(public, notes)  # the last one: with it the import is complete
    return texts


def _readme(public: PublicSet, notes: Sequence[str]) -> str:
    lines = [
        f"# {public.title}",
        "",
        "Arranged by `unetsweep data import`; sources.csv has the file of the distributed set for each file.",
        "",
        f"- Division: {public.division}.",
        *(f"- Note: {note}." for note in notes),
        *(["- groups.csv: the patient of each training image."] if public.group_of is not None else []),
        f"- Page: {public.page}",
        f"- Terms: {public.terms}. Read those of its page before you use or pass on the images.",
        f"- Cite: {public.cite}.",
    ]
    return "\n".join(lines) + "\n"


def _csv(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([head, *rows])
    return stream.getvalue()
