"""The model of a sweep at one time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from unetsweep.core.failures import FailedTrials
from unetsweep.core.live import LiveSweep, LiveTrial, WaitingTrials, with_last_answer
from unetsweep.core.live_text import age_of, start_text

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
SOON, LATER = NOW + timedelta(minutes=5), NOW + timedelta(hours=1)
BUSY = "waits behind jobs of higher priority (Priority)"


def sweep(*trials: LiveTrial, **more) -> LiveSweep:
    counts: dict[str, int] = {}
    for trial in trials:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    given = {"at": NOW, "counts": counts, "open_trials": trials, **more}
    return LiveSweep("s", "slurm", 9, "val_IoU", **given)


def test_trials_that_wait_for_one_reason_are_a_group_with_the_first_expected_start() -> None:
    found = sweep(
        LiveTrial(0, "running"),
        LiveTrial(1, "submitted", BUSY, starts_at=LATER),
        LiveTrial(2, "submitted", BUSY, starts_at=SOON),
        LiveTrial(3, "submitted", BUSY),
        LiveTrial(4, "waiting", "no slot"),
        LiveTrial(5, "complete"),
    )
    assert found.waiting == (
        WaitingTrials("submitted", BUSY, (1, 2, 3), SOON),
        WaitingTrials("waiting", "no slot", (4,)),
    )
    assert [trial.number for trial in found.running] == [0]
    assert found.ended == 1


def test_while_the_scheduler_does_not_answer_jobs_keep_their_last_state_and_files_count() -> None:
    curve = ((1, 0.5), (2, 0.6))
    before = sweep(
        LiveTrial(0, "running", "running", "7_0", "n1", 1, 9, curve[:1]),
        LiveTrial(1, "submitted", BUSY, "7_1", starts_at=SOON),
        LiveTrial(2, "submitted", BUSY, "7_2"),
        LiveTrial(3, "running", "running", "7_3"),
        answered_at=NOW,
    )
    silent = "the queue does not answer: no answer within 20 s"
    now = sweep(
        LiveTrial(0, "submitted", silent, "7_0", None, 2, 9, curve),
        LiveTrial(1, "submitted", silent, "7_1"),
        LiveTrial(2, "submitted", silent, "7_2", epoch=1),  # it has begun
        LiveTrial(4, "waiting", silent),  # it is new
        scheduler_error="no answer within 20 s",
        at=LATER,
    )
    found = with_last_answer(replace(now, counts={**now.counts, "complete": 1}), before)
    first, second, third, fourth = found.open_trials
    assert (first.state, first.node, first.epoch, first.latest) == ("running", "n1", 2, 0.6)
    assert (second.state, second.reason, second.starts_at) == ("submitted", BUSY, SOON)
    assert (third.state, fourth.state, fourth.reason) == ("running", "waiting", silent)
    assert found.counts == {"complete": 1, "running": 2, "submitted": 1, "waiting": 1}
    assert (found.answered_at, found.at, found.scheduler_error) == (NOW, LATER, now.scheduler_error)


def test_an_answer_replaces_everything() -> None:
    now = sweep(LiveTrial(0, "waiting"), answered_at=LATER)
    assert with_last_answer(now, sweep(LiveTrial(0, "running"))) is now
    assert with_last_answer(replace(now, scheduler_error="x"), None).scheduler_error == "x"


@pytest.mark.parametrize(
    ("changes", "is_well"),
    [
        ({"counts": {"complete": 1}}, True),
        ({"counts": {"running": 1}, "is_over": False}, True),
        ({"counts": {"complete": 1}, "failures": (FailedTrials("x", (0,)),)}, False),
        ({"counts": {"complete": 1}, "paused": "all failed"}, False),
        ({"counts": {"complete": 1}, "problem": "nobody continues it"}, False),
        ({"counts": {"cancelled": 1}}, False),
        ({"counts": {"diverged": 2}}, False),
    ],
)
def test_all_is_well_if_nothing_failed_and_something_was_trained(changes: dict, is_well: bool) -> None:
    assert sweep(**{"is_over": True, **changes}).is_well == is_well


def test_only_a_figure_that_is_older_than_two_minutes_has_an_age() -> None:
    assert age_of(NOW - timedelta(seconds=119), NOW) is None
    assert age_of(NOW - timedelta(seconds=185), NOW) == "3 min ago"
    assert age_of(None, NOW) is None


def test_an_expected_start_on_another_day_has_its_date() -> None:
    assert start_text(None, NOW) == ""
    assert start_text(NOW, NOW).startswith(", may start at ")
    assert start_text(NOW + timedelta(days=3), NOW).startswith(", may start on 2026-12-04 at ")
