"""Who of those that are ready goes out now, and how bound: never more trainings at once than `parallel`."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from unetsweep.core.actions import Element, Submit
from unetsweep.core.observation import Attempt


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the scheduler can take."""

    queues: bool
    """It queues what cannot run yet, and throttles arrays."""
    parallel: int | None
    """Most trainings at once; None: as many as it runs."""
    max_elements: int = 1001
    """Most elements of one array."""
    remaining_submissions: int | None = None
    """How many more jobs it takes from this user now; None: no limit."""
    unseen_grace: timedelta = timedelta(seconds=90)
    """How long a submission may go unlisted."""
    result_grace: timedelta = timedelta(seconds=60)
    """How long a file may be invisible after its job ended (network file systems)."""
    hang_after: timedelta = timedelta(minutes=10)
    """The least time without progress that counts as a hang."""
    reconciler_delay_s: int = 60
    """How soon a reconciler job may look."""
    pack: int = 1
    """Trainings side by side in one job."""
    interactive: bool = False
    """A person asks: what was refused a moment ago is tried again."""
    reconciler: str | None = None
    """Token of the reconciler job that reconciles now: it leaves the next one."""


def in_use(live: Sequence[Attempt]) -> int:
    """How many trainings may run at once of what was submitted: an array counts up to its throttle."""
    tokens: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in live:
        tokens[attempt.token].append(attempt)
    return sum(min(len(group), group[0].throttle or len(group)) for group in tokens.values())


def schedule(
    ready: Sequence[Element],
    live: Sequence[Attempt],
    capacity: Capacity,
    *,
    backoff: bool = False,
    exclude: tuple[str, ...] = (),
) -> tuple[list[Submit], str]:
    """The submissions that start now with the first of `ready`, and why the rest waits.

    A queue that is empty of ours gets one throttled array of all; else what goes out fits the free
    places. `backoff`: the last submission was refused by a limit that nobody tells us, so while
    something is alive one goes out as one ends.
    """
    places = math.inf if capacity.parallel is None else capacity.parallel - in_use(live)
    room = math.inf if capacity.remaining_submissions is None else capacity.remaining_submissions
    if backoff and live:
        room = min(room, 1)
    throttle = None
    if capacity.queues and not live:
        throttle = capacity.parallel
        places = math.inf if throttle is None else capacity.max_elements
    chosen = ready[: int(max(0, min(room, places, len(ready))))]
    submits = []
    for group in _alike(chosen):
        for at in range(0, len(group), capacity.max_elements):
            chunk = tuple(group[at : at + capacity.max_elements])
            bound = throttle if throttle is not None and throttle < len(chunk) else None
            submits.append(Submit(chunk, bound, f"{len(chunk)} ready", chunk[0].mem, exclude, capacity.pack))
    if throttle is not None:  # it bounds one array, so two at once would be too many
        submits = submits[:1]
    why = "the cluster takes no more jobs now" if room < places else f"all {capacity.parallel} places are taken"
    return submits, why


def _alike(elements: Sequence[Element]) -> list[list[Element]]:
    """Those that ask for the same memory, together: an array has one size."""
    groups: dict[str | None, list[Element]] = defaultdict(list)
    for element in elements:
        groups[element.mem].append(element)
    return list(groups.values())
