"""The journal of a study is an export that other tools may open, keep open and delete."""

import errno
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from search_sweeps import curve_of, ended, sweep

from unetsweep.core.space import Choices, Domain, Range, Space
from unetsweep.search import journal as journal_module
from unetsweep.search.journal import MAX_APPENDED_VALUES, export
from unetsweep.trial_config import ParameterValue


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


TRIALS = [ended(k, {"epochs": 4, "batch_size": 4, "learning_rate": 10**-k}, value=k / 10) for k in range(1, 4)]
TRIALS = [replace(trial, number=number, run=number) for number, trial in enumerate(TRIALS)]


def load(journal: Path, name: str = "s") -> optuna.Study:
    """The study as another program opens it."""
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(journal))))


def values(journal: Path) -> list[tuple[TrialState, float | None]]:
    return [(trial.state, trial.value) for trial in load(journal).get_trials()]


COMPLETE = [(TrialState.COMPLETE, 0.1), (TrialState.COMPLETE, 0.2), (TrialState.COMPLETE, 0.3)]


def test_other_programs_read_values_parameters_and_the_best_trial(journal: Path):
    export(journal, sweep(), TRIALS)
    study = load(journal)
    assert values(journal) == COMPLETE
    assert study.best_trial.params == {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}
    assert study.best_trial.user_attrs == {"config_id": "id3", "trial": 2}


def test_the_study_of_a_loss_is_minimised(journal: Path):
    export(journal, sweep(metric="val_loss"), TRIALS)
    assert load(journal).direction is optuna.study.StudyDirection.MINIMIZE
    assert values(journal)[0] == (TrialState.COMPLETE, 1.0)


def test_trials_are_exported_open_up_to_the_last_ended_one_and_end_once(journal: Path):
    still_open = [replace(trial, result=None) for trial in TRIALS]
    export(journal, sweep(), still_open)
    assert values(journal) == []
    export(journal, sweep(), [still_open[0], TRIALS[1], still_open[2]])
    assert values(journal) == [(TrialState.RUNNING, None), COMPLETE[1]]
    export(journal, sweep(), TRIALS)
    before = journal.read_bytes()
    export(journal, sweep(), TRIALS)
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
def test_every_result_has_its_optuna_state(journal: Path, state: str, value: float | None, expected, was_open: bool):
    trial = ended(0, {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}, state, value)
    later = replace(TRIALS[0], number=1, run=1)
    if was_open:
        export(journal, sweep(), [replace(trial, result=None), later])
    export(journal, sweep(), [trial, later])
    assert [each.state for each in load(journal).get_trials()] == [expected, TrialState.COMPLETE]


@pytest.mark.parametrize("rate", [5e-324, 1e-40, 1e30, 1.7e308])
def test_extreme_parameters_can_be_exported(journal: Path, rate: float):
    extreme = {"epochs": 10**9, "batch_size": 10**9, "learning_rate": rate}
    export(journal, sweep(), [replace(ended(1, extreme, value=0.1), number=0, run=0)])
    assert values(journal) == COMPLETE[:1]


def test_a_full_disk_leaves_the_journal_as_it_was(journal: Path, monkeypatch: pytest.MonkeyPatch):
    export(journal, sweep(), TRIALS[:2])
    before = journal.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module, "_append_missing", full)
    with pytest.raises(OSError, match="No space"):
        export(journal, sweep(), TRIALS)
    assert journal.read_bytes() == before
    assert not journal.with_name("study.journal.corrupt").exists()


