"""Submissions on a real SLURM: arrays, limits, refusals, cancellation, requeue, environment."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import slurm_payloads as payloads
from slurm_cluster import Cluster, folder_of, log, logs, wait_for, with_accounts, with_and_without

from unetsweep.core import paths
from unetsweep.core.observation import JobState
from unetsweep.core.ports import Submission
from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.schedulers.slurm import commands, submitit_jobs
from unetsweep.schedulers.slurm.scheduler import Slurm

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("importable")]

Make = Callable[..., Submission]


def test_an_array_runs_each_element_once_and_never_more_at_once_than_the_throttle(
    cluster: Cluster, make: Make, out: Path
):
    submission = make(elements=8, throttle=2)
    ids = Slurm(lambda _: payloads.Note(str(out), 0.3)).submit(submission)
    ended = cluster.wait_ended(submission.token)
    assert set(ended) == set(ids)
    assert {job.raw_state for job in ended.values()} == {"COMPLETED"}, logs(submission)
    found = payloads.notes(out)
    assert [note["index"] for note in found] == list(range(8))
    for note in found:
        assert sum(other["start"] <= note["start"] < other["end"] for other in found) <= 2
    base = ids[0].partition("_")[0]
    assert ids == tuple(f"{base}_{index}" for index in range(8))
    for index, job_id in enumerate(ids):
        assert f"element {index} rank 0" in log(submission, job_id)
    pickles = [path.name for path in folder_of(submission).glob("*.pkl") if not path.is_symlink()]
    assert pickles.count("generic.pkl") == 1


def test_a_job_has_one_task_per_process_with_its_gpus_and_cpus(cluster: Cluster, make: Make, out: Path):
    submission = make(gpus=2, processes=2, cpus=2)
    (job_id,) = Slurm(lambda _: payloads.Note(str(out))).submit(submission)
    cluster.wait_ended(submission.token)
    found = payloads.notes(out)
    assert [note["rank"] for note in found] == [0, 1], logs(submission)
    for note in found:
        environment = note["environment"]
        assert environment["CUDA_VISIBLE_DEVICES"].count(",") == 1
        assert environment["SLURM_NTASKS"] == "2"
        assert environment["SLURM_CPUS_PER_TASK"] == "2"
    for rank in (0, 1):
        assert f"rank {rank}" in log(submission, job_id, rank)


def test_the_end_of_one_process_ends_the_others(cluster: Cluster, make: Make):
    submission = make(processes=2)
    Slurm(lambda _: payloads.RunShell('test "$SLURM_PROCID" = 0 || exit 3; sleep 600')).submit(submission)
    (job,) = cluster.wait_ended(submission.token).values()
    assert job.raw_state == "FAILED"


def test_pending_and_running_jobs_are_cancelled(cluster: Cluster, make: Make, out: Path):
    submission = make(elements=3, throttle=1)
    queue = Slurm(lambda _: payloads.Note(str(out), 600))
    ids = queue.submit(submission)
    cluster.wait(submission.token, lambda jobs: any(job.state is JobState.RUNNING for job in jobs))
    queue.cancel([*ids, "999999", "999998_3"])
    ended = cluster.wait(submission.token, lambda jobs: not any(job.state.is_live for job in jobs))
    assert {job.state for job in ended.values()} == {JobState.CANCELLED}
    assert all(job.ended_at is not None for job in ended.values())
    queue.cancel(ids)


def test_ending_a_pending_or_ended_job_is_no_error(cluster: Cluster, make: Make, out: Path):
    submission = make(elements=2, throttle=1)
    queue = Slurm(lambda _: payloads.Note(str(out), 600))
    ids = queue.submit(submission)
    cluster.wait(submission.token, lambda jobs: any(job.state is JobState.RUNNING for job in jobs))
    for job_id in (*reversed(ids), *ids):
        queue.end(job_id)
    ended = cluster.wait(submission.token, lambda jobs: not any(job.state.is_live for job in jobs))
    assert {job.state for job in ended.values()} == {JobState.CANCELLED}


def test_an_unknown_partition_is_refused_with_sbatchs_message_and_the_existing_partitions(make: Make, monkeypatch):
    monkeypatch.setenv("SBATCH_PARTITION", "main")
    submission = make(partition="nope")
    with pytest.raises(RefusedError, match=r"invalid partition specified: nope.*main, scavenge, short") as refused:
        submitit_jobs.submit(submission, payloads.Fail())
    assert "SBATCH_PARTITION" in str(refused.value)


def test_a_refused_request_leaves_no_job(cluster: Cluster, make: Make):
    submission = make(elements=3, gpus=9)
    with pytest.raises(RefusedError, match="Requested node configuration is not available"):
        submitit_jobs.submit(submission, payloads.Fail())
    assert submission.token in cluster.run("squeue", "-h", "-t", "all", "-o", "%j")
    assert cluster.jobs(submission.token) == {}


@with_accounts  # the limit is in the accounting
def test_a_full_queue_raises_limit_error(cluster: Cluster, make: Make):
    me = cluster.run("id", "-un").strip()
    cluster.run("sacctmgr", "-i", "-Q", "modify", "user", me, "set", "MaxSubmitJobs=2")
    try:
        with pytest.raises(LimitError, match="MaxSubmitJobLimit"):
            submitit_jobs.submit(make(elements=3), payloads.Fail())
    finally:
        cluster.run("sacctmgr", "-i", "-Q", "modify", "user", me, "set", "MaxSubmitJobs=-1")


def test_the_throttle_of_an_array_changes_while_some_of_its_jobs_have_ended(cluster: Cluster, make: Make, out: Path):
    queue = Slurm(lambda _: payloads.Note(str(out), 600))
    ids = queue.submit(submission := make(elements=4, throttle=1))
    wait_for((out / "0-0-0.json").exists)
    queue.cancel(ids[:1])
    cluster.wait(submission.token, lambda jobs: any(not job.state.is_live for job in jobs))
    queue.set_throttle(ids[0].partition("_")[0], 3)
    cluster.wait(submission.token, lambda jobs: sum(job.raw_state == "RUNNING" for job in jobs) == 3)
    with pytest.raises(SchedulerError, match="Invalid job id"):
        queue.set_throttle("999999", 3)


def test_a_job_can_submit_another_job_that_inherits_nothing_from_it(cluster: Cluster, make: Make, out: Path):
    inner = make(time_min=7)
    outer = make(processes=2, gpus=2)
    submitit_jobs.submit(outer, payloads.SubmitAnother(inner, payloads.Note(str(out))))
    wait_for(lambda: bool(cluster.jobs(inner.token)))
    cluster.wait_ended(inner.token)
    (note,) = payloads.notes(out)
    environment = note["environment"]
    assert environment["SLURM_NTASKS"] == "1", logs(outer)
    assert environment.get("CUDA_VISIBLE_DEVICES", "") == ""
    assert environment["SLURM_JOB_NAME"] == paths.job_name("grid", inner.token)


def test_a_timeout_of_the_controller_is_no_refusal_and_the_job_is_found_by_its_token(
    cluster: Cluster, make: Make, out: Path
):
    submission = make(elements=2)
    controller = cluster.pid("slurmctld")
    os.kill(controller, signal.SIGSTOP)
    try:
        with pytest.raises(SchedulerError, match="may exist") as scheduler_error:
            submitit_jobs.submit(submission, payloads.Note(str(out)), timeout=2)
        assert not isinstance(scheduler_error.value, RefusedError)
        with pytest.raises(SchedulerError, match="no answer within 1 s"):
            Slurm(lambda _: payloads.Fail(), timeout=1).jobs([submission.token])
        assert not commands.is_reachable(timeout=1)
    finally:
        os.kill(controller, signal.SIGCONT)
    ended = cluster.wait_ended(submission.token)
    assert sorted(job.index for job in ended.values()) == [0, 1]
    assert [note["index"] for note in payloads.notes(out)] == [0, 1], logs(submission)


DYING = """
import os, subprocess, sys
from pathlib import Path
from unetsweep.schedulers.slurm import submitit_jobs
from unetsweep.core.ports import Submission
from unetsweep.core.spec import Resources
import slurm_payloads as payloads

