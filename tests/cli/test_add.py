"""`unetsweep add`: a point by hand is trained once, whatever is killed, added at once or submitted again."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from local_sweeps import AT_ONCE, TPE, Workspace
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from unetsweep.app import add as add_app
from unetsweep.app import submit as submit_app
from unetsweep.app.add import Addition, add, preview_addition
from unetsweep.cli.add import format_addition
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.trials import trial_config
from unetsweep.errors import SpecError, UnetsweepError, UsageError
from unetsweep.store.sweep_dir import SweepDir

OWN = """\
name: s
trainer: {command: "true {config} {out}"}
study: {metric: rmse, direction: minimize}
"""
GRID = OWN + "space: {epochs: [4, 8], learning_rate: [1e-3, 1e-2], kernel: rbf}\n"
SEARCH = (
    OWN.replace("{metric", "{sampler: tpe, trials: 3, metric")
    + "space: {sigma: {low: 1, high: 9.5}, kernel: [rbf, linear], degree: {values: [2, 3], when: {kernel: rbf}}}\n"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.trainer(AT_ONCE)
    return made


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sweeps that were started, in place of a start: nothing is trained."""
    names: list[str] = []

    def start(directory: SweepDir, *_: Any, **__: Any) -> SimpleNamespace:
        names.append(directory.name)
        return SimpleNamespace(state=None)

    for module in (submit_app, add_app):
        monkeypatch.setattr(module, "start_or_resume", start)
    return names


def submitted(folder: Path, text: str, *options: str) -> SweepDir:
    (folder / "s.yaml").write_text(text)
    submit_app.submit(
        submit_app.SubmitRequest(folder / "s.yaml", folder / "results", "local", overrides=options), lambda _: None
    )
    return SweepDir(folder / "results" / "s")


def added(directory: SweepDir, *settings: str) -> Addition:
    found: list[Addition] = []
    add(directory, settings, lambda _: None, found.append)
    return found[0]


