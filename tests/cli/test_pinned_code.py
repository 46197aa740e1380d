"""Jobs run the package as it was at their submission, even if the checkout changes."""

import json
import shutil
from pathlib import Path

import forks
import pytest
from local_sweeps import AT_ONCE, GRID, UNTIL_RELEASED, Workspace, rates

from unetsweep import package
from unetsweep.store import code_snapshot

PACKAGE = Path(code_snapshot.__file__).parents[1]
ONE_BY_ONE = GRID.replace("parallel: 2", "parallel: 1")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that is found before the installed one, like an editable installation."""
    shutil.copytree(PACKAGE, tmp_path / "checkout" / "unetsweep", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "checkout"))
    return tmp_path / "checkout" / "unetsweep"


@pytest.fixture(autouse=True)
def whole_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(forks.WHOLE_COPY, "1")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "here", cold=True)  # the tests are about which code runs


def break_package(package: Path) -> None:
    """Break the modules that a job, its exit hook or a reconciliation needs."""
    for path in [*package.glob("worker/*.py"), *package.glob("reconcile/*.py"), package / "__init__.py"]:
        path.write_text("raise SystemExit('this checkout is being worked on')")


@pytest.mark.thorough  # tests/slurm/test_slurm_pinned_code.py has it in SLURM jobs
@pytest.mark.parametrize(
    "setup",
    [
        "",
        "slurm: {setup: ['set -u', 'export PYTHONPATH=CHECKOUT']}\n",
    ],
)
def test_an_edit_of_the_checkout_changes_no_submitted_trial(workspace: Workspace, checkout: Path, setup: str):
    workspace.trainer(UNTIL_RELEASED)
    setup = setup.replace("CHECKOUT", str(checkout.parent))
    sweep = workspace.sweep(ONE_BY_ONE.replace("RATES", rates(2)), setup=setup)
    workspace.submit(sweep)
    workspace.wait(lambda: workspace.notes("begin"))
    break_package(checkout)
    shutil.copytree(checkout, workspace.folder / "unetsweep")  # in the working directory of the jobs
    shutil.copytree(checkout, workspace.root() / "unetsweep")
    (workspace.folder / "go").touch()
    assert [result["state"] for result in workspace.wait_ended(2)] == ["complete"] * 2
    assert len(workspace.notes("begin")) == 2


def test_a_later_submission_runs_the_package_as_it_is_then(workspace: Workspace, checkout: Path):
    workspace.trainer(AT_ONCE)
    workspace.submit(workspace.grid(1))
    workspace.wait_ended(1)
    first = json.loads((workspace.root() / "code.json").read_bytes())
    rank = checkout / "worker" / "rank.py"
    rank.write_text(rank.read_text() + "print('the new one')\n")
    workspace.submit(workspace.grid(2))
    workspace.wait_ended(2)
    now = json.loads((workspace.root() / "code.json").read_bytes())
    assert now["hash"] != first["hash"]
    assert {path.name for path in (workspace.root() / "code").iterdir()} == {first["hash"], now["hash"]}
    logs = [path.read_text() for path in sorted(workspace.root().glob("submissions/*/*.log"))]
    assert sum("the new one" in log for log in logs) == 1


def test_a_trainer_command_does_not_get_the_copy_on_its_python_path(workspace: Workspace, checkout: Path):
    workspace.trainer(f"assert os.environ['PYTHONPATH'] == {str(checkout.parent)!r}, os.environ['PYTHONPATH']")
    workspace.submit(workspace.grid(1), "--watch")
    assert [result["state"] for result in workspace.results()] == ["complete"]


def test_jobs_run_the_installed_package_if_it_cannot_be_copied(tmp_path: Path):
    workspace = Workspace(tmp_path / "here")
    workspace.trainer(AT_ONCE)
    workspace.submit(workspace.grid(1))
    workspace.wait_ended(1)
    shutil.rmtree(workspace.root() / "code")
    (workspace.root() / "code").touch()
    assert "so jobs run the installed one" in workspace.submit(workspace.grid(2)).stderr
    assert [result["state"] for result in workspace.wait_ended(2)] == ["complete"] * 2


def test_an_incomplete_copy_is_made_again(tmp_path: Path):
    folder = code_snapshot.pin(tmp_path)
    module = folder / "unetsweep" / "worker" / "rank.py"
    whole = module.read_bytes()
    module.write_bytes(whole[: len(whole) // 2])
    assert code_snapshot.pin(tmp_path) == folder
    assert module.read_bytes() == whole
    assert code_snapshot.pinned(tmp_path) == folder


def test_only_the_damaged_files_of_a_copy_are_replaced(tmp_path: Path):
    folder = code_snapshot.pin(tmp_path) / "unetsweep"
    (folder / "worker" / "rank.py").unlink()
    (folder / "worker" / "extra.py").touch()
    others = {path: path.stat().st_ino for path in folder.rglob("*") if path.name != "extra.py"}
    code_snapshot.pin(tmp_path)
    assert {path: path.stat().st_ino for path in folder.rglob("*") if path.name != "rank.py"} == others
    assert [path.name for path in (tmp_path / "code").iterdir()] == [folder.parent.name]


def test_a_whole_copy_that_another_submit_makes_at_the_same_time_is_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[dict[Path, int]] = []
    calls = [code_snapshot.pin]
    temporary_path = code_snapshot.temporary_path

    def slow(path: Path) -> Path:  # the other submit makes its copy after this one has found none
        if calls:
            whole = calls.pop()(tmp_path)
            seen.append({file: file.stat().st_ino for file in whole.rglob("*")})
        return temporary_path(path)

    monkeypatch.setattr(code_snapshot, "temporary_path", slow)
    folder = code_snapshot.pin(tmp_path)
    assert [{file: file.stat().st_ino for file in folder.rglob("*")}] == seen
    assert list((tmp_path / "code").iterdir()) == [folder]


def test_a_copy_contains_the_sources_and_their_origin(tmp_path: Path):
    folder = code_snapshot.pin(tmp_path)
    assert {path.suffix for path in (folder / "unetsweep").rglob("*") if path.is_file()} <= {
        ".py",
        ".typed",
        ".j2",
        ".html",
        ".css",
        ".js",
    }
    assert {path.name for path in folder.iterdir()} <= {"unetsweep", "code.json", "code.diff"}
    assert package.code(folder / "unetsweep")["package"] == folder.name == package.code()["package"]
    assert (folder / "unetsweep" / "__main__.py").is_file()
    assert (folder.stat().st_mode & 0o077, (tmp_path / "code").stat().st_mode & 0o077) == (0, 0)
