"""The public sets of vessel images as they are distributed: the names of their files, their division, their terms.

Rule 1: a file is recognised by its name and, where names are not enough, by the folder that it is in. So it does not
        matter how the archives of a set were unpacked below a folder.
Rule 2: where a set is not divided into training and test, it is divided by patient, as most publications do it.

The names and divisions are from these public sources: the converters of mmsegmentation (tools/dataset_converters:
drive.py, chase_db1.py, stare.py, hrf.py), the protocol `default` of bob.ip.binseg (STARE), Jin et al. 2022 (FIVES).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PublicSet:
    """How one set is distributed. Patterns are searched in the path below the set's folder, without regard to case.

    Their group `id` names an image; `part` is the folder of its part, for sets that are divided.
    """

    key: str
    """Its name on the command line."""
    title: str
    example: str
    """An image and its mask, as they are named in the set."""
    image: str
    masks: tuple[str, ...]
    """The masks of each observer."""
    counts: Mapping[str, int]
    """Number of images in `train` and `test`."""
    division: str
    """How it is divided, for the README of an imported set."""
    terms: str
    cite: str
    page: str
    part_of: Callable[[str], str] | None = None
    """The part of an image by its id, for a set that is not divided."""
    group_of: Callable[[str], str] | None = None
    """The patient of an image by its id, where there are several images of one."""


_STARE_TRAIN = ("0001", "0002", "0003", "0004", "0005", "0044", "0077", "0081", "0082", "0139")
_STARE_TEST = ("0162", "0163", "0235", "0236", "0239", "0240", "0255", "0291", "0319", "0324")
_START = r"(?:^|/)"

SETS: Mapping[str, PublicSet] = {
    each.key: each
    for each in (
        PublicSet(
            key="drive",
            title="DRIVE",
            example="training/images/21_training.tif and training/1st_manual/21_manual1.gif",
            image=_START + r"(?P<part>training|test)/images/(?P<id>\d\d)_(?:training|test)\.tif$",
            masks=(
                _START + r"(?P<part>training|test)/1st_manual/(?P<id>\d\d)_manual1\.gif$",
                _START + r"(?P<part>training|test)/2nd_manual/(?P<id>\d\d)_manual2\.gif$",
            ),
            counts={"train": 20, "test": 20},
            division="as distributed",
            terms="free for research and education; it may not be copied or passed on to others",
            cite="Staal et al., Ridge-based vessel segmentation in color images of the retina, "
            "IEEE Trans. Med. Imaging 23(4), 2004",
            page="https://drive.grand-challenge.org",
        ),
        PublicSet(
            key="stare",
            title="STARE",
            example="im0001.ppm and im0001.ah.ppm (or .ppm.gz)",
            image=_START + rf"im(?P<id>{'|'.join(_STARE_TRAIN + _STARE_TEST)})\.ppm(?:\.gz)?$",
            masks=tuple(_START + rf"im(?P<id>\d{{4}})\.{observer}\.ppm(?:\.gz)?$" for observer in ("ah", "vk")),
            counts={"train": 10, "test": 10},
            division="the first ten images by name for training, the last ten for test, as bob.ip.binseg does it; "
            "im0235 and im0236 show the same eye, and both are in test",
            terms="publicly available, without a formal licence",
            cite="Hoover et al., Locating blood vessels in retinal images by piecewise threshold probing of a matched "
            "filter response, IEEE Trans. Med. Imaging 19(3), 2000",
            page="https://cecas.clemson.edu/~ahoover/stare/",
            part_of=lambda name: "train" if name in _STARE_TRAIN else "test",
        ),
        PublicSet(
            key="chase_db1",
            title="CHASE_DB1",
            example="Image_01L.jpg and Image_01L_1stHO.png",
            image=_START + r"Image_(?P<id>(?:0[1-9]|1[0-4])[LR])\.jpg$",
            masks=tuple(_START + rf"Image_(?P<id>\d\d[LR])_{observer}\.png$" for observer in ("1stHO", "2ndHO")),
            counts={"train": 20, "test": 8},
            division="by child: 01 to 10 for training, 11 to 14 for test",
            terms="CC BY 4.0",
            cite="Fraz et al., An ensemble classification-based approach applied to retinal blood vessel segmentation, "
            "IEEE Trans. Biomed. Eng. 59(9), 2012",
            page="https://researchdata.kingston.ac.uk/96/",
            part_of=lambda name: "train" if name[:2] <= "10" else "test",
            group_of=lambda name: f"child-{name[:2]}",
        ),
        PublicSet(
            key="hrf",
            title="HRF",
            example="01_h.jpg and 01_h.tif",
            image=_START + r"(?P<id>(?:0[1-9]|1[0-5])_(?:h|dr|g))\.jpe?g$",
            masks=(_START + r"(?P<id>\d\d_(?:h|dr|g))\.tif$",),
            counts={"train": 15, "test": 30},
            division="the first five of the 15 healthy (h), diabetic (dr) and glaucomatous (g) patients for training, "
            "the others for test, as mmsegmentation does it; one image of each patient",
            terms="see its page; other projects state CC BY 4.0",
            cite="Budai et al., Robust vessel segmentation in fundus images, Int. J. Biomed. Imaging 2013, 154860",
            page="https://www5.cs.fau.de/research/data/fundus-images/",
            part_of=lambda name: "train" if name[:2] <= "05" else "test",
        ),
        PublicSet(
            key="fives",
            title="FIVES",
            example="train/Original/1_A.png and train/Ground truth/1_A.png",
            image=_START + r"(?P<part>train|test)/Original/(?P<id>\d+_[ADGN])\.png$",
            masks=(_START + r"(?P<part>train|test)/Ground truth/(?P<id>\d+_[ADGN])\.png$",),
            counts={"train": 600, "test": 200},
            division="as distributed",
            terms="CC BY 4.0",
            cite="Jin et al., FIVES: A fundus image dataset for artificial intelligence based vessel segmentation, "
            "Scientific Data 9, 475, 2022",
            page="https://doi.org/10.6084/m9.figshare.19688169",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a set."""

    part: str
    """`train` or `test`."""
    id: str
    file: Path
    """Its path below the set's folder."""


def members(files: Iterator[Path] | list[Path], pattern: str, public: PublicSet) -> Iterator[Member]:
    """Yield the files whose path fits the pattern."""
    wanted = re.compile(pattern, re.IGNORECASE)
    for file in files:
        found = wanted.search(file.as_posix())
        if found is not None:
            name = found["id"].lower()
            part = public.part_of(name) if public.part_of else _part(found["part"])
            yield Member(part, name, file)


def recognise(files: list[Path]) -> PublicSet | None:
    """Return the set that files, given by their paths below a folder, are from; None if they are of none.

    At least half of the set's images must be there, and masks of an observer.
    """
    for public in SETS.values():
        images = {(each.part, each.id) for each in members(files, public.image, public)}
        masks = {(each.part, each.id) for pattern in public.masks for each in members(files, pattern, public)}
        if 2 * len(images & masks) >= public.counts["train"]:
            return public
    return None


def _part(folder: str) -> str:
    return "test" if folder.lower() == "test" else "train"
