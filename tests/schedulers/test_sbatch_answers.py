"""Answers of sbatch, or of a site's wrapper around it: an id means a job, whatever else is printed."""

from pathlib import Path

import pytest

from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.schedulers.slurm.sbatch import sbatch


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that returns the job id read from an sbatch with this script."""

    def ask(script: str) -> str:
        program = tmp_path / "sbatch"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return sbatch(tmp_path / "job.sh", 10.0)

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
        "echo 'Project 1234 has 56 hours left'; echo '57;exa'; echo 'sbatch: error: Invalid qos' >&2; exit 1",
    ],
)
def test_an_id_in_the_output_is_a_job_whatever_the_exit_status(answered, script: str) -> None:
    assert answered(script) == "57"


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
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
