"""`unetsweep doctor` without SLURM, and its rules: every fact is a row, whatever it is."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unetsweep.cli.doctor import SIGNALS
from unetsweep.core.spec import Resources
from unetsweep.doctor import cluster_rules, disk, node_rules, payload
from unetsweep.doctor.advice import advice
from unetsweep.doctor.cluster import parse_partition_rows
from unetsweep.doctor.examine import probed, workspace
from unetsweep.doctor.node import node_facts
from unetsweep.doctor.rules import BROKEN, LIMITED, OK, UNKNOWN, Fact, Row, judge

RULES = {**cluster_rules.RULES, **node_rules.RULES}
PARTITIONS = (
    "PartitionName=gpu AllowGroups=ALL Default=NO MaxTime=1-00:00:00 DefaultTime=NONE PreemptMode=OFF State=UP\n"
    "PartitionName=cpu AllowGroups=ALL Default=YES MaxTime=UNLIMITED DefaultTime=01:00:00 State=DOWN\n"
)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """What the command does with signals is not for the tests that come after it in this process."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def row(name: str, value: Any = None, error: str | None = None) -> Row:
    (judged,) = judge([Fact(name, value, error)], RULES)
    return judged


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Doctor where no command of SLURM can be found."""
    return subprocess.run(
        [sys.executable, "-m", "unetsweep", "doctor", *more],
        capture_output=True, text=True, check=False, timeout=120, cwd=folder,
        env={"PATH": "/nowhere", "HOME": str(folder)},
    )  # fmt: skip


def test_without_slurm_it_says_that_sweeps_run_here_and_leaves_nothing(tmp_path: Path):
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "sweeps run as local processes of this machine" in done.stdout
    assert "run: {parallel: " in done.stdout
    assert " cores" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_comet_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from click.testing import CliRunner

    from unetsweep.cli.main import program

    monkeypatch.setenv("COMET_API_KEY", "a-secret-key")
    monkeypatch.setenv("PATH", "/nowhere")
    done = CliRunner().invoke(program, ["doctor", "--json", "--results", str(tmp_path / "results")])
    assert "a-secret-key" not in done.output
    said = json.loads(done.stdout)
    assert [row["finding"] for row in said["rows"] if row["name"] == "COMET_API_KEY"] == ["is set"]


def test_a_folder_that_cannot_be_made_is_a_broken_row_and_no_traceback(tmp_path: Path):
    (tmp_path / "results").write_text("a file")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "choose another folder with --results" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_wrong_profile_is_told_as_in_submit(tmp_path: Path):
    done = run(tmp_path, "--profile", "nobody")
    assert done.returncode == 2
    assert "'nobody'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_probe_that_fails_is_a_row():
    fact = probed("kind", lambda: 1 / 0)
    assert row("kind", error=fact.error) == Row(
        "results folder", "file system", "ZeroDivisionError: division by zero", UNKNOWN, "could not be found out"
    )


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("value", [None, "", "strange", -1, 10**12, {}, [], {"path": None}, {"said": None}, True])
def test_no_rule_ends_in_a_traceback_whatever_it_is_given(name: str, value: object):
    said = row(name, value)
    assert isinstance(said.finding, str)


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("sbatch", {"path": None}, BROKEN),
        ("sbatch", {"path": "/bin/sbatch", "seconds": 0.1, "said": "slurm 24.05.1"}, OK),
        ("squeue", {"path": "/bin/squeue", "seconds": 9.0, "said": ""}, LIMITED),
        ("squeue", {"path": "/bin/squeue", "seconds": 9.0, "error": "squeue gave no answer within 15 s"}, BROKEN),
        ("sacct", {"path": None}, LIMITED),
        ("accounting", {"path": "/bin/sacct", "error": "sacct: Slurm accounting storage is disabled"}, LIMITED),
        ("max_elements", "1", LIMITED),
        ("max_elements", "1001", OK),
        ("MessageTimeout", "100 sec", LIMITED),
        ("MessageTimeout", "10 sec", OK),
        ("KillWait", "30 sec", OK),
        ("JobRequeue", "0", LIMITED),
        ("EnforcePartLimits", "NO", OK),
        ("python", {"python": "p", "version": "3.11.2", "here": "3.11.7", "node": "n1"}, OK),
        ("python", {"python": "p", "version": "3.9.2", "here": "3.11.7", "node": "n1"}, LIMITED),
        ("quota", None, UNKNOWN),
        ("length", 60, OK),
        ("length", 900, LIMITED),
        ("node_test_only", {"there": True, "status": 1, "said": "denied"}, LIMITED),
        ("PreemptMode", "CANCEL", LIMITED),
        ("PreemptMode", "GANG,SUSPEND", LIMITED),
        ("PreemptMode", "REQUEUE", OK),
        ("hard_link", False, BROKEN),
        ("full_folder", False, BROKEN),
        ("percent", False, BROKEN),
        ("private", False, LIMITED),
        ("space", {"bytes": 1 << 20, "inodes": None}, BROKEN),
        ("space", {"bytes": 1 << 40, "inodes": 12}, LIMITED),
        ("clock", -90.0, LIMITED),
        ("gpus", 0, BROKEN),
        ("imports", {"unetsweep": None, "unetsweep_error": "ModuleNotFoundError: …"}, BROKEN),
        ("imports", {"unetsweep": "0.1.0", "torch": "2.6", "pytorch_lightning": "2.5"}, OK),
        ("imports", {"unetsweep": "0.1.0", "slow": "not imported within 60 s"}, LIMITED),
        ("node_sbatch", {"there": False}, LIMITED),
        ("requeue", {"started": False, "said": {"there": True, "status": 1, "said": "denied"}}, LIMITED),
        ("requeue", {"started": False, "said": None}, UNKNOWN),
    ],
)
def test_what_is_found_has_its_verdict(name: str, value: object, verdict: object):
    assert row(name, value).verdict is verdict


def test_an_accounting_that_is_away_is_not_one_that_is_off():
    away = {"path": "/bin/sacct", "error": "sacct: slurm_persist_conn_open: Connection refused"}
    off = {"path": "/bin/sacct", "error": "sacct: Slurm accounting storage is disabled"}
    assert "does not answer now" in row("accounting", away).finding
    assert "off on this cluster" in row("accounting", off).finding


def test_partitions_are_judged_by_what_the_profile_names():
    rows = parse_partition_rows(PARTITIONS)
    assert row("partitions", {"rows": rows, "wanted": None}).meaning == "jobs go to cpu"
    assert row("partitions", {"rows": rows, "wanted": "gpu"}).verdict is OK
    assert row("partitions", {"rows": rows, "wanted": "cpu"}).verdict is LIMITED
    gone = row("partitions", {"rows": rows, "wanted": "gpus"})
    assert (gone.verdict, "'gpus' is not there" in gone.meaning) == (BROKEN, True)


def test_a_job_of_which_nothing_came_says_that_the_folder_is_not_seen():
    told = {"submitted": 1.0, "seen": {}, "queue": {"word": "FAILED", "reason": "", "over": True, "waits": False}}
    (fact,) = node_facts(told, Resources(), 300, 0.0)
    said = row(fact.name, fact.value)
    assert (said.verdict, "do not see this folder" in said.meaning) == (BROKEN, True)


def test_times_of_a_node_are_put_right_by_the_file_server_s_clock():
    told = {
        "submitted": 1000.0,
        "start-0": "1105.0",  # by the node's clock, which is 100 s ahead of ours
        "marker": {"at": 1106.0},
        "asked": {"node_time": 1106.0, "node_mtime": 1007.0},  # the file server is 1 s ahead of ours
        "seen": {"marker.json": 1008.5},
    }
    known = {fact.name: fact.value for fact in node_facts(told, Resources(), 300, -1.0)}
    assert known["job"]["start_s"] == pytest.approx(5.0)
    assert known["node_clock"] == pytest.approx(100.0)
    assert known["delay"] == pytest.approx(2.5)


def test_a_refused_sbatch_of_a_node_recommends_watch_in_its_words():
    denied = {"there": True, "status": 1, "out": "", "said": "sbatch: error: Access/permission denied"}
    lines = advice([Fact("node_sbatch", denied)], "default")
    assert any("driver: cli" in line and "Access/permission denied" in line for line in lines)


@pytest.mark.parametrize(
    "fact",
    [
        Fact("node_sbatch", error="timed out"),
        Fact("node_sbatch", {"there": True, "status": 1, "said": "sbatch: error: QOSMaxSubmitJobPerUserLimit"}),
        Fact("node_sbatch", {"there": True, "said": "no answer within 30 s"}),
    ],
)
def test_an_sbatch_that_was_not_refused_for_its_node_recommends_nothing(fact: Fact):
    lines = advice([fact], "default")
    assert not any("driver: cli" in line or "driver: jobs" in line for line in lines)


def test_the_payload_tells_of_a_module_that_is_missing():
    said = payload.run(["no-such-command"], 5)
    assert said == {"there": False}
    assert payload.run(["sh", "-c", "echo no >&2; exit 3"], 5, PATH="/bin:/usr/bin")["status"] == 3


def test_disk_probes_say_yes_on_a_file_system_that_can(tmp_path: Path):
    assert disk.hard_link(tmp_path)
    assert disk.rename_over(tmp_path)
    assert disk.exclusive(tmp_path)
    assert disk.full_folder_refuses(tmp_path)
    assert disk.private(tmp_path)
    assert disk.mtime_step_s(tmp_path) in (0.0, 1.0)
    assert abs(disk.clock_offset(tmp_path)) < 60


def test_the_workspace_is_private_and_goes_also_where_something_fails(tmp_path: Path):
    def interrupted() -> None:
        with workspace(tmp_path / "a" / "b", "token") as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "file").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
