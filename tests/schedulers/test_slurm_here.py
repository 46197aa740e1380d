"""Whether a machine has SLURM: an unclear answer is never taken for "no"."""

from pathlib import Path

import pytest

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


def failing(words: str) -> str:
    return f"cat >&2 <<'END'\n{words}\nEND\nexit 1"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the SLURM commands that there are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    for tool in ("cat", "sleep"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    return tmp_path


def test_there_is_none_without_its_commands_or_without_a_cluster(programs: Path) -> None:
    assert not commands.has_slurm()
    program(programs, "sbatch", "exit 1")
    program(programs, "sinfo", failing(NO_CLUSTER))
    assert not commands.has_slurm()


@pytest.mark.parametrize("sign", ["squeue", "scontrol", "SLURM_CONF"])
def test_a_part_of_slurm_without_sbatch_is_no_clear_no(
    programs: Path, monkeypatch: pytest.MonkeyPatch, sign: str
) -> None:
    if sign == "SLURM_CONF":
        monkeypatch.setenv(sign, "/etc/slurm/slurm.conf")
    else:
        program(programs, sign, "exit 0")
    with pytest.raises(SchedulerError, match=f"sbatch is not on PATH, but {sign} is .*, or use --executor local"):
        commands.has_slurm()


def test_there_is_one_where_sinfo_answers(programs: Path) -> None:
    program(programs, "sbatch", "exit 1")
    program(programs, "sinfo", "echo gpu")
    assert commands.has_slurm()


@pytest.mark.parametrize(
    ("sinfo", "conf", "said"),
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
def test_nobody_knows_where_it_gives_no_clear_answer(
    programs: Path, monkeypatch: pytest.MonkeyPatch, sinfo: str | None, conf: str | None, said: str
) -> None:
    program(programs, "sbatch", "exit 1")
    if sinfo is not None:
        program(programs, "sinfo", sinfo)
    if conf is not None:
        monkeypatch.setenv("SLURM_CONF", conf)
    with pytest.raises(SchedulerError) as error:
        commands.has_slurm(timeout=0.3)
    assert said in str(error.value)
    assert "or use --executor local" in str(error.value)


@pytest.mark.parametrize(
    ("answer", "fine"),
    [("echo ClusterName = Alpha", True), ("echo ClusterName = beta", False), (failing("Access denied"), True)],
    ids=["its own", "another", "nobody says"],
)
def test_the_cluster_of_a_sweep_is_compared_with_that_of_the_commands(
    answer: str, fine: bool, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    program(programs, "scontrol", answer)
    commands.check_cluster(None)
    if fine:
        commands.check_cluster("alpha")
    else:
        with pytest.raises(UsageError, match="jobs are on the cluster alpha, and SLURM's commands here submit to beta"):
            commands.check_cluster("alpha")
