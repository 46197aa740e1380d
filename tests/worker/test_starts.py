"""A run is not started again if another start cannot make progress."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unetsweep.errors import EpochTooLongError, TrainingError
from unetsweep.worker.claim import Claim
from unetsweep.worker.starts import check_starts

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Run:
    """The folder of a run, written start by start, with a minute between two starts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.names = folder, BEGIN, list[tuple[int, int]]()
        for name in ("claims", "attempts"):
            (folder / name).mkdir()

    def start(self, attempt: int, restart: int) -> None:
        self.names.append((attempt, restart))
        self._write(f"claims/{attempt}-{restart}", job_id="7", at=self.now.isoformat())

    def end(
        self,
        minutes: float,
        epochs: tuple[int, ...] = (),
        *,
        by: str | None = "requeue",
        recorded: bool = True,
        seconds: float | None = 60.0,
    ) -> None:
        """`by`: it stopped to continue later (`requeue`), or the cause of its attempt's loss; None if unknown."""
        attempt, restart = self.names[-1]
        self.now += timedelta(minutes=minutes)
        if by == "requeue":
            self._write(f"requeue-{attempt}-{restart}.json", reason="the time limit is near: 9 s are left")
        elif by is not None:
            self._write(f"attempts/{attempt}.lost.json", reason="it ended", cause=by, at=self.now.isoformat())
        if recorded:
            self._write(f"attempts/{attempt}.exit-{restart}.json", at=self.now.isoformat(), status=143)
        took = {} if seconds is None else {"seconds": seconds}
        lines = [json.dumps({"epoch": epoch, **took}) for epoch in epochs]
        if lines:
            (self.folder / f"progress-{attempt}-{restart}.jsonl").write_text("\n".join([*lines, '{"epoch": 9']))
        self.now += timedelta(minutes=1)

    def check(self, limit_min: int = 10, most_restarts: int = 20) -> None:
        check_starts(
            self.folder,
            Claim(self.folder, self.folder, *self.names[-1], 0),
            limit_min=limit_min,
            most_restarts=most_restarts,
        )

    def _write(self, name: str, **content: object) -> None:
        (self.folder / name).write_text(json.dumps({"schema": 1, **content}))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


RESTARTED, RESUBMITTED = [(1, 0), (1, 1), (1, 2)], [(1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize(
    ("names", "by", "recorded"),
    [
        pytest.param(RESTARTED, "requeue", True, id="stopped to be requeued"),
        pytest.param(RESTARTED, "requeue", False, id="stopped to be requeued, and its end was not recorded"),
        pytest.param(RESUBMITTED, "TIME", True, id="killed at the limit"),
        pytest.param(RESUBMITTED, "TIME", False, id="killed at the limit, its batch shell too"),
        pytest.param(RESUBMITTED, "UNEXPLAINED", True, id="unexplained, after as long as the limit"),
    ],
)
def test_after_two_starts_without_an_epoch_that_the_limit_ended_there_is_no_third(
    names: list[tuple[int, int]], by: str, recorded: bool, run: Run
) -> None:
    for name in names[:2]:
        run.start(*name)
        run.check()
        run.end(9.5, by=by, recorded=recorded)
    run.start(*names[2])
    message = r"one epoch takes more than 1?\d min: two starts .* the limit of the job is 10 min; raise slurm\.time"
    with pytest.raises(EpochTooLongError, match=message):
        run.check()


@pytest.mark.parametrize(
    ("names", "by", "recorded"),
    [
        pytest.param(RESTARTED, None, True, id="preempted and requeued"),
        pytest.param(RESTARTED, None, False, id="requeued after a node failure, with a long wait in the queue"),
        pytest.param(RESUBMITTED, "NODE", False, id="resubmitted long after a node failure"),
        pytest.param(RESUBMITTED, "PREEMPTED", True, id="preempted and resubmitted"),
        pytest.param(RESUBMITTED, "UNEXPLAINED", False, id="unexplained, after an unknown time"),
    ],
)
def test_starts_that_terminated_for_another_reason_do_not_count_against_the_limit(
    names: list[tuple[int, int]], by: str | None, recorded: bool, run: Run
) -> None:
    for name in names[:2]:
        run.start(*name)
        run.end(9.5, by=by, recorded=recorded)
    run.start(*names[2])
    run.check()


def test_starts_that_finish_an_epoch_are_never_stopped(run: Run) -> None:
    for restart, epochs in enumerate([(), (1,), (), (2,)]):
        run.start(1, restart)
        run.check()
        run.end(9.5, epochs)
    run.start(1, 4)
    run.check()


def test_a_repeated_epoch_is_no_progress(run: Run) -> None:
    for restart, epochs in enumerate([(1, 2), (1, 2), (2,)]):
        run.start(1, restart)
        run.end(9.5, epochs)
    run.start(1, 3)
    with pytest.raises(EpochTooLongError):
        run.check()


def test_starts_that_ended_long_before_the_limit_do_not_count_against_it(run: Run) -> None:
    for restart in range(4):
        run.start(1, restart)
        run.check()
        run.end(1)


def test_starts_that_a_shorter_limit_ended_do_not_count_against_a_doubled_one(run: Run) -> None:
    for restart in range(2):
        run.start(1, restart)
        run.end(10)
    run.start(1, 2)
    run.check(limit_min=20)


def test_starts_before_a_retry_reset_do_not_count(run: Run) -> None:
    for attempt in (1, 2):
        run.start(attempt, 0)
        run.end(9.5, by="TIME")
    (run.folder / "attempts/2.retries-reset.json").touch()
    run.start(3, 0)
    run.check()


def test_a_retried_run_that_repeats_its_epochs_makes_progress(run: Run) -> None:
    run.start(1, 0)
    run.end(9.5, tuple(range(1, 9)))
    (run.folder / "attempts/1.retries-reset.json").touch()
    for restart, epochs in enumerate(((1, 2), (3, 4))):
        run.start(2, restart)
        run.end(9.5, epochs)
    run.start(2, 2)
    run.check(most_restarts=0)


def test_an_epoch_that_took_longer_than_the_whole_limit_is_reported_at_once(run: Run) -> None:
    run.start(1, 0)
    run.end(30, (1, 2), seconds=900)
    run.start(2, 0)
    run.check(limit_min=15)
    with pytest.raises(EpochTooLongError, match="one epoch took 15 min, and the limit of the job is 10 min"):
        run.check(limit_min=10)


def test_only_restarts_without_a_new_epoch_are_bounded(run: Run) -> None:
    for restart in range(6):
        run.start(1, restart)
        run.check(most_restarts=2)
        run.end(1, (restart + 1,))
    for restart in range(6, 9):
        run.start(1, restart)
        run.check(most_restarts=2)
        run.end(1)
    run.start(1, 9)
    with pytest.raises(
        TrainingError, match=r"started 3 times without finishing an epoch, and run\.retries\.requeue is 2"
    ):
        run.check(most_restarts=2)


def test_restarts_without_a_claim_count_as_well(run: Run) -> None:
    run.start(1, 0)
    run.end(1, (1,))
    run.start(1, 4)
    with pytest.raises(TrainingError, match="started 3 times"):
        run.check(most_restarts=2)


def test_an_epoch_counts_as_progress_although_its_line_has_no_seconds(run: Run) -> None:
    for restart in range(3):
        run.start(1, restart)
        run.check()
        run.end(9.5, (restart + 1,), seconds=None)
    run.start(1, 3)
    run.check()
