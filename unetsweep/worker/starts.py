"""What came of the earlier starts of a run, and whether another one can be hoped to get on.

Rule 1: a start got on if it finished an epoch that no earlier start had finished since the user's last retry.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from unetsweep.core import paths
from unetsweep.errors import EpochTooLongError, TrainingError
from unetsweep.records import ClaimFile, ExitFile, LostFile, RequeueFile, read_record
from unetsweep.worker.claim import Claim, claims_of
from unetsweep.worker.deadline import LIMIT_IS_NEAR
from unetsweep.worker.failure import finished_epochs

RAN_INTO_LIMIT = 0.6
"""A start that lasted for this share of the time limit is taken to have run into it: what comes before its claim
(set-up lines, imports) is not in it. Above a half, so that a doubled limit is not blamed for what the old one cut."""


@dataclass(frozen=True, slots=True)
class Past:
    """One earlier start."""

    attempt: int
    restart: int
    got_on: bool
    seconds: float
    """From its claim to its end, or where that was not written down to the next start's claim."""
    limited: bool
    """The time limit may have ended it: SLURM starts no job again that its limit ended, so what was restarted without
    its own asking met something else."""


def check_starts(folder: Path, claim: Claim, *, limit_min: int, most_restarts: int) -> None:
    """Refuse a start that would go the way of the last ones.

    EpochTooLongError: an epoch does not fit into the time limit. TrainingError: the job was started again
    `most_restarts` times without a new epoch.
    """
    starts = past(folder, claim)
    _check_epoch(folder, starts, limit_min)
    idle = _idle_restarts(folder, claim)
    if idle > most_restarts:
        raise TrainingError(
            f"the job was started {idle} times without finishing an epoch, and run.retries.requeue is {most_restarts}; "
            "the log says what ended it each time"
        )


def past(folder: Path, claim: Claim) -> list[Past]:
    """The starts before this one that count (not before the last retry reset), oldest first."""
    names = sorted(each for each in claims_of(folder) if each <= (claim.attempt, claim.restart))
    begins = [read_record(ClaimFile, folder / "claims" / paths.claim_name(*name)).at for name in names]
    retries_reset_at, reached = _retries_reset_at(folder), _reached(folder)
    found: list[Past] = []
    for at, name in enumerate(names[:-1]):
        end = _exit_time(folder, *name)
        seconds = ((end or begins[at + 1]) - begins[at]).total_seconds()
        limited = _may_be_limited(folder, *name, is_last=names[at + 1][0] > name[0], said=end is not None)
        if name[0] > retries_reset_at:
            found.append(Past(*name, _got_on(name, reached, retries_reset_at), seconds, limited))
    return found


def _may_be_limited(folder: Path, attempt: int, restart: int, *, is_last: bool, said: bool) -> bool:
    again = folder / f"requeue-{paths.claim_name(attempt, restart)}.json"
    if again.exists():
        return read_record(RequeueFile, again).reason.startswith(LIMIT_IS_NEAR)
    lost = folder / "attempts" / f"{attempt}.lost.json"
    cause = read_record(LostFile, lost).cause if lost.exists() else None
    return is_last and (cause == "TIME" or (cause in (None, "UNEXPLAINED") and said))


def _check_epoch(folder: Path, starts: list[Past], limit_min: int) -> None:
    advice = "raise slurm.time, or use a larger batch or smaller images"
    last = starts[-2:]
    cut = [each for each in last if each.limited and each.seconds >= RAN_INTO_LIMIT * limit_min * 60]
    if len(cut) == 2 and not any(each.got_on for each in cut):
        raise EpochTooLongError(
            f"one epoch takes more than {_minutes(min(each.seconds for each in last))}: two starts ended without one, "
            f"and the limit of the job is {_minutes(limit_min * 60)}; {advice}"
        )
    shortest = min((seconds for _, seconds in finished_epochs(folder)), default=0.0)
    if shortest > limit_min * 60:
        raise EpochTooLongError(
            f"one epoch took {_minutes(shortest)}, and the limit of the job is {_minutes(limit_min * 60)}; {advice}"
        )


def _idle_restarts(folder: Path, claim: Claim) -> int:
    """How many starts of this job in a row, up to the one before this, finished no new epoch."""
    reached, retries_reset_at = _reached(folder), _retries_reset_at(folder)
    idle = 0
    while idle < claim.restart and not _got_on((claim.attempt, claim.restart - idle - 1), reached, retries_reset_at):
        idle += 1
    return idle


def _reached(folder: Path) -> dict[tuple[int, int], int]:
    """The last finished epoch of each start that finished one."""
    found = {}
    for path in folder.glob("progress-*.jsonl"):
        if name := re.fullmatch(r"progress-(\d+)-(\d+)\.jsonl", path.name):
            epochs = [epoch for epoch, _ in finished_epochs(folder, f"{name[1]}-{name[2]}")]
            found[int(name[1]), int(name[2])] = max(epochs, default=0)
    return found


def _got_on(name: tuple[int, int], reached: dict[tuple[int, int], int], retries_reset_at: int) -> bool:
    """Attempts before a retry reset do not count: a retried run may have to train anew."""
    before = (epoch for other, epoch in reached.items() if (retries_reset_at + 1, 0) <= other < name)
    return reached.get(name, 0) > max(before, default=0)


def _retries_reset_at(folder: Path) -> int:
    """The last attempt before the retry reset."""
    names = (path.name.partition(".")[0] for path in (folder / "attempts").glob("*.retries-reset.json"))
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _exit_time(folder: Path, attempt: int, restart: int) -> datetime | None:
    path = folder / "attempts" / f"{attempt}.exit-{restart}.json"
    return read_record(ExitFile, path).at if path.exists() else None


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
