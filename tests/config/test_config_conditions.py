"""`when` and `exclude`: what they mean, and each problem in one line with its position."""

from pathlib import Path

import pytest

from unetsweep.config.changes import refused
from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml
from unetsweep.core.space import Choices, Condition, Parameter, Range, grid_points
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SpecError

HEAD = (
    "data: {root: images}\nspace:\n  epochs: 4\n  batch_size: 4\n"
    "  learning_rate: [1e-3, 1e-2]\n  optimizer: [adam, sgd]\n"
)
TPE = "study: {sampler: tpe, trials: 4}\n"


def spec(text: str) -> SweepSpec:
    """The sweep of a file with this text from line 7 on, within `space:`."""
    return spec_from(HEAD + text, "s.yaml", working=Path("/w"), home=Path("/h"))


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        spec(text)
    return str(error.value).splitlines()


def test_conditions_and_exclusions_are_stored_with_full_paths() -> None:
    found = spec("  momentum: {low: 0.8, high: 0.9, when: {optimizer: sgd}}\nexclude: [{optimizer: adam}]\n" + TPE)
    condition = (Condition("trainer.optimizer", ("sgd",)),)
    assert found.space.parameters[-1] == Parameter("trainer.momentum", Range(0.8, 0.9), condition)
    assert found.space.excluded == ((("trainer.optimizer", "adam"),),)
    assert spec_from(as_yaml(found), "sweep.yaml").space == found.space


def test_a_list_with_conditions_is_written_as_values() -> None:
    found = spec("  momentum: {values: [0.8, 0.9], when: {optimizer: [sgd], learning_rate: 1e-2}}\n")
    assert found.space.domain("trainer.momentum") == Choices((0.8, 0.9))
    assert len(grid_points(found.space)) == 5
    assert spec_from(as_yaml(found), "sweep.yaml").space == found.space


def test_listed_points_may_have_short_names_and_lack_what_has_one_value_or_is_not_used() -> None:
    found = spec(
        "  momentum: {values: [0.8, 0.9], when: {optimizer: sgd}}\n"
        "points: [{learning_rate: 1e-3, optimizer: adam}, "
        "{learning_rate: 1e-3, optimizer: sgd, momentum: 0.9, seed: 7}]\n"
    )
    fixed = {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3}
    assert found.points == (
        {**fixed, "trainer.optimizer": "adam"},
        {"seed": 7, **fixed, "trainer.optimizer": "sgd", "trainer.momentum": 0.9},
    )
    assert spec_from(as_yaml(found), "sweep.yaml") == found


def test_other_conditions_or_exclusions_are_another_sweep() -> None:
    without = spec("  momentum: {values: [0.8, 0.9], when: {optimizer: sgd}}\n")
    assert refused(without, spec("  momentum: {values: [0.8, 0.9], when: {learning_rate: 1e-3}}\n"))
    assert refused(
        without, spec("  momentum: {values: [0.8, 0.9], when: {optimizer: sgd}}\nexclude: [{momentum: 0.8}]\n")
    )
    assert not refused(without, spec("  momentum: {values: [0.8, 0.9, 0.99], when: {optimizer: sgd}}\n"))


