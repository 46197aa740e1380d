"""It is known who reconciles next, nothing else is promised, and a reconciler job that never starts is replaced."""

from dataclasses import replace
from datetime import timedelta

import pytest
from plan_rows import JUST_NOW, LOCAL, LONG_AGO, NOW, QUEUE, attempt, decide, grid, job, lines, observation

from unetsweep.core.actions import Cancel, SubmitReconciler
from unetsweep.core.capacity import Capacity
from unetsweep.core.describe import describe_problem
from unetsweep.core.observation import Attempt, Job, JobState, Observation, ReconcilerJob
from unetsweep.core.plan import Plan
from unetsweep.core.reconciler_job import ReconciledBy

TOKEN = "c" * 12
RUNNING = attempt(job_id="18808", job=job(JobState.RUNNING))
PENDING = attempt(job_id="18808", job=job(JobState.QUEUED, reason="Priority"))
STUCK_TRAINING = attempt(job_id="18808", job=job(JobState.QUEUED, reason="PartitionTimeLimit"))
REFUSED = attempt(lost="refused: Invalid qos", refused=True, lost_at=JUST_NOW)
NO_ROOM = "refused: AssocMaxSubmitJobLimit"
GONE = ReconcilerJob(4, TOKEN, LONG_AGO)
FORBIDDEN = replace(GONE, lost=True, refusal="sbatch: ask for a GPU", refused_at=JUST_NOW)


def queued(reason: str, **more) -> ReconcilerJob:
    return replace(GONE, job=Job("18900", TOKEN, 0, JobState.QUEUED, "PENDING", reason), **more)


def planned(last: ReconcilerJob | None, *attempts: Attempt, capacity: Capacity = QUEUE, driver: str = "jobs") -> Plan:
    return decide(observation(*attempts, last_reconciler_job=last), grid(1, driver=driver), capacity)


NEXT = [
    pytest.param(queued("BeginTime"), RUNNING, ReconciledBy.TRAININGS, None, id="both"),
    pytest.param(FORBIDDEN, RUNNING, ReconciledBy.TRAININGS, "ask for a GPU", id="trainings, but no reconciler job"),
    pytest.param(queued("Resources"), PENDING, ReconciledBy.RECONCILER_JOB, None, id="the reconciler job"),
    pytest.param(queued("PartitionConfig"), PENDING, ReconciledBy.RECONCILER_JOB, None, id="a reason of a moment"),
    pytest.param(replace(GONE, at=JUST_NOW), REFUSED, ReconciledBy.RECONCILER_JOB, None, id="it is not listed yet"),
    pytest.param(
        queued("BeginTime", refusal="no sbatch on nodes", refused_at=JUST_NOW),
        REFUSED,
        ReconciledBy.RECONCILER_JOB,
        "no sbatch on nodes",
        id="the reconciler job continues, because its successor was refused",
    ),
    pytest.param(FORBIDDEN, PENDING, ReconciledBy.QUEUED_TRAININGS, "ask for a GPU", id="queued trainings"),
    pytest.param(
        queued("PartitionTimeLimit"), PENDING, ReconciledBy.QUEUED_TRAININGS, "18900 does not start", id="stuck"
    ),
    pytest.param(FORBIDDEN, REFUSED, ReconciledBy.NOBODY, "ask for a GPU", id="all was refused"),
    pytest.param(queued("JobHeldAdmin"), REFUSED, ReconciledBy.NOBODY, "held by an administrator", id="held"),
    pytest.param(GONE, STUCK_TRAINING, ReconciledBy.NOBODY, None, id="the training never starts either"),
    pytest.param(None, REFUSED, ReconciledBy.NOBODY, None, id="the first submit was refused"),
]


@pytest.mark.parametrize(("last", "last_attempt", "by", "problem"), NEXT)
def test_who_reconciles_next(last: ReconcilerJob | None, last_attempt: Attempt, by: ReconciledBy, problem: str | None):
    found = planned(last, last_attempt).next_reconciliation
    assert found.by is by
    assert (found.problem is None) == (problem is None)
    assert problem is None or problem in str(found.problem)
    message = describe_problem(found)
    assert (message is not None) == (by is ReconciledBy.NOBODY or problem is not None)
    assert problem is None or problem in str(message)


