"""Divides the time of a sweep's jobs into training, repeated work and idle time, and adds the time in the queue.

Rule 1: only what the files or accounting say is counted. What jobs held beyond their epochs is idle: they started, read
        images, scored, saved or ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from unetsweep.core.cost import Cost, RunTimeline, cost_source


@dataclass(frozen=True, slots=True)
class CostSplit:
    """Where the time of a sweep went, in seconds, all jobs together."""

    waiting: float
    """From the submission of each attempt to its first start. It holds no resources."""
    training: float
    """Epochs, each counted once."""
    repeated: float
    """Work that a later start had to repeat."""
    idle: float
    """The rest of the time in which jobs held their resources."""
    hours: float
    """GPU-hours that the jobs held, or CPU-hours if the sweep uses no GPU."""
    unit: str
    """`GPU` or `CPU`."""
    source: str
    """Where the time of the jobs comes from: `sacct`, or `the sweep's files`."""
    unread_runs: int = 0
    """Runs that are not included, because a file of theirs cannot be read."""

    @property
    def held(self) -> float:
        """Seconds in which jobs held their resources."""
        return self.training + self.repeated + self.idle


def cost_split(cost: Cost, timelines: Iterable[RunTimeline], epoch_seconds: float, *, uses_gpus: bool) -> CostSplit:
    """Return the split of a sweep's cost. `epoch_seconds`: how long the epochs of all runs took, each counted once."""
    repeated = min(cost.lost_seconds, cost.seconds)
    training = min(epoch_seconds, cost.seconds - repeated)
    return CostSplit(
        waiting=sum(map(waiting_seconds, timelines)),
        training=training,
        repeated=repeated,
        idle=cost.seconds - repeated - training,
        hours=(cost.gpu_seconds if uses_gpus else cost.cpu_seconds) / 3600,
        unit="GPU" if uses_gpus else "CPU",
        source=cost_source(cost),
        unread_runs=cost.unread_runs,
    )


def waiting_seconds(timeline: RunTimeline) -> float:
    """Return how long the attempts of a run waited for their first start. An attempt that never started counts not.

    >>> from unetsweep.core.cost import Start
    >>> waiting_seconds(RunTimeline({1: (), 2: ()}, (Start(1, 130.0), Start(1, 200.0)), submitted={1: 100.0, 2: 300.0}))
    30.0
    """
    first: dict[int, float] = {}
    for start in timeline.starts:
        first.setdefault(start.attempt, start.begin)
    return sum(max(0.0, begin - timeline.submitted[at]) for at, begin in first.items() if at in timeline.submitted)
