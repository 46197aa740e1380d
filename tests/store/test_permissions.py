"""Only code of the user is run from a sweep directory."""

import os
import subprocess
from pathlib import Path

import pytest

from unetsweep.errors import ExposedError
from unetsweep.store.permissions import (
    FOLDERS,
    check_private,
    original_umask,
    owner_only_writes,
    permission_check_lines,
)
from unetsweep.store.sweep_dir import SweepDir

ANOTHER = 12345
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="giving a file away needs root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sweep directory as `submit` makes it under a permissive umask."""
    before = os.umask(0o002)
    try:
        SweepDir(tmp_path / "it's $HOME").create("name: s", "local")
    finally:
        os.umask(before)
    return tmp_path / "it's $HOME"


def refused_by_shell(root: Path) -> bool:
    text = "\n".join([*permission_check_lines(root), "echo continued"])
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode == 77) == ("continued" not in done.stdout), done
    return done.returncode == 77


def test_a_new_sweep_directory_is_private(root: Path):
    check_private(root)
    assert not refused_by_shell(root)
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in (root, *root.iterdir()) if folder.is_dir())


@pytest.mark.parametrize("name", ["", *FOLDERS])
@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(root: Path, name: str, mode: int):
    (root / name).mkdir(exist_ok=True)
    (root / name).chmod(mode)
    with pytest.raises(ExposedError, match="others may write"):
        check_private(root)
    assert refused_by_shell(root)


@AS_ROOT
@pytest.mark.parametrize("name", ["", *FOLDERS])
def test_a_folder_of_another_user_is_refused(root: Path, name: str):
    (root / name).mkdir(exist_ok=True)
    os.chown(root / name, ANOTHER, -1)
    with pytest.raises(ExposedError, match=f"belongs to user {ANOTHER}"):
        check_private(root)
    assert refused_by_shell(root)


def test_nobody_else_can_write_what_jobs_run_whatever_the_umask(tmp_path: Path):
    before = os.umask(0o002)
    try:
        with owner_only_writes(), owner_only_writes():
            (tmp_path / "ours").mkdir()
            printed = subprocess.run(
                ["sh", "-c", "umask"], capture_output=True, text=True, umask=original_umask(), check=True
            )
        (tmp_path / "theirs").mkdir()
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("ours", "theirs")]
    assert (modes, printed.stdout.strip(), original_umask()) == ([0o755, 0o775], "0002", -1)


def test_a_link_is_checked_by_its_target(root: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    (root / "runs").rename(elsewhere)
    (root / "runs").symlink_to(elsewhere)
    check_private(root)
    assert not refused_by_shell(root)
    elsewhere.chmod(0o777)
    with pytest.raises(ExposedError, match="others may write"):
        check_private(root)
    assert refused_by_shell(root)
    elsewhere.rmdir()
    with pytest.raises(ExposedError, match="leads nowhere"):
        check_private(root)


@AS_ROOT
def test_a_link_that_another_user_made_is_refused(root: Path, tmp_path: Path):
    (root / "runs").rename(tmp_path / "mine")
    (root / "runs").symlink_to(tmp_path / "mine")
    os.lchown(root / "runs", ANOTHER, -1)
    with pytest.raises(ExposedError, match=f"belongs to user {ANOTHER}"):
        check_private(root)
