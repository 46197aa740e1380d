"""The importances of parameters, by Optuna."""

import random
from collections.abc import Mapping

import pytest

from unetsweep.contract import DataConfig
from unetsweep.core.space import Choices, Condition, Parameter, Range, Space
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.search.importances import ENOUGH, parameter_importances


def spec(space: Space, metric: str = "val_iou") -> SweepSpec:
    return SweepSpec("s", DataConfig("/data"), space, study=StudySpec(metric=metric))


SPACE = Space.of(epochs=Choices((8,)), batch_size=Choices((2, 4, 8)), learning_rate=Range(1e-5, 1e-1, log=True))


def points(score: str, sign: float = 1.0) -> list[tuple[Mapping[str, float], float]]:
    draw = random.Random(0)
    found = []
    for _ in range(60):
        point = {"epochs": 8, "batch_size": draw.choice([2, 4, 8]), "learning_rate": 10 ** draw.uniform(-5, -1)}
        found.append((point, sign * point[score]))
    return found


@pytest.mark.parametrize(("metric", "sign"), [("val_iou", 1.0), ("val_loss", -1.0)])
def test_the_parameter_that_decides_the_score_has_the_largest_share(metric: str, sign: float) -> None:
    shares = parameter_importances(spec(SPACE, metric), points("learning_rate", sign))
    assert list(shares) == ["learning_rate", "batch_size"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["learning_rate"] > 0.8


def test_a_parameter_with_one_value_and_equal_scores_have_no_shares() -> None:
    fixed = Space.of(epochs=Choices((8,)), batch_size=Choices((2,)), learning_rate=Choices((1e-3,)))
    same = [({"epochs": 8, "batch_size": 2, "learning_rate": 1e-3}, float(k)) for k in range(ENOUGH)]
    assert parameter_importances(spec(fixed), same) == {}
    assert parameter_importances(spec(SPACE), [(point, 0.5) for point, _ in points("batch_size")]) == {}


def test_a_value_that_was_added_by_hand_is_accepted() -> None:
    more = [*points("learning_rate"), ({"epochs": 8, "batch_size": 16, "learning_rate": 0.5}, 0.5)]
    assert parameter_importances(spec(SPACE), more)["learning_rate"] > 0.5


def test_a_parameter_with_a_condition_has_a_share() -> None:
    parameters = (
        *SPACE.parameters,
        Parameter("trainer.optimizer", Choices(("adam", "sgd"))),
        Parameter("trainer.momentum", Range(0.5, 0.99), (Condition("trainer.optimizer", ("sgd",)),)),
    )
    scored = []
    for at, (point, score) in enumerate(points("learning_rate")):
        more = {"trainer.optimizer": "sgd", "trainer.momentum": 0.5 + at / 200} if at % 2 else {}
        scored.append(({"trainer.optimizer": "adam", **point, **more}, score))
    shares = parameter_importances(spec(Space(parameters)), scored)
    assert set(shares) == {"learning_rate", "batch_size", "trainer.optimizer", "trainer.momentum"}
