"""The keeper: exactly one small job that makes a pass when every job that would is gone.

Rule 1: while work is open and jobs of ours are in the queue, one waits; it leaves the next one itself.
Rule 2: it never drives a sweep that only a person can bring on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from unetsweep.core.actions import Cancel, Keep
from unetsweep.core.facts import Attempt, JobState, Keeper, Seen
from unetsweep.core.places import Capacity
from unetsweep.core.spec import SweepSpec

AFTER = 50
"""Most jobs that one waits for: the rest are looked at when it comes."""
QUEUED_TIMES = 5
"""While nothing of ours runs it comes so many times less often."""
REFUSED_FOR = timedelta(minutes=10)
"""A keeper that was refused is asked for again after so long."""


def wants_keeper(spec: SweepSpec, seen: Seen, capacity: Capacity, now: datetime) -> bool:
    """Whether the sweep should have a keeper and has none."""
    if not capacity.queues or spec.run.driver != "relay" or seen.silence is not None:
        return False
    last = seen.keeper
    if last is None or last.token == capacity.keeper:
        return True
    if (
        last.lost
    ):  # the keeper before it waits until there is another, or a person asks; a training has other things to do
        return capacity.keeper is not None or capacity.eager or now - last.at > REFUSED_FOR
    return not is_kept(last, capacity, now)


def is_kept(last: Keeper, capacity: Capacity, now: datetime) -> bool:
    if last.job is not None:
        return last.job.state.is_live
    return not last.lost and now - last.at < capacity.unseen_grace


def is_unsure(last: Keeper | None, capacity: Capacity, now: datetime) -> bool:
    """Whether the last keeper may never come: its intent is young, and the queue does not list it (yet)."""
    return last is not None and last.job is None and is_kept(last, capacity, now)


def keep(seen: Seen, live: Sequence[Attempt], delay_s: int) -> Keep:
    """The next keeper. It waits for what runs; not for what only waits itself, which may be held for ever."""
    number = seen.keeper.number + 1 if seen.keeper is not None else 1
    running = [attempt.job.job_id for attempt in live if attempt.job and attempt.job.state is JobState.RUNNING]
    if not running:
        return Keep(number, (), delay_s * QUEUED_TIMES, "nothing runs yet")
    return Keep(number, tuple(dict.fromkeys(running))[:AFTER], delay_s, f"waits for {len(running)} running")


def dismissed(seen: Seen, capacity: Capacity) -> list[Cancel]:
    """The end of the last keeper, when nothing is open any more."""
    last = seen.keeper
    if last is None or last.lost or last.job is None or not last.job.state.is_live or last.token == capacity.keeper:
        return []
    return [Cancel((last.job.job_id,), "nothing is left for the keeper to do", last.number)]
