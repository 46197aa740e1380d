"""`unetsweep doctor` without SLURM and on an imitated cluster, and its rules: every fact becomes a row."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from unetsweep.cli.doctor import SIGNALS
from unetsweep.cli.main import program
from unetsweep.core.observation import Job, JobState
from unetsweep.core.spec import Resources
from unetsweep.doctor import disk, payload
from unetsweep.doctor.advice import advise
from unetsweep.doctor.facts import Command, FreeSpace, Partitions
from unetsweep.doctor.node import node_facts
from unetsweep.doctor.probe_job import JobReport
from unetsweep.doctor.rules import BROKEN, LIMITED, OK, UNKNOWN, Check, CheckVerdict, Fact, Row, judge, run_probe
from unetsweep.doctor.slurm import config_facts, parse_partitions

PARTITIONS = (
    "PartitionName=gpu AllowGroups=ALL Default=NO MaxTime=1-00:00:00 DefaultTime=NONE PreemptMode=OFF State=UP\n"
    "PartitionName=cpu AllowGroups=ALL Default=YES MaxTime=UNLIMITED DefaultTime=01:00:00 State=DOWN\n"
)
PACKAGE = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
"""Where the package under test is found."""
SLURM = r"""#!/bin/bash
# an imitation of SLURM's commands: one node, which is this machine, and one job
cd "$STATE" || exit 1
start() { SLURM_JOB_ID=7 SLURM_RESTART_COUNT=$1 setsid bash "$(cat script)" >/dev/null 2>&1 & echo $! >job; }
case "$(basename "$0") $*" in
  *--version) echo "slurm 24.05.1" ;;
  sinfo*) echo main ;;
  "sbatch "*--hold*) [ -z "$DENIED" ] || { echo "sbatch: error: Access/permission denied" >&2; exit 1; }; echo 8 ;;
  sbatch*) echo "${@: -1}" >script; start 0; echo 7 ;;
  squeue*) echo "unetsweep|ARRAY_JOB_ID|unetsweep"
    [ ! -e job ] || name=$(sed -n 's/^#SBATCH --job-name=//p' "$(cat script)")
    [ ! -e job ] || echo "unetsweep|7|N/A|RUNNING|None|0|n1|||$name|unetsweep" ;;
  "scancel --signal"*) kill -USR2 "$(cat step)" ;;
  "scancel --quiet 7") kill -KILL -- "-$(cat job)" 2>/dev/null; rm job ;;
  scancel*) ;;
  srun*) echo $$ >step; cd "$OLDPWD"; exec "${@:2}" ;;
  "scontrol ping") ;;
  "scontrol requeue"*) first=$(cat job); start 1; sleep 0.5; kill -KILL -- "-$first" ;;
  "scontrol show config") printf 'MaxArraySize = 1001\nJobRequeue = 1\nPreemptMode = OFF\n' ;;
  "scontrol --oneliner"*) echo "PartitionName=main Default=YES MaxTime=7-00:00:00 DefaultTime=NONE State=UP" ;;
  sacct*) echo "$(basename "$0"): error: Slurm accounting storage is disabled" >&2; exit 1 ;;
esac
"""


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Restores the signal handlers that the command sets in this process."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def row_of(check: Check, value: Any = None, error: str | None = None) -> Row:
    return judge(Fact(check, value, error))


def run(folder: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run doctor without SLURM's commands on PATH, unless `variables` set another PATH."""
    return subprocess.run(
        [sys.executable, "-m", "unetsweep", "doctor", *more],
        capture_output=True, text=True, check=False, timeout=120, cwd=folder,
        env={"PATH": "/nowhere", "HOME": str(folder), **PACKAGE, **variables},
    )  # fmt: skip


def test_without_slurm_doctor_says_that_sweeps_run_locally_and_leaves_nothing_behind(tmp_path: Path):
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "sweeps run as local processes of this machine" in done.stdout
    assert "run: {parallel: " in done.stdout
    assert " cores" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_comet_key_is_never_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COMET_API_KEY", "a-secret-key")
    monkeypatch.setenv("PATH", "/nowhere")
    done = CliRunner().invoke(program, ["doctor", "--json", "--results", str(tmp_path / "results")])
    assert "a-secret-key" not in done.output
    page = json.loads(done.stdout)
    assert [row["finding"] for row in page["rows"] if row["name"] == "COMET_API_KEY"] == ["is set"]


