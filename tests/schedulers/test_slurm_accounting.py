"""Accounts of jobs, read from sacct."""

import subprocess
from pathlib import Path

import pytest

from unetsweep.core.cost import Account
from unetsweep.schedulers.slurm.accounting import accounts, parse_accounts

NAME = "0f3a9c2e11d7"
SACCT = f"""\
27_0|1764000000|1764000100|100|billing=4,cpu=4,gres/gpu=2,mem=4G,node=1||grid.{NAME}
27_0.batch|1764000000|1764000100|100|cpu=4,gres/gpu=2,mem=4G,node=1|3072K|batch
27_0.0|1764000001|1764000099|98|cpu=4,gres/gpu=2,mem=4G,node=1|500M|python
27_1|1764000000|1764000010|10|billing=4,cpu=4,gres/gpu:h100=1,gres/gpu:a100=2,node=1||grid.{NAME}
27_1.batch|1764000000|1764000010|10|cpu=4||batch
27_1|1764000050|Unknown|30|cpu=4||grid.{NAME}
28|1764000000|1764000100|100|cpu=1||interactive
28.batch|1764000000|1764000100|100|cpu=1|9G|batch
36_[4-5%1]|Unknown|Unknown|0|||grid.{NAME}
37|None|1764000100|0|||grid.{NAME}
a line of a plugin
"""


def test_each_start_of_our_jobs_is_an_account_with_the_memory_of_its_steps():
    assert list(parse_accounts(SACCT)) == [
        Account(NAME, "27_0", 1764000000.0, 1764000100.0, 100.0, 2, 4, 500.0),
        Account(NAME, "27_1", 1764000000.0, 1764000010.0, 10.0, 3, 4, None),
        Account(NAME, "27_1", 1764000050.0, None, 30.0, None, 4, None),
    ]


def script(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """Install a sacct that logs each call; the path of the log."""
    path = folder / "sacct"
    path.write_text(f'#!/bin/sh\necho "$@" >>"{folder}/calls"\n{body}\n')
    path.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "calls"


def test_a_thousand_elements_need_one_query_of_their_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = script(tmp_path, monkeypatch, f"cat <<'EOF'\n{SACCT}EOF")
    assert len(accounts([*(f"27_{index}" for index in range(1000)), "41"])) == 3
    (call,) = calls.read_text().splitlines()
    assert call.endswith("--jobs=27,41")


@pytest.mark.parametrize("body", ["echo 'Slurm accounting storage is disabled' >&2; exit 1", "exec sleep 60"])
def test_missing_accounting_or_answers_are_no_error(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script(tmp_path, monkeypatch, body)
    assert accounts(["27"], timeout=0.5) == ()


def test_nothing_is_queried_without_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = script(tmp_path, monkeypatch, "exit 0")
    assert accounts([]) == ()
    assert not calls.exists()


def test_a_missing_sacct_is_no_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError):
        subprocess.run(["sacct"], check=False)
    assert accounts(["27"]) == ()
