"""Proposals never repeat a point and never depend on chance; the journal is an index that can be lost."""

import errno
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from unetsweep.contract import DataConfig, Result
from unetsweep.core.observation import Point
from unetsweep.core.space import Choices, Domain, Range, Space, size
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import UsageError
from unetsweep.search import optuna_study
from unetsweep.search.optuna_study import CURVE, Curve, propose, repair_journal, update_journal

Params = Mapping[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RATE = Range(1e-5, 1e-2, log=True)
SMALL = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-4, 1e-3, 1e-2)))


def sweep(space: Space = SMALL, metric: str = "val_iou", **study: Any) -> SweepSpec:
    return SweepSpec("s", DataConfig("images"), space, StudySpec(metric=metric, **study))  # type: ignore[arg-type]


def ended(trial: int, params: Params, state: Any = "complete", value: float | None = 0.5) -> StoredTrial:
    return replace(opened(trial, params), result=Result(state, val_iou=value, val_loss=1.0))


def opened(trial: int, params: Params) -> StoredTrial:
    typed = {"epochs": int(params["epochs"]), "batch_size": int(params["batch_size"])}
    typed["learning_rate"] = float(params["learning_rate"])  # type: ignore[assignment]
    return StoredTrial(trial, trial, typed["epochs"], typed["batch_size"], typed, f"id{trial}")


def search(spec: SweepSpec, count: int, at_once: int = 1) -> list[dict[str, Any]]:
    """The points of a whole search, each told a value that its point alone decides."""
    trials: list[StoredTrial] = []
    while len(trials) < count:
        points = propose(spec, trials, min(at_once, count - len(trials)))
        if not points:
            break
        for point in points:
            trials.append(ended(len(trials), point, value=1 / (1 + point["learning_rate"] * point["epochs"])))
    return [dict(trial.params or {}) for trial in trials]


def keys(points: Iterable[dict[str, Any]]) -> list[tuple[float, ...]]:
    return [tuple(point.values()) for point in points]


# ---- proposals


FINITE = [
    pytest.param(SMALL, id="choices"),
    pytest.param(
        Space.of(epochs=Range(1, 3), batch_size=Choices((4,)), learning_rate=Choices((1e-4, 1e-3))),
        id="a range of whole numbers",
    ),
    pytest.param(
        Space.of(epochs=Choices((4,)), batch_size=Range(4, 12, step=4), learning_rate=Range(0.1, 0.3, step=0.1)),
        id="ranges with steps",
    ),
]


@pytest.mark.parametrize("space", FINITE)
@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_finite_space_is_searched_to_its_end_no_point_twice(space: Space, sampler: str, at_once: int):
    points = search(sweep(space, sampler=sampler), 99, at_once)
    assert len(set(keys(points))) == len(points) == size(space)


def test_a_search_is_repeated_by_its_seed_and_only_by_it():
    space = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=RATE)
    first, again, other = (search(sweep(space, sampler="tpe", seed=seed), 14) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_what_is_running_is_not_proposed_again_and_changes_no_other_draw():
    spec = sweep(Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE), sampler="random")
    together = propose(spec, [], 3)
    (first,) = propose(spec, [], 1)
    later = propose(spec, [opened(0, first)], 2)
    assert together == [first, *later]


def test_tpe_learns_from_the_results_in_the_direction_of_the_metric():
    space = Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE)
    for metric, best in (("val_iou", "high"), ("val_loss", "low")):
        spec = sweep(space, metric, sampler="tpe", seed=1)
        trials: list[StoredTrial] = []
        for number in range(30):
            (point,) = propose(spec, trials, 1)
            trial = ended(number, point)
            rate = point["learning_rate"]
            trials.append(replace(trial, result=Result(val_iou=rate, val_loss=rate)))
        late = sorted(trial.params["learning_rate"] for trial in trials[15:])[7]
        assert (late > 1e-3) == (best == "high")


@pytest.mark.parametrize("state", ["failed", "cancelled", "diverged", "pruned"])
def test_a_trial_without_a_value_stops_no_search(state: str):
    trials = [ended(k, {"epochs": 4, "batch_size": 4, "learning_rate": 10**-k}, state, None) for k in range(2, 5)]
    (point,) = propose(
        sweep(Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE), sampler="tpe"), trials, 1
    )
    assert 1e-5 <= point["learning_rate"] <= 1e-2


@pytest.mark.parametrize("sampler", ["TPESampler", "RandomSampler"])
def test_any_sampler_of_optuna_is_made_by_its_name(sampler: str):
    space = Space.of(epochs=Range(1, 9), batch_size=Choices((4,)), learning_rate=RATE)
    assert len(set(keys(search(sweep(space, sampler=sampler), 6)))) == 6


def test_a_sampler_that_cannot_be_made_says_so_with_its_arguments():
    with pytest.raises(UsageError, match=r"TPESampler cannot be made with \{'n_ei_candidates': 'x', 'no_such': 1\}"):
        propose(sweep(sampler="tpe", sampler_args={"n_ei_candidates": "x", "no_such": 1}), [], 1)


