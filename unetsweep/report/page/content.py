"""What a page shows beside the record of its sweep. `app` reads it; the page only writes it down.

Every field has a default that means "not read": the section of the page then says that there is nothing to show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from unetsweep.core.cost_split import CostSplit


@dataclass(frozen=True, slots=True)
class RunCurve:
    """The metric of a run by epoch."""

    trials: tuple[int, ...]
    """The trials that the run serves, in order."""
    points: tuple[tuple[int, float], ...] = ()
    """(epoch, metric) of each epoch that reported it, in order."""
    epochs_done: int = 0


@dataclass(frozen=True, slots=True)
class Importances:
    """How much each parameter matters for the best results."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """The share of each parameter by its name for people; they add up to 1. Empty: not known."""
    note: str = ""
    """What the shares mean, or why there are none."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, ready to be shown."""

    source: str
    """A data URL."""
    iou: float | None = None
    """IoU of the prediction that it shows; None: it shows none."""


@dataclass(frozen=True, slots=True)
class ImageCase:
    """A validation image with its truth."""

    name: str
    size: str
    """At which the predictions are scored: `512x512`."""
    image: Picture
    truth: Picture


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a trial predicted for an image."""

    case: int
    """Index of the image among the cases."""
    difference: Picture
    mask: Picture | None = None
    """None: only the difference is shown."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a sweep: a few validation images, and what some of its trials predicted for them."""

    cases: tuple[ImageCase, ...] = ()
    best: int | None = None
    """The trial whose predictions are shown in full; None: its predictions were not kept."""
    other: int | None = None
    """The trial that is shown beside the best; None: there is no other one."""
    predictions: Mapping[int, tuple[Prediction, ...]] = field(default_factory=dict)
    """By trial: of each of these images, the worst first."""
    images: int = 0
    """How many validation images there are."""
    notes: tuple[str, ...] = ()
    """What is missing, and why."""


@dataclass(frozen=True, slots=True)
class PageContent:
    """Everything on a page that is not in the record of the sweep."""

    made_at: datetime | None = None
    state: str = ""
    """State of the sweep in one word, and why it is paused; empty: not known."""
    facts: tuple[tuple[str, str], ...] = ()
    """Provenance: names and texts."""
    config: str = ""
    """The sweep's YAML file."""
    curves: tuple[RunCurve, ...] = ()
    importances: Importances = Importances()
    cost: CostSplit | None = None
    pictures: Pictures | None = None
    """None: a trainer of the user's own, of which nothing is known about pictures."""
    warnings: tuple[str, ...] = ()
    """Files that could not be read."""
