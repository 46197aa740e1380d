"""The parameters of a trainer command's own: what a file may name, and each problem in one line with its position."""

from pathlib import Path

import pytest

from unetsweep import contract
from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml
from unetsweep.core.space import Choices, Condition, NamedValue, Range, grid_points
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import params_of, trial_config
from unetsweep.errors import SpecError

COMMAND = "trainer: {command: 'python t.py {config} {out}'}\n"
HEAD = COMMAND + "study: {sampler: tpe, trials: 4, metric: rmse, direction: minimize}\n"
GRID = "study: {metric: rmse, direction: minimize}\n"


def spec(space: str, head: str = HEAD) -> SweepSpec:
    """The sweep of a file whose space begins in line 4."""
    return spec_from(f"{head}space:\n{space}", "s.yaml", working=Path("/w"), home=Path("/h"))


def problems(space: str, head: str = HEAD) -> list[str]:
    with pytest.raises(SpecError) as error:
        spec(space, head)
    return str(error.value).splitlines()


ANY = """\
  sigma: [3, 5, 9]
  kernel: [rbf, linear]
  layers.0: {low: -2.5, high: 4, step: 0.5}
  n-jobs: {low: -8, high: 64}
  rate: {low: 1e-5, high: 1, log: true}
  gamma: [auto, 0.5, -3, null, true]
  optimizer: sgd
  model: [svm, {name: deep, value: [64, 64]}, {name: wide, value: {width: 512}}]
  degree: {values: [2, 3], when: {kernel: linear, sigma: [3, 5]}}
exclude: [{kernel: rbf, sigma: 9}]
"""


def test_a_program_has_parameters_of_any_name_and_kind() -> None:
    found = spec(ANY)
    named = (NamedValue("deep", [64, 64]), NamedValue("wide", {"width": 512}))
    assert found.space.domains() == {
        "sigma": Choices((3, 5, 9)),
        "kernel": Choices(("rbf", "linear")),
        "layers.0": Range(-2.5, 4.0, step=0.5),
        "n-jobs": Range(-8, 64),
        "rate": Range(1e-5, 1.0, log=True),
        "gamma": Choices(("auto", 0.5, -3, None, True)),
        "optimizer": Choices(("sgd",)),
        "model": Choices(("svm", "deep", "wide"), named),
        "degree": Choices((2, 3)),
        "epochs": Choices((1,)),
    }
    assert found.space.domain("n-jobs").is_whole  # type: ignore[union-attr] # a range
    assert found.space.parameters[-2].when == (Condition("kernel", ("linear",)), Condition("sigma", (3, 5)))
    assert found.space.excluded == ((("kernel", "rbf"), ("sigma", 9)),)
    assert spec_from(as_yaml(found), "sweep.yaml") == found


def test_a_config_has_the_values_of_a_programs_parameters_and_the_point_their_names() -> None:
    found = spec("  model: [svm, {name: deep, value: [64, 64]}]\n  x: [1, '1', null]\n", COMMAND + GRID)
    points = grid_points(found.space)
    configs = [trial_config(found, point) for point in points]
    assert [config.params for config in configs[-2:]] == [
        {"model": [64, 64], "x": "1"},
        {"model": [64, 64], "x": None},
    ]
    assert [params_of(config, found.space) for config in configs] == list(points)
    assert all(contract.config_from(contract.encode(config)) == config for config in configs)
    assert len({contract.config_id(config) for config in configs}) == len({*map(contract.run_key, configs)}) == 6
    assert (configs[0].epochs, configs[0].batch_size) == (1, 1), "epochs are counted, the other is not read"
    assert spec_from(as_yaml(found), "sweep.yaml") == found


def test_a_program_may_have_no_parameter_and_what_it_names_of_ours_is_passed_on() -> None:
    alone = spec_from(COMMAND + GRID, "s.yaml")
    assert grid_points(alone.space) == ({"epochs": 1},)
    text = "trainer: {command: 'x {epochs} {learning_rate}', epochs: 9, learning_rate: 0.5}\n" + GRID
    found = spec("  seed: [1, 2]\n", text)
    assert grid_points(found.space)[0] == {"epochs": 9, "learning_rate": 0.5, "seed": 1}
    assert trial_config(found, grid_points(found.space)[1]).seed == 2


def test_listed_points_name_own_parameters() -> None:
    text = "  sigma: [3, 5]\npoints: [{sigma: 3}, {sigma: 5, seed: 4}]\n"
    head = HEAD.replace("tpe, trials: 4", "none")
    assert spec(text, head).points == ({"sigma": 3, "epochs": 1}, {"sigma": 5, "epochs": 1, "seed": 4})


def test_a_value_that_is_named_like_a_number_keeps_its_name() -> None:
    found = spec("  x: [3, {name: '3', value: [1]}]\n")
    assert spec_from(as_yaml(found), "sweep.yaml").space == found.space


