"""What runs cost, by SLURM's accounting or by the times in the sweep's files."""

import pytest

from unetsweep.core.cost import (
    Account,
    Cost,
    JobResources,
    RunTimeline,
    Start,
    accounts_by_job,
    format_cost,
    run_cost,
    share_of_run,
    total,
    trial_parts,
)

RESOURCES = JobResources(gpus=2, cpus=4)
KEY = ("0f3a9c2e11d7", "18808_3")
OTHER = ("aaaaaaaaaaaa", "18900")


def account(begin: float, end: float | None, key: tuple[str, str] = KEY, **more: object) -> Account:
    return Account(*key, begin, end, (end or 100.0) - begin, **more)  # type: ignore[arg-type]


def test_without_accounts_a_run_costs_the_time_from_claim_to_end():
    timeline = RunTimeline({1: [KEY]}, (Start(1, 10.0, 40.0),))
    assert run_cost(timeline, {}, RESOURCES, 100.0) == Cost(1, 30.0, 60.0, 120.0)


def test_accounting_outranks_our_clocks_and_counts_every_start_of_a_requeued_job():
    timeline = RunTimeline({1: [KEY]}, (Start(1, 10.0, 40.0, ((1, 20.0),), 9), Start(1, 60.0, 90.0, ((2, 80.0),), 9)))
    accounts = accounts_by_job(
        [account(5, 45, gpus=1, cpus=3, memory_mb=10.0), account(50, 95, gpus=1, memory_mb=30.0)], [timeline]
    )
    found = run_cost(timeline, accounts, RESOURCES, 100.0)
    assert (found.seconds, found.gpu_seconds, found.cpu_seconds) == (85.0, 85.0, 40 * 3 + 45 * 4)
    assert (found.memory_mb, found.accounted_seconds) == (30.0, 85.0)
    assert found.lost_seconds == 45 - 20, "the account says when the first start ended"


def test_an_account_of_another_job_with_the_same_id_is_ignored():
    timeline = RunTimeline({1: [KEY]}, (Start(1, 10.0, 40.0),))
    accounts = accounts_by_job([account(0, 90, ("bbbbbbbbbbbb", KEY[1]))], [timeline])
    assert run_cost(timeline, accounts, RESOURCES, 100.0).seconds == 30.0


def test_an_attempt_without_an_account_counts_by_our_clocks():
    timeline = RunTimeline({1: [KEY], 2: [OTHER]}, (Start(1, 10.0, 40.0), Start(2, 50.0, 60.0)))
    found = run_cost(timeline, accounts_by_job([account(0, 45)], [timeline]), RESOURCES, 100.0)
    assert (found.attempts, found.seconds, found.accounted_seconds) == (2, 55.0, 45.0)


def test_a_job_without_a_claim_costs_what_its_account_says():
    timeline = RunTimeline({1: [KEY]})
    assert run_cost(timeline, accounts_by_job([account(0, 45)], [timeline]), RESOURCES, 100.0).seconds == 45.0
    assert run_cost(timeline, {}, RESOURCES, 100.0).seconds == 0.0


def test_runs_that_share_a_job_count_it_once():
    timelines = [RunTimeline({1: [KEY]}), RunTimeline({1: [OTHER], 2: [KEY]})]
    accounts = accounts_by_job([account(0, 45), account(50, 60, OTHER)], timelines)
    assert total(run_cost(timeline, accounts, RESOURCES, 100.0) for timeline in timelines).seconds == 45 + 10


@pytest.mark.parametrize(("is_open", "seconds"), [(True, 90.0), (False, 20.0)])
def test_a_start_without_an_end_counts_until_now_or_its_last_progress(is_open: bool, seconds: float):
    timeline = RunTimeline({1: [KEY]}, (Start(1, 10.0, None, ((1, 20.0), (2, 30.0)), 9),), is_open)
    assert run_cost(timeline, {}, RESOURCES, 100.0).seconds == seconds


def test_a_start_counts_no_longer_than_until_the_next_one():
    timeline = RunTimeline({1: [KEY]}, (Start(1, 10.0, 70.0), Start(1, 60.0, 90.0)))
    assert run_cost(timeline, {}, RESOURCES, 100.0).seconds == 80.0


def lost(*starts: Start) -> float:
    return run_cost(RunTimeline({1: [KEY]}, starts), {}, RESOURCES, 100.0).lost_seconds


def test_time_is_lost_from_the_first_epoch_that_is_trained_again():
    first = Start(1, 0.0, 50.0, ((1, 10.0), (2, 20.0), (3, 30.0), (4, 40.0)), 9)
    assert lost(first, Start(1, 60.0, 99.0, ((3, 70.0),), 9)) == 50 - 20
    assert lost(first, Start(1, 60.0, 99.0, ((5, 70.0),), 9)) == 50 - 40
    assert lost(first, Start(1, 60.0, 99.0, ((1, 70.0),), 9)) == 50
    assert lost(first, Start(1, 60.0, 61.0, (), 9), Start(2, 70.0, 99.0, ((3, 80.0),), 9)) == 50 - 20 + 1


def test_shutdown_time_after_the_goal_is_not_lost_and_neither_is_a_continued_run():
    assert lost(Start(1, 0.0, 30.0, ((1, 10.0), (2, 20.0)), goal=2), Start(2, 60.0, 99.0, ((3, 70.0),), 4)) == 0.0


def test_host_and_gpu_memory_are_reported_separately():
    both = Cost(1, 1.0, memory_mb=812.4, peak_memory_mb=10_240.0)
    assert format_cost(both, gpus=True).endswith("; peak memory 812 MB on the host, 10240 MB on the GPU")
    assert format_cost(both, gpus=False).endswith("; peak memory 812 MB")


def test_the_shares_of_the_trials_add_up_to_the_cost_of_their_run():
    cost = Cost(2, 100.0, 200.0, 400.0, 10.0, 7.0, 50.0)
    for epochs in ([100, 200, 300, 400, 1000], [8, 8, 4], [0, 0]):
        paid = total(share_of_run(cost, part) for part in trial_parts(epochs))
        assert paid.seconds == pytest.approx(100.0)
        assert paid.gpu_seconds == pytest.approx(200.0)
        assert paid.memory_mb == 7.0
