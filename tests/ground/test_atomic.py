"""A small file is complete or absent, whichever process is killed and whoever else writes."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from unetsweep import atomic
from unetsweep.atomic import (
    SHARED,
    append_line,
    link_all,
    link_json,
    open_to_append,
    replace_by_link,
    write_bytes,
    write_json,
    write_stream,
    write_text,
)
from unetsweep.bounded_json import read_json
from unetsweep.errors import StateError
from unetsweep.regular_files import read_bytes

WRITER = """
import sys
from pathlib import Path
from unetsweep.atomic import link_json, write_json
folder = Path(sys.argv[1])
print("ready", flush=True)
for k in range(1_000_000):
    write_json(folder / "last.json", {"k": k, "text": "x" * 5000})
    link_json(folder / f"{k}.json", {"k": k, "text": "x" * 5000})
"""


def test_the_first_link_wins_and_the_other_returns_false(tmp_path: Path):
    assert link_json(tmp_path / "a.json", {"who": 1})
    assert not link_json(tmp_path / "a.json", {"who": 2})
    assert read_json(tmp_path / "a.json") == {"schema": 1, "who": 1}


def test_the_last_write_wins(tmp_path: Path):
    write_json(tmp_path / "a.json", {"who": 1})
    write_json(tmp_path / "a.json", {"who": 2})
    assert read_json(tmp_path / "a.json")["who"] == 2


def test_only_the_user_may_read_what_we_write(tmp_path: Path):
    write_json(tmp_path / "a.json", {})
    link_json(tmp_path / "b.json", {})
    append_line(tmp_path / "c.jsonl", {})
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_file_for_others_has_the_permissions_of_the_umask(tmp_path: Path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "", mode=SHARED)
        write_bytes(tmp_path / "b.png", b"", mode=SHARED, durable=False)
        write_stream(tmp_path / "c.ckpt", lambda stream: stream.write(b"c"), mode=SHARED)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_a_stream_replaces_the_file_only_if_that_is_still_allowed_when_it_is_written(tmp_path: Path):
    path = tmp_path / "a.ckpt"
    assert write_stream(path, lambda stream: stream.write(b"first"))
    sizes: list[int] = []

    def refuse() -> bool:
        sizes.extend(each.stat().st_size for each in tmp_path.iterdir() if each != path)
        return False

    assert not write_stream(path, lambda stream: stream.write(b"the second"), is_allowed=refuse)
    assert (path.read_bytes(), sizes, list(tmp_path.iterdir())) == (b"first", [10], [path])


def test_a_temporary_file_of_a_killed_writer_does_not_stop_the_next(tmp_path: Path):
    path, temporary = tmp_path / "a.ckpt", tmp_path / "a.ckpt.1-0.tmp"
    temporary.write_bytes(b"longer than the new content")
    write_stream(path, lambda stream: stream.write(b"new"), temporary=temporary)
    temporary.write_bytes(b"left")
    replace_by_link(path, tmp_path / "b.ckpt", temporary=temporary)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a.ckpt": b"new", "b.ckpt": b"new"}


@pytest.mark.parametrize("has_links", [True, False])
def test_a_link_replaces_a_file_and_is_a_copy_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(atomic.os, "link", refuse)
    source, path = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    path.write_text("old")
    for _ in range(2):  # also if both names are one file already
        replace_by_link(source, path)
        assert (path.read_text(), path.samefile(source)) == ("new", has_links)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]


def test_a_link_in_the_place_of_a_temporary_file_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    victim, temporary, path = tmp_path / "victim", tmp_path / "a.ckpt.1-0.tmp", tmp_path / "a.ckpt"
    victim.write_text("mine")
    temporary.symlink_to(victim)
    write_stream(path, lambda stream: stream.write(b"new"), temporary=temporary)
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("mine", "new", False)

    def plant(self: Path, missing_ok: bool = False) -> None:  # after the name was removed, before the file is created
        os.remove(self) if os.path.lexists(self) else None
        self.symlink_to(victim)

    monkeypatch.setattr(atomic.os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    with monkeypatch.context() as planted:
        planted.setattr(Path, "unlink", plant)
        for write in (
            lambda: write_stream(path, lambda stream: stream.write(b"newer"), temporary=temporary),
            lambda: replace_by_link(path, tmp_path / "b.ckpt", temporary=temporary),
        ):
            with pytest.raises(FileExistsError):
                write()
    assert (victim.read_text(), path.read_text()) == ("mine", "new")


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path):
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        open_to_append(tmp_path / "log")
    assert not (tmp_path / "victim").exists()


def test_a_link_to_a_missing_file_leaves_the_old_one(tmp_path: Path):
    (tmp_path / "b").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace_by_link(tmp_path / "a", tmp_path / "b")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("b", "old")]


def test_linking_many_files_keeps_existing_ones_and_returns_the_created_ones(tmp_path: Path):
    for k in range(0, 500, 7):
        link_json(tmp_path / f"{k}.json", {"who": "earlier"})
    created = link_all([(tmp_path / f"{k}.json", {"who": "now"}) for k in range(500)])
    assert created == [tmp_path / f"{k}.json" for k in range(500) if k % 7]
    assert {read_json(tmp_path / f"{k}.json")["who"] for k in range(0, 500, 7)} == {"earlier"}
    assert len(list(tmp_path.iterdir())) == 500


def test_linking_500_files_needs_few_descriptors(tmp_path: Path):
    script = (
        "import resource, sys; from pathlib import Path; from unetsweep.atomic import link_all;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40));"
        "print(len(link_all([(Path(sys.argv[1]) / f'{k}.json', {}) for k in range(500)])))"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path], check=True, capture_output=True).stdout == b"500\n"


def test_files_are_flushed_without_threads_if_none_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threading.Thread, "start", cannot_start)
    assert len(link_all([(tmp_path / f"{k}.json", {"k": k}) for k in range(50)])) == 50


def cannot_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_exactly_one_of_many_concurrent_links_wins(tmp_path: Path):
    won: list[int] = []
    start = threading.Barrier(8)

    def race(who: int) -> None:
        for k in range(20):
            start.wait()
            if link_json(tmp_path / f"{k}.json", {"who": who}):
                won.append(k)

    racers = [threading.Thread(target=race, args=(who,)) for who in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(won) == list(range(20))


def _write_empty_stream(path: Path, _: object) -> None:
    write_stream(path, lambda stream: stream.write(b""))


@pytest.mark.parametrize(
    ("write", "function"),
    [
        (write_json, "fsync"),
        (write_json, "replace"),
        (link_json, "fsync"),
        (link_json, "link"),
        (_write_empty_stream, "fsync"),
        (_write_empty_stream, "replace"),
    ],
)
def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write, function: str):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, function, full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "a.json", {})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_flush_names_its_file_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.fsync

    def failing(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > 1000:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", failing)
    with pytest.raises(OSError, match="No space") as error:
        link_all([(tmp_path / f"{k}.json", {"text": "x" * (2000 if k == 30 else 1)}) for k in range(50)])
    assert error.value.filename == str(tmp_path / "30.json")
    assert list(tmp_path.iterdir()) == []


def test_each_of_many_files_is_flushed_before_it_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real_fsync, real_link, flushed = os.fsync, os.link, set()

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        flushed.add(os.fstat(descriptor).st_ino)

    def link(made: Path, path: Path) -> None:
        assert made.stat().st_ino in flushed, path
        real_link(made, path)

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    monkeypatch.setattr(atomic.os, "link", link)
    assert len(link_all([(tmp_path / f"{k}.json", {"k": k}) for k in range(450)])) == 450
    assert read_json(tmp_path / "449.json")["k"] == 449


def test_a_killed_writer_leaves_only_complete_files(tmp_path: Path):
    for delay in (0.02, 0.05, 0.11):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    found = list(tmp_path.glob("*.json"))
    assert len(found) > 3
    for path in found:
        assert len(read_json(path)["text"]) == 5000


UNREADABLE = [
    pytest.param(b'{"schema": 1, "k"', "not readable as JSON", id="truncated"),
    pytest.param(b"", "not readable as JSON", id="empty"),
    pytest.param(b"\xff\xfe", "not readable as JSON", id="no text"),
    pytest.param(b'{"schema": 2}', "found schema 2; this version reads 1", id="another schema"),
    pytest.param(b"{}", "found schema None", id="no schema"),
    pytest.param(b"[1]", "found schema [1]", id="no object"),
]


@pytest.mark.parametrize(("content", "expected"), UNREADABLE)
def test_an_unreadable_file_is_an_error_with_its_path(tmp_path: Path, content: bytes, expected: str):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(StateError) as error:
        read_json(path)
    assert str(path) in str(error.value)
    assert expected in str(error.value)


def test_lines_of_two_writers_do_not_mix(tmp_path: Path):
    log = tmp_path / "ledger.jsonl"
    writers = [
        threading.Thread(target=lambda: [append_line(log, {"text": "x" * 3000}) for _ in range(50)]) for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = log.read_text().splitlines()
    assert len(lines) == 200
    assert all(len(json.loads(line)["text"]) == 3000 for line in lines)
    assert os.access(log, os.R_OK)


def test_partial_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, text: real(descriptor, text[:10]))
    link_json(tmp_path / "a.json", {"text": "x" * 500})
    assert read_json(tmp_path / "a.json")["text"] == "x" * 500


def test_a_file_replaced_between_opening_and_reading_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_json(tmp_path / "a.json", {"who": 1})
    real, stale = Path.read_bytes, [OSError(errno.ESTALE, "Stale file handle")]

    def read(path: Path) -> bytes:
        if stale:
            raise stale.pop()
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert read_json(tmp_path / "a.json")["who"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema": 1, "x": 1' + "0" * 400 + "}", "found a whole number of 401 digits; at most 64 bits are allowed"),
        ('{"schema": 1, "x": 18446744073709551616}', "found a whole number of 20 digits"),
        ('{"schema": 1, "x": -9223372036854775809}', "found a whole number of 20 digits"),
        ('{"schema": 1, "x": 1e400}', "found 1e400, which is not a finite number"),
        ('{"schema": 1, "x": NaN}', "found NaN, which is not a finite number"),
        ('{"schema": 1, "x": ' + "[" * 3000 + "]" * 3000 + "}", "nested more than 50 levels deep"),
        ('{"schema": 1, "x": ' + "[" * 60 + "]" * 60 + "}", "nested more than 50 levels deep"),
    ],
)
def test_content_beyond_our_limits_is_an_error_with_its_path(tmp_path: Path, content: str, message: str):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(StateError) as error:
        read_json(tmp_path / "a.json")
    assert str(error.value).startswith(f"{tmp_path}/a.json: ")
    assert message in str(error.value)


def test_content_within_our_limits_is_read(tmp_path: Path):
    content = {
        "low": -(2**63),
        "high": 2**63 - 1,
        "text": "1" * 400 + " NaN [[[[",
        "rows": [{"a": [1]}] * 100,
        "x": 1e30,
    }
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == {"schema": 1, **content}


def test_a_path_that_is_no_regular_file_is_an_error_at_once(tmp_path: Path):
    path = tmp_path / "a.json"
    for make, message in (
        (path.mkdir, "found a folder, not a file"),
        (lambda: os.mkfifo(path), "found a pipe, not a file"),
        (lambda: path.symlink_to("/dev/zero"), "found a device, not a file"),
        (lambda: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
        (lambda: path.symlink_to("nothing"), "cannot be read: it is a link to something that does not exist"),
    ):
        make()
        with pytest.raises(StateError) as error:
            read_json(path)
        assert str(error.value) == f"{path}: {message}"
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_file_above_the_size_limit_is_not_read(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"schema": 1}' + " " * 2000)
    with pytest.raises(StateError, match="found 2013 bytes; at most 1000 are allowed"):
        read_bytes(tmp_path / "a.json", max_bytes=1000)


def test_a_link_lost_to_a_file_that_is_removed_at_once_is_not_won(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, path = tmp_path / "made", tmp_path / "lease"
    made.touch()
    path.touch()
    real_link = os.link

    def link_and_removal(source: Path, target: Path) -> None:
        try:
            real_link(source, target)
        finally:
            target.unlink()

    monkeypatch.setattr(os, "link", link_and_removal)
    assert not atomic.link_first(made, path)
    monkeypatch.undo()
    assert atomic.link_first(made, path)