def test_a_deleted_journal_is_written_anew(journal: Path):
    export(journal, sweep(), TRIALS[:2])
    journal.unlink()
    export(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE


@pytest.mark.parametrize("keep", range(1, 60, 7))
def test_a_journal_cut_anywhere_in_its_last_line_is_continued(journal: Path, keep: int):
    export(journal, sweep(), TRIALS[:2])
    whole = journal.read_bytes()
    export(journal, sweep(), TRIALS)
    line = journal.read_bytes()[len(whole) :]
    journal.write_bytes(whole + line[:keep])
    export(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE
    assert journal.read_bytes().startswith(whole)


GARBAGE = [
    pytest.param(b"\x00\xff" * 100, id="no text"),
    pytest.param(b"[1, 2]\n", id="JSON of another kind"),
    pytest.param(b'{"op_code": 77, "worker_id": "x"}\n', id="an unknown operation"),
    pytest.param(b"", id="empty"),
]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("is_appended", [True, False])
def test_a_journal_with_garbage_is_continued_or_written_anew(journal: Path, garbage: bytes, is_appended: bool):
    export(journal, sweep(), TRIALS)
    journal.write_bytes(journal.read_bytes() + garbage if is_appended else garbage)
    export(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE


def test_a_journal_with_a_missing_line_is_complete_after_the_next_export(journal: Path):
    export(journal, sweep(), TRIALS)
    lines = journal.read_bytes().splitlines(keepends=True)
    for gap in range(len(lines)):
        journal.write_bytes(b"".join(lines[:gap] + lines[gap + 1 :]))
        export(journal, sweep(), TRIALS)
        assert values(journal) == COMPLETE, f"line {gap} was lost"


def test_a_last_line_without_a_line_break_is_completed(journal: Path):
    export(journal, sweep(), TRIALS)
    journal.write_bytes(journal.read_bytes()[:-1])
    export(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE
    assert journal.read_bytes().endswith(b"\n")


def test_a_corrupt_last_line_does_not_spoil_the_next(journal: Path):
    """Optuna's reader ignores a corrupt line only while it is the last."""
    export(journal, sweep(), TRIALS[:2])
    with journal.open("ab") as stream:
        stream.write(b'{"op_co\n')
    export(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE


def test_an_unreadable_journal_is_kept_beside_the_new_one(journal: Path):
    content = b'{"op_co\n{"op_co\n'
    journal.write_bytes(content)
    export(journal, sweep(), TRIALS)
    assert values(journal) == COMPLETE
    assert journal.with_name("study.journal.corrupt").read_bytes() == content


def test_a_tool_with_the_journal_open_reads_the_results_of_trials(journal: Path):
    still_open = [replace(TRIALS[0], result=None), TRIALS[1]]
    export(journal, sweep(), still_open)
    study = load(journal)
    assert [trial.value for trial in study.get_trials()] == [None, 0.2]
    export(journal, sweep(), TRIALS, curve_of(0, 0.05, 0.1))
    assert [trial.value for trial in study.get_trials()] == [0.1, 0.2, 0.3]


def curves(journal: Path) -> list[dict[int, float]]:
    return [trial.intermediate_values for trial in load(journal).get_trials()]


def test_an_ended_trial_is_exported_with_its_curve_in_one_line(journal: Path):
    export(journal, sweep(), TRIALS[:1])
    lines = len(journal.read_bytes().splitlines())
    export(journal, sweep(), TRIALS[:2], curve_of(1, 0.1, None, 0.3))
    assert curves(journal) == [{}, {1: 0.1, 3: 0.3}]
    assert len(journal.read_bytes().splitlines()) == lines + 1


def test_the_curve_of_a_trial_exported_open_is_appended_thinned_out_with_its_last_epoch(journal: Path):
    still_open = [replace(TRIALS[0], result=None), TRIALS[1]]
    export(journal, sweep(), still_open)
    export(journal, sweep(), TRIALS[:2], curve_of(0, *(0.001 * e for e in range(1, 500))))
    (curve, _) = curves(journal)
    assert 40 <= len(curve) <= MAX_APPENDED_VALUES
    assert max(curve) == 499
    assert values(journal)[0] == COMPLETE[0]


@pytest.mark.parametrize("was_open", [True, False])
def test_a_pruned_trial_has_the_last_value_of_its_curve(journal: Path, was_open: bool):
    trial, curve = ended(0, TRIALS[0].params or {}, "pruned", 0.3), curve_of(0, 0.3, 0.2)
    if was_open:
        export(journal, sweep(), [replace(trial, result=None), TRIALS[1]], curve)
    export(journal, sweep(), [trial, TRIALS[1]], curve)
    assert values(journal)[0] == (TrialState.PRUNED, 0.2)
    assert curves(journal)[0] == {1: 0.3, 2: 0.2}


KINDS = [
    (Choices(("a", "b")), "c"),
    (Choices((1, 2)), "auto"),
    (Choices((1e-3, 1e-2)), 0.0),
    (Choices((1, 2)), 2.5),
    (Range(1, 9), 2.5),
]


@pytest.mark.parametrize(("domain", "value"), KINDS)
def test_a_value_of_another_kind_that_was_added_is_exported_with_one_distribution(
    journal: Path, domain: Domain, value: ParameterValue
):
    first = domain.values[0] if isinstance(domain, Choices) else domain.low
    before, after = (replace(ended(number, {"x": x}), run=0) for number, x in enumerate((first, value)))
    spec = sweep(Space.of(x=domain))
    export(journal, spec, [before])
    for stale in (spec, replace(spec, added=({"x": value},))):  # a watching process may have read the sweep before
        export(journal, stale, [before, replace(after, is_listed=True)])
        found = load(journal).get_trials()
        assert [trial.params["x"] for trial in found] == [first, value]
        assert found[0].distributions == found[1].distributions
    content = journal.read_bytes()
    export(journal, spec, [before, replace(after, is_listed=True)])
    assert journal.read_bytes() == content


def test_parameters_have_the_ranges_and_choices_of_the_sweep_and_a_range_may_grow(journal: Path):
    space = Space.of(
        rate=Range(1e-4, 1e-2, log=True), width=Range(16, 64, step=16), size=Choices((32, 48)), loss=Choices(("a", "b"))
    )
    points = [
        {"rate": 1e-3, "width": 32, "size": 48, "loss": "a"},
        {"rate": 1e-1, "width": 128, "size": 64, "loss": "b"},
    ]
    first, second = (replace(ended(number, point), run=number) for number, point in enumerate(points))
    export(journal, sweep(space), [first])
    content = journal.read_bytes()
    assert load(journal).get_trials()[0].distributions == {
        "rate": optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True),
        "width": optuna.distributions.IntDistribution(16, 64, step=16),
        "size": optuna.distributions.IntDistribution(32, 48),
        "loss": optuna.distributions.CategoricalDistribution(("a", "b")),
    }
    export(journal, sweep(space), [first, second])
    assert journal.read_bytes().startswith(content), "tools that have the journal open read on"
    found = load(journal).get_trials()[1].distributions
    assert found["rate"] == optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
    assert found["width"] == optuna.distributions.IntDistribution(16, 128)
    assert found["size"] == optuna.distributions.IntDistribution(32, 64)