WRONG = {
    "an unknown parameter": (
        "  momentum: {values: [0.8], when: {optimiser: sgd}}\n",
        "s.yaml:7:36: space.momentum.when.optimiser: unknown key 'optimiser'; did you mean 'trainer.optimizer'? "
        "Parameters of your own need trainer.command",
    ),
    "a setting that does not vary": (
        "  momentum: {values: [0.8], when: {loss: bce}}\n",
        "s.yaml:7:36: space.momentum.when.loss: trainer.loss is no parameter of this sweep; those are epochs, "
        "batch_size, "
        "learning_rate, trainer.optimizer, trainer.momentum",
    ),
    "a value that it never has": (
        "  momentum: {values: [0.8], when: {optimizer: adamw}}\n",
        "s.yaml:7:36: space.momentum.when.optimizer: found 'adamw', which is no value of trainer.optimizer; its "
        "values are "
        "adam, sgd",
    ),
    "a condition on a range": (
        "  base: {low: 8, high: 64}\n  depth: {low: 2, high: 4, when: {base: 8}}\n" + TPE,
        "s.yaml:8:35: space.depth.when.base: model.base is a range; a condition needs a parameter with a list "
        "of values",
    ),
    "no condition": (
        "  momentum: {values: [0.8], when: {}}\n",
        "s.yaml:7:29: space.momentum.when: found {}; other parameters with values, such as {optimizer: sgd}",
    ),
    "a circle": (
        "  loss: {values: [bce, bce_dice], when: {norm: batch}}\n  norm: {values: [batch, none], when: {loss: bce}}\n",
        "s.yaml:7:35: space.loss.when: its conditions form a circle: trainer.loss needs model.norm needs trainer.loss; "
        "remove one",
    ),
    "itself": (
        "  loss: {values: [bce, bce_dice], when: {loss: bce}}\n",
        "s.yaml:7:35: space.loss.when: its conditions form a circle: trainer.loss needs trainer.loss; remove one",
    ),
    "a sampler that cannot": (
        "  momentum: {low: 0.8, high: 0.9, when: {optimizer: sgd}}\nstudy: {sampler: GPSampler, trials: 4}\n",
        "s.yaml:7:35: space.momentum.when: GPSampler would draw it at random, because not every point has it; use tpe, "
        "random, a grid, NSGAIISampler, NSGAIIISampler or BruteForceSampler",
    ),
    "momentum of 1": (
        "  momentum: [0.9, 1]\n",
        "s.yaml:7:19: space.momentum: found 1.0; 0 or more, below 1",
    ),
    "no list of exclusions": (
        "exclude: {optimizer: sgd}\n",
        "s.yaml:7:1: exclude: found {'optimizer': 'sgd'}; a list of partial points: [{base: 64, batch_size: 16}]",
    ),
    "an excluded point that is none": (
        "exclude: [sgd]\n",
        "s.yaml:7:11: exclude: found 'sgd'; a partial point, such as {base: 64, batch_size: 16}",
    ),
    "an excluded value that is none": (
        "exclude: [{optimizer: adamw}]\n",
        "s.yaml:7:12: exclude.0.optimizer: found 'adamw', which is no value of trainer.optimizer; its values "
        "are adam, sgd",
    ),
    "an excluded parameter that is none": (
        "exclude: [{base: 8}]\n",
        "s.yaml:7:12: exclude.0.base: model.base is no parameter of this sweep; those are epochs, batch_size, "
        "learning_rate, trainer.optimizer",
    ),
    "an excluded number of a range": (
        "  dropout: {low: 0.0, high: 0.5}\nexclude: [{dropout: 0.1}]\n" + TPE,
        "s.yaml:8:12: exclude.0.dropout: model.dropout is a range of any numbers, of which none can be "
        "excluded; use a list",
    ),
    "an excluded whole number out of the range": (
        "  base: {low: 8, high: 64, step: 8}\nexclude: [{base: 12}]\n" + TPE,
        "s.yaml:8:12: exclude.0.base: found 12, which is no value of model.base; from 8 to 64 in steps of 8",
    ),
    "nothing left": (
        "exclude: [{optimizer: adam}, {optimizer: sgd}]\n",
        "s.yaml:7:1: exclude: leaves no point of the space; remove one of them",
    ),
    "an excluded listed point": (
        "exclude: [{optimizer: sgd}]\npoints: [{learning_rate: 1e-3, optimizer: sgd}]\n",
        "s.yaml:8:10: points: is excluded by exclude; remove it",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_condition_or_exclusion_is_named_with_what_is_allowed(name: str) -> None:
    text, line = WRONG[name]
    assert problems(text) == [line]


def test_what_every_training_needs_has_no_conditions() -> None:
    text = HEAD.replace("epochs: 4", "epochs: {values: [4, 8], when: {optimizer: sgd}}")
    with pytest.raises(SpecError, match=r"s.yaml:3:28: space.epochs.when: every training needs epochs"):
        spec_from(text, "s.yaml")
