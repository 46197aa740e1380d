"""Reconciliations of a real directory: what they submit, adopt and finish, and what they leave without an answer."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import FakeScheduler
from scenes import Scene

from unetsweep.app import status
from unetsweep.core import paths
from unetsweep.core.actions import Action, MarkLost, RecordJob, SetThrottle, Submit
from unetsweep.core.causes import Cause
from unetsweep.core.observation import JobState
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.errors import RefusedError, SchedulerError, UnsafePlan
from unetsweep.reconcile.loop import reconcile
from unetsweep.store.retries import reset_open_retries


def test_one_reconciliation_proposes_and_submits_all_as_one_throttled_array(tmp_path: Path):
    scene = Scene(tmp_path, 6, parallel=2)
    scene.reconcile()
    assert scene.cluster.arrays == 1
    assert [(each.job.index, each.throttle) for each in scene.cluster.live()] == [(k, 2) for k in range(6)]
    assert scene.cluster.questions == 0


def test_a_second_reconciliation_does_nothing_after_one_query(tmp_path: Path):
    scene = Scene(tmp_path, 3)
    scene.reconcile()
    reconciliation = scene.reconcile()
    assert reconciliation.done == []
    assert scene.cluster.questions == 1
    assert scene.cluster.arrays == 1


def test_a_sweep_ends_with_every_trial_trained_and_exported_once(tmp_path: Path):
    scene = Scene(tmp_path, 5, parallel=2)
    scene.until_ended(lambda: _at_most(scene, 2))
    assert scene.states() == ["complete"] * 5
    assert sorted(scene.cluster.trained) == list(range(5))
    assert scene.study.exported == dict.fromkeys(range(5), "complete")


def test_a_finished_sweep_queries_nothing(tmp_path: Path):
    scene = Scene(tmp_path, 2)
    scene.until_ended()
    before = scene.cluster.questions
    scene.reconcile()
    assert scene.cluster.questions == before


def test_the_result_of_a_trial_is_the_published_one_with_the_number_of_the_trial(tmp_path: Path):
    scene = Scene(tmp_path, 2)
    scene.until_ended()
    result = scene.directory.trials()[1].result
    assert (result.trial, result.val_iou, result.job_id) == (1, 0.51, "18801_1")


def test_a_submission_slower_than_the_grace_time_is_not_lost(tmp_path: Path):
    scene = Scene(tmp_path, 3, slowness=timedelta(seconds=45))
    reconciliation = scene.reconcile()
    assert not any(isinstance(action, MarkLost) for action in reconciliation.done)
    assert scene.cluster.arrays == 1


def test_a_job_that_is_listed_late_is_waited_for(tmp_path: Path):
    scene = Scene(tmp_path, 3, lag=timedelta(seconds=20))
    scene.reconcile()
    scene.clock.advance(10)
    assert scene.reconcile().done == []
    scene.until_ended()
    assert sorted(scene.cluster.trained) == [0, 1, 2]


def test_a_cluster_without_an_answer_is_not_an_empty_cluster(tmp_path: Path):
    scene = Scene(tmp_path, 3)
    scene.reconcile()
    scene.cluster.scheduler_error = "squeue: timed out"
    scene.clock.advance(3600)
    reconciliation = scene.reconcile()
    assert reconciliation.done == []
    assert {wait.reason for wait in reconciliation.plan.waits} == {"the queue does not answer: squeue: timed out"}


def test_a_result_is_recorded_while_the_cluster_does_not_answer(tmp_path: Path):
    scene = Scene(tmp_path, 1)
    scene.reconcile()
    scene.run_on()
    scene.run_on()
    scene.cluster.scheduler_error = "squeue: timed out"
    scene.reconcile()
    assert scene.states() == ["complete"]


def test_a_job_on_a_lost_node_is_resubmitted(tmp_path: Path):
    scene = Scene(tmp_path, 1)
    scene.reconcile()
    scene.cluster.tick()
    scene.cluster.die(scene.cluster.running()[0])
    scene.clock.advance(120)
    scene.until_ended()
    assert scene.states() == ["complete"]
    assert scene.cluster.trained == [0, 0]


def test_a_run_that_is_lost_too_often_fails_with_the_reason(tmp_path: Path):
    scene = Scene(tmp_path, 1)
    for _ in range(4):
        scene.reconcile()
        scene.cluster.tick()
        scene.cluster.die(scene.cluster.running()[0])
        scene.clock.advance(120)
    scene.reconcile()
    (trial,) = scene.directory.trials()
    assert trial.result.state == "failed"
    reason = "node failure, 4 times (run.retries.node is 3); the last time job 1880"
    assert trial.result.message.startswith(reason)


def test_a_refusal_is_reported_in_the_message_of_the_cluster_and_may_be_retried(tmp_path: Path):
    scene = Scene(tmp_path, 3, refusal="sbatch: error: invalid partition specified: nope")
    scene.interactive = True
    for _ in range(5):
        with pytest.raises(RefusedError, match="invalid partition specified: nope"):
            scene.reconcile()
    scene.cluster.refusal = None
    scene.until_ended()
    assert scene.states() == ["complete"] * 3


def test_every_run_trains_once_under_an_unknown_submit_limit(tmp_path: Path):
    scene = Scene(tmp_path, 7, limit=3)
    scene.until_ended()
    assert scene.states() == ["complete"] * 7
    assert sorted(scene.cluster.trained) == list(range(7))


def test_a_known_submit_limit_is_never_exceeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(tmp_path, 7, limit=3)
    cluster = type(scene.cluster)
    monkeypatch.setattr(cluster, "remaining_submissions", lambda self, _: self.limit - len(self.live()))
    scene.reconcile()
    assert len(scene.cluster.live()) == 3
    assert not list(tmp_path.glob("runs/*/attempts/*.lost.json"))
    scene.until_ended()
    assert sorted(scene.cluster.trained) == list(range(7))


def reported(scene: Scene) -> list[int]:
    """Reconcile; return the runs that are reported as submitted."""
    applied: list[Action] = []
    reconcile(scene.context(), notify=applied.append)
    return [element.run for action in applied if isinstance(action, Submit) for element in action.elements]


def test_only_what_the_scheduler_accepted_is_reported_as_submitted(tmp_path: Path):
    scene = Scene(tmp_path, 7, limit=3)
    assert reported(scene) == scene.cluster.live_runs() == [0, 1, 2]
    assert reported(scene) == []
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [line["runs"] for line in lines if line["action"] == "Submit"] == [3]


@pytest.mark.parametrize("reports_limit", [True, False])
def test_a_sweep_that_a_full_queue_keeps_out_says_so(tmp_path: Path, reports_limit: bool):
    scene = Scene(tmp_path, 3, driver="jobs", limit=2, reports_limit=reports_limit, limits_all=True, others=2)
    scene.interactive = True
    full = scene.reconcile()
    assert (scene.cluster.live(), full.done[1:]) == ([], [])
    assert full.why_not_queued == ("the cluster accepts no more jobs now" if reports_limit else full.limit)
    scene.cluster.others = 1
    assert scene.reconcile().why_not_queued is None
    assert (scene.cluster.live_runs(), scene.cluster.reconcilers) == ([0], [])


def test_status_plans_within_the_limits_of_a_real_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(cluster: FakeScheduler) -> int:
        raise SchedulerError("scontrol: not allowed")

    def submits() -> list[int]:
        actions = status.plan_now(scene.context(), scene.directory.observe()).actions
        return [len(action.elements) for action in actions if isinstance(action, Submit)]

    scene = Scene(tmp_path, 4, driver="jobs", limit=4, reports_limit=True, limits_all=True, others=4)
    scene.reconcile()
    assert submits() == []
    scene.cluster.others = 1
    assert submits() == [2]
    monkeypatch.setattr(FakeScheduler, "max_elements", fail)
    assert submits() == [4], "without the limits, which are not known"


def test_an_exit_hook_hands_the_reconcilers_place_in_a_full_queue_to_the_next_training(tmp_path: Path):
    scene = Scene(tmp_path, 5, driver="jobs", limit=3, reports_limit=True, limits_all=True)
    scene.reconcile()
    assert (scene.cluster.live_runs(), len(scene.cluster.reconcilers)) == ([0, 1], 1)
    for each in scene.cluster.live():
        scene.cluster.start(each)
    first, _ = scene.cluster.live()
    scene.cluster.publish(first)
    scene.reconcile()
    assert (scene.cluster.live_runs(), len(scene.cluster.reconcilers)) == ([0, 1], 1)
    scene.job_ends = True
    scene.reconcile()
    assert (scene.cluster.live_runs(), len(scene.cluster.reconcilers)) == ([0, 1, 2], 0)
    scene.cluster.finish(first)
    scene.job_ends = False
    scene.reconcile()
    assert (scene.cluster.live_runs(), len(scene.cluster.reconcilers)) == ([1, 2], 1), "at once, not after a backoff"
    scene.until_ended()
    assert sorted(scene.cluster.trained) == list(range(5))


def test_the_throttle_of_an_array_follows_parallel_once(tmp_path: Path):
    scene = Scene(tmp_path, 6, parallel=1)
    scene.reconcile()
    scene.spec = replace(scene.spec, run=replace(scene.spec.run, parallel=3))
    assert [type(action) for action in scene.reconcile().done] == [SetThrottle]
    assert {each.throttle for each in scene.cluster.found} == {3}
    assert scene.reconcile().done == []
    scene.until_ended()
    assert sorted(scene.cluster.trained) == list(range(6))


def test_a_throttle_that_cannot_be_changed_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(cluster: FakeScheduler, job_id: str, throttle: int | None) -> None:
        raise SchedulerError("scontrol: Access denied")

    scene = Scene(tmp_path, 3, parallel=1)
    scene.reconcile()
    monkeypatch.setattr(FakeScheduler, "set_throttle", refuse)
    scene.spec = replace(scene.spec, run=replace(scene.spec.run, parallel=3))
    assert scene.reconcile().done == []
    assert "Access denied" in (tmp_path / "ledger.jsonl").read_text()
    scene.until_ended()


def test_a_result_published_between_observation_and_query_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(tmp_path, 1, queues=False)
    scene.reconcile()
    scene.cluster.tick()
    real = type(scene.cluster).jobs

    def finishes(cluster, tokens):
        cluster.tick()
        return [replace(job, ended_at=None) for job in real(cluster, tokens)]  # local jobs have no such time

    monkeypatch.setattr(type(scene.cluster), "jobs", finishes)
    reconciliation = scene.reconcile()
    assert not any(isinstance(action, MarkLost | Submit) for action in reconciliation.done)
    assert scene.states() == ["complete"]


@pytest.mark.parametrize("late", [False, True], ids=["before it reads the trials", "after it read the trials"])
def test_a_reconciliation_that_slept_while_another_proposed_adds_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
):
    scene, other = Scene(tmp_path, 3), Scene(tmp_path, 3)
    point = {"epochs": 8, "batch_size": 4, "learning_rate": 0.5}
    monkeypatch.setattr(
        type(scene.study), "propose", lambda _, spec, trials, count, curve: [point] * count
    )  # it always proposes one more
    real = scene.directory.trials
    resumed: list[int] = []

    def sleeps():
        found = real() if late else None
        if not resumed:
            resumed.append(1)
            other.reconcile()
        return real() if found is None else found

    monkeypatch.setattr(scene.directory, "trials", sleeps)
    scene.reconcile()
    assert len(other.directory.trials()) == 3
    assert scene.cluster.arrays + other.cluster.arrays == 1


def test_arrays_are_cut_to_the_largest_the_cluster_accepts(tmp_path: Path):
    scene = Scene(tmp_path, 5, largest=2)
    scene.reconcile()
    assert scene.cluster.arrays == 3
    assert scene.cluster.live_runs() == [0, 1, 2, 3, 4]


def test_locally_no_more_jobs_are_alive_than_may_run(tmp_path: Path):
    scene = Scene(tmp_path, 5, parallel=2, queues=False)
    scene.until_ended(lambda: _alive(scene, 2))
    assert sorted(scene.cluster.trained) == list(range(5))


def test_an_orphan_is_adopted_and_trains(tmp_path: Path):
    scene = Scene(tmp_path, 2)
    scene.reconcile()
    for path in tmp_path.glob("runs/*/attempts/1.job.json"):
        path.unlink()
    scene.clock.advance(3600)
    reconciliation = scene.reconcile()
    assert [type(action) for action in reconciliation.done] == [RecordJob, RecordJob]
    scene.until_ended()
    assert scene.states() == ["complete"] * 2
    assert scene.cluster.arrays == 1


def test_a_queued_element_cancelled_by_hand_is_not_resubmitted(tmp_path: Path):
    scene = Scene(tmp_path, 3, parallel=1)
    scene.reconcile()
    scene.cluster.tick()
    scene.cluster.forget(scene.cluster.live()[-1])
    scene.clock.advance(60)
    scene.until_ended()
    assert scene.states() == ["complete", "complete", "cancelled"]


def test_an_element_that_left_only_a_log_was_started_and_is_resubmitted(tmp_path: Path):
    """It died before its claim, and no reconciliation ran while the queue still listed it."""
    scene = Scene(tmp_path, 3, parallel=1)
    scene.reconcile()
    scene.cluster.tick()
    gone = scene.cluster.live()[-1]
    (tmp_path / paths.job_log(gone.job.token, gone.job.job_id)).touch()
    scene.cluster.forget(gone)
    scene.clock.advance(60)
    scene.until_ended()
    assert scene.states() == ["complete"] * 3


def test_a_cancelled_trial_ends_once_its_job_has_ended(tmp_path: Path):
    scene = Scene(tmp_path, 2)
    scene.reconcile()
    scene.cluster.tick()
    scene.directory.cancel_trial(1)
    scene.reconcile()
    assert scene.cluster.live_runs() == [0]
    assert scene.states() == [None, None]
    scene.until_ended()
    assert scene.states() == ["complete", "cancelled"]


def test_a_lagging_study_is_exported_at_the_end_and_on_a_command_of_the_user(tmp_path: Path):
    scene = Scene(tmp_path, 3)
    scene.study.lags = True
    scene.reconcile()
    scene.cluster.tick()
    scene.cluster.finish(scene.cluster.live()[0])
    scene.reconcile()
    assert scene.states() == ["complete", None, None]
    assert scene.study.exported == {}
    scene.interactive = True
    scene.reconcile()
    scene.interactive = False
    assert scene.study.exported == {0: "complete", 1: None, 2: None}
    scene.until_ended()
    assert scene.study.exported == dict.fromkeys(range(3), "complete")


def test_too_many_vanished_jobs_stop_the_reconciliation_until_it_is_forced(tmp_path: Path):
    scene = Scene(tmp_path, 20)
    scene.reconcile()
    scene.cluster.found.clear()
    scene.clock.advance(3600)
    with pytest.raises(UnsafePlan, match="20 submitted runs vanished"):
        scene.reconcile()
    assert not list(tmp_path.glob("runs/*/attempts/*.lost.json"))
    reconciliation = scene.reconcile(force=True)
    assert sum(isinstance(action, Submit) for action in reconciliation.done) == 1


def test_a_stopped_sweep_proposes_nothing(tmp_path: Path):
    scene = Scene(tmp_path, 3)
    scene.directory.cancel_sweep()
    scene.reconcile()
    assert scene.directory.trials() == []
    scene.directory.resume()
    scene.reconcile()
    assert len(scene.directory.trials()) == 3


def test_a_submission_without_an_answer_is_queried_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(tmp_path, 3)
    real = type(scene.cluster).submit

    def times_out(cluster, submission):
        real(cluster, submission)
        raise SchedulerError("sbatch gave no answer within 60 s; try again later")

    with monkeypatch.context() as patched:
        patched.setattr(type(scene.cluster), "submit", times_out)
        with pytest.raises(SchedulerError):
            scene.reconcile()
    scene.until_ended()
    assert scene.cluster.arrays == 1
    assert sorted(scene.cluster.trained) == [0, 1, 2]


def _at_most(scene: Scene, parallel: int) -> None:
    assert len(scene.cluster.running()) <= parallel


def _alive(scene: Scene, parallel: int) -> None:
    assert len(scene.cluster.live()) <= parallel
    assert all(each.job.state in (JobState.QUEUED, JobState.RUNNING) for each in scene.cluster.live())


ACCOUNTS = [
    pytest.param((JobState.CANCELLED, "CANCELLED by 0"), ["cancelled", None], id="cancelled while it ran"),
    pytest.param((JobState.NODE_FAILED, "NODE_FAIL"), [None, None], id="its node failed before it began: resubmitted"),
]


@pytest.mark.parametrize(("account", "states"), ACCOUNTS)
def test_accounting_explains_jobs_that_the_queue_forgot(tmp_path: Path, account, states):
    scene = Scene(tmp_path, 2)
    scene.reconcile()
    first, second = scene.cluster.live()
    scene.cluster.start(second)
    scene.cluster.forget(first)
    scene.cluster.accounts = {first.job.job_id: account}
    scene.clock.advance(3600)
    scene.reconcile()
    assert scene.states() == states


def test_accounting_tells_a_cancelled_job_from_a_failed_one(tmp_path: Path):
    scene = Scene(tmp_path, 1)
    scene.reconcile()
    (only,) = scene.cluster.live()
    scene.cluster.start(only)
    scene.directory.record_exit(0, 1, 0, 143, None)
    scene.cluster.forget(only)
    scene.cluster.accounts = {only.job.job_id: (JobState.CANCELLED, "CANCELLED by 0")}
    scene.clock.advance(3600)
    scene.reconcile()
    assert scene.states() == ["cancelled"]


def test_accounting_is_queried_only_about_missing_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(tmp_path, 2)
    scene.reconcile()
    monkeypatch.setattr(type(scene.cluster), "final_states", lambda *_: pytest.fail("all of it is listed"))
    scene.clock.advance(3600)
    scene.reconcile()


def test_submissions_that_never_reach_the_queue_use_up_no_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(tmp_path, 1)
    real = type(scene.cluster).submit

    def unanswered(cluster: FakeScheduler, submission: Submission) -> None:
        raise SchedulerError("sbatch: no answer within 60 s")

    monkeypatch.setattr(type(scene.cluster), "submit", unanswered)
    for _ in range(scene.spec.run.retries.node + 3):
        with pytest.raises(SchedulerError):
            scene.reconcile()
        scene.clock.advance(3600)
    monkeypatch.setattr(type(scene.cluster), "submit", real)
    scene.until_ended()
    assert scene.states() == ["complete"]


def test_a_failed_export_of_the_study_stops_no_sweep_and_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = Scene(tmp_path, 2)
    real = type(scene.study).export

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(scene.study), "export", full)
    scene.until_ended()
    assert scene.states() == ["complete"] * 2
    assert scene.study.exported == {}
    monkeypatch.setattr(type(scene.study), "export", real)
    scene.reconcile()
    assert scene.study.exported == dict.fromkeys(range(2), "complete")


@pytest.mark.parametrize("content", ["", '{"schema": 1, "tri', '{"schema": 7}', '{"schema": 1}', "\0" * 200])
def test_an_unreadable_trial_waits_and_the_others_continue(tmp_path: Path, content: str):
    scene = Scene(tmp_path / "grid", trials=4, parallel=2)
    scene.reconcile()
    corrupt = scene.directory.root / "trials/0001/trial.json"
    corrupt.write_text(content)
    for _ in range(12):
        reconciliation = scene.reconcile()
        scene.run_on()
    assert scene.states() == ["complete", None, "complete", "complete"]
    (wait,) = reconciliation.plan.waits
    assert (wait.trial, str(corrupt) in wait.reason) == (1, True)
    assert "unetsweep repair grid" in wait.reason
    assert len(list((scene.directory.root / "trials").iterdir())) == 4, "its point was proposed again"


def test_an_unreadable_result_stops_no_reconciliation(tmp_path: Path):
    scene = Scene(tmp_path / "grid", trials=3, parallel=1)
    scene.reconcile()
    scene.run_on()
    while not (scene.directory.root / "trials/0000/result.json").exists():
        scene.reconcile()
        scene.run_on()
    (scene.directory.root / "trials/0000/result.json").write_text("{")
    scene.until_ended()
    assert scene.states() == [None, "complete", "complete"]


def test_a_retry_during_a_training_makes_its_next_loss_exempt(tmp_path: Path):
    scene = Scene(tmp_path, 1)
    scene.reconcile()
    for loss in range(1, 5):
        scene.cluster.tick()
        if loss == 4:
            reset_open_retries(scene.directory.root)
        scene.cluster.die(scene.cluster.running()[0])
        scene.clock.advance(60)
        scene.reconcile()
    assert scene.states() == [None], "four losses, and run.retries.node is 3"
    scene.until_ended()
    assert scene.states() == ["complete"]


class TestReconcilerJobs:
    """A reconciler job is asked for in two ways, and a refusal is not lost."""

    def scene(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *refused: bool) -> tuple[Scene, list[bool]]:
        """A sweep on a cluster that refuses reconciler jobs with one CPU (False), or with a training's request."""
        scene, asked = Scene(tmp_path, 2, driver="jobs"), []
        real = type(scene.cluster).submit_reconciler

        def submit_reconciler(cluster: FakeScheduler, request: ReconcilerRequest) -> str:
            asked.append(request.as_training)
            if request.as_training in refused:
                raise RefusedError("sbatch: memory is forbidden" if asked[-1] else "sbatch: ask for a GPU")
            return real(cluster, request)

        monkeypatch.setattr(type(scene.cluster), "submit_reconciler", submit_reconciler)
        return scene, asked

    def test_one_that_is_refused_is_asked_for_as_a_training(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        scene, asked = self.scene(tmp_path, monkeypatch, False)
        scene.reconcile()
        assert asked == [False, True]
        assert len(scene.cluster.reconcilers) == 1
        last = scene.directory.observe().last_reconciler_job
        assert last is not None
        assert (last.lost, last.refusal) == (False, None)

    def test_if_both_are_refused_both_refusals_are_recorded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        scene, asked = self.scene(tmp_path, monkeypatch, False, True)
        for _ in range(2):  # the second reconciliation leaves it to a later one
            scene.reconcile()
        assert asked == [False, True]
        last = scene.directory.observe().last_reconciler_job
        assert last is not None
        assert last.refusal == "sbatch: ask for a GPU; and with the request of a training: sbatch: memory is forbidden"
        assert last.refusal in (scene.directory.root / "ledger.jsonl").read_text()

    def test_a_job_whose_trainings_are_refused_submits_a_reconciler_job(self, tmp_path: Path):
        scene = Scene(tmp_path, 2, parallel=1, driver="jobs")
        scene.cluster.refuse_trainings = "sbatch: not from this node"
        found = scene.reconcile()
        assert str(found.refusal) == "sbatch: not from this node"
        assert len(scene.cluster.reconcilers) == 1
        assert "not from this node" in (scene.directory.root / "ledger.jsonl").read_text()


def test_a_run_whose_job_reached_its_time_limit_is_resubmitted_by_the_exit_hook_of_that_job(tmp_path: Path):
    scene = Scene(tmp_path, 1)
    scene.reconcile()
    scene.cluster.tick()
    (job, *_) = scene.cluster.running()
    run, attempt = scene.cluster.run_of(job)
    log = scene.directory.root / paths.job_log(job.job.token, job.job.job_id)
    log.write_text("slurmstepd-n1: error: *** STEP 4.0 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n")
    assert len(scene.reconcile().observation.runs[run].attempts) == 1, "its processes may still run"
    scene.directory.record_exit(run, attempt, 0, 143, log)
    first, second = scene.reconcile().observation.runs[run].attempts
    assert first.cause is Cause.TIME
    assert second.lost is None
