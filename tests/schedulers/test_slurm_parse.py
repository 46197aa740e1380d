"""Parsing of real output of SLURM 22.05.8."""

from datetime import UTC, datetime, timedelta

import pytest

from unetsweep.core.observation import JobState
from unetsweep.schedulers.slurm import answers, parse
from unetsweep.schedulers.slurm.parse_sbatch import Refusal, classify, parse_job_id

ARRAY, HELD, BEGIN = "0f3a9c2e11d7", "aaaaaaaaaaaa", "bbbbbbbbbbbb"
REFUSED, FAILED, UNLISTED = "cccccccccccc", "dddddddddddd", "ffffffffffff"

# as printed; job 2 is named `a|b "c" <line break> d`
SQUEUE = """\
unetsweep|ARRAY_JOB_ID|ARRAY_TASK_ID|STATE|REASON|END_TIME|NODELIST|START_TIME|TIME|NAME|unetsweep
unetsweep|2|N/A|COMPLETED|None|1795468504||N/A|0:00|a|b "c" 
d|unetsweep
unetsweep|6|N/A|FAILED|NonZeroExitCode|1795468503||N/A|0:00|grid.dddddddddddd|unetsweep
unetsweep|7|N/A|FAILED|JobLaunchFailure|1795468503||N/A|0:00|grid.eeeeeeeeeeee|unetsweep
unetsweep|5|0|FAILED|BadConstraints|1795468501||N/A|0:00|grid.cccccccccccc|unetsweep
unetsweep|5|1|FAILED|BadConstraints|1795468501||N/A|0:00|grid.cccccccccccc|unetsweep
unetsweep|5|2|FAILED|BadConstraints|1795468501||N/A|0:00|grid.cccccccccccc|unetsweep
unetsweep|4|N/A|PENDING|BeginTime|1795472161||N/A|0:00|grid.bbbbbbbbbbbb|unetsweep
unetsweep|1|10|PENDING|JobArrayTaskLimit|N/A||N/A|0:00|grid.0f3a9c2e11d7|unetsweep
unetsweep|1|2|PENDING|JobArrayTaskLimit|N/A||N/A|0:00|grid.0f3a9c2e11d7|unetsweep
unetsweep|3|N/A|PENDING|JobHeldUser|N/A||N/A|0:00|grid.aaaaaaaaaaaa|unetsweep
unetsweep|1|0|RUNNING|None|1795472103|n1|N/A|0:00|grid.0f3a9c2e11d7|unetsweep
"""  # noqa: W291


def marked(row: str) -> str:
    """A row as squeue prints it in the format that it is given."""
    return f"unetsweep|{row}|unetsweep\n"


def jobs(*tokens: str):
    return parse.parse_jobs(SQUEUE, tokens)


def test_array_elements_are_separate_jobs_in_order():
    found = jobs(ARRAY)
    assert [(job.job_id, job.index, job.state) for job in found] == [
        ("1_0", 0, JobState.RUNNING),
        ("1_2", 2, JobState.QUEUED),
        ("1_10", 10, JobState.QUEUED),
    ]
    assert [job.reason for job in found] == ["", "JobArrayTaskLimit", "JobArrayTaskLimit"]


def test_a_queued_job_has_a_reason_and_no_end():
    held, begin = jobs(HELD, BEGIN)
    assert (held.job_id, held.index, held.reason, held.ended_at) == ("3", 0, "JobHeldUser", None)
    assert (begin.state, begin.reason, begin.ended_at) == (JobState.QUEUED, "BeginTime", None)


def test_an_ended_job_has_its_end_time():
    (job,) = jobs(FAILED)
    assert (job.raw_state, job.reason) == ("FAILED", "NonZeroExitCode")
    assert job.ended_at == datetime.fromtimestamp(1795468503, UTC)


def test_a_refused_request_is_no_job_even_if_squeue_lists_it():
    assert jobs(REFUSED) == ()


@pytest.mark.parametrize(
    ("state", "start", "used", "suspended_s"),
    [
        ("RUNNING", "1795468503", "10:00", 0),
        ("RUNNING", "1795468503", "3:20", 400),
        ("SUSPENDED", "1795382103", "1-00:00:00", 600),
        ("RUNNING", "1795468503", "10:01", 0),
        ("RUNNING", "N/A", "10:00", 0),
        ("RUNNING", "1795468503", "INVALID", 0),
        ("COMPLETED", "1795468503", "3:20", 0),
    ],
)
def test_the_time_used_shows_how_long_a_job_was_suspended(state: str, start: str, used: str, suspended_s: int):
    now = datetime.fromtimestamp(1795468503 + 600, UTC)
    (job,) = parse.parse_jobs(marked(f"1|0|{state}|None|1795472103|n1|{start}|{used}|grid.{ARRAY}"), [ARRAY], now)
    assert job.suspended_for == timedelta(seconds=suspended_s)


def test_a_token_that_is_not_listed_has_no_job():
    assert jobs(UNLISTED) == ()


def test_an_unreadable_line_with_our_token_is_an_error():
    with pytest.raises(ValueError, match=ARRAY):
        parse.parse_jobs(marked(f"1|0|RUNNING|grid.{ARRAY}"), [ARRAY])


def test_a_name_that_only_contains_a_token_is_not_ours():
    line = marked(f"8|N/A|RUNNING|None|N/A|n1|N/A|0:00|grid.{ARRAY}.more")
    assert parse.parse_jobs(line, [ARRAY]) == ()


