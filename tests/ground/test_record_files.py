"""A small file of a sweep is read as its type; each value that cannot be right is named."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from unetsweep.errors import StateError
from unetsweep.record_files import read_record, write_record
from unetsweep.records import AttemptFile, ClaimFile, CodeFile, ExitFile, JobFile, ProcessFile, SweepFile, TrialFile

AT = "2026-01-01T00:00:00+00:00"
ATTEMPT = {"run": 0, "attempt": 1, "token": "0" * 12, "index": 0, "at": AT, "trials": [{"trial": 0, "epochs": 8}]}
CLAIM = {"job_id": "18808_3", "at": AT}
SWEEP = {"executor": "slurm", "cluster": None, "folder": "/s", "created": AT, "working_directory": "/"}
EXIT = {"status": 0, "at": AT}
PROCESS = {"index": 0, "job_id": "1", "host": "n", "boot": "b", "pid": 1, "start_ticks": 1}
DIGESTS = {"config_id": "0" * 64, "run_key": "0" * 64}
TRIAL = {"trial": 0, "params": {}, "run": 0, "epochs": 8, "batch_size": 1, "training_seed": 1, "at": AT, **DIGESTS}
CODE = {"hash": "0" * 12, "version": "1", "commit": None, "at": AT}


@pytest.mark.parametrize(
    ("kind", "good", "field", "value", "problem"),
    [
        (AttemptFile, ATTEMPT, "at", None, "at: found None; allowed: a time (ISO 8601, from 1970 to 2199)"),
        (AttemptFile, ATTEMPT, "at", "0001-01-01T00:00:00+14:00", "at: found the text '0001-01-01T00:00:00+14:00'"),
        (AttemptFile, ATTEMPT, "at", "9999-12-31T23:59:59-14:00", "at: found the text '9999-12-31T23:59:59-14:00'"),
        (AttemptFile, ATTEMPT, "token", "../../..", "token: found '../../..'; twelve hexadecimal digits expected"),
        (AttemptFile, ATTEMPT, "index", -1, "index: found -1; 0 to 1000000000 expected"),
        (AttemptFile, ATTEMPT, "mem", "4G --wrap=x", "mem: found '4G --wrap=x'; an amount of memory expected"),
        (AttemptFile, ATTEMPT, "trials", [{"trial": 0, "epochs": 10**18}], "trials.epochs: found 1000000000000000000"),
        (JobFile, {"job_id": "1"}, "job_id", [1], "job_id: found [1]; allowed: text"),
        (JobFile, {"job_id": "1"}, "job_id", "9" * 5000, "job_id: found '9999999999"),
        (JobFile, {"job_id": "1"}, "job_id", "--me", "job_id: found '--me'; the id of a job expected"),
        (JobFile, {"job_id": "1"}, "job_id", "1\0", "job_id: found '1\\x00'; the id of a job expected"),
        (ClaimFile, CLAIM, "pid", "12", "pid: found the text '12'; allowed: a whole number, null"),
        (ClaimFile, CLAIM, "pid", True, "pid: found True; allowed: a whole number, null"),
        (ClaimFile, CLAIM, "port", 65536, "port: found 65536; a port expected"),
        (ClaimFile, CLAIM, "node", "n1,n2 --me", "node: found 'n1,n2 --me'; the name of a node expected"),
        (ProcessFile, PROCESS, "pid", -1, "pid: found -1; 0 to 1000000000 expected"),
        (ExitFile, EXIT, "status", 10**9, "status: found 1000000000; an exit status expected"),
        (ExitFile, EXIT, "log", "a\0b", "log: found 'a\\x00b'; a path expected"),
        (TrialFile, TRIAL, "config_id", AT, f"config_id: found '{AT}'; 64 hexadecimal digits expected"),
        (TrialFile, TRIAL, "run_key", "", "run_key: found ''; 64 hexadecimal digits expected"),
        (CodeFile, CODE, "hash", "a" * 5000, "hash: found 'aaaaaa"),
        (SweepFile, SWEEP, "folder", "s", "folder: found 's'; an absolute path expected"),
        (SweepFile, SWEEP, "executor", None, "executor: found None; allowed: text"),
    ],
)
def test_a_value_that_cannot_be_right_is_named(
    tmp_path: Path, kind: type, good: dict[str, Any], field: str, value: object, problem: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"schema": 1, **good}))
    write_record(path, read_record(kind, path))
    path.write_text(json.dumps({"schema": 1, **good, field: value}))
    with pytest.raises(StateError) as error:
        read_record(kind, path)
    assert str(error.value).startswith(f"{path}: {problem}")


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"schema": 1, **EXIT, "at": "2026-01-01T00:00:00"}))
    assert read_record(ExitFile, tmp_path / "a.json").at.isoformat() == AT


def test_a_written_file_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    write_record(tmp_path / "a.json", JobFile("1"))
    assert read_record(JobFile, tmp_path / "a.json") == JobFile("1")
    assert sorted(os.listdir(tmp_path)) == ["a.json", "a.json.corrupt"]