OF_OURS = (
    "is a setting of the built-in trainer, which trainer.command replaces, so your program does not read it; "
    "give the parameter of your program another name"
)
WRONG = {
    "a setting of ours": ("model.base: [8]", f"4:3: space.model.base: {OF_OURS}"),
    "a setting of ours that never varies": ("data.root: [a]", f"4:3: space.data.root: {OF_OURS}"),
    "a setting of ours in a condition": (
        "x: {values: [1], when: {trainer.optimizer: sgd}}",
        f"4:27: space.x.when.trainer.optimizer: {OF_OURS}",
    ),
    "a setting of unetsweep": (
        "processes: [1, 2]",
        "4:3: space.processes: is a setting of unetsweep: it says on what a training runs, not how; set it under "
        "slurm; give the parameter of your program another name",
    ),
    "the section of own parameters": (
        "params: [1]",
        "4:3: space.params: is a setting of unetsweep: the parameters of a trainer.command are keys of space, by their "
        "own names; give the parameter of your program another name",
    ),
    "a name that means something else": (
        "out: [a, b]",
        "4:3: space.out: your program gets something else under the name 'out'; "
        "give the parameter of your program another name",
    ),
    "the name of the metric": (
        "rmse: [1, 2]",
        "4:3: space.rmse: has the name of study.metric, so a report could not tell them apart; rename one",
    ),
    "a space in a name": (
        "'a b': [1]",
        "4:3: space.a b: found the name 'a b'; letters, digits, _, . and -, at most 100, the first a letter, "
        "a digit or _",
    ),
    "a dash before a name": (
        "-x: [1]",
        "4:3: space.-x: found the name '-x'; letters, digits, _, . and -, at most 100, the first a letter, "
        "a digit or _",
    ),
    "a list without a name": (
        "x: [[1, 2]]",
        "4:7: space.x: found [1, 2] without a name; {name: NAME, value: VALUE}",
    ),
    "a mapping that is no range": (
        "x: {a: 1}",
        "4:3: space.x: found a mapping; a range {low, high, log, step}, or as a value {name: NAME, value: VALUE}",
    ),
    "a name for a number": (
        "x: [{name: a, value: 3}]",
        "4:17: space.x.0.value: found 3; a list or a mapping",
    ),
    "equal values of two kinds": ("x: [1, true]", "4:10: space.x: found true and 1, which are equal"),
    "a value twice": ("x: [a, a]", "4:10: space.x: found the text 'a' twice; remove one"),
    "a log range with 0": (
        "x: {low: 0, high: 5, log: true}",
        "4:7: space.x.low: found 0; with log: true a number above 0, because a log scale has no 0",
    ),
    "a range of texts": (
        "x: {low: a, high: 5}",
        "4:7: space.x.low: found the text 'a'; a number",
    ),
    "a whole number that Optuna would round": (
        "x: [9007199254740993]",
        "4:7: space.x: found 9007199254740993; a number from -9007199254740992 to 9007199254740992",
    ),
    "a range without an end": ("x: {low: 1}", "4:3: space.x.high: is missing; a range is {low, high, log, step}"),
    "a text of two lines": (
        'x: ["a\\nb"]',
        "4:7: space.x: found the text 'a\\nb'; printable text on one line, of at most 1000 characters",
    ),
    "no epochs": ("epochs: [0]", "4:12: space.epochs: found 0; a whole number from 1 to 1000000"),
    "a condition on nothing": (
        "x: {values: [1], when: {kernal: rbf}}",
        "4:27: space.x.when.kernal: is no parameter of this sweep; those are x, epochs",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_own_parameter_is_named_with_what_is_allowed(name: str) -> None:
    text, line = WRONG[name]
    assert problems(f"  {text}\n") == [f"s.yaml:{line}"]


def test_own_parameters_need_a_trainer_command() -> None:
    head = "data: {root: images}\n\n"
    found = problems("  sigma: [3]\n  epochs: 4\n  batch_size: 4\n  learning_rate: 1e-3\n", head)
    assert len(found) == 1
    assert found[0].startswith("s.yaml:4:3: space.sigma: unknown key 'sigma'; ")
    assert found[0].endswith("trainer.precision, seed. Parameters of your own need trainer.command")


def test_of_a_misspelled_command_only_the_key_is_a_problem_and_not_what_follows_from_it() -> None:
    typo = "s.yaml:1:11: trainer.comand: unknown key 'comand'; did you mean 'command'?"
    head = HEAD.replace("command", "comand")
    assert problems("  sigma: [3]\n", head) == [typo]
    assert problems("  sigma: []\n", head) == [typo, "s.yaml:4:3: space.sigma: found an empty list; at least one value"]


def test_a_placeholder_of_a_setting_that_nobody_named_is_refused() -> None:
    head = HEAD.replace("{out}", "{learning_rate} {n-jobs} {layers.0}")
    assert problems("  n-jobs: [1]\n  layers.0: [2]\n", head) == [
        "s.yaml:1:11: trainer.command: unknown placeholder {learning_rate}; no key of space is named "
        "learning_rate; replaced are {config}, {out}, {seed}, {epochs}, {0}, {n-jobs}, {layers.0}, "
        "and no shell runs the command"
    ]
