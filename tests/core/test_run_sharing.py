"""Which trials share a run, and how a run continues after a longer trial has joined it."""

from dataclasses import replace
from typing import Any

import pytest
from plan_rows import NOW, QUEUE, adaptive, attempt, decide, failing, grid, job, lines

from unetsweep.contract import DataConfig, Result, TrainerConfig, TrialConfig, run_key
from unetsweep.core.actions import Prune
from unetsweep.core.observation import JobState, Observation, PruneDecision, Run, Trial
from unetsweep.core.plan import Plan, plan
from unetsweep.core.run_sharing import (
    CONTINUES_FOR_OTHERS,
    ExistingTrial,
    assign_runs,
    trains_past,
    why_not_shared,
    why_separate,
)
from unetsweep.core.trials import StoredTrial

RUNNING, QUEUED, ENDED = JobState.RUNNING, JobState.QUEUED, JobState.ENDED
THERE = ExistingTrial(3, "a", 8, "c0de", True)
STORED = StoredTrial(3, 3, 8, run_key="a", code="c0de")


# ---- which trials share a run


@pytest.mark.parametrize(
    ("there", "run"),
    [
        ([], 9),
        ([THERE], 3),
        ([replace(THERE, epochs=20)], 9),  # a training never goes back
        ([replace(THERE, epochs=16)], 9),  # a trial of the same length is no longer trial
        ([replace(THERE, key="b")], 9),
        ([replace(THERE, key=None)], 9),  # not known, since its files cannot be read
        ([replace(THERE, code="other")], 9),
        ([replace(THERE, is_joinable=False)], 9),
        ([THERE, replace(THERE, epochs=4, is_joinable=False)], 9),
        ([THERE, replace(THERE, run=4, epochs=12)], 4),  # the run with the least left to train
        ([THERE, replace(THERE, run=4, epochs=18)], 3),
    ],
)
def test_a_longer_trial_joins_a_sound_run_with_its_key(there: list[ExistingTrial], run: int) -> None:
    assert assign_runs([("a", 16)], 9, there, "c0de") == [run]


def test_new_trials_that_are_shorter_than_a_run_with_their_key_say_why_they_train_separately() -> None:
    there = StoredTrial(3, 3, 60, run_key="a")
    shorter, longer = StoredTrial(4, 4, 30, run_key="a"), StoredTrial(5, 3, 90, run_key="a")
    others = [StoredTrial(6, 6, 30, run_key="b"), StoredTrial(7, 7, 30), StoredTrial(8, 8, 60, run_key="a")]
    assert why_separate([there, longer, *others], 4) is None
    assert why_separate([there, shorter], 5) is None
    assert why_separate([there, shorter, longer, *others], 4) == (
        "1 new trial (0004) cannot join a run with the same config: only longer trials join one, because a training "
        "never goes back (trial 0004 has 30 epochs, and run 0003 trains the same config to epoch 60)"
    )
    cosine = {"trainer.schedule": "cosine"}
    assert why_separate([replace(there, params=cosine), replace(shorter, params=cosine)], 4) is None
    many = [StoredTrial(number, number, 30, run_key="a") for number in range(4, 10)]
    assert (why_separate([there, *many], 4) or "").startswith(
        "6 new trials (0004, 0005, 0006, 0007 …) cannot join a run"
    )


def test_new_trials_with_one_key_share_a_run_and_those_shorter_than_an_existing_run_do_not_join_it() -> None:
    assert assign_runs([("a", 2), ("b", 4), ("a", 20), ("a", 8), ("b", 2)], 9, [THERE], "c0de") == [9, 10, 3, 9, 10]


@pytest.mark.parametrize(
    ("state", "cancelled", "unreadable", "is_joinable"),
    [
        (None, False, None, True),
        (None, True, None, False),
        (None, False, "corrupt", False),
        ("complete", False, None, True),
        ("pruned", False, None, True),
        ("failed", False, None, False),
        ("diverged", False, None, False),
        ("cancelled", True, None, False),
    ],
)
def test_a_run_with_a_failed_or_cancelled_trial_is_not_joined(
    state: str | None, cancelled: bool, unreadable: str | None, is_joinable: bool
) -> None:
    result = None if state is None else Result(state, code={"package": "c0de"})  # type: ignore[arg-type]
    found = ExistingTrial.of(replace(STORED, result=result, cancelled=cancelled, unreadable=unreadable))
    assert found == replace(THERE, is_joinable=is_joinable, has_ended=state is not None)


