"""What sbatch, or a site's wrapper in its place, may answer: an id is a job, whatever else is said."""

from pathlib import Path

import pytest

from unetsweep.errors import LimitError, RefusedError, SchedulerError
from unetsweep.schedulers.slurm.sbatch import sbatch


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The id that is read where sbatch is this script."""

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
def test_an_id_in_the_answer_is_a_job_whatever_the_status(answered, script: str) -> None:
    assert answered(script) == "57"


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo accepted", SchedulerError, "it printed no job id but 'accepted'; the job may exist all the same"),
        ("exit 1", SchedulerError, "exit status 1; the job may exist all the same"),
        ("echo 'sbatch: error: Invalid qos' >&2; exit 1", RefusedError, "sbatch: Invalid qos"),
        ("echo 'sbatch: error: AssocMaxSubmitJobLimit' >&2; exit 1", LimitError, "sbatch: AssocMaxSubmitJobLimit"),
    ],
)
def test_without_an_id_the_status_and_the_words_count(answered, script: str, kind: type, said: str) -> None:
    with pytest.raises(kind) as error:
        answered(script)
    assert type(error.value) is kind
    assert said in str(error.value)
