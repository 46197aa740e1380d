"""The use cases `data import` and `data download`: public sets of images in our layout."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unetsweep.datasets.arrange import GZIP, Transfer, arrange
from unetsweep.datasets.import_set import plan_import
from unetsweep.datasets.layout import read_layout
from unetsweep.datasets.layout_advice import KAGGLE
from unetsweep.datasets.public_sets import SETS as SETS
from unetsweep.errors import DataError, DownloadError, Problem, UsageError
from unetsweep.texts import counted

KAGGLE_PAGE = f"https://www.kaggle.com/datasets/{KAGGLE}"
KAGGLE_COUNTS = {"train": 80, "test": 20}
BY_HAND = f"by hand: download {KAGGLE_PAGE} with a browser, and unzip it into the folder that is `data.root`"
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
_README = f"""\
# The set of 100 images

Downloaded by `unetsweep data download` from {KAGGLE_PAGE}.

- 80 training images show 20 eyes, four images of each: the original, two flips and a rotation. Keep them together with
  `data.split.groups: auto`, or with the groups of sweeps/grid.yaml.
- The images are those of DRIVE, resized.
- Terms: those of the page, and of DRIVE (free for research and education). Read them before you use or pass on the
  images.
- Cite: Staal et al., Ridge-based vessel segmentation in color images of the retina, IEEE Trans. Med. Imaging 23(4),
  2004.
"""


@dataclass(frozen=True, slots=True)
class ArrangedSet:
    """A public set that now lies in our layout."""

    title: str
    folder: Path
    counts: Mapping[str, int]
    """Number of images in `train` and `test`."""
    new_files: int
    """Files that were not there before; 0 if an earlier call had finished."""
    notes: tuple[str, ...]
    terms: str
    cite: str
    groups: str | None
    """What `data.split.groups` should be; None: the default."""


def import_set(key: str, folder: Path, to: Path | None, *, observer: int = 1, link: bool = False) -> ArrangedSet:
    """Arrange the set below `folder` into `to` (default: `data/SET`), as copies or as symbolic links.

    An interrupted call may be repeated. Raises DataError if `folder` does not hold the set, or `to` holds other files.
    """
    public = SETS[key]
    to = Path("data") / key if to is None else to
    if to.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{to} lies in {folder}, which holds the set as distributed; name another folder")
    plan = plan_import(public, folder, observer)
    new = arrange(plan.transfers, to, plan.texts, link=link)
    groups = "groups.csv" if "groups.csv" in plan.texts else None
    packed = sum(each.source.suffix.lower() == GZIP for each in plan.transfers) if link else 0
    copies = [f"{counted(packed, 'compressed file')} became decompressed copies, not links"] if packed else []
    notes = (f"division: {public.division}", *plan.notes, *copies)
    return ArrangedSet(public.title, to, plan.counts, new, notes, public.terms, public.cite, groups)


def download_set(to: Path) -> ArrangedSet:
    """Download the set of 100 images from Kaggle, and arrange it into `to`.

    Raises UsageError without the package kagglehub, DownloadError if Kaggle cannot be reached or refuses.
    """
    try:
        import kagglehub  # an optional extra
    except ImportError as error:
        raise UsageError(f"this needs the package kagglehub: pip install 'unetsweep[kaggle]'; or {BY_HAND}") from error
    try:
        folder = Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:  # its own errors, those of requests, and those of the disk
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            where = error.filename or os.environ.get("KAGGLEHUB_CACHE", "~/.cache/kagglehub")
            text = f"{KAGGLE}: not downloaded ({where}: {error.strerror}). kagglehub stores it there first;"
            raise DownloadError(f"{text} set KAGGLEHUB_CACHE to another folder, or free some space") from error
        raise DownloadError(
            f"{KAGGLE}: not downloaded ({type(error).__name__}: {_first_line(error)}). It needs a network "
            "(on a cluster, run it on the login node), and an account if Kaggle asks for one: make an API token at "
            f"https://www.kaggle.com/settings/api, and store it as that page says. Or {BY_HAND}"
        ) from error
    layout = read_layout(folder)
    if layout.problems:
        again = Problem("this is what was downloaded; remove this folder and repeat the command")
        raise DataError(str(folder), [*layout.problems, again])
    pairs = layout.pairs
    counts = {part: len(pairs.get(part, ())) for part in KAGGLE_COUNTS}
    if counts != KAGGLE_COUNTS:
        texts = [f"{of['train']} train and {counted(of['test'], 'test image')}" for of in (counts, KAGGLE_COUNTS)]
        found = f"holds {texts[0]} instead of {texts[1]}"
        raise DataError(str(folder), [f"{found}; remove this folder and repeat the command"])
    transfers = [
        Transfer(file, f"{part}/{kind}/{file.name}")
        for part, some in pairs.items()
        for pair in some
        for kind, file in (("image", pair.image), ("mask", pair.mask))
    ]
    new = arrange(transfers, to, {"README.md": _README})
    notes = ("the 80 training images show 20 eyes, four images of each; groups: auto keeps them together",)
    terms = f"those of {KAGGLE_PAGE}, and of DRIVE: free for research and education"
    return ArrangedSet("the set of 100 images", to, counts, new, notes, terms, "Staal et al., 2004 (DRIVE)", None)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")
