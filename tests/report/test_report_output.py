"""`report --output` writes the whole file or nothing."""

import os
from pathlib import Path

import pytest

from unetsweep.app.report import write_output
from unetsweep.cli.report import command
from unetsweep.errors import UsageError
from unetsweep.report.formats import Format


def test_the_file_is_replaced_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    target = tmp_path / "table.md"
    target.write_text("old and longer than the new one")
    write_output(target, "new µ\n")
    assert target.read_text(encoding="utf-8") == "new µ\n"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_gets_the_usual_permissions(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    write_output(tmp_path / "table.md", "x")
    assert (tmp_path / "table.md").stat().st_mode == other.stat().st_mode


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    link = tmp_path / "table.md"
    link.symlink_to(tmp_path / "docs" / "table.md")
    write_output(link, "x")
    assert link.is_symlink()
    assert (tmp_path / "docs" / "table.md").read_text() == "x"


def test_a_link_of_another_user_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, link = tmp_path / "victim", tmp_path / "table.md"
    victim.write_text("mine")
    link.symlink_to(victim)
    if os.getuid() == 0:
        os.chown(link, 12345, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(UsageError, match=f"table.md: a link of user .* to {victim}; remove it"):
        write_output(link, "x")
    assert victim.read_text() == "mine"


def test_output_into_a_pipe_works(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_output(pipe, "x\n")
        assert os.read(reader, 10) == b"x\n"
    finally:
        os.close(reader)


@pytest.mark.parametrize("name", ["missing/table.md", "."])
def test_a_file_that_cannot_be_written_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name a file that can be written") as refused:
        write_output(tmp_path / name, "x")
    assert str(tmp_path / name) in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_the_command_offers_exactly_the_existing_formats() -> None:
    (option,) = (each for each in command.params if each.name == "form")
    assert tuple(option.type.choices) == tuple(Format)
