"""Which faults each run of the tests causes, and that the names of the fault campaign are those of the package."""

import dying_reconciliation
import pytest
from causes_reconciliations import FIRST
from kinds import KINDS
from turns import (
    CORE,
    HEAVY,
    LIGHT,
    VARIABLE,
    WITH_ACCOUNTING,
    current_turn,
    describe,
    kinds_of,
    turns_for_all,
)


@pytest.mark.parametrize("first", [0, 1, 739_584])
def test_every_kind_is_caused_within_a_few_turns(first: int):
    caused = {name for turn in range(first, first + turns_for_all()) for name in kinds_of(turn)}
    assert caused | set(CORE) | {"the accounting away"} == set(KINDS)
    assert "the accounting away" in WITH_ACCOUNTING
    assert turns_for_all() <= 6


def test_a_turn_has_eight_different_kinds_besides_the_core():
    for turn in range(20):
        names = kinds_of(turn)
        assert len({*names, *CORE}) == LIGHT + HEAVY + len(CORE) == 20


def test_the_printed_line_names_the_faults_of_the_turn_and_the_command_that_repeats_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "7")
    line = describe(current_turn())
    assert all(name in line for name in kinds_of(7))
    assert "FAULTS_TURN=7 " in line


def test_the_next_day_is_the_next_turn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert current_turn() > 739_000
    assert not set(kinds_of(0)) & set(kinds_of(1))


def test_the_actions_at_which_a_reconciliation_dies_are_functions_of_the_package():
    assert set(FIRST) <= set(dying_reconciliation.ACTIONS)
    for owner, name in dying_reconciliation.ACTIONS.values():
        assert callable(getattr(owner, name)), name
