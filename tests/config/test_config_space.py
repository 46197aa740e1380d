"""What `space:` may name and which values it may have: each problem in one line, with its position."""

from pathlib import Path

import pytest

from unetsweep.config.load import spec_from
from unetsweep.config.parameters import NOT_SWEPT, SWEEPABLE, resolve, short_name
from unetsweep.config.written import as_yaml
from unetsweep.core.space import Choices, NamedValue, Range, grid_points
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import params_of, trial_config
from unetsweep.errors import Problem, SpecError

THREE = "  epochs: [4, 8]\n  batch_size: [4]\n  learning_rate: [1e-3]\n"


def spec(space: str, more: str = "") -> SweepSpec:
    """The sweep of a file with these lines below `space:`."""
    return spec_from(f"data: {{root: images}}\nspace:\n{space}{more}", "s.yaml", working=Path("/w"), home=Path("/h"))


def problems(space: str, more: str = "") -> list[str]:
    """The lines of its problems; the parameters that every space has are in lines 3 to 5."""
    with pytest.raises(SpecError) as error:
        spec(THREE + space, more)
    return str(error.value).splitlines()


def test_a_short_name_or_the_end_of_a_path_is_stored_as_the_full_path() -> None:
    found = spec(THREE + "  base: [8, 16]\n  trainer.optimizer: [adam, sgd]\n  weight_decay: [0, 1e-4]\n")
    assert found.space.paths == (
        "epochs",
        "batch_size",
        "learning_rate",
        "model.base",
        "trainer.optimizer",
        "trainer.weight_decay",
    )
    assert found.space.domain("trainer.weight_decay") == Choices((0.0, 1e-4))
    assert spec_from(as_yaml(found), "sweep.yaml").space == found.space


def test_the_first_parameter_of_the_file_varies_slowest() -> None:
    points = grid_points(spec("  base: [8, 16]\n" + THREE).space)
    assert [(point["model.base"], point["epochs"]) for point in points] == [(8, 4), (8, 8), (16, 4), (16, 8)]


def test_each_setting_that_may_vary_has_a_name_and_every_other_one_a_reason() -> None:
    assert all(resolve(short_name(path), "") == path for path in SWEEPABLE)
    assert all(isinstance(resolve(path, ""), Problem) for path in NOT_SWEPT)


def test_a_short_name_of_several_settings_is_refused_with_the_candidates() -> None:
    found = resolve("width", "space.width", ("model.width", "data.width", "epochs"), {})
    assert found == Problem("'width' could be model.width or data.width; write one of them", "space.width")


def test_one_value_in_the_section_trainer_is_enough() -> None:
    text = "trainer: {epochs: 8, batch_size: 4, learning_rate: 1e-3, loss: bce_dice}\n"
    found = spec("  base: [8, 16]\n", text)
    assert [config.model.base for config in (trial_config(found, point) for point in grid_points(found.space))] == [
        8,
        16,
    ]
    assert found.space.domain("epochs") == Choices((8,))
    assert found.trainer.loss == "bce_dice"
    assert spec_from(as_yaml(found), "sweep.yaml") == found


def test_a_sweep_needs_no_space_if_everything_is_fixed() -> None:
    found = spec_from("data: {root: images}\ntrainer: {epochs: 8, batch_size: 4, learning_rate: 1e-3}\n", "s.yaml")
    assert grid_points(found.space) == ({"epochs": 8, "batch_size": 4, "learning_rate": 1e-3},)


def test_a_list_or_mapping_has_its_name_in_points_and_its_value_in_configs() -> None:
    found = spec(THREE + "  augment: [none, default, {name: strong, value: [HorizontalFlip]}]\n")
    named = (NamedValue("strong", ["HorizontalFlip"]),)
    assert found.space.domain("trainer.augment") == Choices(("none", "default", "strong"), named)
    last = grid_points(found.space)[-1]
    config = trial_config(found, last)
    assert (last["trainer.augment"], config.trainer.augment) == ("strong", ["HorizontalFlip"])
    assert params_of(config, found.space) == last
    assert spec_from(as_yaml(found), "sweep.yaml").space == found.space


def test_ranges_of_any_number_and_null() -> None:
    found = spec(
        "  epochs: 4\n  batch_size: 4\n  learning_rate: 1e-3\n  image_size: [null, 64]\n"
        "  weight_decay: {low: 1e-6, high: 1e-2, log: true}\n  base: {low: 16, high: 64, step: 16}\n",
        "study: {sampler: tpe, trials: 5}\n",
    ).space
    assert found.domain("data.image_size") == Choices((None, 64))
    assert found.domain("trainer.weight_decay") == Range(1e-6, 1e-2, log=True)
    assert found.domain("model.base") == Range(16, 64, step=16)


