"""What a plan decides after each cause of a loss, as tables."""

from dataclasses import replace
from datetime import timedelta

import pytest
from plan_rows import (
    JUST_NOW,
    LONG_AGO,
    NOW,
    QUEUE,
    attempt,
    decide,
    element,
    failing,
    grid,
    job,
    lines,
    many,
    observation,
)

from unetsweep.contract import ModelConfig
from unetsweep.core.causes import SUSPECT, Cause
from unetsweep.core.failures import ResultProblem
from unetsweep.core.observation import Attempt, EpochReport, Failure, Job, JobState, Observation, Run
from unetsweep.core.spec import Resources, Retries

ENDED, RUNNING, QUEUED = JobState.ENDED, JobState.RUNNING, JobState.QUEUED


def ended(word: str, **more) -> Attempt:
    """An attempt with a job that began and ended with this state word."""
    listed = Job("18808", "a" * 12, 0, JobState.NODE_FAILED if word in ("NODE_FAIL", "PREEMPTED") else ENDED, word)
    return attempt(**{"job_id": "18808", "claimed_by": "18808", "job": listed, "node": "n1"} | more)


def gone(cause: Cause, number: int = 1, **more) -> Attempt:
    """An attempt that was marked lost."""
    return attempt(number, **{"job_id": "18800", "lost": "so it was", "cause": cause, "lost_at": JUST_NOW} | more)


def with_epochs(found: Observation, count: int, seconds: float = 20.0) -> Observation:
    points = tuple(
        EpochReport(epoch, {"val_iou": 0.5, "val_loss": 0.1}, LONG_AGO, seconds) for epoch in range(1, count + 1)
    )
    return replace(found, runs={n: replace(run, progress=points) for n, run in found.runs.items()})


CAUSES = [
    pytest.param(ended("NODE_FAIL"), Cause.NODE, id="node failure"),
    pytest.param(ended("PREEMPTED"), Cause.PREEMPTED, id="preempted and not requeued"),
    pytest.param(ended("TIMEOUT"), Cause.TIME, id="time limit"),
    pytest.param(ended("FAILED"), Cause.UNEXPLAINED, id="ended with no result and no error"),
    pytest.param(ended("FAILED", ending=failing("exit", 137)), Cause.UNEXPLAINED, id="an exit status says nothing"),
    pytest.param(ended("FAILED", claimed_by=None), Cause.START, id="ended before any claim"),
    pytest.param(
        ended("FAILED", ending=failing("exit", 1, unclaimed=True)), Cause.START, id="restarted, ended before a claim"
    ),
    pytest.param(ended("FAILED", ending=failing("disk")), Cause.DISK, id="the disk was full"),
    pytest.param(ended("FAILED", ending=failing("network")), Cause.PORT, id="another process took its port"),
    pytest.param(
        ended("COMPLETED", requeue_reason="the time limit is near"),
        Cause.REQUEUE,
        id="it stopped in order to be requeued",
    ),
    pytest.param(ended("CANCELLED", terminated_for=Cause.HANG), Cause.HANG, id="we ended it: it hung"),
    pytest.param(attempt(job_id="18808", claimed_by="18808"), Cause.VANISHED, id="the queue forgot it"),
]


@pytest.mark.parametrize(("last", "cause"), CAUSES)
def test_a_loss_has_a_cause_and_the_run_is_resubmitted(last: Attempt, cause: Cause):
    mark_lost, submit = decide(observation(last)).actions
    assert mark_lost.cause is cause
    node = last.node or (last.job.node if last.job is not None else None)
    avoids = f" -{node}" if cause in SUSPECT and node else ""  # in the same reconciliation
    assert lines(decide(observation(last)))[1] == f"submit 0.2{avoids}"
    assert submit.elements[0].attempt == 2


