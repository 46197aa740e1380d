"""Deliberate errors in `core` and `reconcile`: the simulation must catch each, or it proves nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from unetsweep.core import attempt_state, capacity, reconciler_job, retry_policy, run_decision, run_sharing
from unetsweep.core import plan as plans
from unetsweep.core.observation import JobState, Run
from unetsweep.reconcile import evidence, loop

Patch = pytest.MonkeyPatch


def _observation_as(patch: Patch, change: Callable[[Any], Any]) -> None:
    """Let the plan use a changed observation."""
    real = plans.plan
    patch.setattr(loop, "plan", lambda spec, observed, capacity, now: real(spec, change(observed), capacity, now))


def _capacity_as(patch: Patch, **change: Any) -> None:
    real = plans.plan
    patch.setattr(
        loop, "plan", lambda spec, observed, capacity, now: real(spec, observed, replace(capacity, **change), now)
    )


def a_scheduler_error_counts_as_absence(patch: Patch) -> None:
    real = evidence.ask
    patch.setattr(evidence, "ask", lambda scheduler, observation: (real(scheduler, observation)[0], None))


def the_grace_time_is_ignored(patch: Patch) -> None:
    _capacity_as(patch, unlisted_grace=timedelta(0))


def late_files_are_not_awaited(patch: Patch) -> None:
    _capacity_as(patch, result_grace=timedelta(0))


def lost_attempts_are_not_counted(patch: Patch) -> None:
    patch.setattr(retry_policy, "_too_often", lambda *_: None)


def starts_without_progress_are_not_counted(patch: Patch) -> None:
    patch.setattr(retry_policy, "_without_progress", lambda *_: None)


def no_lost_attempt_is_retried(patch: Patch) -> None:
    patch.setattr(retry_policy, "decide", lambda *_: retry_policy.Exhausted("no second try"))


def a_retry_reset_is_ignored(patch: Patch) -> None:
    patch.setattr(Run, "counted_attempts", property(lambda run: run.attempts))


def a_result_does_not_outrank_the_queue(patch: Patch) -> None:
    def without_result(run: Run) -> Run:
        is_over = run.last is not None and run.last.job is not None and not run.last.job.state.is_live
        return replace(run, published_states={}) if is_over else run

    _observation_as(
        patch, lambda found: replace(found, runs={number: without_result(run) for number, run in found.runs.items()})
    )


def exit_status_0_counts_as_success(patch: Patch) -> None:
    real = attempt_state.attempt_state

    def changed(run: Run, context: attempt_state.DecisionContext) -> Any:
        ending = run.last.ending if run.last is not None and run.last.lost is None else None
        return (
            attempt_state.Finished("complete", "0") if ending is not None and ending.status == 0 else real(run, context)
        )

    patch.setattr(run_decision, "attempt_state", changed)


def the_throttle_is_ignored(patch: Patch) -> None:
    real = capacity.schedule

    def without_throttle(*args: Any, **kwargs: Any) -> Any:
        submits, why = real(*args, **kwargs)
        return [replace(each, throttle=None) for each in submits], why

    patch.setattr(plans, "schedule", without_throttle)


def live_jobs_use_no_slot(patch: Patch) -> None:
    patch.setattr(capacity, "slots_in_use", lambda live: 0)


def every_reconciliation_submits_a_reconciler(patch: Patch) -> None:
    patch.setattr(reconciler_job, "wants_reconciler", lambda *_: True)


def no_reconciler_is_submitted(patch: Patch) -> None:
    patch.setattr(reconciler_job, "wants_reconciler", lambda *_: False)


def a_dead_reconciler_counts_as_waiting(patch: Patch) -> None:
    patch.setattr(reconciler_job, "is_waiting", lambda *_: True)


def a_reconciler_ends_before_its_successor_is_queued(patch: Patch) -> None:
    patch.setattr(loop.Reconciliation, "lacks_reconciler", property(lambda _: False))


def cancelled_trials_are_resubmitted(patch: Patch) -> None:
    _observation_as(
        patch,
        lambda observation: replace(
            observation, trials=tuple(replace(trial, cancelled=False) for trial in observation.trials)
        ),
    )


def queued_jobs_count_as_dead(patch: Patch) -> None:
    patch.setattr(JobState, "is_live", property(lambda state: state is JobState.RUNNING))


def forgotten_jobs_count_as_cancelled(patch: Patch) -> None:
    real = attempt_state._unlisted_state

    def changed(last: Any, context: attempt_state.DecisionContext) -> Any:
        found = real(last, context)
        return attempt_state.Finished("cancelled", "gone") if isinstance(found, attempt_state.Lost) else found

    patch.setattr(attempt_state, "_unlisted_state", changed)


def an_ended_element_counts_as_cancelled(patch: Patch) -> None:
    real = attempt_state._unlisted_state
    patch.setattr(attempt_state, "_unlisted_state", lambda last, context: real(replace(last, ending=None), context))


def a_slow_epoch_counts_as_a_hang(patch: Patch) -> None:
    patch.setattr(attempt_state, "_hang_duration", lambda *_: timedelta(minutes=11))


def the_sweep_pauses_without_a_cause(patch: Patch) -> None:
    patch.setattr(attempt_state, "pause_reason", lambda *_: "no job of the sweep starts its training")


def a_shorter_trial_joins_a_run(patch: Patch) -> None:
    real = run_sharing.assign_runs
    patch.setattr(
        run_sharing,
        "assign_runs",
        lambda new, first, there, code, **more: real(new, first, [replace(each, epochs=0) for each in there], code),
    )


def trials_with_different_keys_share_a_run(patch: Patch) -> None:
    real = run_sharing.assign_runs
    patch.setattr(
        run_sharing,
        "assign_runs",
        lambda new, first, there, code, **more: real(
            [("", epochs) for _, epochs in new], first, [replace(each, key="") for each in there], code
        ),
    )


def a_finished_attempt_counts_as_lost(patch: Patch) -> None:
    patch.setattr(Run, "has_published_all", property(lambda _: False))


def a_finished_attempt_is_not_waited_for(patch: Patch) -> None:
    patch.setattr(attempt_state, "_published_state", lambda last: attempt_state.Ready("the run continues"))


NEEDS = {
    late_files_are_not_awaited: ("late files", "scancel running"),
    an_ended_element_counts_as_cancelled: ("bad start", "the queue forgets what has ended"),
    a_reconciler_ends_before_its_successor_is_queued: ("kill", "every job dies", "limit"),
    a_finished_attempt_counts_as_lost: ("unexplained",),
}
"""The faults without which a mutation does no harm."""

ALL = (
    a_scheduler_error_counts_as_absence,
    the_grace_time_is_ignored,
    late_files_are_not_awaited,
    lost_attempts_are_not_counted,
    starts_without_progress_are_not_counted,
    no_lost_attempt_is_retried,
    a_retry_reset_is_ignored,
    a_result_does_not_outrank_the_queue,
    exit_status_0_counts_as_success,
    the_throttle_is_ignored,
    live_jobs_use_no_slot,
    every_reconciliation_submits_a_reconciler,
    no_reconciler_is_submitted,
    a_dead_reconciler_counts_as_waiting,
    a_reconciler_ends_before_its_successor_is_queued,
    cancelled_trials_are_resubmitted,
    queued_jobs_count_as_dead,
    forgotten_jobs_count_as_cancelled,
    an_ended_element_counts_as_cancelled,
    a_slow_epoch_counts_as_a_hang,
    the_sweep_pauses_without_a_cause,
    a_shorter_trial_joins_a_run,
    trials_with_different_keys_share_a_run,
    a_finished_attempt_counts_as_lost,
    a_finished_attempt_is_not_waited_for,
)

CAUGHT_BY = {
    a_scheduler_error_counts_as_absence: 6,
    the_grace_time_is_ignored: 1,
    late_files_are_not_awaited: 12,
    lost_attempts_are_not_counted: 13,
    starts_without_progress_are_not_counted: 66,
    no_lost_attempt_is_retried: 1,
    a_retry_reset_is_ignored: 177,
    a_result_does_not_outrank_the_queue: 6,
    exit_status_0_counts_as_success: 14,
    the_throttle_is_ignored: 3,
    live_jobs_use_no_slot: 6,
    every_reconciliation_submits_a_reconciler: 1,
    no_reconciler_is_submitted: 2,
    a_dead_reconciler_counts_as_waiting: 50,
    a_reconciler_ends_before_its_successor_is_queued: 20,
    cancelled_trials_are_resubmitted: 6,
    queued_jobs_count_as_dead: 0,
    forgotten_jobs_count_as_cancelled: 5,
    an_ended_element_counts_as_cancelled: 260,
    a_slow_epoch_counts_as_a_hang: 1,
    the_sweep_pauses_without_a_cause: 0,
    a_shorter_trial_joins_a_run: 26,
    trials_with_different_keys_share_a_run: 0,
    a_finished_attempt_counts_as_lost: 26,
    a_finished_attempt_is_not_waited_for: 136,
}
"""The number of a history that catches each mutation, which is tried first. The test warns when it needs another."""
