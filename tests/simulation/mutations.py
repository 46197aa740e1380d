"""Deliberate errors in `core` and `reconcile`: each must be caught, or the simulation proves nothing."""

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
    """The plan is made from a changed observation."""
    real = plans.plan
    patch.setattr(loop, "plan", lambda spec, observed, capacity, now: real(spec, change(observed), capacity, now))


def _capacity_as(patch: Patch, **change: Any) -> None:
    real = plans.plan
    patch.setattr(
        loop, "plan", lambda spec, observed, capacity, now: real(spec, observed, replace(capacity, **change), now)
    )


def a_scheduler_error_counts_as_absence(patch: Patch) -> None:
    real = evidence.ask
    patch.setattr(evidence, "ask", lambda scheduler, seen: (real(scheduler, seen)[0], None))


def grace_is_ignored(patch: Patch) -> None:
    _capacity_as(patch, unlisted_grace=timedelta(0))


def late_files_are_not_awaited(patch: Patch) -> None:
    _capacity_as(patch, result_grace=timedelta(0))


def lost_attempts_are_not_counted(patch: Patch) -> None:
    patch.setattr(retry_policy, "_too_often", lambda *_: None)


def starts_that_get_nowhere_are_not_counted(patch: Patch) -> None:
    patch.setattr(retry_policy, "_without_progress", lambda *_: None)


def every_loss_is_the_last(patch: Patch) -> None:
    patch.setattr(retry_policy, "decide", lambda *_: retry_policy.Exhausted("no second try"))


def a_retry_reset_is_ignored(patch: Patch) -> None:
    patch.setattr(Run, "counted_attempts", property(lambda run: run.attempts))


def a_result_does_not_outrank_the_queue(patch: Patch) -> None:
    def hidden(run: Run) -> Run:
        is_over = run.last is not None and run.last.job is not None and not run.last.job.state.is_live
        return replace(run, milestones={}) if is_over else run

    _observation_as(
        patch, lambda found: replace(found, runs={number: hidden(run) for number, run in found.runs.items()})
    )


def a_status_of_zero_is_success(patch: Patch) -> None:
    real = attempt_state.attempt_state

    def believed(run: Run, look: attempt_state.DecisionContext) -> Any:
        ending = run.last.ending if run.last is not None and run.last.lost is None else None
        return attempt_state.Finished("complete", "0") if ending is not None and ending.status == 0 else real(run, look)

    patch.setattr(run_decision, "attempt_state", believed)


def throttle_is_ignored(patch: Patch) -> None:
    real = capacity.schedule

    def unbound(*args: Any, **kwargs: Any) -> Any:
        submits, why = real(*args, **kwargs)
        return [replace(each, throttle=None) for each in submits], why

    patch.setattr(plans, "schedule", unbound)


def what_lives_takes_no_place(patch: Patch) -> None:
    patch.setattr(capacity, "slots_in_use", lambda live: 0)


def everybody_leaves_a_reconciler(patch: Patch) -> None:
    patch.setattr(reconciler_job, "wants_reconciler", lambda *_: True)


def nobody_leaves_a_reconciler(patch: Patch) -> None:
    patch.setattr(reconciler_job, "wants_reconciler", lambda *_: False)


def a_dead_reconciler_counts(patch: Patch) -> None:
    patch.setattr(reconciler_job, "is_waiting", lambda *_: True)


def a_reconciler_goes_before_the_next_is_sure(patch: Patch) -> None:
    patch.setattr(loop.Reconciliation, "lacks_reconciler", property(lambda _: False))


def cancelled_trials_are_sent_again(patch: Patch) -> None:
    _observation_as(
        patch, lambda seen: replace(seen, trials=tuple(replace(trial, cancelled=False) for trial in seen.trials))
    )


def what_waits_counts_as_dead(patch: Patch) -> None:
    patch.setattr(JobState, "is_live", property(lambda state: state is JobState.RUNNING))


def what_the_queue_forgot_was_cancelled(patch: Patch) -> None:
    real = attempt_state._unlisted_state

    def believed(last: Any, look: attempt_state.DecisionContext) -> Any:
        found = real(last, look)
        return attempt_state.Finished("cancelled", "gone") if isinstance(found, attempt_state.Lost) else found

    patch.setattr(attempt_state, "_unlisted_state", believed)


