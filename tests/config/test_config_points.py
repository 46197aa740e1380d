"""`points:`: what a point may name, the space that follows from points alone, and each problem with its position."""

from pathlib import Path

import pytest

from unetsweep.config.changes import difference, refused
from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml, checked_yaml
from unetsweep.core.missing_points import missing_points, trials_wanted
from unetsweep.core.space import Choices, NamedValue
from unetsweep.core.spec import NO_SAMPLER, SweepSpec
from unetsweep.core.trials import trial_config
from unetsweep.errors import SpecError

IMAGES = "data: {root: images}\n"
SPACE = (
    IMAGES + "space:\n  epochs: [4, 8]\n  batch_size: 4\n  learning_rate: {low: 1e-4, high: 1e-2}\n"
    "  optimizer: [adam, sgd]\n  momentum: {values: [0.8, 0.9], when: {optimizer: sgd}}\n"
)
TPE = SPACE + "study: {sampler: tpe, trials: 4}\n"
GRID = SPACE.replace("{low: 1e-4, high: 1e-2}", "[1e-3, 1e-2]")
COMMAND = "trainer: {command: 'x {config} {out}'}\nstudy: {metric: rmse, direction: minimize}\n"
DOCS = (
    IMAGES
    + """points:
- {epochs: 100, batch_size: 4, learning_rate: 1e-4}
- {epochs: 100, batch_size: 16, learning_rate: 1e-4}
- {epochs: 200, batch_size: 4, learning_rate: 1e-4}
- {epochs: 200, batch_size: 4, learning_rate: 5e-5}
- {epochs: 200, batch_size: 4, learning_rate: 1e-4}
- {epochs: 300, batch_size: 4, learning_rate: 1e-4}
- {epochs: 300, batch_size: 4, learning_rate: 5e-5}
- {epochs: 400, batch_size: 4, learning_rate: 1e-4}
- {epochs: 1000, batch_size: 4, learning_rate: 1e-4}
"""
)


def spec(text: str) -> SweepSpec:
    return spec_from(text, "s.yaml", working=Path("/w"), home=Path("/h"))


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        spec(text)
    return str(error.value).splitlines()


def test_the_nine_rows_of_the_table_are_nine_points_of_which_two_differ_in_their_seeds() -> None:
    found = spec(DOCS)
    assert found.study.sampler == NO_SAMPLER
    assert found.space.domains() == {
        "epochs": Choices((100, 200, 300, 400, 1000)),
        "batch_size": Choices((4, 16)),
        "learning_rate": Choices((1e-4, 5e-5)),
    }
    assert trials_wanted(found) == 9
    assert [(each["epochs"], each["seed"]) for each in missing_points(found, [])][2:5] == [(200, 0), (200, 0), (200, 1)]
    assert spec_from(checked_yaml(found), "sweep.yaml") == found


def test_what_a_point_leaves_out_has_the_value_of_its_setting_in_the_file() -> None:
    found = spec(
        IMAGES + "trainer: {epochs: 9, batch_size: 4, learning_rate: 1e-3, optimizer: sgd}\nmodel: {base: 32}\n"
        "points: [{base: 8}, {epochs: 5, optimizer: adam, augment: none}, "
        "{base: 8, augment: {name: flip, value: [HorizontalFlip]}}, {augment: flip}]\n"
    )
    assert list(found.space.domains()) == [
        *("epochs", "batch_size", "learning_rate", "model.base", "trainer.optimizer", "trainer.augment")
    ]
    assert [each["model.base"] for each in found.points] == [8, 32, 8, 32]
    assert [each["trainer.optimizer"] for each in found.points] == ["sgd", "adam", "sgd", "sgd"]
    assert [each["trainer.augment"] for each in found.points] == ["default", "none", "flip", "flip"]
    augment = found.space.domain("trainer.augment")
    assert augment == Choices(("default", "none", "flip"), (NamedValue("flip", ["HorizontalFlip"]),))
    assert trial_config(found, found.points[3]).trainer.augment == ["HorizontalFlip"]
    assert spec_from(as_yaml(found), "sweep.yaml") == found


def test_points_of_a_program_of_the_users_own() -> None:
    found = spec(COMMAND + "points: [{sigma: 3, kernel: rbf}, {sigma: 5.5, kernel: null, seed: 8}]\n")
    assert found.points == (
        {"epochs": 1, "sigma": 3, "kernel": "rbf"},
        {"epochs": 1, "sigma": 5.5, "kernel": None, "seed": 8},
    )
    assert problems(COMMAND + "points:\n- {sigma: 3, kernel: rbf}\n- {sigma: 5}\n") == [
        "s.yaml:5:3: points: does not name kernel; without space: every point does"
    ]


def test_points_within_a_space_may_be_partial_and_are_stored_with_full_paths() -> None:
    found = spec(TPE + "points: [{optimizer: sgd, momentum: 0.9}, {learning_rate: 1e-3, seed: 3}]\n")
    assert found.points == (
        {"batch_size": 4, "trainer.optimizer": "sgd", "trainer.momentum": 0.9},
        {"batch_size": 4, "learning_rate": 1e-3, "seed": 3},
    )
    assert spec_from(as_yaml(found), "sweep.yaml") == found


