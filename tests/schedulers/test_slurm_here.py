"""Whether a machine has SLURM: an unclear answer never counts as "no"."""

from pathlib import Path

import pytest

from unetsweep.app.executors import EXECUTORS, check_cluster
from unetsweep.errors import SchedulerError, UsageError
from unetsweep.schedulers.slurm import commands

NO_CLUSTER = """\
sinfo: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host
sinfo: error: fetch_config: DNS SRV lookup failed
sinfo: error: _establish_config_source: failed to fetch config
sinfo: fatal: Could not establish a configuration source"""
DOWN = "slurm_load_partitions: Unable to contact slurm controller (connect failure)"


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def failing(message: str) -> str:
    return f"cat >&2 <<'END'\n{message}\nEND\nexit 1"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the installed SLURM commands, still without any."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setattr(commands, "_PAUSE_S", 0.0)
    for tool in ("cat", "sleep"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    return tmp_path


def test_there_is_no_slurm_without_its_commands_or_without_a_cluster(programs: Path) -> None:
    assert not commands.has_slurm()
    program(programs, "sbatch", "exit 1")
    program(programs, "sinfo", failing(NO_CLUSTER))
    assert not commands.has_slurm()


@pytest.mark.parametrize("sign", ["squeue", "scontrol", "SLURM_CONF"])
def test_a_part_of_slurm_without_sbatch_is_an_error(programs: Path, monkeypatch: pytest.MonkeyPatch, sign: str) -> None:
    if sign == "SLURM_CONF":
        monkeypatch.setenv(sign, "/etc/slurm/slurm.conf")
    else:
        program(programs, sign, "exit 0")
    with pytest.raises(SchedulerError, match=f"sbatch is not on PATH, but {sign} is .*, or use --executor local"):
        commands.has_slurm()


def test_there_is_slurm_where_sinfo_answers(programs: Path) -> None:
    program(programs, "sbatch", "exit 1")
    program(programs, "sinfo", "echo gpu")
    assert commands.has_slurm()


@pytest.mark.parametrize(
    ("sinfo", "conf", "message"),
    [
        (failing(DOWN), None, "Unable to contact slurm controller"),
        (failing("sinfo: error: Munge encode failed"), None, "Munge encode failed"),
        ("exit 3", None, "sinfo: exit status 3"),
        ("kill -9 $$", None, "sinfo: exit status -9"),
        ("sleep 5", None, "sinfo gave no answer within 0.3 s"),
        (failing(NO_CLUSTER), "/gone/slurm.conf", "Could not establish a configuration source"),
        (None, None, "sinfo is not on PATH"),
    ],
)
def test_an_unclear_answer_of_slurm_is_an_error(
    programs: Path, monkeypatch: pytest.MonkeyPatch, sinfo: str | None, conf: str | None, message: str
) -> None:
    program(programs, "sbatch", "exit 1")
    if sinfo is not None:
        program(programs, "sinfo", sinfo)
    if conf is not None:
        monkeypatch.setenv("SLURM_CONF", conf)
    with pytest.raises(SchedulerError) as error:
        commands.has_slurm(timeout=0.3)
    assert message in str(error.value)
    assert "or use --executor local" in str(error.value)


@pytest.mark.parametrize(
    ("answer", "is_accepted"),
    [("echo ClusterName = Alpha", True), ("echo ClusterName = beta", False), (failing("Access denied"), True)],
    ids=["the cluster of the sweep", "another cluster", "unknown cluster"],
)
def test_a_sweep_is_accepted_only_on_the_cluster_that_it_was_submitted_to(
    answer: str, is_accepted: bool, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    program(programs, "scontrol", answer)
    check_cluster(EXECUTORS["slurm"], None)
    if is_accepted:
        check_cluster(EXECUTORS["slurm"], "alpha")
    else:
        with pytest.raises(UsageError, match="jobs are on the cluster alpha, and SLURM's commands here submit to beta"):
            check_cluster(EXECUTORS["slurm"], "alpha")
