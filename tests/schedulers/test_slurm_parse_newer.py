"""Parsing of output of SLURM after 22.05, which no testbed here runs: from its documentation and from users' logs.

States: "Job State Codes", last modified 1 October 2024 (24.05). Messages of sbatch: src/common/slurm_errno.c of 25.x.
`scontrol show config`: slurm.conf(5) of 24.05. Log lines: users' reports of 2023 to 2026, named at each.
"""

from datetime import UTC, datetime

import pytest

from unetsweep.core.observation import JobState
from unetsweep.schedulers.slurm import parse
from unetsweep.schedulers.slurm.log_state import parse_log_state
from unetsweep.schedulers.slurm.parse_sbatch import Refusal, classify

TOKEN, OTHER = "0f3a9c2e11d7", "aaaaaaaaaaaa"
ENDED = {
    *(
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "TIMEOUT",
    ),
}
OTHERS = {
    *(
        "PENDING",
        "RUNNING",
        "SUSPENDED",
        "COMPLETING",
        "CONFIGURING",
        "LAUNCH_FAILED",
        "POWER_UP_NODE",
        "RECONFIG_FAIL",
    ),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "REVOKED", "SIGNALING", "SPECIAL_EXIT"),
    *("STAGE_OUT", "STOPPED", "UPDATE_DB"),
    "EXPEDITING",  # 25.11: a flag of jobs that may be queued again at once
}
"""All base states and flags of the page "Job State Codes"; a state that is no end counts as alive, known or unknown."""


@pytest.mark.parametrize("word", sorted(ENDED | OTHERS))
def test_a_job_has_ended_only_in_a_documented_end_state(word: str):
    assert parse.state_of(word).is_live is (word not in ENDED)


def test_a_job_on_a_node_that_powers_up_counts_as_running():
    assert parse.state_of("POWER_UP_NODE") is JobState.RUNNING


def test_squeue_rows_with_new_states_reasons_and_node_lists_are_read():
    text = (
        f"unetsweep|71|0|RUNNING|None|1795472103|gpu[01-02]|N/A|0:00|grid.{TOKEN}|unetsweep\n"
        f"unetsweep|71|1|PENDING|ReqNodeNotAvail, UnavailableNodes:gpu[03,07]|N/A||N/A|0:00|grid.{TOKEN}|unetsweep\n"
        f"unetsweep|71|2|PENDING|Nodes required for job are DOWN, DRAINED or reserved for jobs in higher "
        f"priority partitions|N/A||N/A|0:00|grid.{TOKEN}|unetsweep\n"
        f"unetsweep|71|3|EXPEDITING|BeginTime|N/A||N/A|0:00|grid.{TOKEN}|unetsweep\n"
        f"unetsweep|71|4|UPDATE_DB|None|N/A|gpu01|N/A|0:00|grid.{TOKEN}|unetsweep\n"
        f"unetsweep|71|5|NODE_FAIL|NodeDown|1795472103|gpu09|N/A|0:00|grid.{TOKEN}|unetsweep\n"
    )
    found = parse.parse_jobs(text, [TOKEN])
    assert [job.state.is_live for job in found] == [True, True, True, True, True, False]
    assert [job.node for job in found] == ["gpu[01-02]", None, None, None, "gpu01", "gpu09"]
    assert found[1].reason == "ReqNodeNotAvail, UnavailableNodes:gpu[03,07]"
    assert found[3].ended_at is None


# slurm.conf(5) of 24.05 has MaxBatchRequeue and no longer GroupUpdateForce; the columns are as before
CONFIG = """\
Configuration data as of 2026-05-02T10:11:12
AccountingStorageType   = accounting_storage/slurmdbd
JobRequeue              = 1
KillWait                = 30 sec
LogTimeFormat           = iso8601_ms
MailProg                = /bin/mail
MaxArraySize            = 1001
MaxBatchRequeue         = 5
MaxDBDMsgs              = 20400
MaxJobCount             = 10000
MessageTimeout          = 100 sec
MinJobAge               = 300 sec
PreemptMode             = OFF
SchedulerParameters     = bf_continue,max_array_tasks=500,default_queue_depth=1000
SLURM_VERSION           = 24.05.2

Slurmctld(primary) at head is UP
"""