def problems(directory: SweepDir, *settings: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        added(directory, *settings)
    return str(error.value).splitlines()


def test_a_point_outside_of_the_space_is_trained_and_reported_and_stays(workspace: Workspace) -> None:
    sweep = workspace.sweep(TPE.replace("trials: 6", "trials: 3").replace("[8]", "[8, 9]"))
    workspace.submit(sweep, "--watch")
    dry = json.loads(workspace.run("add", "s", "learning_rate=0.5", "--dry-run", "--json").stdout)
    assert (dry["point"], dry["trials"], dry["is_known"]) == ({"batch_size": 4, "learning_rate": 0.5}, 4, False)
    assert "added:" not in (workspace.root() / "sweep.yaml").read_text()

    done = workspace.run("add", "s", "learning_rate=0.5", "epochs=12", "--watch").stdout
    assert done.splitlines()[0] == "added to s: epochs 12, batch_size 4, learning_rate 0.5, seed 0"
    assert len(workspace.results()) == 4
    assert workspace.results()[3]["val_iou"] == 1.0
    for form in ("table", "csv"):
        assert "0.5" in workspace.run("report", "s", "--format", form).stdout
    again = workspace.run("add", "s", "learning_rate=0.5", "epochs=12").stdout
    assert again == "trial 0003 of s has this point (complete); another seed=N trains it again\n"

    workspace.run("add", "s", "epochs=12", "--watch")
    assert "changed since" not in workspace.submit(sweep, "--watch").stderr
    configs = [json.loads(path.read_text()) for path in sorted(workspace.root().glob("trials/*/config.json"))]
    assert [config["epochs"] for config in configs][3:] == [12, 12]
    assert 1e-5 <= configs[4]["learning_rate"] <= 1e-2
    storage = JournalStorage(JournalFileBackend(str(workspace.root() / "study.journal")))
    study = optuna.load_study(study_name="s", storage=storage)
    assert [trial.value is not None for trial in study.trials] == [True] * 5
    assert study.best_params["learning_rate"] == 0.5
    assert "trouble" not in (workspace.root() / "ledger.jsonl").read_text()


def test_an_added_point_is_in_the_sweep_before_anything_starts_and_a_submit_keeps_it(
    tmp_path: Path, started: list[str]
) -> None:
    directory = submitted(tmp_path, GRID)
    found = added(directory, "learning_rate=0.5", "epochs=4")
    assert found == Addition("s", {"epochs": 4, "learning_rate": 0.5, "kernel": "rbf", "seed": 0})
    assert directory.spec().added == ({"epochs": 4, "learning_rate": 0.5, "kernel": "rbf"},)
    before = directory.spec_text()
    submitted(tmp_path, GRID)
    assert directory.spec_text() == before
    submitted(tmp_path, GRID.replace("[4, 8]", "[4, 8, 16]"))
    assert (len(directory.spec().added), trials_wanted(directory.spec())) == (1, 7)
    assert len(started) == 4


def test_a_dry_run_says_what_it_would_add_and_what_the_sampler_chooses(tmp_path: Path, started: list[str]) -> None:
    directory = submitted(tmp_path, SEARCH)
    before = directory.spec_text()
    found, _ = preview_addition(directory, ["kernel=linear"], lambda _: None)
    assert format_addition(found, dry_run=True) == "would add to s: kernel linear (the sampler chooses sigma)"
    assert found.as_json(None)["chosen"] == ("sigma",)
    assert directory.spec_text() == before
    assert format_addition(added(directory, "sigma=2", "kernel=linear")) == "added to s: sigma 2, kernel linear, seed 0"


def test_a_point_that_the_sweep_has_is_not_added_again(tmp_path: Path, started: list[str]) -> None:
    directory = submitted(tmp_path, GRID)
    assert added(directory, "learning_rate=1e-2", "epochs=8").is_known, "it is one of the grid"
    added(directory, "learning_rate=0.5", "epochs=4")
    before = directory.spec_text()
    assert added(directory, "epochs=4", "learning_rate=0.5", "seed=0").is_known
    assert directory.spec_text() == before
    assert not added(directory, "learning_rate=0.5", "epochs=4", "seed=1").is_known
    assert not added(directory, "learning_rate=1e-2", "epochs=8", "seed=1").is_known
    assert trials_wanted(directory.spec()) == 7
    assert len(started) == 6, "a call that was killed before its start is repeated"


def test_an_added_point_is_repeated_as_all_points_are_and_names_no_seed(tmp_path: Path, started: list[str]) -> None:
    directory = submitted(tmp_path, GRID.replace("{metric", "{repeats: 2, metric"))
    assert problems(directory, "learning_rate=0.5", "epochs=4", "seed=3") == [
        "unetsweep add s: seed: each point is trained 2 times by study.repeats, with seeds of its own; remove the seed"
    ]
    found = added(directory, "learning_rate=0.5", "epochs=4")
    assert found == Addition("s", {"epochs": 4, "learning_rate": 0.5, "kernel": "rbf"}, repeats=2)
    assert format_addition(found) == "added to s: epochs 4, learning_rate 0.5, kernel rbf (2 trainings)"
    assert added(directory, "learning_rate=0.5", "epochs=4").is_known
    assert added(directory, "learning_rate=1e-2", "epochs=8").is_known, "it is one of the grid"
    assert trials_wanted(directory.spec()) == 10
    dry, plan = preview_addition(directory, ["learning_rate=0.7", "epochs=4"], lambda _: None)
    assert dry.as_json(plan)["trials"] == 12
    assert plan is not None
    assert [(point["learning_rate"], point["seed"]) for point in plan.points[:4]] == [
        (0.5, 0),
        (0.5, 1),
        (0.7, 0),
        (0.7, 1),
    ]
    trials = [trial_config(directory.spec(), {**found.point, "seed": seed}) for seed in (0, 1)]
    directory.add_trials(trials, {}, listed=[True, True])
    again = added(directory, "learning_rate=0.5", "epochs=4")
    assert format_addition(again) == "trial 0000 of s has this point (open)"
    submitted(tmp_path, GRID.replace("{metric", "{repeats: 3, metric"))
    assert trials_wanted(directory.spec()) == 15


def test_the_repeats_of_a_sweep_are_not_raised_if_an_added_point_names_a_seed(
    tmp_path: Path, started: list[str]
) -> None:
    directory = submitted(tmp_path, GRID)
    added(directory, "learning_rate=0.5", "epochs=4", "seed=3")
    with pytest.raises(SpecError, match=r"study.repeats: 1 -> 2; points that `unetsweep add` has added name seeds"):
        submitted(tmp_path, GRID.replace("{metric", "{repeats: 2, metric"))


def run_once_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, other: Callable[[], object]) -> None:
    """Call `other` before the first call of this function."""
    real, calls = getattr(owner, name), [other]

    def function(*arguments: Any, **more: Any) -> Any:
        if calls:
            calls.pop()()
        return real(*arguments, **more)

    monkeypatch.setattr(owner, name, function)


