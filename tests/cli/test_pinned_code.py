"""Jobs run the package as it was when they were submitted, whatever becomes of the checkout."""

import json
import shutil
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, GRID, UNTIL_TOLD, Place, rates

from unetsweep import package
from unetsweep.store import code_snapshot

PACKAGE = Path(code_snapshot.__file__).parents[1]
ONE_BY_ONE = GRID.replace("parallel: 2", "parallel: 1")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of this test's own, found before the installed one, as an editable installation's is."""
    shutil.copytree(PACKAGE, tmp_path / "checkout" / "unetsweep", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "checkout"))
    return tmp_path / "checkout" / "unetsweep"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "here", cold=True)  # which code runs is what is tested


def broken(package: Path) -> None:
    """Every module that a job, its exit hook or a reconciliation needs."""
    for path in [*package.glob("worker/*.py"), *package.glob("reconcile/*.py"), package / "__init__.py"]:
        path.write_text("raise SystemExit('this checkout is being worked on')")


@pytest.mark.parametrize("setup", ["", "slurm: {setup: ['set -u', 'export PYTHONPATH=CHECKOUT']}\n"])
def test_an_edit_of_the_checkout_changes_no_trial_that_was_submitted(place: Place, checkout: Path, setup: str):
    place.trainer(UNTIL_TOLD)
    sweep = place.sweep(ONE_BY_ONE.replace("RATES", rates(3)), setup=setup.replace("CHECKOUT", str(checkout.parent)))
    place.submit(sweep)
    place.wait(lambda: place.notes("begin"))
    broken(checkout)
    shutil.copytree(checkout, place.folder / "unetsweep")  # nor does one that lies where the jobs start
    shutil.copytree(checkout, place.root() / "unetsweep")
    (place.folder / "go").touch()
    assert [result["state"] for result in place.wait_ended(3)] == ["complete"] * 3
    assert len(place.notes("begin")) == 3


def test_what_is_sent_later_runs_the_package_as_it_is_then(place: Place, checkout: Path):
    place.trainer(AT_ONCE)
    place.submit(place.grid(1))
    place.wait_ended(1)
    first = json.loads((place.root() / "code.json").read_bytes())
    place.submit(place.grid(1))
    assert json.loads((place.root() / "code.json").read_bytes()) == first
    rank = checkout / "worker" / "rank.py"
    rank.write_text(rank.read_text() + "print('the new one')\n")
    place.submit(place.grid(2))
    place.wait_ended(2)
    now = json.loads((place.root() / "code.json").read_bytes())
    assert now["hash"] != first["hash"]
    assert {path.name for path in (place.root() / "code").iterdir()} == {first["hash"], now["hash"]}
    logs = [path.read_text() for path in sorted(place.root().glob("submissions/*/*.log"))]
    assert sum("the new one" in log for log in logs) == 1


def test_a_program_of_the_users_own_does_not_see_the_copy(place: Place, checkout: Path):
    place.trainer(f"assert os.environ['PYTHONPATH'] == {str(checkout.parent)!r}, os.environ['PYTHONPATH']")
    place.submit(place.grid(1), "--watch")
    assert [result["state"] for result in place.results()] == ["complete"]


def test_where_the_package_cannot_be_copied_the_jobs_run_the_installed_one(place: Place):
    place.trainer(AT_ONCE)
    place.submit(place.grid(1))
    place.wait_ended(1)
    shutil.rmtree(place.root() / "code")
    (place.root() / "code").touch()
    assert "so jobs run the installed one" in place.submit(place.grid(2)).stderr
    assert [result["state"] for result in place.wait_ended(2)] == ["complete"] * 2


def test_a_copy_that_is_not_whole_is_made_anew(tmp_path: Path):
    folder = code_snapshot.pin(tmp_path)
    module = folder / "unetsweep" / "worker" / "rank.py"
    whole = module.read_bytes()
    module.write_bytes(whole[: len(whole) // 2])
    assert code_snapshot.pin(tmp_path) == folder
    assert module.read_bytes() == whole
    assert code_snapshot.pinned(tmp_path) == folder


def test_a_copy_holds_the_sources_and_where_they_came_from(tmp_path: Path):
    folder = code_snapshot.pin(tmp_path)
    assert {path.suffix for path in (folder / "unetsweep").rglob("*") if path.is_file()} <= {".py", ".typed"}
    assert {path.name for path in folder.iterdir()} <= {"unetsweep", "code.json", "code.diff"}
    assert package.code(folder / "unetsweep")["package"] == folder.name == package.code()["package"]
    assert (folder / "unetsweep" / "__main__.py").is_file()
    assert (folder.stat().st_mode & 0o077, (tmp_path / "code").stat().st_mode & 0o077) == (0, 0)