def test_a_folder_that_cannot_be_created_is_a_broken_row_without_a_traceback(tmp_path: Path):
    (tmp_path / "results").write_text("a file")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "choose another folder with --results" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_unknown_profile_is_refused(tmp_path: Path):
    done = run(tmp_path, "--profile", "nobody")
    assert done.returncode == 2
    assert "'nobody'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """Environment variables with which SLURM's commands are imitated; sweeps would be in `tmp_path / "work"`."""
    for name in ("sbatch", "squeue", "scancel", "srun", "scontrol", "sinfo", "sacct", "sacctmgr"):
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(SLURM)
        script.chmod(0o755)
    for name in ("unetsweep", "torch", "pytorch_lightning"):  # empty modules, because the real ones take long to import
        (tmp_path / "modules" / name).mkdir(parents=True)
        (tmp_path / "modules" / name / "__init__.py").write_text("class cuda: device_count = staticmethod(lambda: 0)\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "site.yaml").write_text(f"setup: ['export PYTHONPATH={tmp_path}/modules', 'cd /']\n")
    return {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "STATE": str(tmp_path / "state")}


def test_on_an_imitated_cluster_every_check_of_a_node_is_ok_and_nothing_is_left(
    tmp_path: Path, cluster: dict[str, str]
):
    done = run(tmp_path / "work", "--json", "--timeout", "60", "--profile", "./site.yaml", **cluster)
    assert done.returncode == 0, done.stderr + done.stdout
    page = json.loads(done.stdout)
    node = {row["name"]: (row["verdict"], row["finding"]) for row in page["rows"] if row["section"] == "compute node"}
    for name in (
        "test job",
        "python",
        "python version",
        "modules",
        "squeue",
        "scontrol",
        "sbatch",
        "SIGUSR2",
        "requeue",
    ):
        assert node[name][0] == "ok", node
    assert node["python version"][1] == platform.python_version()
    assert {"node", "network", "files from a node", "clock"} < set(node)
    assert any("driver: jobs" in line for line in page["advice"])
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["site.yaml"]
    assert not (tmp_path / "state" / "job").exists()


def test_answers_of_another_python_do_not_count_for_the_profiles_python(tmp_path: Path, cluster: dict[str, str]):
    with (tmp_path / "work" / "site.yaml").open("a") as profile:
        profile.write("python: /nowhere/python\n")
    done = run(tmp_path / "work", "--json", "--timeout", "60", "--profile", "./site.yaml", **cluster, DENIED="yes")
    assert done.returncode == 1, done.stderr + done.stdout
    page = json.loads(done.stdout)
    node = {row["name"]: (row["verdict"], row["finding"]) for row in page["rows"] if row["section"] == "compute node"}
    assert node["python"][0] == "broken"
    assert node["python"][1].startswith("/nowhere/python: ")
    assert not {"python version", "modules"} & set(node)
    assert node["sbatch"] == ("limited", "sbatch: error: Access/permission denied")
    assert node["requeue"][0] == "ok"
    assert any("driver: cli" in line for line in page["advice"])
    assert any("python: …" in line for line in page["advice"])


def test_an_interrupted_doctor_cancels_its_job_and_removes_its_folder(tmp_path: Path, cluster: dict[str, str]):
    (tmp_path / "work" / "site.yaml").write_text("setup: ['sleep 60']\n")
    command = [sys.executable, "-m", "unetsweep", "doctor", "--profile", "./site.yaml"]
    variables = {"HOME": str(tmp_path), **PACKAGE, **cluster}
    with subprocess.Popen(
        command, cwd=tmp_path / "work", env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as doctor:
        assert doctor.stderr is not None
        assert "submitting a test job" in doctor.stderr.readline()
        while not (tmp_path / "state" / "job").exists():
            assert doctor.poll() is None
            time.sleep(0.05)
        doctor.send_signal(signal.SIGINT)
        assert "interrupted" in doctor.stderr.read()
    assert doctor.returncode == 130
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["site.yaml"]
    assert not (tmp_path / "state" / "job").exists()


def test_a_failed_probe_is_a_row():
    fact = run_probe(Check.FILE_SYSTEM, lambda: 1 / 0)
    assert judge(fact) == Row(
        "results folder", "file system", "ZeroDivisionError: division by zero", UNKNOWN, "could not be found out"
    )


def test_no_two_checks_share_a_row():
    assert len({(check.section, check.title) for check in Check}) == len(Check.__members__)


def test_the_answers_of_the_payload_have_names_of_checks():
    assert {Check[name].section for name in (*payload.QUESTIONS, "GPUS", "GPU_STEP")} == {"compute node"}


@pytest.mark.parametrize("name", [*payload.QUESTIONS, "GPUS", "GPU_STEP"])
@pytest.mark.parametrize(
    "value", [None, "", "strange", -1, 10**12, 0.5, {}, [], {"error": None}, {"other": None}, True]
)
def test_no_answer_of_a_node_causes_a_traceback(name: str, value: object):
    report = JobReport(starts=1, answers={name: value})
    for fact in node_facts(report, Resources(gpus=1), 300, 0.0):
        assert isinstance(judge(fact).finding, str)


@pytest.mark.parametrize("value", ["", "(null)", "-1", "strange", "30 sec", str(10**12)])
def test_no_setting_of_the_cluster_causes_a_traceback(value: str):
    config = "".join(f"{name:24s}= {value}\n" for name in ("MaxArraySize", "JobRequeue", "PreemptMode"))
    facts = [*config_facts(config)]
    for text in (value, f"PartitionName={value} MaxTime={value} State={value}"):
        facts.append(Fact(Check.PARTITIONS, Partitions(parse_partitions(text), value, 60)))
    assert [fact.check for fact in facts[:3]] == [Check.ARRAYS, Check.JOB_REQUEUE, Check.PREEMPT_MODE]
    assert all(isinstance(judge(fact).finding, str) for fact in facts)
    assert advise(facts, "default")


@pytest.mark.parametrize(
    ("check", "value", "verdict"),
    [
        (Check.SLURM, "sinfo gave no answer within 15 s", BROKEN),
        (Check.SBATCH, Command("", problem="sbatch is not on PATH"), BROKEN),
        (Check.SBATCH, Command("/bin/sbatch", 0.1), OK),
        (Check.SQUEUE, Command("/bin/squeue", 9.0), LIMITED),
        (Check.SQUEUE, Command("/bin/squeue", 9.0, "squeue gave no answer within 15 s"), BROKEN),
        (Check.ACCOUNTING, Command("", problem="sacct is not on PATH"), LIMITED),
        (Check.ACCOUNTING, Command("/bin/sacct", 0.1, "sacct: Slurm accounting storage is disabled"), LIMITED),
        (Check.ACCOUNTING, Command("/bin/sacct", 0.1), OK),
        (Check.ARRAYS, 1, LIMITED),
        (Check.ARRAYS, 1001, OK),
        (Check.JOB_REQUEUE, False, LIMITED),
        (Check.SUBMIT_LIMIT, None, OK),
        (Check.SUBMIT_LIMIT, 4, LIMITED),
        (Check.PREEMPT_MODE, "CANCEL", LIMITED),
        (Check.PREEMPT_MODE, "GANG,SUSPEND", LIMITED),
        (Check.PREEMPT_MODE, "REQUEUE", OK),
        (Check.JOB, "sbatch: Invalid partition name specified", BROKEN),
        (Check.PYTHON, "/opt/python: cannot be run", BROKEN),
        (Check.PYTHON_VERSION, ("3.11.2", "3.11.7"), OK),
        (Check.PYTHON_VERSION, ("3.9.2", "3.11.7"), LIMITED),
        (Check.MODULES, "ModuleNotFoundError: …", BROKEN),
        (Check.MODULES, "", OK),
        (Check.GPUS, 0, BROKEN),
        (Check.NODE_SBATCH, "not on PATH there", LIMITED),
        (Check.NODE_NETWORK, "timed out", LIMITED),
        (Check.SIGNAL, "does not reach the job's step", LIMITED),
        (Check.REQUEUE, "denied", LIMITED),
        (Check.FILE_DELAY, 90.0, LIMITED),
        (Check.NODE_CLOCK, -90.0, LIMITED),
        (Check.HARD_LINK, False, BROKEN),
        (Check.RENAME, False, BROKEN),
        (Check.EXCLUSIVE, False, BROKEN),
        (Check.RENAME_FOLDER, False, BROKEN),
        (Check.FSYNC, 3.0, LIMITED),
        (Check.PRIVATE, False, LIMITED),
        (Check.SPACE, FreeSpace(1 << 20, None), BROKEN),
        (Check.SPACE, FreeSpace(1 << 40, 12), LIMITED),
        (Check.CLOCK, -90.0, LIMITED),
    ],
)
def test_every_finding_has_its_verdict(check: Check, value: object, verdict: CheckVerdict):
    assert row_of(check, value).verdict is verdict


def test_an_accounting_that_does_not_answer_is_not_reported_as_off():
    unreachable = Command("/bin/sacct", 0.1, "sacct: slurm_persist_conn_open: Connection refused")
    off = Command("/bin/sacct", 0.1, "sacct: Slurm accounting storage is disabled")
    assert "does not answer now" in row_of(Check.ACCOUNTING, unreachable).finding
    assert "off on this cluster" in row_of(Check.ACCOUNTING, off).finding


def test_partitions_are_judged_by_the_partition_of_the_profile():
    def judge_partitions(wanted: str | None, time_min: int = 60) -> Row:
        return row_of(Check.PARTITIONS, Partitions(parse_partitions(PARTITIONS), wanted, time_min))

    assert judge_partitions("gpu").verdict is OK
    assert judge_partitions("gpu,cpu").meaning == "jobs go to one of gpu,cpu"
    assert judge_partitions("cpu").verdict is LIMITED
    assert "cpu, which is DOWN now" in judge_partitions(None).meaning
    too_long = judge_partitions("gpu", 1441)
    assert (too_long.verdict, "lower `time:`" in too_long.meaning) == (LIMITED, True)
    gone = judge_partitions("gpus")
    assert (gone.verdict, "'gpus' does not exist" in gone.meaning) == (BROKEN, True)


def test_the_advice_names_the_keys_to_change_in_the_profile():
    rows = parse_partitions(PARTITIONS)
    lines = advise([Fact(Check.PARTITIONS, Partitions(rows, "gpus", 60))], "x")
    assert "in the profile x: partition: gpu    # one of gpu, cpu" in lines
    facts = [
        Fact(Check.PARTITIONS, Partitions(rows, "gpu", 1441)),
        Fact(Check.PYTHON, "/opt/python: cannot be run"),
    ]
    lines = [line for line in advise(facts, "x") if "profile" in line]
    assert [line.split(": ")[1] for line in lines] == ["time", "python"]
    assert "at most 1-00:00:00" in lines[0]
    assert "in the profile x: nothing to change" in advise([Fact(Check.PARTITIONS, Partitions(rows, "gpu", 60))], "x")


def test_a_job_that_leaves_no_file_shows_that_nodes_do_not_see_the_folder():
    job = Job("7", "0f3a9c2e11d7", 0, JobState.ENDED, "FAILED")
    (fact,) = node_facts(JobReport(job=job), Resources(), 300, 0.0)
    row = judge(fact)
    assert (row.verdict, "do not see this folder" in row.finding) == (BROKEN, True)


def test_a_job_that_does_not_start_is_unknown_with_slurms_reason():
    job = Job("7", "0f3a9c2e11d7", 0, JobState.QUEUED, "PENDING", "BeginTime")
    (fact,) = node_facts(JobReport(job=job), Resources(), 300, 0.0)
    assert judge(fact).verdict is UNKNOWN
    assert judge(fact).finding.endswith("(BeginTime)")


def test_a_requeue_that_was_accepted_but_not_observed_is_unknown():
    known = {
        fact.check: fact for fact in node_facts(JobReport(starts=1, answers={"REQUEUE": ""}), Resources(), 300, 0.0)
    }
    assert judge(known[Check.REQUEUE]).verdict is UNKNOWN
    refused = JobReport(starts=1, answers={"REQUEUE": "denied"})
    assert Fact(Check.REQUEUE, "denied") in node_facts(refused, Resources(), 300, 0.0)


def test_times_of_a_node_are_corrected_by_the_clock_of_the_file_server():
    report = JobReport(starts=1, answers={"NODE_CLOCK": 99.0}, marker_age_s=1.5)  # the node is 99 s ahead of the server
    known = {fact.check: fact.value for fact in node_facts(report, Resources(), 300, -1.0)}  # which is 1 s ahead of us
    assert known[Check.NODE_CLOCK] == pytest.approx(100.0)
    assert known[Check.FILE_DELAY] == pytest.approx(2.5)


def test_if_a_node_refuses_sbatch_driver_cli_is_recommended_with_the_message():
    report = JobReport(starts=1, answers={"NODE_SBATCH": "sbatch: error: Access/permission denied"})
    lines = advise(node_facts(report, Resources(), 300, 0.0), "default")
    assert any("driver: cli" in line and "Access/permission denied" in line for line in lines)


@pytest.mark.parametrize(
    "answer",
    [{"error": "timed out"}, "sbatch: error: QOSMaxSubmitJobPerUserLimit", "no answer within 30 s"],
)
def test_if_sbatch_fails_for_another_reason_no_driver_is_recommended(answer: object):
    lines = advise(node_facts(JobReport(starts=1, answers={"NODE_SBATCH": answer}), Resources(), 300, 0.0), "default")
    assert not any("driver: cli" in line or "driver: jobs" in line for line in lines)


def test_the_payload_reports_why_a_command_failed():
    assert payload.run_command("no-such-command") == ("", "not on PATH there")
    assert payload.run_command("sh", "-c", "echo no >&2; exit 3") == ("", "no")
    assert payload.run_command("sh", "-c", "exit 3") == ("", "exit status 3")


TORCH = """
class cuda:
    device_count = staticmethod(lambda: 2)
    get_device_capability = staticmethod(lambda n: (7, 0))
    get_device_name = staticmethod(lambda n: "Tesla V100")
    get_arch_list = staticmethod(lambda: ["sm_75", "sm_80"])
class nn:
    def Conv2d(*_, **__):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\\nCUDA kernel errors")
__version__ = "2.13.0+cu130"
"""
"""A PyTorch that has no code for the GPUs of the node."""


@pytest.mark.parametrize(
    ("torch", "answer"),
    [
        (
            TORCH,
            "Tesla V100 (sm_70): CUDA error: no kernel image is available for execution on the device; "
            "torch 2.13.0+cu130 is built for sm_75 sm_80",
        ),
        (TORCH.replace("raise", "import os; os._exit(3);"), "exit status"),
        (TORCH.replace("raise", "import time; time.sleep(9);"), "no step within 1 s"),
    ],
)
def test_a_node_on_whose_gpus_nothing_can_be_trained_is_found(
    torch: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, text in (("torch", torch), ("pytorch_lightning", ""), ("unetsweep", "")):
        (tmp_path / f"{name}.py").write_text(text)
    shutil.copy(payload.__file__, tmp_path / "payload.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(payload, "__file__", str(tmp_path / "payload.py"))
    monkeypatch.setattr(payload, "IMPORTS_S", 1 if "sleep" in torch else 60)
    found = payload.import_modules()
    assert (found["MODULES"], found["GPUS"]) == ("", 2)
    assert str(found["GPU_STEP"]).startswith(answer)
    (fact,) = [each for each in node_facts(JobReport(starts=1, answers=found), Resources(gpus=2), 300, 0.0)
               if each.check is Check.GPU_STEP]  # fmt: skip
    assert judge(fact).verdict is BROKEN


def test_without_a_gpu_no_step_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, text in (("torch", TORCH.replace("2)", "0)")), ("pytorch_lightning", ""), ("unetsweep", "")):
        (tmp_path / f"{name}.py").write_text(text)
    shutil.copy(payload.__file__, tmp_path / "payload.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(payload, "__file__", str(tmp_path / "payload.py"))
    assert payload.import_modules() == {"MODULES": "", "GPUS": 0}


@pytest.mark.train
def test_the_step_of_a_node_is_a_training_step():
    payload.train_step("cpu")


def test_all_disk_probes_succeed_on_a_local_file_system(tmp_path: Path):
    assert disk.has_hard_links(tmp_path)
    assert disk.can_replace(tmp_path)
    assert disk.creates_once(tmp_path)
    assert disk.keeps_full_folder(tmp_path)
    assert disk.can_be_private(tmp_path)
    assert disk.fsync_s(tmp_path) < 60
    assert abs(disk.clock_offset(tmp_path)) < 60


def test_a_file_system_without_hard_links_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert not disk.has_hard_links(tmp_path)


def test_the_workspace_of_doctor_is_private_and_is_removed_even_after_an_error(tmp_path: Path):
    def interrupted() -> None:
        with disk.workspace(tmp_path / "a" / "b", "token") as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "file").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