@pytest.mark.parametrize("word", ["TIMEOUT", "DEADLINE", "PREEMPTED"])
def test_a_run_whose_job_slurm_has_just_ended_is_resubmitted_at_once_unless_its_trial_would_end(word: str):
    last = ended(word)
    last = replace(last, job=replace(last.job, ended_at=JUST_NOW))
    assert lines(decide(observation(last))) == ["lost 0.1", "submit 0.2"]
    assert lines(decide(observation(last, cancelled=True))) == []
    spec = grid(1, retries=Retries(requeue=1))
    again = replace(last, number=2)
    assert lines(decide(observation(gone(Cause.PREEMPTED), again), spec)) == []
    ended_long_ago = replace(again, job=replace(again.job, ended_at=LONG_AGO))
    assert lines(decide(observation(gone(Cause.PREEMPTED), ended_long_ago), spec)) == ["lost 0.2", "finish 0 failed"]


def test_a_run_whose_job_has_just_ended_by_itself_waits_for_its_files():
    last = ended("FAILED")
    assert lines(decide(observation(replace(last, job=replace(last.job, ended_at=JUST_NOW))))) == []


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("JobLaunchFailure", "without a result: could not be launched on its node (file system, set-up)"),
        ("PhaseOfTheMoon", "without a result: PhaseOfTheMoon"),
        ("NonZeroExitCode", "without a result"),
        ("", "without a result"),
    ],
)
def test_the_reason_of_a_loss_has_the_reason_that_slurm_gave(reason: str, text: str):
    last = ended("FAILED", claimed_by=None)
    mark_lost, _ = decide(observation(replace(last, job=replace(last.job, reason=reason)))).actions
    assert mark_lost.reason.startswith(f"job 18808 ended (FAILED) {text}")
    assert reason in mark_lost.reason or reason == "NonZeroExitCode"


LIMITS = [
    pytest.param(Cause.NODE, "node failure, 3 times (run.retries.node is 2)", id="node"),
    pytest.param(Cause.DEVICE, "GPU error, 3 times (run.retries.node is 2)", id="device"),
    pytest.param(Cause.PORT, "its port was taken, 3 times (run.retries.node is 2)", id="port"),
    pytest.param(
        Cause.UNEXPLAINED, "no result and no reason, 3 times (run.retries.unexplained is 2)", id="unexplained"
    ),
    pytest.param(Cause.DISK, "the disk is full, 3 times (run.retries.unexplained is 2)", id="disk"),
    pytest.param(Cause.HANG, "no progress, 3 times (run.retries.hang is 2)", id="hang"),
    pytest.param(Cause.PREEMPTED, "preempted 3 times without a new epoch (run.retries.requeue is 2)", id="preempted"),
]


@pytest.mark.parametrize(("cause", "limit"), LIMITS)
def test_each_cause_has_a_retry_limit(cause: Cause, limit: str):
    spec = grid(1, retries=Retries(node=2, memory=2, unexplained=2, hang=2, requeue=2))
    assert lines(decide(observation(gone(cause), gone(cause, 2)), spec))[-1].startswith("submit 0.3")
    (finish,) = decide(observation(gone(cause), gone(cause, 2), gone(cause, 3)), spec).actions
    assert (finish.state, finish.reason) == ("failed", f"{limit}; the last time so it was")


def test_starts_that_make_progress_are_not_limited():
    many_starts = [gone(Cause.PREEMPTED, number, lost_epoch=number) for number in range(1, 40)]
    found = with_epochs(observation(*many_starts), 39)
    assert lines(decide(found, grid(1, retries=Retries(requeue=2)))) == ["submit 0.40"]


def test_a_trial_fails_after_two_starts_at_the_time_limit_without_a_new_epoch():
    found = with_epochs(observation(gone(Cause.TIME, lost_epoch=3), gone(Cause.TIME, 2, lost_epoch=3)), 3, seconds=400)
    (finish,) = decide(found).actions
    assert finish.reason.startswith("one epoch takes 400 s and the time limit of the job is 60 min, reached 2 times")
    once = with_epochs(observation(gone(Cause.TIME, lost_epoch=2), gone(Cause.TIME, 2, lost_epoch=3)), 3)
    assert lines(decide(once)) == ["submit 0.3"]