def an_ended_element_was_cancelled_before_it_began(patch: Patch) -> None:
    real = attempt_state._unlisted_state
    patch.setattr(attempt_state, "_unlisted_state", lambda last, look: real(replace(last, ending=None), look))


def a_pause_is_a_hang(patch: Patch) -> None:
    patch.setattr(attempt_state, "_hang_duration", lambda *_: timedelta(minutes=11))


def a_pause_without_a_cause(patch: Patch) -> None:
    patch.setattr(attempt_state, "pause_reason", lambda seen: "no job of the sweep starts its training")


def a_training_goes_back(patch: Patch) -> None:
    real = run_sharing.assign_runs
    patch.setattr(
        run_sharing,
        "assign_runs",
        lambda new, first, there, code, **more: real(new, first, [replace(each, epochs=0) for each in there], code),
    )


def any_two_trainings_are_one(patch: Patch) -> None:
    real = run_sharing.assign_runs
    patch.setattr(
        run_sharing,
        "assign_runs",
        lambda new, first, there, code, **more: real(
            [("", epochs) for _, epochs in new], first, [replace(each, key="") for each in there], code
        ),
    )


def what_is_through_was_lost(patch: Patch) -> None:
    patch.setattr(Run, "has_published_all", property(lambda _: False))


def what_is_through_has_gone(patch: Patch) -> None:
    patch.setattr(attempt_state, "_published_state", lambda last: attempt_state.Lost("it continues"))


NEEDS = {
    late_files_are_not_awaited: ("late files", "scancel running"),
    an_ended_element_was_cancelled_before_it_began: ("bad start", "the queue forgets what has ended"),
    a_reconciler_goes_before_the_next_is_sure: ("kill", "every job dies", "limit"),
    what_is_through_was_lost: ("unexplained",),
}
"""Faults without which it does no harm."""

ALL = (
    a_scheduler_error_counts_as_absence,
    grace_is_ignored,
    late_files_are_not_awaited,
    lost_attempts_are_not_counted,
    starts_that_get_nowhere_are_not_counted,
    every_loss_is_the_last,
    a_retry_reset_is_ignored,
    a_result_does_not_outrank_the_queue,
    a_status_of_zero_is_success,
    throttle_is_ignored,
    what_lives_takes_no_place,
    everybody_leaves_a_reconciler,
    nobody_leaves_a_reconciler,
    a_dead_reconciler_counts,
    a_reconciler_goes_before_the_next_is_sure,
    cancelled_trials_are_sent_again,
    what_waits_counts_as_dead,
    what_the_queue_forgot_was_cancelled,
    an_ended_element_was_cancelled_before_it_began,
    a_pause_is_a_hang,
    a_pause_without_a_cause,
    a_training_goes_back,
    any_two_trainings_are_one,
    what_is_through_was_lost,
    what_is_through_has_gone,
)

CAUGHT_BY = {
    a_scheduler_error_counts_as_absence: 2,
    grace_is_ignored: 1,
    late_files_are_not_awaited: 12,
    lost_attempts_are_not_counted: 13,
    starts_that_get_nowhere_are_not_counted: 66,
    every_loss_is_the_last: 1,
    a_retry_reset_is_ignored: 11,
    a_result_does_not_outrank_the_queue: 6,
    a_status_of_zero_is_success: 14,
    throttle_is_ignored: 3,
    what_lives_takes_no_place: 3,
    everybody_leaves_a_reconciler: 1,
    nobody_leaves_a_reconciler: 2,
    a_dead_reconciler_counts: 199,
    a_reconciler_goes_before_the_next_is_sure: 20,
    cancelled_trials_are_sent_again: 23,
    what_waits_counts_as_dead: 0,
    what_the_queue_forgot_was_cancelled: 6,
    an_ended_element_was_cancelled_before_it_began: 260,
    a_pause_is_a_hang: 1,
    a_pause_without_a_cause: 0,
    a_training_goes_back: 26,
    any_two_trainings_are_one: 0,
    what_is_through_was_lost: 26,
    what_is_through_has_gone: 126,
}
"""The number of a history that catches it, which is tried first. Where it no longer does, the test says which does."""