@pytest.mark.parametrize("axis", [Choices((1e-4, 1e-3)), RATE, Range(0.1, 0.3, step=0.1)])
def test_a_point_is_what_a_config_takes(axis: Domain):
    (point,) = propose(
        sweep(Space.of(epochs=Choices((4,)), batch_size=Range(4, 8), learning_rate=axis), sampler="random"), [], 1
    )
    assert point["epochs"] == 4
    assert point["batch_size"] == int(point["batch_size"])


# ---- the journal


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


TRIALS = [ended(k, {"epochs": 4, "batch_size": 4, "learning_rate": 10**-k}, value=k / 10) for k in range(1, 4)]
TRIALS = [replace(trial, number=number, run=number) for number, trial in enumerate(TRIALS)]


def opened_again(journal: Path, name: str = "s") -> optuna.Study:
    """As another program opens it."""
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(journal))))


def values(journal: Path) -> list[tuple[TrialState, float | None]]:
    return [(trial.state, trial.value) for trial in opened_again(journal).get_trials()]


COMPLETE = [(TrialState.COMPLETE, 0.1), (TrialState.COMPLETE, 0.2), (TrialState.COMPLETE, 0.3)]


def test_other_programs_read_values_parameters_and_the_best(journal: Path):
    update_journal(journal, sweep(), TRIALS)
    study = opened_again(journal)
    assert values(journal) == COMPLETE
    assert study.best_trial.params == {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}
    assert study.best_trial.user_attrs == {"config_id": "id3", "trial": 2}


def test_the_study_of_a_loss_is_minimised(journal: Path):
    update_journal(journal, sweep(metric="val_loss"), TRIALS)
    assert opened_again(journal).direction is optuna.study.StudyDirection.MINIMIZE
    assert values(journal)[0] == (TrialState.COMPLETE, 1.0)