def test_a_preempted_start_does_not_count_as_reaching_the_time_limit():
    found = with_epochs(observation(gone(Cause.PREEMPTED, lost_epoch=3), gone(Cause.TIME, 2, lost_epoch=3)), 3)
    assert lines(decide(found)) == ["submit 0.3"]
    found = with_epochs(observation(gone(Cause.TIME), gone(Cause.PREEMPTED, 2), gone(Cause.TIME, 3)), 0)
    (finish,) = decide(found).actions
    assert "reached 2 times without a new epoch" in finish.reason


def test_out_of_memory_doubles_the_request_up_to_the_maximum():
    spec = replace(grid(1), slurm=Resources(mem="4G", mem_max="12G"))
    assert lines(decide(observation(gone(Cause.MEMORY)), spec)) == ["submit 0.2 mem=8192M"]
    assert lines(decide(observation(gone(Cause.MEMORY), gone(Cause.MEMORY, 2, mem="8192M")), spec)) == [
        "submit 0.3 mem=12288M"
    ]
    assert lines(decide(observation(gone(Cause.MEMORY), gone(Cause.NODE, 2, mem="8192M")), spec)) == [
        "submit 0.3 mem=8192M"
    ]
    (finish,) = decide(observation(gone(Cause.MEMORY, mem="12288M")), spec).actions
    assert "slurm.mem_max" in finish.reason


def test_out_of_memory_with_all_memory_of_the_node_is_not_submitted_again():
    spec = replace(grid(1), slurm=Resources(mem="0"))
    (finish,) = decide(observation(gone(Cause.MEMORY)), spec).actions
    assert "choose nodes that have more" in finish.reason


def test_out_of_memory_without_a_limit_fails_with_advice():
    (finish,) = decide(observation(gone(Cause.MEMORY))).actions
    assert finish.reason.startswith("the host ran out of memory with the default of the cluster; raise slurm.mem")


def test_out_of_gpu_memory_halves_the_micro_batch_where_results_stay_the_same():
    plain = replace(grid(1), model=ModelConfig(norm="none"))
    found = observation(gone(Cause.GPU_MEMORY))
    found = replace(found, trials=tuple(replace(trial, batch_size=4) for trial in found.trials))
    (submit,) = decide(found, plain).actions
    assert submit.elements[0].micro_batch == 2
    (finish,) = decide(found, grid(1)).actions
    assert "batch statistics" in finish.reason
    (finish,) = decide(with_epochs(found, 1), plain).actions
    assert finish.state == "failed"


def test_the_next_attempt_excludes_the_failed_node_for_some_hours():
    assert lines(decide(observation(gone(Cause.NODE, node="n7")))) == ["submit 0.2 -n7"]
    long_ago = gone(Cause.NODE, node="n7", lost_at=NOW - timedelta(hours=7))
    assert lines(decide(observation(long_ago))) == ["submit 0.2"]
    assert lines(decide(observation(gone(Cause.PREEMPTED, node="n7")))) == ["submit 0.2"]
    assert lines(decide(observation(gone(Cause.DEVICE, node="n7")))) == ["submit 0.2 -n7"]
    assert lines(decide(observation(gone(Cause.PORT, node="n7")))) == ["submit 0.2"]


def test_a_hung_training_is_ended_and_a_slow_one_is_not():
    last = attempt(job_id="18808", claimed_by="18808", claimed_at=LONG_AGO, job=job(RUNNING))
    hung = with_epochs(observation(last), 3)
    hung = replace(hung, runs={0: replace(hung.runs[0], last_progress_at=NOW - timedelta(minutes=11))})
    assert lines(decide(hung)) == ["terminate 0.1 HANG"]
    slow = with_epochs(hung, 3, seconds=150.0)
    assert lines(decide(slow)) == []
    never = observation(last)
    assert lines(decide(never)) == []
    assert lines(decide(observation(replace(last, terminated_for=Cause.HANG)))) == ["terminate 0.1 HANG"], (
        "a reconciliation died before the cancel"
    )


