"""Whole histories: nothing lost, nothing twice, and it goes on by itself. More of them: `make simulate`."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import mutations
from .faults import ALL
from .histories import CURSES, drawn
from .world import Fault, Settings, World

HISTORIES = 300
WITHIN = 400
"""A deliberate fault is found within so many histories."""


def test_no_invariant_breaks_in_any_history() -> None:
    for seed in range(HISTORIES):
        World(*drawn(seed)).run()


scripts = st.lists(
    st.builds(Fault, st.floats(0, 1500).map(lambda at: round(at, 1)), st.sampled_from(ALL), st.integers(0, 999)),
    max_size=8,
)
sweeps = st.integers(1, 5).flatmap(
    lambda trials: st.builds(
        Settings,
        seed=st.integers(0, 99),
        trials=st.just(trials),
        epochs=st.sampled_from((2, 4)),
        parallel=st.none() | st.integers(1, 3),
        sampler=st.sampled_from(("grid", "tpe")),
        driver=st.sampled_from(("relay", "watch")),
        pruner=st.sampled_from((None, "asha")),
        accounts=st.booleans(),
        overlap=st.booleans(),
        cursed=st.lists(st.tuples(st.integers(0, trials - 1), st.sampled_from(CURSES)), max_size=1).map(tuple),
    )
)


@settings(max_examples=60, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(sweeps, scripts)
def test_no_script_of_faults_breaks_an_invariant(sweep: Settings, script: list[Fault]) -> None:
    World(sweep, tuple(sorted(script, key=lambda fault: fault.at))).run()


def test_the_same_history_is_the_same_twice() -> None:
    first, second = World(*drawn(7)).run(), World(*drawn(7)).run()
    assert (first.lines, first.counts) == (second.lines, second.counts)


@pytest.mark.parametrize("mutation", mutations.ALL, ids=lambda mutation: mutation.__name__)
def test_a_deliberate_fault_is_caught(mutation: Callable[[pytest.MonkeyPatch], None], monkeypatch) -> None:
    mutation(monkeypatch)
    for seed in range(WITHIN):
        try:
            World(*drawn(seed, mutations.NEEDS.get(mutation, ()))).run()
        except AssertionError:
            return
    pytest.fail(f"{mutation.__name__} was not caught in {WITHIN} histories")
