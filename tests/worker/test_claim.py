"""A start of a job claims its run, or exits if there is nothing to do."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from unetsweep.atomic import write_json
from unetsweep.contract import DataConfig, TrialConfig
from unetsweep.core import paths
from unetsweep.core.actions import Element
from unetsweep.errors import TrainingError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.worker import claim, deadline, rank
from unetsweep.worker.claim import ElementStart, enter
from unetsweep.worker.rank import run_rank

SWEEP = """\
name: eyes
data: {root: eyes}
space: {epochs: [3], batch_size: [4], learning_rate: [1e-3]}
"""
RUN = Path("runs/0000")


@pytest.fixture
def start(tmp_path: Path) -> ElementStart:
    """The first start of a submitted trial."""
    directory = SweepDir(tmp_path / "eyes")
    directory.create(SWEEP, "local")
    directory.add_trials([TrialConfig(epochs=3, batch_size=4, learning_rate=1e-3, data=DataConfig("eyes"))], {})
    token, _ = directory.create_attempts([Element(0, 1, ((0, 3),))], None, "array")
    return ElementStart(directory.root, token, 0, 0, "7")


def claims(start: ElementStart) -> list[str]:
    """The names of the run's claims."""
    return sorted(path.name for path in (start.root / RUN / "claims").glob("*"))


def test_the_first_start_claims_the_run_and_a_restart_takes_it_over(start: ElementStart) -> None:
    first = enter(start, start.root / RUN, 1, 0)
    assert first
    assert first.holds()
    again = enter(replace(start, restart=1), start.root / RUN, 1, 0)
    assert again
    assert again.holds()
    assert not first.holds()
    assert claims(start) == ["1-0", "1-1"]


def test_the_same_start_claims_its_run_only_once(start: ElementStart, capsys: pytest.CaptureFixture[str]) -> None:
    assert enter(start, start.root / RUN, 1, 0)
    assert enter(start, start.root / RUN, 1, 0) is None
    assert "leaving: 0000 is owned by claim 1-0" in capsys.readouterr().out


def test_a_claim_of_a_lost_attempt_no_longer_holds(start: ElementStart) -> None:
    mine = enter(start, start.root / RUN, 1, 0)
    assert mine
    assert mine.holds()
    write_json(start.root / paths.attempt_lost(0, 1), {})
    assert not mine.holds()


def test_a_training_whose_sweep_was_moved_writes_nothing_into_the_sweep_that_takes_its_place(
    start: ElementStart, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = enter(start, start.root / RUN, 1, 0)
    assert mine

    def move_and_fail(*_: object) -> None:
        start.root.rename(start.root.with_name("old"))
        other = SweepDir(start.root)
        other.create(SWEEP, "local")
        other.add_trials([TrialConfig(epochs=3, batch_size=4, learning_rate=1e-3, data=DataConfig("eyes"))], {})
        other.create_attempts([Element(0, 1, ((0, 3),))], None, "array")
        raise RuntimeError("its files are gone")

    monkeypatch.setattr(deadline, "listen", lambda: None)  # the signal handlers of the test process must stay
    monkeypatch.setattr(rank, "_train", move_and_fail)
    with pytest.raises(RuntimeError, match="its files are gone"):
        run_rank(replace(start, restart=1), 0, 1)
    assert not mine.holds()
    assert sorted(path.name for path in (start.root / RUN).iterdir()) == ["attempts"]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        (paths.attempt(0, 1), {"token": "0" * 12}, "attempt 1 of 0000 belongs to submission 000000000000"),
        (paths.attempt_lost(0, 1), {}, "attempt 1 of 0000 was marked lost"),
        (paths.claim(0, 2, 0), {}, "a later start has claimed 0000"),
        (f"{RUN}/{paths.milestone(3)}", {}, "0000 has its results already"),
        (f"{paths.trial_dir(0)}/{paths.RESULT}", {}, "the trials of 0000 have ended already"),
        (f"{paths.trial_dir(0)}/{paths.CANCELLED}", {}, "the trials of 0000 were cancelled"),
    ],
)
def test_a_start_with_nothing_to_do_exits_and_claims_nothing(
    start: ElementStart,
    file: str,
    content: dict[str, str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = start.root / file
    before = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    write_json(path, before | content)
    claims_before = claims(start)
    monkeypatch.setattr(deadline, "listen", lambda: None)  # the signal handlers of the test process must stay
    for number in range(2):
        run_rank(start, number, 2)
        assert capsys.readouterr().out == f"leaving: {reason}\n"
    assert claims(start) == claims_before
    assert not list((start.root / RUN).glob("error-*"))


def test_the_other_ranks_take_the_port_of_the_claim(start: ElementStart) -> None:
    first = enter(start, start.root / RUN, 1, 0)
    assert first
    assert enter(start, start.root / RUN, 1, 1) == first


def test_a_port_follows_from_the_training_and_is_none_that_is_taken_or_given_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = claim.free_port("7 0003")
    with socket.create_server(("", first)):
        second = claim.free_port("7 0003")
    given_away = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert claim.free_port("7 0003") == first
    assert len({first, second, claim.free_port("7 0004")}) == 3
    assert max(first, second) < given_away
    monkeypatch.setattr(claim, "PORTS", range(first, first + 1))
    with socket.create_server(("", first)), pytest.raises(OSError, match="ports from"):
        claim.free_port("7 0003")


def test_a_rank_reports_that_rank_0_never_claimed_the_run(start: ElementStart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "CLAIM_WAIT_S", 0.0)
    with pytest.raises(TrainingError, match=r"rank 1 waited 0 s for rank 0 to claim .*0000 as 1-0"):
        enter(start, start.root / RUN, 1, 1)
