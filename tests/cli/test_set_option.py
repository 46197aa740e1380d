"""`submit --set KEY=VALUE`: other values for this sweep, which the dry run shows and sweep.yaml keeps."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from local_sweeps import AT_ONCE, GRID, Workspace

from unetsweep.cli import submit as submit_command
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SpecError, UnetsweepError
from unetsweep.store.home import record_overrides
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


def spec(workspace: Workspace) -> SweepSpec:
    return SweepDir(workspace.root()).spec()


def test_a_later_submit_of_the_file_keeps_the_values_and_says_so(workspace: Workspace) -> None:
    sweep = workspace.grid(1)
    workspace.submit(sweep, *SET, "--watch")
    later = workspace.submit(sweep)

    assert "changed since" not in later.stderr
    assert "warning: --set slurm.time=2h of an earlier submit still holds; another --set of the key" in later.stderr
    assert "warning: --set space.learning_rate=[1e-4, 2e-4] of an earlier" in later.stderr
    assert (spec(workspace).slurm.time_min, len(workspace.results())) == (120, 2)
    lines = workspace.submit(sweep, "--dry-run").stdout.splitlines()
    assert lines[1] == '--set slurm.time: "2h" (the file: not set)'


def test_another_value_of_a_key_replaces_the_one_that_is_kept(workspace: Workspace) -> None:
    sweep = workspace.grid(1)
    workspace.submit(sweep, *SET, "--watch")
    changed = workspace.submit(sweep, "--set", "slurm.time=3h")

    assert "changed since the last submit: slurm.time: '2h' -> '3h'" in changed.stderr
    assert "slurm.time=2h" not in changed.stderr
    assert (
        "still holds" not in workspace.run("submit", workspace.root() / "sweep.yaml", "--set", "run.parallel=1").stderr
    )
    later = workspace.submit(sweep).stderr
    assert "--set slurm.time=3h of an earlier submit still holds" in later
    assert "--set run.parallel=1 of an earlier submit still holds" in later
    assert (spec(workspace).slurm.time_min, spec(workspace).run.parallel) == (180, 1)


def test_the_value_of_the_file_ends_what_is_kept(workspace: Workspace) -> None:
    sweep = workspace.grid(1)
    workspace.submit(sweep, "--set", "slurm.time=2h", "--set", "run.parallel=1", "--watch")
    ended = workspace.submit(sweep, "--set", "slurm.time=null", "--set", "run.parallel=2")

    assert "changed since the last submit: slurm.time: '2h' -> '1h'" in ended.stderr
    assert "warning" not in workspace.submit(sweep).stderr
    assert (spec(workspace).slurm.time_min, spec(workspace).run.parallel) == (60, 2)


def test_a_file_that_needs_a_kept_value_to_be_valid_is_submitted_again(workspace: Workspace) -> None:
    sweep = workspace.sweep(GRID.replace("RATES", "0"))
    workspace.submit(sweep, "--set", "space.learning_rate=[1e-4]", "--watch")
    assert "still holds" in workspace.submit(sweep).stderr
    assert "s.yaml:1:" in workspace.submit(sweep, "--set", "name=other", status=2).stderr, "another sweep has none"


def test_a_submit_that_is_killed_before_it_writes_the_spec_is_completed_by_the_next_one(workspace: Workspace) -> None:
    sweep = workspace.grid(1)
    workspace.submit(sweep, "--watch")
    record_overrides(workspace.root(), ("slurm.time=2h",))

    assert "changed since the last submit: slurm.time: '1h' -> '2h'" in workspace.submit(sweep).stderr
    assert spec(workspace).slurm.time_min == 120


@pytest.mark.parametrize("text", [None, "", "[1]", "a: [", "name: [1]"])
def test_a_file_without_a_sweep_is_refused_as_without_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("s.yaml").write_text(text)
    for options in ([], ["--set", "slurm.time=2h"]):
        done = CliRunner().invoke(submit_command.command, ["s.yaml", "--executor", "local", *options])
        assert isinstance(done.exception, SpecError)
        assert str(done.exception).startswith("s.yaml")


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