def test_who_reconciles_next_without_jobs_that_do():
    by = planned(FORBIDDEN, RUNNING, driver="cli").next_reconciliation.by
    assert by is ReconciledBy.ONLY_COMMANDS
    assert planned(None, RUNNING, capacity=LOCAL).next_reconciliation.by is ReconciledBy.TRAININGS
    assert planned(None, REFUSED, capacity=replace(QUEUE, repeats=True)).next_reconciliation.by is ReconciledBy.COMMAND
    silent = replace(observation(RUNNING), scheduler_error="no answer")
    assert decide(silent, grid(1, driver="jobs")).next_reconciliation.by is ReconciledBy.UNKNOWN
    assert decide(Observation(1), grid(1, driver="jobs")).next_reconciliation.by is ReconciledBy.USER


def test_a_next_try_is_promised_only_if_something_keeps_the_promise():
    def why(last: ReconcilerJob | None, **more) -> str:
        (wait,) = planned(last, REFUSED, **more).waits
        return wait.reason

    nobody = "refused: Invalid qos; nobody tries again by itself: run `unetsweep submit` again"
    kept = "refused: Invalid qos; the next try is at 00:00 UTC, or with `unetsweep submit`"
    assert why(None) == why(FORBIDDEN) == why(queued("PartitionTimeLimit", as_training=True)) == nobody
    assert why(queued("BeginTime"), driver="cli") == nobody
    assert why(queued("BeginTime")) == why(None, capacity=replace(QUEUE, repeats=True)) == kept


IMPOSSIBLE = queued("QOSMaxWallDurationPerJobLimit")
REPLACED = [
    pytest.param(IMPOSSIBLE, {}, True, id="asks for too much"),
    pytest.param(queued("launch failed requeued held"), {}, False, id="could not be launched"),
    pytest.param(replace(IMPOSSIBLE, as_training=True), {"interactive": True}, False, id="a user may have changed it"),
]


@pytest.mark.parametrize(("last", "more", "as_training"), REPLACED)
def test_a_reconciler_job_that_never_starts_is_replaced(last: ReconcilerJob, more: dict[str, bool], as_training: bool):
    cancel, submit = planned(last, RUNNING, capacity=replace(QUEUE, **more)).actions
    assert isinstance(cancel, Cancel)
    assert (cancel.job_ids, cancel.reconciler_number) == (("18900",), 4)
    assert isinstance(submit, SubmitReconciler)
    assert (submit.number, submit.as_training) == (5, as_training)


@pytest.mark.parametrize("reason", ["JobHeldUser", "Resources", "PartitionDown", "QOSMaxJobsPerUserLimit"])
def test_a_reconciler_job_that_waits_or_is_held_stays(reason: str):
    assert lines(planned(queued(reason), RUNNING)) == []


def test_a_reconciler_job_that_asks_as_a_training_and_never_starts_is_left():
    assert lines(planned(replace(IMPOSSIBLE, as_training=True), RUNNING)) == []


def test_a_successor_asks_for_what_its_predecessor_could_start_with():
    works = replace(GONE, as_training=True, job=Job("18900", TOKEN, 0, JobState.RUNNING, "RUNNING"))
    (action,) = planned(works, RUNNING, capacity=replace(QUEUE, own_reconciler_token=TOKEN)).actions
    assert isinstance(action, SubmitReconciler)
    assert action.as_training


def test_a_training_submits_none_while_the_last_accepted_one_waits_or_just_after_a_refusal():
    alive = queued("BeginTime", refusal="no sbatch on nodes", refused_at=LONG_AGO)
    assert lines(planned(alive, RUNNING)) == []
    assert lines(planned(FORBIDDEN, RUNNING)) == []
    assert lines(planned(replace(FORBIDDEN, refused_at=NOW - timedelta(minutes=11)), RUNNING)) == ["reconciler 18808"]
