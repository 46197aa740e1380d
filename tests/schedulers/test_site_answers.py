"""Answers of squeue, sinfo, scontrol and sacct through wrappers of a site: its own lines are not read, and an answer
that is none is an error."""

from collections.abc import Callable
from pathlib import Path

import pytest

from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import accounting, answers, commands, parse
from unetsweep.schedulers.slurm.limits import parse_queued
from unetsweep.schedulers.slurm.scheduler import Slurm

TOKEN = "0f3a9c2e11d7"  # noqa: S105
HEADER = "unetsweep|ARRAY_JOB_ID|ARRAY_TASK_ID|STATE|REASON|END_TIME|NODELIST|START_TIME|TIME|NAME|unetsweep"
ROW = f"unetsweep|1|0|RUNNING|None|1795472103|n1|N/A|0:00|grid.{TOKEN}|unetsweep"
BANNER = "WARNING: maintenance | of exa\n2026\n"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs SLURM commands that are these shell scripts, and no others."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(commands, "_PAUSE_S", 0.0)
    monkeypatch.delenv("SLURM_CONF", raising=False)

    def programs(**scripts: str) -> None:
        for name, script in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
            (tmp_path / name).chmod(0o755)

    return programs


@pytest.mark.parametrize(
    "row", [ROW, f"exa: {ROW}", f"{ROW} | 3.2 EUR", f"\x1b[32m{ROW}\x1b[0m", f"{ROW}\r", f"{ROW}  "]
)
def test_a_row_is_read_whatever_a_site_prints_around_it(row: str):
    (job,) = parse.parse_jobs(answers.readable(f"{BANNER}{HEADER}\n{row}\nWelcome\n".encode()), [TOKEN])
    assert (job.job_id, job.node, job.raw_state) == ("1_0", "n1", "RUNNING")


@pytest.mark.parametrize("text", ["", BANNER, "slurm_load_jobs error: Unable to contact slurm controller\n"])
def test_an_answer_without_the_header_is_no_empty_queue(text: str):
    readers = (lambda text: parse.parse_jobs(text, [TOKEN]), parse.parse_end_time, parse_queued)
    for read in (*readers, parse.parse_partitions, parse.parse_max_elements):
        with pytest.raises(ValueError, match="it "):
            read(text)
    assert parse.parse_jobs(f"{BANNER}{HEADER}\n", [TOKEN]) == ()


def test_no_word_of_a_banner_is_a_job_a_partition_or_an_end():
    marked = "unetsweep|{}|unetsweep\n".format
    queued = parse_queued(BANNER + marked("ACCOUNT|QOS|PARTITION|STATE") + marked("lab|normal|main|PENDING"))
    assert [job.account for job in queued] == ["lab"]
    assert parse.parse_partitions(BANNER + marked("PARTITION") + marked("gpu") + marked("gpu")) == ("gpu",)
    assert parse.parse_end_time(BANNER + marked("END_TIME") + marked("1795472103")) == 1795472103
    assert parse.parse_end_time(BANNER + marked("END_TIME") + marked("N/A")) is None


def test_a_failed_controller_behind_a_wrapper_that_hides_its_status_is_an_error(install: Install):
    install(squeue="echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2")
    with pytest.raises(SchedulerError, match="squeue: it gave no answer that can be read, but ''"):
        Slurm(lambda _: print).jobs([TOKEN])


@pytest.mark.parametrize("first", ["exit 1", "echo 'WARNING: try again'", "echo garbage >&2; exit 3"])
def test_a_query_that_fails_once_is_repeated(install: Install, first: str):
    answers = f"[ -e asked ] || {{ : >asked; {first}; exit; }}; cat <<'END'\n{BANNER}{HEADER}\n{ROW}\nEND"
    install(squeue=answers)
    assert [job.job_id for job in Slurm(lambda _: print).jobs([TOKEN])] == ["1_0"]


def test_the_end_of_a_job_is_found_below_a_warning(install: Install):
    install(squeue="echo 'WARNING: maintenance'; echo 'unetsweep|END_TIME|unetsweep'; echo 'unetsweep|99|unetsweep'")
    assert commands.end_time("7", 5.0) == 99


@pytest.mark.parametrize(
    ("scontrol", "message"),
    [
        ("echo 'Access/permission denied' >&2; exit 1", "scontrol: Access/permission denied."),
        ("echo 'Welcome to exa'", "scontrol: it names no MaxArraySize, but 'Welcome to exa'."),
    ],
)
def test_where_the_configuration_is_forbidden_slurms_defaults_hold_and_a_submit_says_so(
    install: Install, scontrol: str, message: str
):
    install(scontrol=scontrol)
    assert Slurm(lambda _: print).max_elements() == 1001
    (warning,) = commands.unknown_limits()
    assert warning.startswith(f"{message} So SLURM's default limit is assumed: at most 1001 jobs in an array")
    install(scontrol="echo 'Welcome'; echo ' MaxArraySize            = 101'")
    assert Slurm(lambda _: print).max_elements() == 101
    assert commands.unknown_limits() == ()


def test_columns_that_a_site_adds_to_accounting_are_not_read():
    assert parse.parse_final_states(f"{BANNER}7|TIMEOUT|grid.{TOKEN}|3.2 EUR\n", {"7": TOKEN}) == {"7": "TIMEOUT"}
    rows = f"{BANNER}7|1795472103|1795472113|10|cpu=2|16K|grid.{TOKEN}|3.2 EUR\n"
    assert [account.seconds for account in accounting.parse_accounts(rows)] == [10.0]
