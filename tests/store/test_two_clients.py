"""What two machines do to one folder of a network file system: each promise on two mounts of one export.

UNETSWEEP_NFS_A and UNETSWEEP_NFS_B name a folder of one export, through two mounts; docs/testing.md says how
far that was tried. Processes, not threads, so that each has descriptors and caches of its own.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeClock, FakeScheduler

from unetsweep.bounded_json import read_json
from unetsweep.errors import UnetsweepError
from unetsweep.store.sweep_dir import SweepDir

NAMES = 40
SEEN_S = 90.0
"""How late a file may show through the other mount."""
Mounts = tuple[Path, Path]

_RACE = """
import sys
from pathlib import Path
from unetsweep.atomic import link_json, rename_folder
folder, who, names = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
won = []
for name in range(names):
    if sys.argv[4] == "link":
        mine = link_json(folder / f"{name}.json", {"who": who})
    else:
        made = folder / f".{name}.{who}"
        made.mkdir()
        (made / "who").write_text(who)
        mine = rename_folder(made, folder / str(name))
    if mine:
        won.append(name)
print(*won, flush=True)
"""

_LEASE = """
import os, sys, time
from pathlib import Path
from unetsweep.store.lease import Lease
folder = Path(sys.argv[1])
def turn():
    os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))
    time.sleep(0.02)
    os.unlink(folder / "inside")
print("ready", flush=True)
sys.stdin.readline()
print(sum(Lease(folder / "lease").run(turn, patience_s=60.0) for _ in range(8)), flush=True)
"""


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """One new folder, seen through both mounts."""
    named = [os.environ.get(f"UNETSWEEP_NFS_{which}") for which in "AB"]
    if not all(named):
        pytest.skip("two mounts of one export are needed: UNETSWEEP_NFS_A and UNETSWEEP_NFS_B (docs/testing.md)")
    name = f"two-clients-{secrets.token_hex(4)}"
    first, second = (Path(str(each)) / name for each in named)
    first.mkdir()
    until(second.is_dir)
    yield first, second
    shutil.rmtree(first, ignore_errors=True)


def until(fine, seconds: float = SEEN_S) -> None:
    end = time.monotonic() + seconds
    while not fine():
        assert time.monotonic() < end, f"not after {seconds} s"
        time.sleep(0.05)


def race(code: str, mounts: Mounts, *more: str) -> list[list[str]]:
    """What two processes that start together print, one through each mount."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), who, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for folder, who in zip(mounts, "AB", strict=True)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        printed = [racer.communicate(timeout=300)[0].split() for racer in racers]
        assert [racer.returncode for racer in racers] == [0, 0]
        return printed
    finally:
        for racer in racers:
            racer.kill()


def assert_each_won_once(won: list[list[str]]) -> None:
    assert sorted(map(int, won[0] + won[1])) == list(range(NAMES))


def test_the_first_link_wins_on_both_clients_and_its_content_stays(mounts: Mounts):
    won = race(_RACE, mounts, str(NAMES), "link")
    assert_each_won_once(won)
    for folder in mounts:
        for name in range(NAMES):
            until((folder / f"{name}.json").is_file)
            assert read_json(folder / f"{name}.json")["who"] == ("A" if str(name) in won[0] else "B")


def test_the_first_folder_wins_and_the_other_is_gone(mounts: Mounts):
    won = race(_RACE, mounts, str(NAMES), "folder")
    assert_each_won_once(won)
    for folder in mounts:
        until(lambda folder=folder: len(list(folder.iterdir())) == NAMES)
        for name in range(NAMES):
            assert (folder / str(name) / "who").read_text() == ("A" if str(name) in won[0] else "B")


def test_only_one_client_at_a_time_holds_the_lease(mounts: Mounts):
    turns = race(_LEASE, mounts)
    assert [1 <= int(count) <= 8 for (count,) in turns] == [True, True]
    assert not (mounts[0] / "inside").exists()


def test_two_passes_at_once_over_two_clients_send_each_run_once(mounts: Mounts, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "shell"))
    from scenes import Scene

    first = Scene(mounts[0] / "grid", trials=4)
    second = Scene.__new__(Scene)
    second.__dict__.update(first.__dict__)
    until((mounts[1] / "grid" / "sweep.yaml").is_file)
    second.directory = SweepDir(mounts[1] / "grid", first.clock.now)
    assert isinstance(first.clock, FakeClock)
    assert isinstance(first.cluster, FakeScheduler)
    barrier, failed = threading.Barrier(2), []

    def passes(scene: Scene) -> None:
        barrier.wait()
        for _ in range(3):
            try:
                scene.reconcile()
            except UnetsweepError as error:  # a reconciliation may stumble over the other's; never send twice
                failed.append(error)

    racers = [threading.Thread(target=passes, args=(scene,)) for scene in (first, second)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    first.until_ended()
    assert first.states() == ["complete"] * 4, failed
    assert sorted(first.cluster.trained) == [0, 1, 2, 3]
    attempts = sorted(path.name for path in mounts[0].glob("grid/runs/*/attempts/*.json"))
    assert json.dumps(attempts).count("lost") == 0, attempts