def test_a_run_that_other_code_has_trained_is_not_joined() -> None:
    newer = ExistingTrial.of(replace(STORED, result=Result(val_iou=0.5, code={"package": "newer"})))
    assert assign_runs([("a", 16)], 9, [newer], "c0de") == [9]
    assert assign_runs([("a", 16)], 9, [newer], "newer") == [9]


def test_trials_with_one_run_key_differ_in_epochs_only() -> None:
    config = TrialConfig(DataConfig("images"), 8, 4, 1e-3)
    assert run_key(config) == run_key(replace(config, epochs=16))
    others = (
        replace(config, batch_size=8),
        replace(config, learning_rate=1e-4),
        replace(config, seed=1),
        replace(config, processes=2),
        replace(config, data=DataConfig("other")),
        replace(config, trainer=TrainerConfig(val_every=3)),
    )
    assert len({run_key(each) for each in (config, *others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("trainer", "share", "why"),
    [
        (TrainerConfig(), True, None),
        (TrainerConfig(), False, "run.share is false"),
        (TrainerConfig(schedule="cosine"), True, "the schedule cosine depends on the number of epochs"),
        (TrainerConfig(command="train.sh"), True, "a trainer command may train differently"),
    ],
)
def test_nothing_is_shared_where_the_result_would_not_be_exact(
    trainer: TrainerConfig, share: bool, why: str | None
) -> None:
    reason = why_not_shared(replace(grid(1, share=share), trainer=trainer))
    assert (reason is None) if why is None else (reason or "").startswith(why)


# ---- how a run continues


def joined(last: object, published: dict[int, str], **more: object) -> Observation:
    """Trial 0 wanted 4 epochs and has ended; trial 1 wants 8 epochs of the same run."""
    return Observation(1, (Trial(1, 0, 8),), {0: Run(0, published, (last,), **more)})  # type: ignore[arg-type]


def waits(found: Plan) -> list[tuple[int, str, bool]]:
    return [(wait.trial, wait.reason, wait.running) for wait in found.waits]


def test_a_longer_trial_waits_for_the_attempt_that_does_not_know_of_it() -> None:
    at_work = attempt(job_id="18808", job=job(RUNNING), milestones=(4,))
    found = Observation(0, (Trial(0, 0, 4), Trial(1, 0, 8)), {0: Run(0, {}, (at_work,))})
    decided = decide(found)
    assert lines(decided) == []
    assert waits(decided) == [(0, "running", True), (1, "its run trains to epoch 4 first", False)]


@pytest.mark.parametrize("state", [RUNNING, QUEUED])
def test_a_longer_trial_waits_while_the_job_of_a_finished_attempt_is_alive(state: JobState) -> None:
    decided = decide(joined(attempt(job_id="18808", job=job(state), milestones=(4,)), {4: "complete"}))
    assert lines(decided) == []
    assert waits(decided) == [(1, "its training reached epoch 4; it continues when that job has ended", False)]


@pytest.mark.parametrize("word", [None, ENDED, JobState.CANCELLED, JobState.NODE_FAILED])
@pytest.mark.parametrize("ending", [None, failing("exception"), failing("exit", 1)])
def test_a_run_continues_once_its_job_is_gone_however_the_job_ended(word, ending) -> None:
    listed = None if word is None else job(word)
    how: dict[str, Any] = {"ending": ending, "mem": "8G", "micro_batch": 2}
    last = attempt(job_id="18808", claimed_by="18808", job=listed, milestones=(4,), **how)
    decided = decide(joined(last, {4: "complete"}))
    assert lines(decided) == ["submit 0.2 mem=8G"]
    (element,) = decided.actions[-1].elements  # type: ignore[union-attr]
    assert (element.trials, element.mem, element.micro_batch) == (((1, 8),), "8G", 2)


def test_nothing_is_submitted_while_the_scheduler_does_not_answer() -> None:
    last = attempt(job_id="18808", milestones=(4,))
    decided = decide(replace(joined(last, {4: "complete"}), scheduler_error="timed out"))
    assert lines(decided) == []
    assert waits(decided) == [(1, "the queue does not answer: timed out", False)]


def test_a_lost_attempt_is_resubmitted_for_all_trials_of_its_run() -> None:
    found = Observation(
        0, (Trial(0, 0, 4), Trial(1, 0, 8)), {0: Run(0, {}, (attempt(job_id="18808", milestones=(4,)),))}
    )
    decided = decide(found)
    assert lines(decided) == ["lost 0.1", "submit 0.2"]
    assert decided.actions[-1].elements[0].trials == ((0, 4), (1, 8))  # type: ignore[union-attr]


def test_epochs_that_only_cancelled_trials_want_are_not_trained() -> None:
    at_work = attempt(job_id="18808", job=job(RUNNING), milestones=(4, 8, 16))
    trials = (Trial(0, 0, 4, cancelled=True), Trial(1, 0, 8), Trial(2, 0, 16, cancelled=True))
    found = Observation(0, trials, {0: Run(0, {}, (at_work,))})
    assert decide(found).actions == (Prune(0, 1, 2, (16,), 0, "you cancelled it"),)

    known = Run(0, {}, (at_work,), prune_decision=PruneDecision(1, 2, (16,), 0, "you cancelled it"))
    assert decide(replace(found, runs={0: known})).actions == ()
    assert (1, CONTINUES_FOR_OTHERS, False) not in waits(decide(found))
    assert {(trial, reason) for trial, reason, _ in waits(decide(found))} >= {
        (0, CONTINUES_FOR_OTHERS),
        (2, CONTINUES_FOR_OTHERS),
    }
    ended = Run(
        0, {4: "complete", 16: "pruned"}, (at_work,), prune_decision=PruneDecision(1, 2, (16,), 0, "you cancelled it")
    )
    decided = decide(replace(found, runs={0: ended}))
    assert lines(decided) == ["finish 0 complete", "finish 2 cancelled"]


def test_epochs_that_only_ended_trials_want_are_not_trained() -> None:
    at_work = attempt(job_id="18808", job=job(RUNNING), milestones=(8, 16))
    found = Observation(1, (Trial(0, 0, 8),), {0: Run(0, {}, (at_work,))})
    assert decide(found).actions == (Prune(0, 1, 0, (16,), 0, "you cancelled it"),)
    through = Run(0, {16: "complete"}, (at_work,))
    assert decide(replace(found, runs={0: through})).actions == ()


def test_a_stop_replaces_the_earlier_one_and_keeps_its_milestones() -> None:
    at_work = attempt(job_id="18808", job=job(RUNNING), milestones=(4, 8, 16))
    run = Run(0, {}, (at_work,), prune_decision=PruneDecision(1, 1, (8,), 2, "poor"))
    found = Observation(0, (Trial(0, 0, 4), Trial(1, 0, 8, cancelled=True), Trial(2, 0, 16, cancelled=True)), {0: run})
    assert decide(found).actions == (Prune(0, 1, 2, (8, 16), 0, "poor"),)
    another = replace(run, prune_decision=PruneDecision(2, 1, (8,), 2, "poor"))
    assert decide(replace(found, runs={0: another})).actions == (Prune(0, 1, 2, (8, 16), 0, "you cancelled it"),)


def test_an_ended_run_is_not_joined_where_its_last_checkpoint_is_removed() -> None:
    ended = replace(THERE, has_ended=True)
    assert assign_runs([("a", 16)], 9, [ended], "c0de") == [3]
    assert assign_runs([("a", 16)], 9, [ended], "c0de", keeps_checkpoints=False) == [9]
    assert assign_runs([("a", 16)], 9, [ended, replace(THERE, epochs=12)], "c0de", keeps_checkpoints=False) == [3]


@pytest.mark.parametrize(
    ("run", "is_passing"),
    [
        (Run(0), False),
        (Run(0, {}, (attempt(milestones=(16,), claimed_by="1"),)), True),
        (Run(0, {}, (attempt(milestones=(8, 16), claimed_by="1"),)), False),
        (Run(0, {}, (attempt(milestones=(4,), claimed_by="1"),)), False),
        (Run(0, {}, (attempt(milestones=(16,), claimed_by="1", lost="gone"),)), False),
        (Run(0, {}, (attempt(milestones=(16,), claimed_by="1", ending=failing()),)), False),
        (Run(0, {}, (attempt(milestones=(16,), claimed_by="1"),), retries_reset_at=1), False),
        (Run(0, {16: "complete"}, (attempt(milestones=(16,), claimed_by="1"),)), False),
    ],
)
def test_an_active_run_may_train_past_a_trial_it_was_not_submitted_for(run: Run, is_passing: bool) -> None:
    assert trains_past(run, 8) == is_passing


def test_an_adaptive_search_counts_runs_and_not_trials() -> None:
    runs = {0: Run(0, {}, (attempt(job_id="18808", job=job(RUNNING), milestones=(4, 8)),))}
    found = Observation(0, (Trial(0, 0, 4), Trial(1, 0, 8)), runs)
    decided = plan(adaptive(9, parallel=2), found, replace(QUEUE, parallel=2), NOW)
    assert lines(decided) == ["propose 1"]