def test_a_file_may_get_more_points_and_lose_none() -> None:
    old, more = spec(DOCS), spec(DOCS + "- {epochs: 50, batch_size: 4, learning_rate: 1e-4}\n")
    assert not refused(old, more)
    new = "{'epochs': 50, 'batch_size': 4, 'learning_rate': 0.0001}"
    assert difference(old, more)[1:] == (f"points: 9 -> 10 points (new: {new})",)
    assert refused(more, old)[1:] == (f"points: 10 -> 9 points (missing: {new})",)
    lines = DOCS.splitlines(keepends=True)
    assert not refused(old, spec("".join([*lines[:2], *reversed(lines[2:])])))
    assert refused(old, spec(DOCS.replace("- {epochs: 200, batch_size: 4, learning_rate: 1e-4}\n", "", 1)))
    partial = spec(TPE + "points: [{optimizer: sgd}]\n")
    assert not refused(spec(TPE), partial)
    assert refused(partial, spec(TPE))


@pytest.mark.parametrize("sampler", ["", "space: {x: [1, 2]}\n"])
def test_points_are_repeated_with_and_without_a_space(sampler: str) -> None:
    found = spec(COMMAND.replace("{metric", "{repeats: 2, metric") + sampler + "points: [{x: 2}]\n")
    assert trials_wanted(found) == (4 if sampler else 2)
    assert spec_from(checked_yaml(found), "sweep.yaml") == found