run = subprocess.run
def run_and_die(command, **options):
    run(command, **options)
    os._exit(9)
subprocess.run = run_and_die
resources = Resources(mem="200M", time_min=5)
submission = Submission(sys.argv[1], "grid", Path(sys.argv[2]), 3, resources, jobs_reconcile=False)
submitit_jobs.submit(submission, payloads.Note(sys.argv[3]))
"""


def test_elements_start_normally_if_their_submitter_died_right_after_sbatch(cluster: Cluster, make: Make, out: Path):
    submission = make(elements=3)
    died = subprocess.run(
        [sys.executable, "-c", DYING, submission.token, str(submission.sweep_dir), str(out)], check=False
    )
    assert died.returncode == 9
    ended = cluster.wait_ended(submission.token)
    assert {job.raw_state for job in ended.values()} == {"COMPLETED"}
    assert [note["index"] for note in payloads.notes(out)] == [0, 1, 2]
    assert "Waited for 60 seconds" not in logs(submission)


def test_a_requeued_element_starts_again_from_the_same_pickle_and_keeps_its_log(
    cluster: Cluster, make: Make, out: Path
):
    submission = make(elements=2)
    ids = Slurm(lambda _: payloads.Note(str(out), 8)).submit(submission)
    wait_for(lambda: (out / "1-0-0.json").exists())
    cluster.run("scontrol", "requeue", ids[1])
    states = []

    def has_restarted() -> bool:
        states.append(cluster.jobs(submission.token)[ids[1]].state)
        return (out / "1-0-1.json").exists()

    wait_for(has_restarted, 60)
    assert all(state.is_live for state in states)
    assert "restart 0" in log(submission, ids[1])
    assert "restart 1" in log(submission, ids[1])


def test_a_missing_python_is_reported_with_its_host(cluster: Cluster, make: Make):
    submission = make(python="/no/such/python", setup=("echo set up", "export OMP_NUM_THREADS=3"))
    submitit_jobs.submit(submission, payloads.Fail())
    (job,) = cluster.wait_ended(submission.token).values()
    assert job.raw_state == "FAILED"
    assert f"/no/such/python not found on {os.uname().nodename}" in logs(submission)
    assert "set up" in logs(submission)


def test_setup_lines_reach_the_tasks_and_the_users_options_reach_sbatch(cluster: Cluster, make: Make, out: Path):
    submission = make(
        setup=("export OMP_NUM_THREADS=3",), sbatch={"comment": "eyes of June", "nice": 10, "exclusive": False}
    )
    (job_id,) = Slurm(lambda _: payloads.Note(str(out))).submit(submission)
    cluster.wait_ended(submission.token)
    (note,) = payloads.notes(out)
    assert note["environment"]["OMP_NUM_THREADS"] == "3"
    assert "Comment=eyes of June" in cluster.run("scontrol", "show", "job", job_id)


def test_options_that_unetsweep_sets_are_refused_with_the_setting_to_use_instead(make: Make):
    with pytest.raises(RefusedError, match=r"'cpus-per-task'.*slurm\.cpus"):
        submitit_jobs.submit(make(sbatch={"cpus_per_task": 3}), payloads.Fail())


def test_the_script_asks_for_a_signal_before_the_end_and_an_appended_log(cluster: Cluster, make: Make):
    text = submitit_jobs.script(submission := make(elements=2, throttle=1), folder_of(submission))
    assert "#SBATCH --signal=USR2@75" in text
    assert "wckey" not in text
    assert "--open-mode=append" in text
    assert "--array=0-1%1" in text


def test_the_largest_array_size_is_read_from_the_cluster(cluster: Cluster, make: Make):
    assert commands.is_reachable()
    assert Slurm(lambda _: payloads.Fail()).max_elements() == 5000


@with_and_without
def test_final_states_come_from_the_accounting_if_there_is_one(cluster: Cluster, make: Make):
    submission = make()
    queue = Slurm(lambda _: payloads.Fail())
    (job_id,) = queue.submit(submission)
    cluster.wait_ended(submission.token)
    expected = {job_id: (JobState.ENDED, "FAILED")} if cluster.variant == "dbd" else {}
    wait_for(lambda: queue.final_states({job_id: submission.token, "999999": submission.token}) == expected)
    assert queue.final_states({job_id: "0" * 12}) == {}, "an id counts only together with its token"
