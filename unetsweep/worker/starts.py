"""Refuses a start of a run when its earlier starts made no progress and this one would end the same way.

Rule 1: a start made progress if it finished an epoch that no earlier start had finished since the user's last retry.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from unetsweep.core import paths
from unetsweep.errors import EpochTooLongError, TrainingError
from unetsweep.record_files import read_record
from unetsweep.records import ClaimFile, ExitFile, LostFile, RequeueFile
from unetsweep.texts import counted
from unetsweep.worker.claim import Claim, claims_of
from unetsweep.worker.deadline import LIMIT_IS_NEAR
from unetsweep.worker.failure import finished_epochs

RAN_INTO_LIMIT = 0.6
"""A start that lasted for this fraction of the time limit counts as ended by it: its time before the claim (set-up
lines, imports) is not measured. It is above one half, so that starts under the old limit do not count against a doubled
one."""


@dataclass(frozen=True, slots=True)
class PastStart:
    """One earlier start."""

    attempt: int
    restart: int
    made_progress: bool
    seconds: float
    """From its claim to its end or, if that was not recorded, to the next start's claim."""
    limited: bool
    """The time limit may have ended it. SLURM does not restart a job after its time limit. So if a start did not ask
    for a restart, and was followed by one, it ended for another reason."""


def check_starts(folder: Path, claim: Claim, *, limit_min: int, most_restarts: int) -> None:
    """Raise if another start would end like the last ones.

    EpochTooLongError: an epoch does not fit into the time limit. TrainingError: the job was restarted more than
    `most_restarts` times without a new epoch.
    """
    starts = past_starts(folder, claim)
    _check_epoch(folder, starts, limit_min)
    idle = _idle_restarts(folder, claim)
    if idle > most_restarts:
        raise TrainingError(
            f"the job was started {counted(idle, 'time')} without finishing an epoch, and run.retries.requeue is "
            f"{most_restarts}; the log shows what ended it each time"
        )


def past_starts(folder: Path, claim: Claim) -> list[PastStart]:
    """The starts before this one, oldest first, without those before the user's last `retry`."""
    names = sorted(each for each in claims_of(folder) if each <= (claim.attempt, claim.restart))
    begins = [read_record(ClaimFile, folder / "claims" / paths.claim_name(*name)).at for name in names]
    reset_attempt, last_epochs = _last_attempt_before_reset(folder), _last_epochs(folder)
    found: list[PastStart] = []
    for at, name in enumerate(names[:-1]):
        end = _exit_time(folder, *name)
        seconds = ((end or begins[at + 1]) - begins[at]).total_seconds()
        limited = _may_have_hit_limit(folder, *name, is_last=names[at + 1][0] > name[0], has_end=end is not None)
        if name[0] > reset_attempt:
            found.append(PastStart(*name, _made_progress(name, last_epochs, reset_attempt), seconds, limited))
    return found


def _may_have_hit_limit(folder: Path, attempt: int, restart: int, *, is_last: bool, has_end: bool) -> bool:
    """Whether the time limit may have ended a start. `is_last`: of its attempt; `has_end`: its end was recorded."""
    requeue = folder / f"requeue-{paths.claim_name(attempt, restart)}.json"
    if requeue.exists():
        return read_record(RequeueFile, requeue).reason.startswith(LIMIT_IS_NEAR)
    lost = folder / "attempts" / f"{attempt}.lost.json"
    cause = read_record(LostFile, lost).cause if lost.exists() else None
    return is_last and (cause == "TIME" or (cause in (None, "UNEXPLAINED") and has_end))


def _check_epoch(folder: Path, starts: list[PastStart], limit_min: int) -> None:
    advice = "raise slurm.time, or use a larger batch or smaller images"
    last = starts[-2:]
    cut = [each for each in last if each.limited and each.seconds >= RAN_INTO_LIMIT * limit_min * 60]
    if len(cut) == 2 and not any(each.made_progress for each in cut):
        raise EpochTooLongError(
            f"one epoch takes more than {_minutes(min(each.seconds for each in last))}: two starts ended "
            f"without finishing one, and the limit of the job is {_minutes(limit_min * 60)}; {advice}"
        )
    shortest = min((seconds for _, seconds in finished_epochs(folder) if seconds is not None), default=0.0)
    if shortest > limit_min * 60:
        raise EpochTooLongError(
            f"one epoch took {_minutes(shortest)}, and the limit of the job is {_minutes(limit_min * 60)}; {advice}"
        )


def _idle_restarts(folder: Path, claim: Claim) -> int:
    """The number of starts of this job in a row, up to the previous one, that finished no new epoch."""
    last_epochs, reset_attempt = _last_epochs(folder), _last_attempt_before_reset(folder)
    idle = 0
    while idle < claim.restart:
        previous = (claim.attempt, claim.restart - idle - 1)
        if _made_progress(previous, last_epochs, reset_attempt):
            break
        idle += 1
    return idle


def _last_epochs(folder: Path) -> dict[tuple[int, int], int]:
    """The last finished epoch of each start that finished one."""
    found = {}
    for path in folder.glob("progress-*.jsonl"):
        if name := re.fullmatch(rf"progress-({paths.NUMBER})-({paths.NUMBER})\.jsonl", path.name):
            epochs = [epoch for epoch, _ in finished_epochs(folder, f"{name[1]}-{name[2]}")]
            found[int(name[1]), int(name[2])] = max(epochs, default=0)
    return found


def _made_progress(name: tuple[int, int], last_epochs: dict[tuple[int, int], int], reset_attempt: int) -> bool:
    """Whether a start finished a new epoch. Attempts up to `reset_attempt` do not count.

    A retry may begin again at the first epoch, which is progress.
    """
    earlier = (epoch for other, epoch in last_epochs.items() if (reset_attempt + 1, 0) <= other < name)
    return last_epochs.get(name, 0) > max(earlier, default=0)


def _last_attempt_before_reset(folder: Path) -> int:
    """The last attempt before the user's last `retry`, which reset the counts of retries; 0 if there was none."""
    names = (path.name.partition(".")[0] for path in (folder / "attempts").glob("*.retries-reset.json"))
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _exit_time(folder: Path, attempt: int, restart: int) -> datetime | None:
    path = folder / "attempts" / f"{attempt}.exit-{restart}.json"
    return read_record(ExitFile, path).at if path.exists() else None


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
