"""A sweep over any setting, or any parameter of a program, from the spec to the table: nothing in the engine knows
which parameters there are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, Workspace

from unetsweep.config.load import load
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig
from unetsweep.core.space import Choices, Parameter, Range, Space
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.store.sweep_dir import SweepDir

PLAIN = Space.of(epochs=Choices((1,)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,)))


def varied(path: str, domain: Choices | Range) -> Space:
    """The space of one config, beside one more parameter."""
    return Space((*PLAIN.parameters, Parameter(path, domain)))


def submit(workspace: Workspace, spec: SweepSpec) -> SweepDir:
    """Sweep the spec to its end."""
    directory = SweepDir(workspace.root(spec.name))
    directory.create(as_yaml(spec), "local", working=str(workspace.folder))
    workspace.run("submit", directory.root / "sweep.yaml", "--watch")
    return directory


@pytest.mark.train
def test_a_sweep_over_the_width_of_the_network_runs_from_the_spec_to_the_table(tmp_path: Path, eyes: Path) -> None:
    workspace = Workspace(tmp_path)
    model = ModelConfig(base=2, depth=1)
    data = DataConfig(str(eyes), image_size=32)
    spec = SweepSpec("s", data, varied("model.base", Choices((2, 4))), StudySpec(), model, TrainerConfig(threads=1))
    directory = submit(workspace, spec)

    assert load(directory.root / "sweep.yaml").space == spec.space
    trials = directory.trials()
    assert [trial.params for trial in trials] == [
        {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, "model.base": base} for base in (2, 4)
    ]
    assert len({trial.run for trial in trials}) == 2, "trainings of two networks are never shared"
    configs = [json.loads(directory.config_path(trial.number).read_bytes()) for trial in trials]
    assert [config["model"] for config in configs] == [
        {**configs[0]["model"], "base": 2},
        {**configs[0]["model"], "base": 4},
    ]
    rows = workspace.results("s")
    assert [row["state"] for row in rows] == ["complete", "complete"]
    assert rows[0]["val_loss"] != rows[1]["val_loss"]


@pytest.mark.parametrize(
    ("path", "domain"),
    [
        ("weight.decay", Range(1e-6, 1e-2, log=True)),
        ("shift", Range(-2, 1)),
        ("optimizer", Choices(("adam", "sgd"))),
    ],
)
def test_an_adaptive_search_over_any_parameter_proposes_no_point_twice_and_fills_the_study(
    path: str, domain: Choices | Range, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path)
    workspace.trainer(AT_ONCE)
    grid = load(workspace.grid(1))
    count = 2 if isinstance(domain, Choices) else 3
    directory = submit(workspace, replace(grid, space=varied(path, domain), study=StudySpec("tpe", trials=count)))

    values = [trial.params[path] for trial in directory.trials() if trial.params is not None]
    assert len(set(values)) == len(values) == count
    for trial in directory.trials():
        config = json.loads(directory.config_path(trial.number).read_bytes())
        assert trial.params is not None
        assert config["params"] == {path: trial.params[path]}
    assert [row["state"] for row in workspace.results("s")] == ["complete"] * count
    assert (directory.root / "study.journal").read_text().count(path) >= count


def test_a_file_may_vary_any_parameter_and_the_table_shows_what_varies_in_its_order(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.trainer(AT_ONCE)
    sweep = workspace.sweep(
        "space:\n  augment: [none, {name: strong, value: [HorizontalFlip]}]\n  weight_decay: [0, 1e-4]\n"
        "  epochs: 2\n  batch_size: 4\n  learning_rate: 1e-3\n  norm: batch\n"
    )
    workspace.submit(sweep, "--watch")

    table = workspace.run("report", "s").stdout.splitlines()
    heading = "trial state Job id augment weight_decay val_IoU val_loss test_IoU test_loss"
    assert " ".join(table[0].split()) == heading
    assert [line.lstrip("* ").split()[3:5] for line in table[1:5]] == [
        ["none", "0"],
        ["none", "0.0001"],
        ["strong", "0"],
        ["strong", "0.0001"],
    ]
    report = json.loads(workspace.run("report", "s", "--format", "json").stdout)
    assert [row["augment"] for row in report["rows"]] == ["none", "none", "strong", "strong"]
    assert report["best"]["params"] == {"augment": "none", "weight_decay": 0}
    config = json.loads(SweepDir(workspace.root("s")).config_path(3).read_bytes())
    assert config["params"] == {"augment": ["HorizontalFlip"], "weight_decay": 1e-4, "norm": "batch"}
    chosen = workspace.run("report", "s", "--columns", "trial,augment", "--sort", "-weight_decay").stdout
    assert [line.lstrip("* ").split() for line in chosen.splitlines()[1:3]] == [["0001", "none"], ["0003", "strong"]]


def test_a_search_with_conditions_and_exclusions_runs_to_its_table(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.trainer(AT_ONCE)
    sweep = workspace.sweep(
        "space:\n  epochs: [1, 2]\n  batch_size: 4\n  learning_rate: {low: 1e-4, high: 1e-2, log: true}\n"
        "  optimizer: [adam, sgd]\n  momentum: {low: 0.8, high: 0.99, when: {optimizer: sgd}}\n"
        "exclude: [{optimizer: adam, epochs: 2}]\nstudy: {sampler: tpe, trials: 12}\n"
    )
    plan = workspace.submit(sweep, "--dry-run").stdout
    assert "space: infinitely many points" in plan
    workspace.submit(sweep, "--watch")

    params = [trial.params or {} for trial in SweepDir(workspace.root("s")).trials()]
    assert len({tuple(sorted(each.items())) for each in params}) == 12
    assert {(each["optimizer"], "momentum" in each) for each in params} == {
        ("adam", False),
        ("sgd", True),
    }
    assert ("adam", 2) not in {(each["optimizer"], each["epochs"]) for each in params}
    rows = json.loads(workspace.run("report", "s", "--format", "json").stdout)["rows"]
    assert [row["momentum"] for row in rows] == [each.get("momentum") for each in params]
    workspace.run("repair", "s")
    workspace.run("confirm", "s", "--top", "2", "--seeds", "2")


def test_a_dry_run_prints_the_points_and_what_was_removed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.trainer(AT_ONCE)
    sweep = workspace.sweep(
        "space:\n  epochs: 2\n  batch_size: 4\n  learning_rate: [1e-3, 1e-2]\n  optimizer: [adam, sgd]\n"
        "  momentum: {values: [0.8, 0.9], when: {optimizer: sgd}}\nexclude: [{momentum: 0.8, learning_rate: 1e-2}]\n"
    )
    assert workspace.submit(sweep, "--dry-run").stdout.splitlines()[1:8] == [
        "space: 5 points of 8 combinations: when removes 2, exclude 1",
        "  epochs 2, batch_size 4, learning_rate 0.001, optimizer adam",
        "  epochs 2, batch_size 4, learning_rate 0.001, optimizer sgd, momentum 0.8",
        "  epochs 2, batch_size 4, learning_rate 0.001, optimizer sgd, momentum 0.9",
        "  epochs 2, batch_size 4, learning_rate 0.01, optimizer adam",
        "  epochs 2, batch_size 4, learning_rate 0.01, optimizer sgd, momentum 0.9",
        "propose  5 trials: the sweep asks for 5 trials",
    ]
    found = json.loads(workspace.submit(sweep, "--dry-run", "--json").stdout)
    assert found["space"] == {"points": 5, "combinations": 8, "without_conditions": 2, "excluded": 1}


def test_trials_that_differ_only_in_their_seeds_are_one_config_that_is_confirmed_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.trainer(AT_ONCE)
    sweep = workspace.sweep(
        "space: {epochs: 1, batch_size: 4, learning_rate: [1e-3, 1e-2], seed: [0, 1], optimizer: [adam]}\n"
    )
    workspace.submit(sweep, "--watch")
    workspace.run("confirm", "s", "--top", "4", "--seeds", "2", "--watch")

    report = json.loads(workspace.run("report", "s", "--format", "json").stdout)
    assert [(row["learning_rate"], row["seed"]) for row in report["rows"]] == [
        (1e-3, 0),
        (1e-3, 1),
        (1e-2, 0),
        (1e-2, 1),
    ]
    assert [(each["trial"], each["runs"]) for each in report["confirmed"]["leaders"]] == [(2, 2), (0, 2)]