def test_a_suspended_training_does_not_hang_and_neither_does_it_just_after_it_was_resumed():
    last = attempt(job_id="18808", claimed_by="18808", claimed_at=LONG_AGO, job=job(RUNNING))

    def with_job(**changes) -> Observation:
        found = with_epochs(observation(replace(last, job=replace(last.job, **changes))), 3)
        return replace(found, runs={0: replace(found.runs[0], last_progress_at=NOW - timedelta(minutes=30))})

    assert lines(decide(with_job())) == ["terminate 0.1 HANG"]
    for state, why in (("SUSPENDED", "suspended, by an administrator"), ("STOPPED", "its processes were stopped")):
        decided = decide(with_job(raw_state=state))
        assert lines(decided) == []
        assert decided.waits[0].reason.startswith(why)
        assert not decided.waits[0].running
    assert lines(decide(with_job(suspended_for=timedelta(minutes=25)))) == []
    hung = decide(with_job(suspended_for=timedelta(minutes=19)))
    assert lines(hung) == ["terminate 0.1 HANG"]
    assert hung.waits[0].reason == "no progress for 11 min"


def test_a_job_held_after_a_failed_launch_is_ended_and_resubmitted():
    held = attempt(job_id="18808", job=job(QUEUED, reason="launch_failed_requeued_held"))
    assert lines(decide(observation(held))) == ["terminate 0.1 START"]
    assert lines(decide(observation(replace(held, job=job(QUEUED, reason="JobHeldUser"))))) == []
    ended_by_us = replace(held, terminated_for=Cause.START, job=job(JobState.CANCELLED))
    assert lines(decide(observation(ended_by_us))) == ["lost 0.1", "submit 0.2"]


def failures(*signatures: str) -> Observation:
    found = many(None, ended=len(signatures))
    died_of = (Failure(k, k, each, f"it died of {each}") for k, each in enumerate(signatures))
    return replace(found, failures=tuple(died_of))


def test_the_sweep_pauses_when_its_first_trials_fail_the_same_way():
    decided = decide(failures("x", "x", "x"))
    assert lines(decided) == []
    assert "it died of x" in decided.waits[0].reason
    assert lines(decide(failures("x", "x", "y"))) == ["submit 0.1"]
    assert lines(decide(failures("x", "x"))) == ["submit 0.1"]
    shared = tuple(replace(each, run=min(each.run, 1)) for each in failures("x", "x", "x").failures)
    assert lines(decide(replace(failures("x", "x", "x"), failures=shared))) == ["submit 0.1"], "two trainings"
    assert lines(decide(replace(failures("x", "x", "x"), ended=4))) == ["submit 0.1"], "one ended well"
    assert lines(decide(replace(failures("x", "x", "x"), ended=4, unjudged=1))) == [], "one was cancelled"


def test_results_without_the_metric_fail_and_pause_the_sweep():
    """The search would be blind, and no later trial would be different."""
    refused = ResultProblem("no rmse", "runs/0000/milestones/8.json: no number rmse")
    runs = {k: Run(k, {8: "failed"}, (attempt(run=k),), refused_results={8: refused}) for k in (0, 1)}
    found = replace(many(None, None, None), runs={**runs, 2: Run(2)})
    assert lines(decide(found)) == ["finish 0 failed", "finish 1 failed", "submit 2.1"]
    third = (Failure(7, 7, "no rmse", "runs/0007/milestones/8.json: no number rmse"),)
    decided = decide(replace(found, ended=1, failures=third))
    assert lines(decided) == ["finish 0 failed", "finish 1 failed"]
    assert "no number rmse" in (decided.paused or "")
    counts = replace(
        found, runs={**found.runs, 1: replace(runs[1], published_states={8: "complete"}, refused_results={})}
    )
    assert decide(replace(counts, ended=2, failures=third * 2)).paused is None