def test_trials_go_in_open_up_to_the_last_that_ended_and_are_told_once(journal: Path):
    still_open = [replace(trial, result=None) for trial in TRIALS]
    update_journal(journal, sweep(), still_open)
    assert values(journal) == []
    update_journal(journal, sweep(), [still_open[0], TRIALS[1], still_open[2]])
    assert values(journal) == [(TrialState.RUNNING, None), COMPLETE[1]]
    update_journal(journal, sweep(), TRIALS)
    before = journal.read_bytes()
    update_journal(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE
    assert journal.read_bytes() == before


STATES = [
    ("complete", 0.5, TrialState.COMPLETE),
    ("complete", None, TrialState.FAIL),
    ("diverged", None, TrialState.FAIL),
    ("failed", None, TrialState.FAIL),
    ("cancelled", None, TrialState.FAIL),
    ("pruned", 0.3, TrialState.PRUNED),
]


@pytest.mark.parametrize(("state", "value", "expected"), STATES)
@pytest.mark.parametrize("was_open", [True, False])
def test_every_end_has_its_state(journal: Path, state: str, value: float | None, expected, was_open: bool):
    trial = ended(0, {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}, state, value)
    later = replace(TRIALS[0], number=1, run=1)
    if was_open:
        update_journal(journal, sweep(), [replace(trial, result=None), later])
    update_journal(journal, sweep(), [trial, later])
    assert [each.state for each in opened_again(journal).get_trials()] == [expected, TrialState.COMPLETE]


@pytest.mark.parametrize("rate", [5e-324, 1e-40, 1e30, 1.7e308])
def test_whatever_a_sweep_may_ask_for_has_its_place_in_the_journal(journal: Path, rate: float):
    extreme = {"epochs": 10**9, "batch_size": 10**9, "learning_rate": rate}
    update_journal(journal, sweep(), [replace(ended(1, extreme, value=0.1), number=0, run=0)])
    assert values(journal) == COMPLETE[:1]


def test_a_full_disk_is_no_reason_to_give_the_journal_up(journal: Path, monkeypatch: pytest.MonkeyPatch):
    update_journal(journal, sweep(), TRIALS[:2])
    before = journal.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(optuna_study, "_update", full)
    with pytest.raises(OSError, match="No space"):
        update_journal(journal, sweep(), TRIALS)
    assert journal.read_bytes() == before
    assert not journal.with_name("study.journal.unreadable").exists()


def test_a_journal_that_was_deleted_is_made_anew(journal: Path):
    update_journal(journal, sweep(), TRIALS[:2])
    journal.unlink()
    update_journal(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE


@pytest.mark.parametrize("keep", range(1, 60, 7))
def test_a_journal_torn_anywhere_in_its_last_line_is_repaired(journal: Path, keep: int):
    update_journal(journal, sweep(), TRIALS[:2])
    whole = journal.read_bytes()
    update_journal(journal, sweep(), TRIALS)
    line = journal.read_bytes()[len(whole) :]
    journal.write_bytes(whole + line[:keep])
    update_journal(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE
    assert journal.read_bytes().startswith(whole)


GARBAGE = [
    pytest.param(b"\x00\xff" * 100, id="no text"),
    pytest.param(b"[1, 2]\n", id="JSON of another kind"),
    pytest.param(b'{"op_code": 77, "worker_id": "x"}\n', id="an operation that there is not"),
    pytest.param(b"", id="empty"),
]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("is_behind", [True, False])
def test_a_journal_with_garbage_is_repaired_or_made_anew(journal: Path, garbage: bytes, is_behind: bool):
    update_journal(journal, sweep(), TRIALS)
    journal.write_bytes(journal.read_bytes() + garbage if is_behind else garbage)
    update_journal(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE


def test_a_journal_that_lost_a_line_in_its_middle_is_made_anew_or_whole(journal: Path):
    update_journal(journal, sweep(), TRIALS)
    lines = journal.read_bytes().splitlines(keepends=True)
    for gap in range(len(lines)):
        journal.write_bytes(b"".join(lines[:gap] + lines[gap + 1 :]))
        update_journal(journal, sweep(), TRIALS)
        assert values(journal) == COMPLETE, f"line {gap} was lost"


def test_a_last_line_without_its_end_is_ended_and_kept(journal: Path):
    update_journal(journal, sweep(), TRIALS)
    journal.write_bytes(journal.read_bytes()[:-1])
    assert repair_journal(journal) == 0
    assert values(journal) == COMPLETE
    assert journal.read_bytes().endswith(b"\n")


def test_what_was_torn_is_kept_beside_the_repaired(journal: Path):
    update_journal(journal, sweep(), TRIALS)
    shutil.copy(journal, journal.with_name("whole"))
    with journal.open("ab") as stream:
        stream.write(b'{"op_co')
    assert repair_journal(journal) == 1
    assert journal.read_bytes() == journal.with_name("whole").read_bytes()
    assert journal.with_name("study.journal.corrupt").read_bytes().endswith(b'{"op_co')


# ---- curves


def curve_of(run: int, *values: float | None) -> Curve:
    """The curve of one run; no other has one."""
    points = tuple(Point(e, value, None, NOW) for e, value in enumerate(values, 1))
    return lambda asked: points if asked == run else ()


def curves(journal: Path) -> list[dict[int, float]]:
    return [trial.intermediate_values for trial in opened_again(journal).get_trials()]


def test_the_curve_of_an_ended_trial_is_in_the_study_as_one_line_with_it(journal: Path):
    update_journal(journal, sweep(), TRIALS[:1])
    lines = len(journal.read_bytes().splitlines())
    update_journal(journal, sweep(), TRIALS[:2], curve_of(1, 0.1, None, 0.3))
    assert curves(journal) == [{}, {1: 0.1, 3: 0.3}]
    assert len(journal.read_bytes().splitlines()) == lines + 1


def test_the_curve_of_a_trial_that_went_in_open_is_told_at_its_end_thinned_to_its_last(journal: Path):
    still_open = [replace(TRIALS[0], result=None), TRIALS[1]]
    update_journal(journal, sweep(), still_open)
    update_journal(journal, sweep(), TRIALS[:2], curve_of(0, *(0.001 * e for e in range(1, 500))))
    (curve, _) = curves(journal)
    assert 40 <= len(curve) <= CURVE
    assert max(curve) == 499
    assert values(journal)[0] == COMPLETE[0]


@pytest.mark.parametrize("was_open", [True, False])
def test_a_pruned_trial_has_its_last_value(journal: Path, was_open: bool):
    trial, curve = ended(0, TRIALS[0].params, "pruned", 0.3), curve_of(0, 0.3, 0.2)
    if was_open:
        update_journal(journal, sweep(), [replace(trial, result=None), TRIALS[1]], curve)
    update_journal(journal, sweep(), [trial, TRIALS[1]], curve)
    assert values(journal)[0] == (TrialState.PRUNED, 0.2)
    assert curves(journal)[0] == {1: 0.3, 2: 0.2}


def test_tpe_learns_from_the_pruned():
    """All of them were pruned, and those with a higher rate later had the better values."""
    space = Space.of(epochs=Choices((4,)), batch_size=Choices((4,)), learning_rate=RATE)
    spec = sweep(space, sampler="tpe", seed=1)
    trials: list[StoredTrial] = []
    curves: dict[int, tuple[Point, ...]] = {}
    for number in range(30):
        (point,) = propose(spec, trials, 1, lambda run: curves[run])
        trials.append(ended(number, point, "pruned", None))
        curves[number] = tuple(Point(e, value, None, NOW) for e, value in enumerate((0.0, point["learning_rate"]), 1))
    late = sorted(trial.params["learning_rate"] for trial in trials[15:])[7]
    assert late > 1e-3
