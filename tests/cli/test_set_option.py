"""`submit --set KEY=VALUE`: other values for this sweep, which the dry run shows and sweep.yaml keeps."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from local_sweeps import AT_ONCE, Workspace

from unetsweep.cli import submit as submit_command
from unetsweep.errors import UnetsweepError
from unetsweep.store.sweep_dir import SweepDir

SET = ("--set", "slurm.time=2h", "--set", "space.learning_rate=[1e-4, 2e-4]")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.trainer(AT_ONCE)
    return made


def test_the_dry_run_shows_the_values_and_those_of_the_file(workspace: Workspace) -> None:
    sweep = workspace.grid(1)
    lines = workspace.submit(sweep, *SET, "--dry-run").stdout.splitlines()

    assert lines[1:4] == [
        '--set slurm.time: "2h" (the file: not set)',
        "--set space.learning_rate: [0.0001, 0.0002] (the file: [0.0001])",
        "space: 2 points",
    ]
    found = json.loads(workspace.submit(sweep, *SET, "--dry-run", "--json").stdout)
    assert found["trials"] == 2
    assert found["overrides"][0] == {"field": "slurm.time", "value": "2h", "in_file": None}
    assert "overrides" not in json.loads(workspace.submit(sweep, "--dry-run", "--json").stdout)
    assert not workspace.root().exists()


def test_the_sweep_is_trained_and_stored_with_the_values_and_its_stored_file_continues_it(workspace: Workspace) -> None:
    sweep = workspace.grid(1)
    before = sweep.read_text()
    workspace.submit(sweep, *SET, "--watch")

    assert len(workspace.results()) == 2
    assert SweepDir(workspace.root()).spec().slurm.time_min == 120
    assert sweep.read_text() == before
    assert "changed since" not in workspace.run("submit", workspace.root() / "sweep.yaml").stderr
    done = workspace.submit(sweep, "--set", "space.learning_rate=[1e-4, 2e-4]")
    assert "warning: changed since the last submit: slurm.time: '2h' -> '1h'" in done.stderr
    assert "s.yaml: space.learning_rate: [0.0001, 0.0002] -> [0.0001]" in workspace.submit(sweep, status=2).stderr


def test_a_value_that_a_later_check_refuses_is_named_by_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(
        "data: {root: nowhere}\nspace: {epochs: 1, batch_size: 4, learning_rate: 1e-3}\ntrainer: {precision: '32'}\n"
    )
    options = ["s.yaml", "--executor", "local", "--set", "trainer.precision=16-mixed"]
    done = CliRunner().invoke(submit_command.command, options)

    assert isinstance(done.exception, UnetsweepError)
    assert "--set: trainer.precision: found 16-mixed, and the training has no GPU" in str(done.exception)
