"""Two submits of one name at the same time: the second is checked against what the first wrote."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unetsweep.app import prepare as prepare_app
from unetsweep.app import submit as submit_app
from unetsweep.app.executors import EXECUTORS, SLURM
from unetsweep.config.load import load
from unetsweep.errors import SpecError, UsageError
from unetsweep.store.lease import Lease
from unetsweep.store.sweep_dir import SweepDir

SWEEP = """\
name: eyes
space: {epochs: [8], batch_size: [4], learning_rate: [RATES]}
trainer: {command: "true {config} {out}"}
"""


@pytest.fixture(autouse=True)
def _nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_app, "start_or_resume", lambda *_, **__: SimpleNamespace(state=None))


def write(folder: Path, name: str, rates: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(SWEEP.replace("RATES", rates))
    return path


def submit(path: Path, executor: str = "local") -> None:
    submit_app.submit(submit_app.SubmitRequest(path, path.parent / "results", executor), lambda _: None)


def rates_of(folder: Path) -> tuple[object, ...]:
    """The learning rates of the sweep as it was written."""
    return load(folder / "results/eyes/sweep.yaml").space.domain("learning_rate").values  # type: ignore[union-attr]


def run_once_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, other: Callable[[], None]) -> None:
    """Call `other` before the first call of this function."""
    real, calls = getattr(owner, name), [other]

    def function(*arguments: Any, **more: Any) -> Any:
        if calls:
            calls.pop()()
        return real(*arguments, **more)

    monkeypatch.setattr(owner, name, function)


def without_lease(path: Path) -> Callable[[], None]:
    """A submit that does not wait for the lease, as if its holder had been suspended until the lease expired."""

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Lease, "run", lambda _, action, **__: action() is None)
            submit(path)

    return run


STEPS = [
    pytest.param(prepare_app, "alone", id="before the lease"),
    pytest.param(SweepDir, "create", id="under the lease"),
    pytest.param(SweepDir, "_write_unless_created", id="before sweep.json"),
    pytest.param(SweepDir, "_link_spec", id="before sweep.yaml"),
]


@pytest.mark.parametrize(("owner", "name"), STEPS)
def test_a_first_submit_that_is_overtaken_is_refused_as_a_later_one_is(
    owner: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = write(tmp_path, "first", "1e-3"), write(tmp_path, "second", "2e-3")
    run_once_before(monkeypatch, owner, name, without_lease(second))
    with pytest.raises(SpecError) as refusal:
        submit(first)
    assert rates_of(tmp_path) == (2e-3,)
    with pytest.raises(SpecError) as later:
        submit(first)
    assert str(refusal.value) == str(later.value)
    assert "sweep eyes was submitted with other settings" in str(later.value)


@pytest.mark.parametrize("faster", ["1e-3, 2e-3", "2e-3"], ids=["equal", "smaller"])
@pytest.mark.parametrize(("owner", "name"), STEPS)
def test_a_first_submit_that_is_overtaken_by_an_equal_or_a_smaller_grid_joins_it(
    owner: Any, name: str, faster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = write(tmp_path, "first", "1e-3, 2e-3"), write(tmp_path, "second", faster)
    run_once_before(monkeypatch, owner, name, without_lease(second))
    submit(first)
    assert rates_of(tmp_path) == (1e-3, 2e-3)


def test_a_submit_on_another_executor_is_refused_if_it_is_overtaken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "s", "1e-3")
    slurm = replace(SLURM, is_here=lambda: True, current_cluster=lambda: None)
    monkeypatch.setattr(prepare_app, "EXECUTORS", {**EXECUTORS, "slurm": slurm})
    run_once_before(monkeypatch, SweepDir, "_write_unless_created", without_lease(path))
    with pytest.raises(UsageError, match="sweep eyes runs on local, not on slurm"):
        submit(path, "slurm")


def test_a_second_submit_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write(tmp_path, "first", "1e-3"), write(tmp_path, "second", "2e-3")
    waits, errors = threading.Event(), []
    acquire = Lease._acquire

    def acquire_and_tell(lease: Lease, patience_s: float) -> bool:
        if threading.current_thread() is other:
            waits.set()
        return acquire(lease, patience_s)

    def submit_second() -> None:
        try:
            submit(second)
        except SpecError as error:
            errors.append(str(error))

    def start_second() -> None:
        other.start()
        assert waits.wait(60)

    other = threading.Thread(target=submit_second)
    monkeypatch.setattr(Lease, "_acquire", acquire_and_tell)
    run_once_before(monkeypatch, SweepDir, "_link_spec", start_second)
    submit(first)
    other.join(60)
    assert rates_of(tmp_path) == (1e-3,)
    [error] = errors
    assert "sweep eyes was submitted with other settings" in error


def test_of_two_changes_at_once_the_second_is_checked_against_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(write(tmp_path, "s", "1e-3"))
    one, other = write(tmp_path, "one", "1e-3, 2e-3"), write(tmp_path, "other", "1e-3, 3e-3")
    run_once_before(monkeypatch, prepare_app, "alone", without_lease(other))
    with pytest.raises(SpecError, match="learning_rate"):
        submit(one)
    assert rates_of(tmp_path) == (1e-3, 3e-3)
