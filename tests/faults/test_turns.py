"""Which faults CI causes when."""

import pytest
from kinds import KINDS
from turns import ASKED, CORE, HEAVY, LIGHT, VARIABLE, all_turns, chosen, told, turn_now


@pytest.mark.parametrize("first", [0, 1, 739_584])
def test_every_kind_comes_within_a_few_turns(first: int):
    seen = {name for turn in range(first, first + all_turns()) for name in chosen(turn)}
    assert seen | set(CORE) | {"the accounting away"} == set(KINDS)
    assert "the accounting away" in ASKED
    assert all_turns() <= 4


def test_a_turn_is_a_dozen_none_twice_and_none_of_the_core():
    for turn in range(20):
        names = chosen(turn)
        assert len({*names, *CORE}) == LIGHT + HEAVY + len(CORE) == 24


def test_the_printed_line_names_the_faults_of_a_turn_and_how_to_cause_them_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "7")
    line = told(turn_now())
    assert all(name in line for name in chosen(7))
    assert "FAULTS_TURN=7 " in line


def test_the_next_day_is_the_next_turn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert turn_now() > 739_000
    assert not set(chosen(0)) & set(chosen(1))
