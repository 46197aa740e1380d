"""What is in the place of a file or folder, and is none, stops no command and is no trial."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.errors import StateError
from unetsweep.store.lease import Lease
from unetsweep.store.observation import read_run
from unetsweep.store.sweep_dir import SweepDir

OTHER: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nothing-is-here"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_what_is_no_file_holds_no_lease(tmp_path: Path, kind: str) -> None:
    OTHER[kind](tmp_path / "lease")
    OTHER[kind](tmp_path / "lease.mark-a")
    done: list[int] = []
    assert Lease(tmp_path / "lease").run(lambda: done.append(1))
    assert done == [1]
    assert os.path.lexists(tmp_path / "lease.corrupt")


@pytest.mark.parametrize("kind", OTHER)
def test_a_reconciliation_is_recorded_whatever_is_in_the_place_of_its_files(tmp_path: Path, kind: str) -> None:
    sweep = SweepDir(tmp_path)
    OTHER[kind](tmp_path / paths.LEDGER)
    OTHER[kind](tmp_path / paths.LAST_RECONCILIATION)
    sweep.note(action="Submit")
    sweep.mark_reconciled()
    assert b"Submit" in (tmp_path / paths.LEDGER).read_bytes()
    assert sweep.seconds_since_reconciliation() is not None


@pytest.mark.parametrize("name", ["runs/99999999", "trials/99999999/x"])
def test_a_folder_with_a_number_that_is_far_too_high_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "trials").mkdir()
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(StateError, match=r"(runs|trials)/99999999: there are only 1 of them"):
        SweepDir(tmp_path).next_trial()


def test_names_with_other_digits_are_not_those_of_attempts_and_claims(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "submissions").mkdir()
    sweep.create_attempts([Element(0, 1, ((0, 8),))], None, "local")
    (tmp_path / "runs/0000/claims").mkdir()
    for name in ("attempts/٣.json", "attempts/03.json", "attempts/9999999999.json", "claims/٣-1", "claims/1-2-3"):
        (tmp_path / "runs/0000" / name).write_text("")
    run = read_run(tmp_path, 0)
    assert run.unreadable is None
    assert [each.number for each in run.attempts] == [1]


def test_an_attempt_of_which_only_later_files_are_left_stops_its_run(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "submissions").mkdir()
    for number in (1, 2):
        sweep.create_attempts([Element(0, number, ((0, 8),))], None, "local")
    sweep.record_job(0, 2, "18808")
    (tmp_path / "runs/0000/attempts/2.json").unlink()
    assert "runs/0000/attempts/2.json: is missing" in (read_run(tmp_path, 0).unreadable or "")
