"""A sweep's files are run as code: nobody else may write them, and no value of a user's file reaches a shell."""

import os
import subprocess
from pathlib import Path

import pytest

from unetsweep.adapters.batch_script import keeper_script
from unetsweep.adapters.submitit_jobs import script
from unetsweep.adapters.sweep_dir import SweepDir
from unetsweep.config.load import spec_from
from unetsweep.core.ports import KeeperRequest, Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import SpecError, StateError

EVIL = [
    "$(touch pwned)",
    "`touch pwned`",
    "a'; touch pwned; '",
    'a"; touch pwned; "',
    "a; touch pwned",
    "a & touch pwned",
]
STUB = "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize("folder", ["", "submissions", "runs", "trials", "code", "keepers"])
@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_directory_into_which_others_may_write_is_refused(tmp_path: Path, folder: str, mode: int):
    sweep = SweepDir(tmp_path / "s")
    old = os.umask(0o002)
    try:
        sweep.create("name: s", "local")
    finally:
        os.umask(old)
    (sweep.root / folder).mkdir(exist_ok=True, mode=0o700)
    sweep.check_private()
    (sweep.root / folder).chmod(mode)
    with pytest.raises(StateError, match="chmod 700"):
        sweep.check_private()


@pytest.fixture
def stubs(tmp_path: Path) -> dict[str, str]:
    """An environment in which a batch script can be run: its commands are there and do nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("srun", "scontrol", "sleep", "timeout", "python", "hostname"):
        (folder / name).write_text(STUB)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "SLURM_JOB_ID": "1"}


@pytest.mark.slurm
@pytest.mark.parametrize("evil", EVIL)
def test_no_value_of_the_users_reaches_the_jobs_shell(tmp_path: Path, stubs: dict[str, str], evil: str):
    """Marked slurm: submitit makes a script only where srun is installed."""
    root = tmp_path / f"my {evil} results".replace("/", "") / "s"
    root.mkdir(parents=True)
    options = {"comment": evil, "exclude": [evil, "n1"]}
    resources = Resources(
        partition=evil,
        account=evil,
        qos=evil,
        constraint=evil,
        mem="1G",
        python=f"/opt/{evil}/python",
        sbatch=options,
        keeper=options,
    )
    code = root / "code" / "0123456789ab"
    sent = Submission("0123456789ab", "s", root, 2, resources, exclude=(evil,), code=code)
    keeper = KeeperRequest("0123456789ab", "s", root, resources, (), 60, code)
    run = tmp_path / "run"
    run.mkdir()
    for text in (script(sent, root), keeper_script(keeper)):
        assert all("\n" not in line for line in text.splitlines())
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        subprocess.run(
            ["bash"], input=text, text=True, cwd=run, env=stubs, check=False, capture_output=True, timeout=60
        )
        assert "pwned" not in os.listdir(run)
        assert "pwned" not in os.listdir(root)


@pytest.mark.parametrize(
    "line",
    [
        'partition: "a\\n#SBATCH --wrap=x"',
        'account: "a\\nb"',
        'python: "a\\nb"',
        'sbatch: {comment: "a\\nb"}',
        'keeper: {comment: "a\\nb"}',
        'sbatch: {exclude: ["a\\nb"]}',
        'sbatch: {"x y": 1}',
        'keeper: {"x;y": 1}',
        "keeper: {job-name: x}",
    ],
)
def test_what_would_be_a_line_of_its_own_is_refused_at_load(line: str):
    with pytest.raises(SpecError, match="slurm"):
        spec_from(
            "space: {epochs: 1, batch_size: 1, learning_rate: 0.1}\ntrainer: {command: 'a {config} {out}'}\n"
            f"slurm: {{{line}}}\n",
            "s.yaml",
        )


@pytest.mark.parametrize("name", ["$(touch pwned)", "a b", "a/b", "-x", "a'b"])
def test_a_name_that_is_no_plain_word_is_refused(name: str):
    with pytest.raises(SpecError, match="name"):
        spec_from(f"name: {name!r}\nspace: {{epochs: 1, batch_size: 1, learning_rate: 0.1}}\n", "s.yaml")