def test_the_array_limit_is_read_from_a_newer_configuration():
    assert parse.parse_max_elements(CONFIG) == 500
    assert parse.parse_max_elements(CONFIG.replace("max_array_tasks=500,", "")) == 1001


FAILURE = "sbatch: error: Batch job submission failed: "


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("Rate limit exceeded, please retry momentarily", Refusal.LIMIT),  # since 23.02
        ("Rate limit exceeded, please retry later", Refusal.LIMIT),
        ("MaxJobCount limit reached", Refusal.LIMIT),
        ("Slurm backup controller in standby mode", Refusal.LIMIT),  # observed in a failover, August 2026
        ("Controller is in standby mode, try a different controller", Refusal.LIMIT),
        ("Operation now in progress", Refusal.UNKNOWN),
        ("Unspecified error", Refusal.REFUSED),  # the usual message when a job_submit.lua refuses
        ("Connection timed out reading", Refusal.UNKNOWN),
        ("Connection forced closed by quiesce timeout", Refusal.UNKNOWN),
        ("Process is shutting down and closing all communications", Refusal.UNKNOWN),
        (
            "Kernel reported delayed socket error after successful write(), client side likely closed",
            Refusal.UNKNOWN,
        ),
        ("Unexpected missing socket error", Refusal.UNKNOWN),
        ("Unexpected message received", Refusal.UNKNOWN),
        ("Insane message length", Refusal.UNKNOWN),
        ("Read would block", Refusal.UNKNOWN),
        ("Protocol authentication error", Refusal.UNKNOWN),
        ("Access/permission denied", Refusal.REFUSED),
        ("Invalid generic resource (gres) specification", Refusal.REFUSED),
        ("Incompatible versions of client and server code", Refusal.REFUSED),
        ("User's group not permitted to use this partition", Refusal.REFUSED),
        ("Requested partition configuration not available now", Refusal.REFUSED),
    ],
)
def test_a_failed_newer_sbatch_is_classified_by_its_message(message: str, meaning: Refusal):
    assert classify(1, FAILURE + message) is meaning


@pytest.mark.parametrize("limit", ["AssocGrpSubmitJobsLimit", "QOSGrpSubmitJobsLimit", "MaxSubmitJobsPerAccount"])
def test_a_submit_limit_of_a_group_is_a_temporary_limit(limit: str):
    policy = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    assert classify(1, f"sbatch: error: {limit}\n{FAILURE}{policy}") is Refusal.LIMIT


@pytest.mark.parametrize("dot", ["", "."])
def test_an_sbatch_killed_while_it_retried_may_have_submitted(dot: str):
    message = f"sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying{dot}"
    assert classify(1, message) is Refusal.UNKNOWN


def test_a_reason_with_separators_is_read_whole():
    reason = "burst_buffer/lua: slurm_bb_data_in: pool|fast is full"
    waits, ended = (
        f"unetsweep|7|3|PENDING|{reason}|N/A||N/A|0:00|grid.{TOKEN}|unetsweep\n",
        f"unetsweep|8|N/A|FAILED|a|b|1795468504|n2|N/A|0:00|grid.{TOKEN}|unetsweep\n",
    )
    first, second = parse.parse_jobs(waits + ended, [TOKEN])
    assert (first.job_id, first.state, first.reason, first.node) == ("7_3", JobState.QUEUED, reason, None)
    assert (second.ended_at, second.node) == (datetime.fromtimestamp(1795468504, UTC), "n2")


