"""The lease admits one reconciliation at a time, and a dead holder blocks nobody."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from unetsweep.atomic import write_json
from unetsweep.bounded_json import read_json
from unetsweep.errors import LeaseError
from unetsweep.process import Identity
from unetsweep.store.lease import Lease

HOLDER = """
import sys, time
from pathlib import Path
from unetsweep.store.lease import Lease
def turn():
    print("inside", flush=True)
    time.sleep(60)
Lease(Path(sys.argv[1])).run(turn)
"""
TAKER = """
import os, sys, time
from pathlib import Path
from unetsweep.store.lease import Lease
folder = Path(sys.argv[1])
def turn():
    os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
    time.sleep(0.01)
    os.unlink(folder / "inside")
    with (folder / "turns").open("a") as log:
        log.write("x")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(15):
    Lease(folder / "lease").run(turn, patience_s=float(sys.argv[2]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lease"


@pytest.fixture
def holder(path: Path):
    """Another process that holds the lease."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"inside\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_finished_turn_leaves_no_file(path: Path):
    holders = []
    assert Lease(path).run(lambda: holders.append(read_json(path)["pid"]))
    assert holders == [os.getpid()]
    assert list(path.parent.iterdir()) == []


def test_a_failed_turn_releases_the_lease(path: Path):
    with pytest.raises(ZeroDivisionError):
        Lease(path).run(lambda: 1 / 0)
    assert Lease(path).run(lambda: None)


def test_a_lease_that_cannot_be_renewed_is_not_held(path: Path, monkeypatch: pytest.MonkeyPatch):
    def cannot_start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", cannot_start)
    with pytest.raises(LeaseError, match=r"lease cannot be held: can't start new thread on .*ulimit -u"):
        Lease(path).run(lambda: pytest.fail("it was held"))
    assert not path.exists()


def test_others_leave_a_mark_and_return_while_a_living_process_holds_the_lease(
    path: Path, holder: "subprocess.Popen[bytes]"
):
    turns: list[int] = []
    assert not Lease(path).run(lambda: turns.append(1))
    assert turns == []
    assert len(list(path.parent.glob("lease.mark-*"))) == 1
    assert holder.poll() is None


def test_the_lease_of_a_killed_process_is_free_at_once(path: Path, holder: "subprocess.Popen[bytes]"):
    holder.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # a zombie holds nothing
    turns: list[int] = []
    assert Lease(path).run(lambda: turns.append(1))
    assert turns == [1]


def test_a_mark_left_during_a_turn_causes_another_turn(path: Path):
    turns: list[int] = []
    others: list[bool] = []

    def turn() -> None:
        turns.append(1)
        if len(turns) == 1:
            others.append(Lease(path).run(lambda: turns.append(100)))

    assert Lease(path).run(turn)
    assert others == [False]
    assert turns == [1, 1]
    assert list(path.parent.iterdir()) == []


def write_foreign_lease(path: Path) -> None:
    """Write a lease that another machine holds."""
    write_json(path, {"name": "other", "host": "n2", **asdict(Identity("0" * 36, 1, 1))})


def test_a_lease_of_another_machine_is_respected_until_it_expires(path: Path):
    write_foreign_lease(path)
    assert not Lease(path, expire_s=20).run(lambda: None)
    old = time.time() - 21
    os.utime(path, (old, old))
    assert Lease(path, expire_s=20).run(lambda: None)


def test_a_lease_from_the_future_is_abandoned_too(path: Path):
    """Its time is the file server's, so only a clock that was set back or a copied file can make one."""
    write_foreign_lease(path)
    soon, late = time.time() + 15, time.time() + 3e9
    os.utime(path, (soon, soon))
    assert not Lease(path, expire_s=20).run(lambda: None)
    os.utime(path, (late, late))
    assert Lease(path, expire_s=20).run(lambda: None)
    assert list(path.parent.iterdir()) == []


def test_a_lease_is_renewed_during_its_turn(path: Path):
    ages = []

    def turn() -> None:
        old = time.time() - 100
        os.utime(path, (old, old))
        until = time.monotonic() + 10
        while path.stat().st_mtime < old + 50 and time.monotonic() < until:
            time.sleep(0.01)
        ages.append(path.stat().st_mtime - old)

    Lease(path, renew_s=0.05).run(turn)
    assert ages[0] > 50


def test_a_waiting_process_gets_the_lease_when_the_holder_releases_it(path: Path):
    inside, turns = threading.Event(), []

    def first() -> None:
        inside.set()
        time.sleep(0.3)
        turns.append("first")

    other = threading.Thread(target=lambda: Lease(path).run(first))
    other.start()
    inside.wait()
    assert Lease(path).run(lambda: turns.append("second"), patience_s=20)
    other.join()
    assert turns == ["first", "second"]


def test_a_corrupt_lease_blocks_nobody_once_it_is_old(path: Path):
    """A young one may belong to another client and be incomplete on a network file system."""
    path.write_text('{"schema": 1, "na')
    assert not Lease(path).run(lambda: None)
    long_ago = time.time() - 60
    os.utime(path, (long_ago, long_ago))
    assert Lease(path).run(lambda: None)


def test_a_holder_does_not_remove_a_lease_that_another_machine_took_over(path: Path):
    def turn() -> None:
        path.unlink()
        write_foreign_lease(path)

    Lease(path).run(turn)
    assert read_json(path)["host"] == "n2"


@pytest.mark.parametrize("patience", ["0", "30"])
def test_turns_of_many_processes_never_overlap_and_none_is_lost(tmp_path: Path, patience: str):
    command = [sys.executable, "-c", TAKER, tmp_path, patience]
    takers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for taker in takers:
        assert taker.stdout is not None
        taker.stdout.readline()
    for taker in takers:
        taker.communicate(b"\n")
    assert [taker.returncode for taker in takers] == [0, 0, 0]
    turns = len((tmp_path / "turns").read_text())
    assert turns >= (45 if patience == "30" else 15)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["turns"]
