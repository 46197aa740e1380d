"""What `make` would do on a fresh clone, without doing it."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, tmp_path)
    shutil.copytree(CHECKOUT / "sweeps", tmp_path / "sweeps")
    (tmp_path / ".venv").mkdir()
    return tmp_path


def steps(clone: Path, *arguments: str) -> str:
    """The commands that `make ARGUMENTS…` would run."""
    done = subprocess.run(
        ["make", "-n", *arguments], cwd=clone, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    return done.stdout


def test_a_sweep_installs_only_what_it_needs_and_tests_add_the_tools_once(clone: Path) -> None:
    assert "-e .\n" in steps(clone, "sweep")
    assert "dev" not in steps(clone, "sweep")
    (clone / ".venv/.runtime").touch()
    assert "pip install" not in steps(clone, "sweep")
    assert "-e '.[dev]'\n" in steps(clone, "test")
    (clone / ".venv/.runtime").unlink()
    (clone / ".venv/.ready").touch()
    assert "pip install" not in steps(clone, "sweep", "test", "check", ".venv/.ready")


@pytest.mark.parametrize(
    ("data", "draws"),
    [
        ("{root: data/sample, image_size: 128}", True),
        ("{image_size: 128, root: 'data/sample'}", True),
        ("\n  root: /home/me/unetsweep/data/sample\n", True),
        ("{root: data/retina}", False),
        ("{root: data/sample2}", False),
        ("\n  # root: data/sample\n  root: data/retina\n", False),
    ],
)
def test_a_sweep_draws_the_sample_only_if_it_trains_on_it_and_has_a_baseline_of_its_own_images(
    clone: Path, data: str, draws: bool
) -> None:
    (clone / "other.yaml").write_text(f"data: {data}\nspace: {{}}\n")
    found = steps(clone, "sweep", "SWEEP=other.yaml")
    assert ("data sample data/sample" in found) == draws
    assert found.endswith("report other.yaml\n.venv/bin/unetsweep data baseline other.yaml\n")


@pytest.mark.parametrize("failing", ["submit", "none"])
def test_a_sweep_that_did_not_end_well_prints_no_table_and_fails(clone: Path, failing: str) -> None:
    program = clone / ".venv/bin/unetsweep"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1"\ntest "$1" != {failing}\n')
    program.chmod(0o755)
    for name in (".ready", ".runtime"):
        (clone / ".venv" / name).touch()
    (clone / "other.yaml").write_text("data: {root: data/retina}\nspace: {}\n")
    done = subprocess.run(
        ["make", "sweep", "SWEEP=other.yaml", "--silent"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == (["submit"] if failing == "submit" else ["submit", "report", "data"])
    assert (done.returncode != 0) == (failing == "submit")
