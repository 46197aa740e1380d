"""How long a job may run in each partition, and which requests do not fit."""

import logging
from collections.abc import Iterator, Mapping

from unetsweep.config.units import minutes, slurm_minutes, time_text
from unetsweep.core.spec import Resources
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import answers, commands

_log = logging.getLogger(__name__)
_LIMITS = ("sinfo", answers.row_format("%P|%l"))


def time_limits(timeout: float) -> dict[str, int | None]:
    """Return the time limits of `parse_time_limits`; empty if they are not known."""
    try:
        return commands.query(_LIMITS, timeout, parse_time_limits)
    except SchedulerError as error:  # some sites forbid the query
        _log.debug("the time limits of partitions are not known: %s", error)
        return {}


def parse_time_limits(text: str) -> dict[str, int | None]:
    """Return the time limit in minutes of each partition in sinfo's output (None: unlimited or not known).
    That of the default partition is also under the empty name.

    >>> parse_time_limits("unetsweep|main*|7-00:00:00|unetsweep\\nunetsweep|long|infinite|unetsweep\\n")
    {'main': 10080, '': 10080, 'long': None}
    """
    found: dict[str, int | None] = {}
    for name, _, limit in (row.partition("|") for row in answers.marked(text) if row != "PARTITION|TIMELIMIT"):
        found[name.rstrip("*")] = slurm_minutes(limit)
        if name.endswith("*"):
            found[""] = found[name.rstrip("*")]
    return found


def time_limit(partition: str | None, limits: Mapping[str, int | None]) -> int | None:
    """Return the minutes that a job in this partition may run (None: in the default one; of several, the least).

    None if the time is unlimited or not known.
    """
    found = [limits.get(name.strip()) for name in (partition or "").split(",")]
    return min((limit for limit in found if limit is not None), default=None)


def time_problems(resources: Resources, limits: Mapping[str, int | None]) -> Iterator[str]:
    """Yield why the trainings, and the reconciler job with the user's time, would never start."""
    own = resources.reconciler.get("time")
    asked = None if own is None else minutes(str(own)) or slurm_minutes(str(own))
    for name, time_min, partition in (
        ("slurm.time", resources.time_min, resources.partition),
        ("slurm.reconciler.time", asked, resources.reconciler_partition),
    ):
        allowed = time_limit(partition, limits)
        if time_min is not None and allowed is not None and time_min > allowed:
            yield (
                f"{name}: found {time_text(time_min)}; the partition {partition or 'that is the default'} allows "
                f"{time_text(allowed)}, so SLURM refuses the job or never starts it"
            )
