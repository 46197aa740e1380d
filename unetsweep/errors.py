"""Every error that a user may see, in one tree.

UnetsweepError            what went wrong, where, and what to do next; `exit_status` ends the command
├── ProblemsError         a file of the user's has problems: all of them, at once
│   ├── SpecError     2   the sweep's YAML file
│   ├── ConfigError   2   a trial's config.json
│   └── DataError     2   the images
├── UsageError        2   the command line asks for something that cannot be
├── UnsafePlan        3   the plan refused itself
├── TrainingError     4   a training cannot start or go on
│   ├── EpochTooLongError 4 one epoch does not fit into the job's time limit
│   └── SupersededError 4 another job owns the run now
├── StateError       70   a file of ours is not what it should be
│   └── ExposedError 70   others own a sweep's directory or may write into it
├── TrackerError     75   Comet did not answer or did not take an archive: try again
└── SchedulerError   75   the queue did not answer or refused: try again, or do as it says
    └── RefusedError 75   the scheduler heard us and said no: nothing was submitted
        └── LimitError 75   … because too much is queued: later there may be room

Anything else is a bug and keeps its traceback.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when a disk or a quota is full."""


class UnetsweepError(Exception):
    """An error whose message is meant for a person."""

    exit_status = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file: where, and what to do about it."""

    message: str
    field: str = ""
    line: int | None = None
    column: int | None = None

    def text(self, source: str) -> str:
        """`sweeps/x.yaml:5:3: slurm.gpus: …`, as compilers print it."""
        place = source
        if self.line is not None:
            place += f":{self.line}" + (f":{self.column}" if self.column is not None else "")
        return f"{place}: " + (f"{self.field}: " if self.field else "") + self.message


class ProblemsError(UnetsweepError):
    """A file of the user's has problems; the message lists all of them."""

    exit_status = 2

    def __init__(self, source: str, problems: Sequence[Problem | str]) -> None:
        self.source = source
        self.problems = tuple(Problem(p) if isinstance(p, str) else p for p in problems)
        super().__init__("\n".join(p.text(source) for p in self.problems))


class SpecError(ProblemsError):
    """The sweep's YAML file cannot be used as it is."""


class ConfigError(ProblemsError):
    """A trial's config.json cannot be used as it is."""


class DataError(ProblemsError):
    """The images are missing, unreadable or do not fit together."""


class UsageError(UnetsweepError):
    """The command line asks for something that cannot be."""

    exit_status = 2


class UnsafePlan(UnetsweepError):
    """The plan refused itself: too much changed at once to be believed."""

    exit_status = 3


class TrainingError(UnetsweepError):
    """A training cannot start, or cannot go on."""

    exit_status = 4


class EpochTooLongError(TrainingError):
    """One epoch does not fit into the job's time limit, so no start would ever get on."""


class SupersededError(TrainingError):
    """Another job owns the run now; this one leaves quietly."""


class StateError(UnetsweepError):
    """A file of ours is not what it should be."""

    exit_status = 70


class ExposedError(StateError):
    """A sweep's directory is not its user's alone, so nothing that lies there is run."""


class TrackerError(UnetsweepError):
    """Comet did not answer or did not take an archive; nothing is lost, and later it may."""

    exit_status = 75


class SchedulerError(UnetsweepError):
    """The queue did not answer; nothing may be concluded from that."""

    exit_status = 75


class RefusedError(SchedulerError):
    """The scheduler answered that it will not take the job; nothing was submitted."""


class LimitError(RefusedError):
    """Nothing was submitted, because too many jobs are queued; later there may be room."""