@pytest.mark.parametrize("moment", [(add_app, "prepare"), (SweepDir, "replace_spec"), (SweepDir, "trials")])
@pytest.mark.parametrize("other", [("learning_rate=0.7", "epochs=4"), ("learning_rate=0.5", "epochs=4")])
def test_two_at_once_both_count_and_equal_ones_count_once(
    moment: tuple[Any, str], other: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str]
) -> None:
    directory = submitted(tmp_path, GRID)
    if moment[1] == "replace_spec":  # both have checked; the lease keeps the second waiting
        moment = add_app, "prepare"
        first = add_app.prepare

        def prepare_then_wait(*arguments: Any, **more: Any) -> Any:
            prepared = first(*arguments, **more)
            monkeypatch.setattr(add_app, "prepare", first)
            added(directory, *other)
            return prepared

        monkeypatch.setattr(add_app, "prepare", prepare_then_wait)
    else:
        run_once_before(monkeypatch, *moment, lambda: added(directory, *other))
    added(directory, "learning_rate=0.5", "epochs=4")
    rates = [point["learning_rate"] for point in directory.spec().added]
    assert sorted(rates) == sorted({0.5, float(other[0].partition("=")[2])})


def test_a_submit_that_began_before_loses_no_added_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str]
) -> None:
    directory = submitted(tmp_path, GRID)
    run_once_before(monkeypatch, submit_app, "prepare", lambda: added(directory, "epochs=4", "learning_rate=0.5"))
    submitted(tmp_path, GRID.replace("[4, 8]", "[4, 8, 16]"))
    assert len(directory.spec().added) == 1
    assert directory.spec().space.domain("epochs").values == (4, 8, 16)  # type: ignore[union-attr]


def test_a_killed_call_is_repeated_without_a_second_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str]
) -> None:
    directory = submitted(tmp_path, SEARCH)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name in ("replace_spec", "resume"):
        with monkeypatch.context() as patch:
            patch.setattr(SweepDir, name, die)
            with pytest.raises(KeyboardInterrupt):
                added(directory, "sigma=50")
        directory.cancel_sweep()
    assert added(directory, "sigma=50").is_known
    assert directory.spec().added == ({"sigma": 50, "epochs": 1},)
    assert not (directory.root / "cancelled.json").exists()


def test_what_a_sampler_cannot_choose_is_named(tmp_path: Path, started: list[str]) -> None:
    directory = submitted(tmp_path, GRID)
    assert problems(directory, "learning_rate=0.5") == [
        "unetsweep add s: epochs: is missing; a grid chooses no values, so the point names all parameters"
    ]


