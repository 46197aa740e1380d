"""Answers of sbatch, or of a site's wrapper around it: an id means a job, whatever else is printed."""

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest

from unetsweep.core.spec import Resources
from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.schedulers.slurm import commands
from unetsweep.schedulers.slurm.sbatch import sbatch

TOKEN = "0f3a9c2e11d7"  # noqa: S105
HEADER = "echo 'unetsweep|ARRAY_JOB_ID|…|unetsweep'"
LISTED = f"{HEADER}; echo 'unetsweep|57|0|PENDING|None|N/A||N/A|0:00|s.{TOKEN}|unetsweep'"
REFUSED = "sbatch: error: Batch job submission failed: "
Answered = Callable[..., str]


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answered:
    """A function that returns the job id read from an sbatch with this script, beside other commands with theirs."""

    def ask(script: str, resources: Resources = Resources(), **others: str) -> str:  # noqa: B008
        for name, text in {"sbatch": script, **others}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
        monkeypatch.setattr(commands, "_PAUSE_S", 0.0)
        monkeypatch.delenv("SLURM_CONF", raising=False)
        return sbatch(tmp_path / "job.sh", TOKEN, resources, 10.0)

    return ask


@pytest.mark.parametrize(
    "script",
    [
        "echo 57",
        "echo '57;exa'",
        "echo 57; exit 1",
        "echo 57; echo 'mail: cannot send' >&2; exit 75",
        "echo 'Submitted batch job 57'",
        "echo 'Submitted batch job 57 on cluster exa'",
        "echo 'Welcome to exa: 3 days left'; echo; echo ' 57 '; echo 'Good luck!'",
        "echo 'sbatch: error: quota is nearly full' >&2; echo 57; exit 2",
        "echo 'Hello'; echo 'Submitted batch job 57'; kill -15 $$",
        "printf '\\033[32mSubmitted batch job 57\\033[0m\\r\\n'; echo 1200",
        "echo 'exa: Submitted batch job 57' >&2; exit 1",
        "echo 'Project 1234 has 56 hours left'; echo '57;exa'; echo 'sbatch: error: Invalid qos' >&2; exit 1",
    ],
)
def test_an_id_in_the_output_is_a_job_whatever_the_exit_status(answered, script: str) -> None:
    assert answered(script) == "57"


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("echo 57; echo 1200", SchedulerError, "it printed no job id but '57 1200'; the job may exist nevertheless"),
        ("echo 'Connected to exa' >&2; echo 'sbatch: error: Invalid qos' >&2; exit 1", RefusedError, "sbatch: Conn"),
        ("echo 'sbatch: error: Invalid qos' >&2 | cat", RefusedError, "sbatch: Invalid qos"),  # the status is lost
        (f"echo '{REFUSED}Invalid job array specification' >&2; exit 1", LimitError, "Invalid job array"),
        ("echo accepted", SchedulerError, "it printed no job id but 'accepted'; the job may exist nevertheless"),
        ("exit 1", SchedulerError, "exit status 1; the job may exist nevertheless"),
        ("echo 'sbatch: error: Invalid qos' >&2; exit 1", RefusedError, "sbatch: Invalid qos"),
        ("echo 'sbatch: error: AssocMaxSubmitJobLimit' >&2; exit 1", LimitError, "sbatch: AssocMaxSubmitJobLimit"),
    ],
)
def test_an_output_without_an_id_is_classified_by_exit_status_and_message(
    answered, script: str, kind: type, message: str
) -> None:
    with pytest.raises(kind) as error:
        answered(script)
    assert type(error.value) is kind
    assert message in str(error.value)


@pytest.mark.parametrize("script", ["echo 57; echo 1200", "echo accepted", "exit 1", "echo 57 >&2", "kill -9 $$"])
def test_a_job_whose_id_cannot_be_read_is_found_by_its_token_at_once(answered: Answered, script: str) -> None:
    assert answered(script, squeue=LISTED) == "57"
    with pytest.raises(SchedulerError, match="may exist nevertheless"):
        answered(script, squeue=HEADER)


def test_after_a_refusal_no_job_is_sought(answered: Answered) -> None:
    with pytest.raises(RefusedError):
        answered("echo 'sbatch: error: Invalid qos' >&2; exit 1", squeue=LISTED)


SINFO = "echo 'Welcome to exa'; for p in PARTITION gpu cpu; do echo \"unetsweep|$p|unetsweep\"; done"
SACCTMGR = f"""echo "exa|{getpass.getuser()}|p200"; echo "exa|{getpass.getuser()}|p201"; echo "old|eve|p7\""""


@pytest.mark.parametrize(
    ("message", "resources", "names", "lines"),
    [
        ("Invalid account or account/partition combination specified", Resources(), "gpu, cpu|p200, p201",
         "`partition: gpu` and `account: p200` into the profile default, or below `slurm:`"),
        ("Unspecified error", Resources(), "gpu, cpu|p200, p201", "`partition: gpu` and `account: p200`"),
        ("invalid partition specified: x", Resources("big", "x", "p200"), "gpu, cpu|",
         "`partition: gpu` into the profile big"),
        ("Invalid qos specification", Resources(), "|", ""),
    ],
)  # fmt: skip
def test_a_refusal_that_other_names_may_cure_shows_the_names_and_the_lines_to_write(
    answered: Answered, message: str, resources: Resources, names: str, lines: str
) -> None:
    failing = f"echo '{REFUSED}{message}' >&2; exit 1"
    with pytest.raises(RefusedError) as error:
        answered(failing, resources, sinfo=SINFO, sacctmgr=SACCTMGR, scontrol="exit 1")
    partitions, accounts = names.split("|")
    assert (f"partitions here: {partitions}" in str(error.value)) is bool(partitions)
    assert (f"accounts here: {accounts}" in str(error.value)) is bool(accounts)
    assert lines in str(error.value)
    assert "Welcome" not in str(error.value)
