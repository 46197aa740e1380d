"""Every error that a user may see, in one tree, with the exit status of the command.

UnetsweepError            the message says what went wrong, where, and what to do next
├── ProblemsError         a file of the user has problems; the message lists the first ten
│   ├── SpecError     2   the sweep's YAML file
│   ├── ConfigError   2   a trial's config.json
│   └── DataError     2   the images
├── UsageError        2   the command line asks for something impossible
├── UnsafePlan        3   the plan changes too much at once
├── TrainingError     4   a training cannot start or continue
│   ├── GpuError          4 the GPU of a node does not work
│   ├── EpochTooLongError 4 one epoch does not fit into the job's time limit
│   └── SupersededError 4 another job owns the run now
├── StateError       70   a file that unetsweep wrote is corrupt
│   └── ExposedError 70   others own a sweep's directory or may write into it
├── LeaseError       75   another process holds the sweep's lease: try again
├── TrackerError     75   an experiment tracker did not answer or refused an archive: try again
├── DownloadError    75   a set of images could not be downloaded: try again
└── SchedulerError   75   the scheduler did not answer or refused: try again, or follow its message
    └── RefusedError 75   the scheduler refused the job: nothing was submitted
        └── LimitError 75   … because too many jobs are queued: try again later

SeveralErrors             several of them, each a line or more; the exit status is that of the first

`submit --watch` and `confirm --watch` exit with 1 if a trial failed or the sweep is paused. Anything else is a bug and
keeps its traceback.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from unetsweep.limits import MAX_MESSAGE, MAX_PROBLEMS
from unetsweep.texts import printable

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and a full quota."""


class UnetsweepError(Exception):
    """An error with a message for the user."""

    exit_status = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a file: where it is, and what to do about it."""

    message: str
    field: str = ""
    line: int | None = None
    column: int | None = None
    source: str = ""
    """What it is in, if that is not the file of the message: `--set`."""

    def text(self, source: str) -> str:
        """The problem with its position on one line, as compilers print it: `sweeps/x.yaml:5:3: slurm.gpus: …`."""
        position = self.source or source
        if self.line is not None:
            position += f":{self.line}" + (f":{self.column}" if self.column is not None else "")
        field = f"{_shorten(self.field)}: " if self.field else ""
        return printable(f"{position}: {field}{_shorten(self.message)}")


def _shorten(text: str) -> str:
    """Return a text without its middle if it is very long: what was found comes first, and what is allowed last."""
    half = MAX_MESSAGE // 2
    return text if len(text) <= MAX_MESSAGE else f"{text[:half]} … {text[-half:]}"


class ProblemsError(UnetsweepError):
    """A file of the user has problems; the message lists the first of them, and says how many more there are."""

    exit_status = 2

    def __init__(self, source: str, problems: Sequence[Problem | str]) -> None:
        self.source = source
        self.problems = tuple(Problem(p) if isinstance(p, str) else p for p in problems)
        lines = [p.text(source) for p in self.problems[:MAX_PROBLEMS]]
        more = len(self.problems) - len(lines)
        super().__init__("\n".join([*lines, f"{source}: and {more} more problems"] if more else lines))


class SpecError(ProblemsError):
    """The sweep's YAML file has problems."""


class ConfigError(ProblemsError):
    """A trial's config.json has problems."""


class DataError(ProblemsError):
    """Images are missing, unreadable or inconsistent."""


class UsageError(UnetsweepError):
    """The command line asks for something impossible."""

    exit_status = 2


class UnsafePlan(UnetsweepError):
    """The plan changes too much at once to be trusted."""

    exit_status = 3


class TrainingError(UnetsweepError):
    """A training cannot start or continue."""

    exit_status = 4


class GpuError(TrainingError):
    """The GPU of this node does not work, or PyTorch finds none although the job asked for one."""


class EpochTooLongError(TrainingError):
    """One epoch does not fit into the job's time limit, so no start would make progress."""


class SupersededError(TrainingError):
    """Another job owns the run now; this one ends without an error."""


class StateError(UnetsweepError):
    """A file that unetsweep wrote is missing or corrupt."""

    exit_status = 70


class ExposedError(StateError):
    """Other users can change a sweep's directory, so nothing in it is executed."""


class LeaseError(UnetsweepError):
    """Another process reconciles or changes the sweep; try again."""

    exit_status = 75


class DownloadError(UnetsweepError):
    """A set of images could not be downloaded; try again, or download it by hand."""

    exit_status = 75


class TrackerError(UnetsweepError):
    """An experiment tracker did not answer or refused an archive; nothing is lost, try again later."""

    exit_status = 75


class SchedulerError(UnetsweepError):
    """The scheduler did not answer; no conclusion may be drawn from that."""

    exit_status = 75


class RefusedError(SchedulerError):
    """The scheduler refused the job; nothing was submitted."""


class LimitError(RefusedError):
    """Nothing was submitted because too many jobs are queued; try again later."""


class SeveralErrors(UnetsweepError):
    """Several errors that were found together."""

    def __init__(self, errors: Sequence[UnetsweepError]) -> None:
        self.exit_status = errors[0].exit_status
        super().__init__("\n".join(map(str, errors)))


def joined(errors: Sequence[UnetsweepError]) -> UnetsweepError:
    """Return the only error, or all of them as one."""
    return errors[0] if len(errors) == 1 else SeveralErrors(errors)