def test_a_reason_with_a_line_break_is_an_error():
    with pytest.raises(ValueError, match=TOKEN):
        parse.parse_jobs(
            f"unetsweep|7|N/A|PENDING|burst_buffer/lua: one\ntwo|N/A||N/A|0:00|grid.{TOKEN}|unetsweep\n", [TOKEN]
        )


def test_an_invalid_option_that_names_sockets_is_a_refusal():
    assert classify(255, "sbatch: error: Invalid --sockets-per-node specification") is Refusal.REFUSED


# `sacct --parsable2 --format=JobID,State,JobName`: steps are named batch, extern and by their command
SACCT = f"""\
27_0|COMPLETED|grid.{TOKEN}
27_0.batch|COMPLETED|batch
27_0.extern|COMPLETED|extern
27_0.0|COMPLETED|python
27_1|FAILED|grid.{TOKEN}
27_1.batch|FAILED|batch
27_1.extern|COMPLETED|extern
27_1.0|OUT_OF_MEMORY|python
27_2|CANCELLED by 1000|grid.{TOKEN}
27_2.batch|CANCELLED|batch
28|NODE_FAIL|grid.{OTHER}
28.interactive|COMPLETED|interactive
29|PENDING|grid.{TOKEN}
30|TIMEOUT|grid.{OTHER}|x
36_[4-5%1]|CANCELLED by 1000|grid.{TOKEN}
"""


def test_steps_of_every_kind_are_matched_to_their_job_and_token():
    jobs = dict.fromkeys(("27_0", "27_1", "27_2", "28", "29", "36_4"), TOKEN)
    assert parse.parse_final_states(SACCT, jobs) == {
        "27_0": "COMPLETED",
        "27_1": "OUT_OF_MEMORY",
        "27_2": "CANCELLED",
        "29": "PENDING",
        "36_4": "CANCELLED",
    }  # 28 has another token


@pytest.mark.parametrize(
    ("line", "word"),
    [
        # 23.x to 25.x; the daemon's name may carry the node's (observed December 2023)
        ("slurmstepd-n7: error: *** JOB 14 ON n7 CANCELLED AT 2023-12-03T12:47:09 DUE TO TIME LIMIT ***",
         "TIMEOUT"),
        ("slurmstepd: error: *** STEP 49.0 ON n1 CANCELLED AT 2024-04-20T09:09:37 DUE TO TIME LIMIT ***", "TIMEOUT"),
        ("slurmstepd: error: *** STEP 3.0 ON c1 CANCELLED AT 2025-02-13T15:47:35 ***", None),  # by srun: a rank died
        ("slurmstepd: error: *** JOB 3 ON c1 CANCELLED AT 2025-02-13T15:47:35 ***", "CANCELLED"),
        # the newest write "to" in small letters
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-09-21T10:00 DUE to SIGNAL Terminated ***", "CANCELLED"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-09-21T10:00 DUE TO SIGNAL Terminated ***", "CANCELLED"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-09-21T10:00 DUE TO PREEMPTION ***", "PREEMPTED"),
        ("slurmstepd: error: *** JOB 608 ON n1 CANCELLED AT 2022-08-12T02:06:12 DUE TO JOB REQUEUE ***", None),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=113.0. Some of the step tasks have been OOM Killed.",
         "OUT_OF_MEMORY"),
        ("slurmstepd: error: Detected 2 oom-kill event(s) in step 37.batch cgroup.", "OUT_OF_MEMORY"),
        ("srun: error: nid001277: tasks 1-3: Out Of Memory", "OUT_OF_MEMORY"),
        ("srun: error: lrdn1786: task 0: Killed", None),
        ("slurmstepd: info: a line of a later version that says nothing that we know", None),
    ],
)  # fmt: skip
def test_the_end_of_a_job_is_read_from_the_log_of_a_newer_slurm(line: str, word: str | None):
    assert parse_log_state(f"epoch 3\n{line}\n") == word