def test_queued_jobs_are_ended_when_the_sweep_pauses():
    found = replace(failures("x", "x", "x"), runs={0: Run(0, {}, (attempt(job_id="18808", job=job(QUEUED)),))})
    assert lines(decide(found)) == ["terminate 0.1 PAUSED"]


def test_the_sweep_pauses_when_nothing_ever_starts():
    starts = [
        tuple(gone(Cause.START, number, run=run, lost="exit 127: no python") for number in (1, 2)) for run in (0, 1)
    ]
    found = many(None, None)
    found = replace(found, runs={run: Run(run, {}, tries) for run, tries in enumerate(starts)})
    decided = decide(found)
    assert lines(decided) == []
    assert "exit 127: no python" in decided.waits[0].reason
    reset = {run: replace(each, retries_reset_at=2) for run, each in found.runs.items()}
    assert lines(decide(replace(found, runs=reset))) == ["submit 0.3 1.3"]


def test_a_sweep_in_which_nothing_starts_because_a_disk_is_full_says_so():
    starts = [gone(cause, number, lost="Errno 28") for number, cause in enumerate((Cause.DISK, Cause.START), 1)]
    runs = {run: Run(run, {}, tuple(replace(each, run=run) for each in starts)) for run in (0, 1)}
    paused = decide(replace(many(None, None), runs=runs)).paused
    assert paused is not None
    assert "starts its training, because a disk is full: Errno 28; free space there" in paused
    assert "slurm.python" not in paused


def broken_gpus(**more: object) -> Observation:
    """Two runs, each of which met a GPU that does not work twice."""
    tries = [gone(Cause.DEVICE, number, claimed_by="7", node=f"n{number}", lost="ECC") for number in (1, 2)]
    return replace(
        many(None, None),
        runs={run: Run(run, {}, tuple(replace(each, run=run) for each in tries), **more) for run in (0, 1)},  # type: ignore[arg-type]
    )


def test_a_sweep_of_which_no_gpu_works_pauses():
    paused = decide(broken_gpus()).paused
    assert paused is not None
    assert paused.startswith("no GPU that was tried works: ECC; test them with `unetsweep doctor`")


def test_a_bad_gpu_after_trainings_have_begun_pauses_nothing():
    began = (EpochReport(1, {}, None),)
    assert "submit" in " ".join(lines(decide(broken_gpus(progress=began))))


def test_a_loss_that_is_exempt_from_the_retry_limit_does_not_count():
    last = gone(Cause.START, 4, retry_exempt=True)
    run = Run(0, {}, (*(gone(Cause.START, number) for number in (1, 2, 3)), last), retries_reset_at=3)
    assert lines(decide(replace(many(None), runs={0: run}), grid(1, retries=Retries(node=0)))) == ["submit 0.5"]
    ending = replace(last, lost=None, cause=None, lost_at=None, job_id="18808", job=job(JobState.ENDED))
    run = replace(run, attempts=(*run.attempts[:3], ending), retries_reset_at=0)
    assert lines(decide(replace(many(None), runs={0: run}))) == ["lost 0.4", "submit 0.5"]


def test_an_exempt_attempt_that_ran_out_of_memory_is_resubmitted_with_what_the_sweep_asks_for():
    spec = replace(grid(1), slurm=Resources(mem="4G", mem_max="16G"))
    last = ended("OUT_OF_MEMORY", mem="16384M")
    assert lines(decide(observation(last), spec)) == ["lost 0.1", "finish 0 failed"]
    assert lines(decide(observation(replace(last, retry_exempt=True)), spec)) == ["lost 0.1", "submit 0.2"]
    marked = gone(Cause.MEMORY, mem="16384M", retry_exempt=True)
    assert lines(decide(observation(marked), spec)) == ["submit 0.2"]