WRONG = {
    "no list": (IMAGES + "points: {epochs: 4}\n", ["2:1: points: found {'epochs': 4}; a list of points: ["]),
    "no point": (
        TPE + "points: [4, {}]\n",
        ["9:10: points: found 4; a point, such", "9:13: points: found {}; a point"],
    ),
    "an unknown key and a setting that does not vary": (
        TPE + "points: [{optimiser: sgd, comet: 'off'}]\n",
        [
            "9:11: points.0.optimiser: unknown key 'optimiser'; did you mean 'trainer.optimizer'?",
            "9:27: points.0.comet: cannot be varied",
        ],
    ),
    "a setting that is no parameter of the space": (
        TPE + "points: [{loss: bce}]\n",
        ["9:11: points.0.loss: trainer.loss is no parameter of this sweep; those are epochs, batch_size"],
    ),
    "a parameter twice": (
        TPE + "points: [{optimizer: sgd, trainer.optimizer: adam}]\n",
        ["9:27: points.0.trainer.optimizer: is trainer.optimizer, which points.0.optimizer sets too; remove one"],
    ),
    "values of other types": (
        TPE + "points: [{epochs: [4, 8]}, {learning_rate: '1e-3'}, {seed: -1}]\n",
        [
            "9:11: points.0.epochs: found [4, 8]; a whole number from 1 to 1000000; a point has one value of each "
            "parameter",
            "9:29: points.1.learning_rate: found the text '1e-3'; a number above 0",
            "9:54: points.2.seed: found -1; a whole number from 0 to",
        ],
    ),
    "values outside the domains": (
        TPE + "points: [{epochs: 5}, {learning_rate: 0.1}, {optimizer: adamw}]\n",
        [
            "9:11: points.0.epochs: found 5, which is no value of epochs; its values are 4, 8",
            "9:24: points.1.learning_rate: found 0.1, which is no value of learning_rate; from 0.0001 to 0.01",
            "9:46: points.2.optimizer: found 'adamw', which is no value of trainer.optimizer; its values are adam",
        ],
    ),
    "conditions that do not hold": (
        TPE + "points: [{optimizer: adam, momentum: 0.9}, {momentum: 0.8}]\n",
        [
            "9:28: points.0.momentum: exists only where trainer.optimizer is sgd, and this point has adam; remove one",
            "9:45: points.1.momentum: exists only where trainer.optimizer is sgd, which this point does not name",
        ],
    ),
    "an excluded point": (
        TPE + "exclude: [{optimizer: sgd}]\npoints: [{optimizer: sgd, epochs: 4}]\n",
        ["10:10: points: is excluded by exclude; remove it"],
    ),
    "an excluded point without a space": (
        DOCS + "exclude: [{batch_size: 16}]\n",
        ["4:3: points: is excluded by exclude; remove it"],
    ),
    "a training twice": (
        TPE + "points:\n" + 2 * "- {epochs: 4, learning_rate: 1e-3, optimizer: adam, seed: 3}\n",
        ["11:3: points: is a duplicate of points.0; remove it, or give it another seed"],
    ),
    "a partial point twice in a grid, and one with a seed": (
        GRID + "points: [{epochs: 4}, {epochs: 4}, {epochs: 8, seed: 3}]\n",
        [
            "8:23: points: is a duplicate of points.0; remove it",
            "8:36: points: names a seed, but not learning_rate, trainer.optimizer; in a grid name all parameters",
        ],
    ),
    "more points than trials": (
        TPE.replace("trials: 4", "trials: 1") + "points: [{epochs: 4}, {epochs: 8}]\n",
        ["8:23: study.trials: found 1; it counts the points too, and there are 2"],
    ),
    "a partial point without a sampler": (
        SPACE + "study: {sampler: none}\npoints: [{epochs: 4}]\n",
        ["9:10: points: does not name learning_rate, trainer.optimizer; without a sampler every point names all"],
    ),
    "no sampler and no points": (
        SPACE + "study: {sampler: none}\n",
        ["8:9: study.sampler: found none without points; list some under points:"],
    ),
    "trials without a sampler": (
        GRID + "study: {sampler: none, trials: 3}\npoints: [{epochs: 4, learning_rate: 1e-3, optimizer: adam}]\n",
        ["8:24: study.trials: found 3; without a sampler there is one trial per point (1 here): leave trials out"],
    ),
    "a sampler and trials without a space": (
        DOCS + "study: {sampler: tpe, trials: 9}\n",
        [
            "12:9: study.sampler: found 'tpe'; points without space: are the whole sweep, so nothing is sampled; "
            "remove it, or write a space",
            "12:23: study.trials: found 9; points without space: are the whole sweep",
        ],
    ),
    "what every training needs": (
        IMAGES + "points:\n- {epochs: 4, base: 8}\n- {batch_size: 4}\n",
        [
            "3:3: points: does not name batch_size, learning_rate; without space: every point does, or once for all "
            "points as trainer.batch_size",
            "4:3: points: does not name epochs, learning_rate; without space:",
        ],
    ),
    "values that no training could use": (
        DOCS + "- {epochs: 1, batch_size: 4, learning_rate: 1e-4, dropout: 1.5}\nslurm: {processes: 3}\n",
        [
            "3:17: points.0.batch_size: found 4, which 3 processes cannot share equally",
            "4:17: points.1.batch_size: found 16, which 3 processes cannot share equally",
            "12:51: points.9.dropout: found 1.5",
        ],
    ),
    "a name with two meanings, and a list of the file without a name": (
        DOCS + "- {epochs: 1, batch_size: 4, learning_rate: 1e-4, augment: {name: a, value: [HorizontalFlip]}}\n"
        "- {epochs: 2, batch_size: 4, learning_rate: 1e-4, augment: {name: a, value: [VerticalFlip]}}\n"
        "trainer: {augment: [Transpose]}\n",
        [
            *(
                f"{line}:3: points: does not name trainer.augment, and the file's own value is a list"
                for line in range(3, 12)
            ),
            "13:51: points.10.augment: 'a' has another value in another point; rename one",
        ],
    ),
    "equal values of two kinds": (
        COMMAND + "points: [{x: 1}, {x: true}]\n",
        ["3:19: points.1.x: found true and 1, which are equal"],
    ),
    "seeds and a point twice beside repeats": (
        TPE.replace("trials: 4", "trials: 4, repeats: 3")
        + "points:\n"
        + 2 * "- {epochs: 4, learning_rate: 1e-3, optimizer: adam}\n"
        + "- {epochs: 8, seed: 3}\n- {epochs: 4, learning_rate: 1e-3, optimizer: adam, seed: 4}\n",
        [
            "11:3: points: is a duplicate of points.0; each point is trained 3 times by study.repeats; remove one",
            "12:15: points.2.seed: each point is trained 3 times by study.repeats, with seeds of its own; remove the",
            "13:3: points: is a duplicate of points.0; each point is trained 3 times by study.repeats; remove one",
            "13:53: points.3.seed: each point is trained 3 times by study.repeats, with seeds of its own; remove the",
        ],
    ),
    "a point twice and a seed beside repeats without a space": (
        DOCS.replace("5e-5}", "5e-5, seed: 1}", 1) + "study: {repeats: 2}\n",
        [
            "6:53: points.3.seed: each point is trained 2 times by study.repeats, with seeds of its own; remove the",
            "7:3: points: is a duplicate of points.2; each point is trained 2 times by study.repeats; remove one",
        ],
    ),
    "too many repeats of points": (
        COMMAND.replace("{metric", "{repeats: 1000, metric")
        + "points: ["
        + ", ".join(f"{{x: {number}}}" for number in range(101))
        + "]\n",
        ["2:9: study.repeats: 101 points with 1000 trainings of each are 101000 trials; a sweep has at most 100000"],
    ),
    "the sampler list": (
        SPACE + "study: {sampler: {name: list, points: [{epochs: 4}]}}\n",
        ["8:9: study.sampler: found 'list'; write the points under the key points: of the file, such as points: ["],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_point_is_named_with_its_position_and_what_to_do(name: str) -> None:
    text, lines = WRONG[name]
    found = problems(text)
    assert len(found) == len(lines), found
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(f"s.yaml:{start}"), line
