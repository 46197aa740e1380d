"""The error of a training is recorded before the training is taken down."""

import os
from typing import Any

import pytest

from unetsweep.errors import SupersededError
from unetsweep.training.first_error import FirstError


class Left(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    def leave(status: int) -> None:
        raise Left(status)

    monkeypatch.setattr(os, "_exit", leave)
    return []


def happen(error: BaseException, recorded: list[Exception], ranks: int) -> None:
    nothing: Any = None
    FirstError(recorded.append, ranks).on_exception(nothing, nothing, error)


def test_one_of_several_ranks_ends_when_its_error_is_recorded(recorded: list[Exception]) -> None:
    error = RuntimeError("NCCL")
    with pytest.raises(Left, match="1"):
        happen(error, recorded, 2)
    assert recorded == [error]


def test_a_single_process_goes_through_the_usual_end(recorded: list[Exception]) -> None:
    happen(RuntimeError("shapes"), recorded, 1)
    assert [str(each) for each in recorded] == ["shapes"]


@pytest.mark.parametrize("error", [SupersededError("another job owns the run"), KeyboardInterrupt()])
def test_what_is_no_error_of_the_training_is_not_recorded(error: BaseException, recorded: list[Exception]) -> None:
    happen(error, recorded, 2)
    assert recorded == []
