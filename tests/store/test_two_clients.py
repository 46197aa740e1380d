"""The promises of the store when two machines share a folder of a network file system.

UNETSWEEP_NFS_A and UNETSWEEP_NFS_B name one folder of an export through two mounts; docs/testing.md says which file
systems were tried. The tests use processes, because each needs its own file descriptors and caches.
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
VISIBLE_S = 90.0
"""A file must appear through the other mount within this time: attribute caches of NFS keep a folder for up to 60 s."""
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
    """One new folder, through both mounts."""
    named = [os.environ.get(f"UNETSWEEP_NFS_{which}") for which in "AB"]
    if not all(named):
        pytest.skip("two mounts of one export are needed: UNETSWEEP_NFS_A and UNETSWEEP_NFS_B (docs/testing.md)")
    name = f"two-clients-{secrets.token_hex(4)}"
    first, second = (Path(str(each)) / name for each in named)
    first.mkdir()
    wait_until(second.is_dir)
    yield first, second
    shutil.rmtree(first, ignore_errors=True)


def wait_until(condition, seconds: float = VISIBLE_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not after {seconds} s"
        time.sleep(0.05)


def race(code: str, mounts: Mounts, *more: str) -> list[list[str]]:
    """The output of two processes that start together, one through each mount."""
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


def test_the_first_link_wins_on_both_clients_and_keeps_its_content(mounts: Mounts):
    won = race(_RACE, mounts, str(NAMES), "link")
    assert_each_won_once(won)
    for folder in mounts:
        for name in range(NAMES):
            wait_until((folder / f"{name}.json").is_file)
            assert read_json(folder / f"{name}.json")["who"] == ("A" if str(name) in won[0] else "B")


def test_the_first_folder_wins_and_the_other_is_removed(mounts: Mounts):
    won = race(_RACE, mounts, str(NAMES), "folder")
    assert_each_won_once(won)
    for folder in mounts:
        wait_until(lambda folder=folder: len(list(folder.iterdir())) == NAMES)
        for name in range(NAMES):
            assert (folder / str(name) / "who").read_text() == ("A" if str(name) in won[0] else "B")


def test_only_one_client_at_a_time_holds_the_lease(mounts: Mounts):
    turns = race(_LEASE, mounts)
    assert [1 <= int(count) <= 8 for (count,) in turns] == [True, True]
    assert not (mounts[0] / "inside").exists()


def test_two_reconciliations_on_two_clients_submit_each_run_once(mounts: Mounts, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "reconcile"))
    from scenes import Scene

    first = Scene(mounts[0] / "grid", trials=4)
    second = Scene.__new__(Scene)
    second.__dict__.update(first.__dict__)
    wait_until((mounts[1] / "grid" / "sweep.yaml").is_file)
    second.directory = SweepDir(mounts[1] / "grid", first.clock.now)
    assert isinstance(first.clock, FakeClock)
    assert isinstance(first.cluster, FakeScheduler)
    barrier, failed = threading.Barrier(2), []

    def reconcile_thrice(scene: Scene) -> None:
        barrier.wait()
        for _ in range(3):
            try:
                scene.reconcile()
            except UnetsweepError as error:  # one may fail because of the other, but must not submit twice
                failed.append(error)

    racers = [threading.Thread(target=reconcile_thrice, args=(scene,)) for scene in (first, second)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    first.until_ended()
    assert first.states() == ["complete"] * 4, failed
    assert sorted(first.cluster.trained) == [0, 1, 2, 3]
    attempts = sorted(path.name for path in mounts[0].glob("grid/runs/*/attempts/*.json"))
    assert json.dumps(attempts).count("lost") == 0, attempts