def test_a_sweep_that_pauses_because_nothing_starts_fails_no_trial():
    tries = tuple(gone(Cause.START, number) for number in (1, 2, 3))
    last = attempt(4, job_id="18808", job=job(ENDED))
    other = tuple(gone(Cause.START, number, run=1) for number in (1, 2))
    found = replace(many(None, None), runs={0: Run(0, {}, (*tries, last)), 1: Run(1, {}, other)})
    decided = decide(found)
    assert lines(decided) == ["lost 0.4"]
    assert "no job of the sweep starts its training" in decided.waits[0].reason
    written = Run(0, {}, (*tries, gone(Cause.START, 4)))
    assert lines(decide(replace(found, runs={**found.runs, 0: written}))) == []
    alone = observation(*tries, last)
    assert lines(decide(alone)) == ["lost 0.4", "finish 0 failed"]


def test_a_queued_run_does_not_keep_a_sweep_active_where_nothing_starts():
    lost = [tuple(gone(Cause.START, number, run=run) for number in (1, 2)) for run in (0, 1)]
    waiting = (attempt(run=2, token="b" * 12, job_id="18809", job=job(QUEUED, token="b" * 12)),)
    found = many(None, None, None)
    found = replace(found, runs={run: Run(run, {}, tries) for run, tries in enumerate([*lost, waiting])})
    assert lines(decide(found)) == ["terminate 2.1 PAUSED"]
    began = replace(found.runs[2], attempts=(replace(waiting[0], claimed_by="18809", job=job(RUNNING)),))
    assert "submit" in " ".join(lines(decide(replace(found, runs={**found.runs, 2: began}))))


def test_a_refused_run_is_retried_with_growing_delays_and_at_once_for_a_user():
    def refused(count: int, ago: int, **more) -> Observation:
        tries = [attempt(n + 1, lost="refused: no", refused=True, refusals=n, **more) for n in range(count)]
        return observation(*tries[:-1], replace(tries[-1], lost_at=NOW - timedelta(seconds=ago)))

    assert lines(decide(refused(1, 50))) == []
    assert "refused: no" in decide(refused(1, 50)).waits[0].reason
    assert lines(decide(refused(1, 61))) == ["submit 0.2"]
    assert lines(decide(refused(3, 200))) == []
    assert lines(decide(refused(3, 241))) == ["submit 0.4"]
    assert lines(decide(refused(3, 1), capacity=replace(QUEUE, interactive=True))) == ["submit 0.4"]


def test_failures_found_in_this_plan_count_before_more_is_submitted():
    def died(k: int) -> Attempt:
        return attempt(run=k, claimed_by="18808", ending=failing(signature="x"), job=job(RUNNING))

    found = replace(many(died(0), died(1), None, ended=1), failures=(Failure(7, 7, "x", "it died of x"),))
    assert lines(decide(found)) == ["finish 0 failed", "finish 1 failed"]
    assert lines(decide(replace(found, failures=(Failure(7, 7, "y", "it died of y"),))))[-1] == "submit 2.1"
    exempt = {
        k: replace(r, attempts=tuple(replace(a, retry_exempt=True) for a in r.attempts)) for k, r in found.runs.items()
    }
    assert lines(decide(replace(found, runs=exempt)))[-1] == "submit 2.1"


def test_an_element_that_left_an_exit_status_was_not_cancelled():
    """It failed before its claim, and the queue has forgotten it while its array is known."""
    ended, other = element(0, None, ending=failing("exit", 1)), element(1, JobState.RUNNING)
    assert lines(decide(many(ended, other)))[0] == "lost 0.1"
    assert lines(decide(many(element(0, None), other))) == ["finish 0 cancelled"]