WRONG = {
    "an unknown path": (
        "modle.base: [8]",
        "s.yaml:6:3: space.modle.base: unknown key 'modle.base'; did you mean 'model.base'? "
        "Parameters of your own need trainer.command",
    ),
    "a section": (
        "model: {base: [8, 16]}",
        "s.yaml:6:3: space.model: 'model' is a section; write its settings by their paths: model.base, model.depth, "
        "model.padding, model.norm, model.dropout, model.in_channels, model.output_resize",
    ),
    "a setting twice": (
        "base: 8\n  model.base: 8",
        "s.yaml:7:3: space.model.base: is model.base, which space.base sets too; remove one",
    ),
    "other images": (
        "data.root: [a, b]",
        "s.yaml:6:3: space.data.root: cannot be varied: all trials of a sweep use the same images and the same split, "
        "or their scores could not be compared",
    ),
    "another split": (
        "split: {val: 0.1}",
        "s.yaml:6:3: space.split: cannot be varied: all trials of a sweep use the same images and the same split, "
        "or their scores could not be compared",
    ),
    "processes": (
        "processes: [1, 2]",
        "s.yaml:6:3: space.processes: cannot be varied: it says on what a training runs, not how; set it under slurm",
    ),
    "dropout of more than everything": (
        "dropout: [0, 1.5]",
        "s.yaml:6:16: space.dropout: found 1.5; 0 or more, below 1",
    ),
    "too deep": ("depth: [2, 9]", "s.yaml:6:14: space.depth: found 9; a whole number from 1 to 7"),
    "no channels": ("base: 0", "s.yaml:6:3: space.base: found 0; a whole number from 1 to 1000000"),
    "an unknown optimizer": (
        "optimizer: [adam, adm]",
        "s.yaml:6:21: space.optimizer: found the text 'adm'; allowed: adam, adamw, sgd; did you mean 'adam'?",
    ),
    "a text where a number is due": (
        "base: [eight]",
        "s.yaml:6:10: space.base: found the text 'eight'; a whole number from 1 to 1000000",
    ),
    "a mapping where a number is due": (
        "base: [{name: wide, value: 64}]",
        "s.yaml:6:10: space.base: found {'name': 'wide', 'value': 64}; a whole number from 1 to 1000000",
    ),
    "mixed types in a range": (
        "base: {low: 8, high: '16'}",
        "s.yaml:6:18: space.base.high: found the text '16'; a whole number from 1 to 1000000: leave out the quotes",
    ),
    "a half channel": (
        "base: {low: 8, high: 16.5}",
        "s.yaml:6:18: space.base.high: found 16.5; a whole number from 1 to 1000000",
    ),
    "a range of texts": (
        "loss: {low: bce, high: bce_dice}",
        "s.yaml:6:3: space.loss: found a mapping; one value or a list, allowed: bce, bce_dice",
    ),
    "a log range from zero": (
        "weight_decay: {low: 0, high: 1e-2, log: true}",
        "s.yaml:6:18: space.weight_decay.low: found 0; with log: true a number above 0, because a log scale has no 0",
    ),
    "a list without a name": (
        "augment: [none, [HorizontalFlip]]",
        "s.yaml:6:19: space.augment: found ['HorizontalFlip'] without a name; allowed: none, default, or "
        "{name: NAME, value: VALUE}",
    ),
    "a name without a value": (
        "augment: [none, {name: strong}]",
        "s.yaml:6:19: space.augment.1.value: is missing; {name: NAME, value: VALUE}",
    ),
    "one name twice": (
        "augment: [{name: a, value: [Blur]}, {name: a, value: [Blur]}]",
        "s.yaml:6:39: space.augment: found the text 'a' twice; remove one",
    ),
    "null where there is none": (
        "base: [8, null]",
        "s.yaml:6:13: space.base: found null; a whole number from 1 to 1000000",
    ),
    "too small images": (
        "image_size: [64, 8]",
        "s.yaml:6:20: space.image_size: found 8; a whole number from 16 to 10000000",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_that_no_training_could_use_is_named_with_what_is_allowed(name: str) -> None:
    text, line = WRONG[name]
    assert problems(f"  {text}\n") == [line]


def test_all_problems_are_named_at_once() -> None:
    assert len(problems("  dropout: 2\n  depth: 9\n  optimizer: adm\n  nothing: 1\n")) == 4


def test_a_value_here_and_in_the_section_trainer_is_refused() -> None:
    [line] = problems("", "trainer: {epochs: 8}\n")
    assert line == "s.yaml:3:3: space.epochs: is epochs, which trainer.epochs sets too; remove one"


def test_several_values_in_the_section_trainer_are_refused() -> None:
    with pytest.raises(
        SpecError, match=r"s.yaml:5:11: trainer.epochs: found \[4, 8\]; one number, and several under space"
    ):
        spec("  batch_size: 4\n  learning_rate: 1\n", "trainer: {epochs: [4, 8]}\n")


def test_seeds_vary_in_a_grid_only() -> None:
    assert len(grid_points(spec(THREE + "  seed: [0, 1, 2]\n").space)) == 6
    [line] = problems("  seed: [0, 1]\n", "study: {sampler: tpe, trials: 3}\n")
    assert line == (
        "s.yaml:6:3: space.seed: cannot vary with the sampler tpe, which learns nothing from them, and the best of "
        "many seeds is only lucky; leave it out, and set study.repeats: 3 to train every point with three seeds and "
        "compare the means"
    )


def test_seeds_and_repeats_of_a_grid_are_refused_together() -> None:
    [line] = problems("  seed: [0, 1]\n", "study: {repeats: 2}\n")
    assert line == (
        "s.yaml:6:3: space.seed: and study.repeats both choose the seeds; leave one out: with repeats each point has "
        "seeds of its own"
    )


def test_repeats_that_make_too_many_trials_are_refused() -> None:
    more = "study: {sampler: random, trials: 60000, repeats: 2}\n"
    with pytest.raises(SpecError) as error:
        spec("  epochs: 4\n  batch_size: 4\n  learning_rate: {low: 1e-4, high: 1e-2}\n", more)
    assert str(error.value) == (
        "s.yaml:6:41: study.repeats: 60000 points with 2 trainings of each are 120000 trials; a sweep has at "
        "most 100000"
    )


@pytest.mark.parametrize("repeats", ["0", "1001", "1.5"])
def test_repeats_are_a_whole_number_from_1(repeats: str) -> None:
    [line] = problems("", f"study: {{repeats: {repeats}}}\n")
    assert line.startswith(f"s.yaml:6:9: study.repeats: found {repeats}; ")