def test_an_array_with_all_elements_cancelled_one_by_one_is_listed_without_an_index():
    (job,) = parse.parse_jobs(marked(f"2|N/A|CANCELLED|JobHeldUser|1795468501||N/A|0:00|grid.{ARRAY}"), [ARRAY])
    assert (job.job_id, job.index, job.state) == ("2", 0, JobState.CANCELLED)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", JobState.QUEUED),
        ("REQUEUE_HOLD", JobState.QUEUED),
        ("RUNNING", JobState.RUNNING),
        ("COMPLETING", JobState.RUNNING),
        ("SUSPENDED", JobState.RUNNING),
        ("COMPLETED", JobState.ENDED),
        ("TIMEOUT", JobState.ENDED),
        ("OUT_OF_MEMORY", JobState.ENDED),
        ("CANCELLED by 1000", JobState.CANCELLED),
        ("CANCELLED+", JobState.CANCELLED),
        ("NODE_FAIL", JobState.NODE_FAILED),
        ("PREEMPTED", JobState.NODE_FAILED),
        ("A_WORD_OF_TOMORROW", JobState.UNRECOGNISED),
        ("", JobState.UNRECOGNISED),
    ],
)
def test_each_state_word_has_its_state(word, state):
    assert parse.state_of(word) is state


def test_an_unknown_state_word_counts_as_alive():
    (job,) = parse.parse_jobs(marked(f"9|1|EXPEDITING|None|N/A|n1|N/A|0:00|x.{ARRAY}"), [ARRAY])
    assert job.state.is_live


CONFIG = """\
MailProg                = /bin/true
MaxArraySize            = 10001
SchedulerParameters     = batch_sched_delay=0,sched_interval=2{more}
"""


def test_an_array_is_limited_by_array_size_and_scheduler_parameters():
    assert parse.parse_max_elements(CONFIG.format(more="")) == 10001
    assert parse.parse_max_elements(CONFIG.format(more=",max_array_tasks=5000")) == 5000


def test_submissions_have_one_element_where_arrays_are_disabled():
    assert parse.parse_max_elements("MaxArraySize            = 0\n") == 1


FAILURE = "sbatch: error: Batch job submission failed: "


@pytest.mark.parametrize(
    ("status", "stderr", "meaning"),
    [
        (
            1,
            f"sbatch: error: invalid partition specified: x\n{FAILURE}Invalid partition name specified",
            Refusal.REFUSED,
        ),
        (1, f"{FAILURE}Invalid account or account/partition combination specified", Refusal.REFUSED),
        (1, f"{FAILURE}Requested node configuration is not available", Refusal.REFUSED),
        (1, f"{FAILURE}Invalid job array specification", Refusal.LIMIT),
        (255, "sbatch: error: Invalid --time specification", Refusal.REFUSED),
        (255, "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information", Refusal.REFUSED),
        (1, "sbatch: fatal: Unable to process configuration file", Refusal.REFUSED),
        (1, f"{FAILURE}Socket timed out on send/recv operation", Refusal.UNKNOWN),
        (1, f"{FAILURE}Unable to contact slurm controller (connect failure)", Refusal.UNKNOWN),
        (1, f"{FAILURE}Zero Bytes were transmitted or received", Refusal.UNKNOWN),
        (1, "", Refusal.UNKNOWN),
        (-9, "", Refusal.UNKNOWN),
        (
            1,
            "sbatch: error: AssocMaxSubmitJobLimit\n"
            f"{FAILURE}Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            Refusal.LIMIT,
        ),
        (1, f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{FAILURE}Job violates accounting/QOS policy", Refusal.LIMIT),
        (
            1,
            "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"
            f"{FAILURE}Resource temporarily unavailable",
            Refusal.LIMIT,
        ),
        (1, "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", Refusal.UNKNOWN),
        (1, f"sbatch: error: QOSMaxGRESPerUser\n{FAILURE}Job violates accounting/QOS policy", Refusal.REFUSED),
    ],
)
def test_a_failed_sbatch_is_classified_by_its_message(status, stderr, meaning):
    assert classify(status, stderr) is meaning


def test_only_the_prefixes_of_a_message_are_removed():
    stderr = f"sbatch: error: invalid partition specified: nope\n{FAILURE}Invalid partition name specified\n"
    assert answers.join_messages(stderr) == (
        "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
    )


def test_a_job_id_is_found_beside_a_cluster_name_and_other_output():
    assert parse_job_id("You have 3 days left\n18808;cluster7\n") == "18808"
    assert parse_job_id("accepted\n") is None


SACCT = """\
27_0|COMPLETED|grid.0f3a9c2e11d7
27_0.batch|COMPLETED|batch
27_0.0|COMPLETED|python
27_1|FAILED|grid.0f3a9c2e11d7
27_1.batch|FAILED|batch
27_1.0|OUT_OF_MEMORY|python
36_[1,4-5%1]|CANCELLED by 5|grid.0f3a9c2e11d7
41|TIMEOUT|grid.0f3a9c2e11d7
"""


def test_a_step_out_of_memory_outranks_the_job_row():
    assert parse.parse_final_states(SACCT, dict.fromkeys(("27_0", "27_1"), ARRAY)) == {
        "27_0": "COMPLETED",
        "27_1": "OUT_OF_MEMORY",
    }


def test_elements_that_never_ran_share_a_row():
    assert parse.parse_final_states(SACCT, dict.fromkeys(("36_4", "36_2", "41", "99"), ARRAY)) == {
        "36_4": "CANCELLED",
        "41": "TIMEOUT",
    }