def test_every_problem_of_a_point_is_named_at_once(tmp_path: Path, started: list[str]) -> None:
    directory = submitted(tmp_path, SEARCH)
    assert problems(directory, "sigma=abc", "kernl=rbf", "seed=-1", "degree", "kernel=[") == [
        "unetsweep add s: degree: has no value; write KEY=VALUE, such as sigma=1",
        "unetsweep add s: kernel: found '['; this is not YAML: while parsing a flow node, expected the node content, "
        "but found '<stream end>'",
        "unetsweep add s: seed: found -1; a whole number from 0 to 4294967295",
        "unetsweep add s: sigma: found the text 'abc'; sigma is a range of numbers",
        "unetsweep add s: kernl: is no parameter of this sweep; those are sigma, kernel, degree, epochs",
    ]
    assert problems(directory) == ["unetsweep add s: names no parameter; write KEY=VALUE, such as sigma=1"]
    assert problems(directory, "sigma", "2") == [
        "unetsweep add s: sigma: has no value; write KEY=VALUE, such as sigma=1",
        "unetsweep add s: 2: has no value; write KEY=VALUE, such as sigma=1",
    ]
    assert problems(directory, "seed=x", "sigma=[1, 2]", "kernel=rbf")[0] == (
        "unetsweep add s: seed: found the text 'x'; a whole number from 0 to 4294967295"
    )
    (line,) = problems(directory, "kernel=linear", "degree=3")
    assert line.startswith("unetsweep add s: degree: exists only where kernel is rbf, and this point has linear")
    (line,) = problems(directory, "epochs=4")
    assert line == "unetsweep add s: epochs: the file of the sweep names no epochs, so its program has none"
    assert directory.spec().added == ()


def test_a_list_or_mapping_may_be_added_by_a_name_and_survives_a_submit(tmp_path: Path, started: list[str]) -> None:
    directory = submitted(tmp_path, SEARCH)
    added(directory, "kernel={name: mine, value: [1, 2]}", "sigma=2")
    submitted(tmp_path, SEARCH.replace("trials: 3", "trials: 9"))
    spec = directory.spec()
    assert spec.added[0]["kernel"] == "mine"
    assert spec.space.domain("kernel").setting("mine") == [1, 2]
    assert added(directory, "kernel=mine", "sigma=2").is_known
    assert "'mine' has another value" in problems(directory, "kernel={name: mine, value: [3]}", "sigma=2")[0]


def test_values_that_no_training_could_use_are_refused_before_anything_is_written(
    tmp_path: Path, eyes: Path, started: list[str]
) -> None:
    text = (
        f"data: {{root: {eyes}, image_size: 32}}\nmodel: {{depth: 2}}\nrun: {{parallel: 1}}\n"
        "space: {epochs: 1, batch_size: 4, learning_rate: 1e-3, base: [4, 8], optimizer: adam, augment: none}\n"
    )
    directory = submitted(tmp_path, text)
    before = directory.spec_text()
    assert problems(directory, "base=8", "batch_size=512") == [
        "unetsweep add s: batch_size: found 512; the data set has 12 training images"
    ]
    assert problems(directory, "base=8", "optimizer=adamx")[0].startswith(
        "unetsweep add s: optimizer: found the text 'adamx'; allowed: adam, adamw, sgd"
    )
    (line,) = problems(directory, "base=8", "augment={name: a, value: [Flop]}")
    assert line.startswith("unetsweep add s: augment.value")
    with pytest.raises(UnetsweepError, match="memory"):
        added(directory, "base=200000")
    assert directory.spec_text() == before


def test_a_confirmation_gets_no_points(tmp_path: Path, started: list[str]) -> None:
    directory = submitted(tmp_path, GRID)
    inner = SweepDir(directory.root / "confirm")
    inner.create(directory.spec_text().decode(), "local")
    with pytest.raises(UsageError, match="add trainings to it with `unetsweep confirm`"):
        added(inner, "learning_rate=0.5", "epochs=4")
