"""Whatever a user writes is refused in a few lines, or makes a sweep that can be read again: see fuzz.py."""

import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import fuzz
import pytest

from unetsweep.cli.echo import echo


def test_mutated_sweeps_profiles_configs_and_command_lines_are_answered_well() -> None:
    counts, wrong = fuzz.fuzz(200, checks_augmentations=False)  # albumentations takes seconds to import
    assert wrong == []
    assert all(counts[kind] > 15 for kind in fuzz.KINDS), counts
    assert counts["accepted"] > 25
    assert counts["submitted"] > 12


@pytest.mark.thorough
def test_many_more_mutated_inputs_are_answered_well() -> None:
    _, wrong = fuzz.fuzz(20_000, first=200)
    assert wrong == []


def busy(*_: Any, **__: Any) -> None:
    while True:
        pass


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (raising(KeyError("name")), "traceback"),
        (raising(MemoryError()), "traceback"),
        (busy, "hang"),
        (raising(SystemExit(9)), "exit status 9"),
        (raising(SystemExit(2)), "no message"),
        (lambda *_, **__: echo("x" * 99_999), "100000 characters printed"),
        (lambda *_, **__: sys.stdout.write("a\x07b"), "control characters printed"),
        (lambda *_, **__: sys.exit(echo("it is wrong") or 2), "the message names no file, setting or option"),
    ],
)
def test_a_wrong_answer_is_found(fault: Callable[..., None], problem: str) -> None:
    with (
        mock.patch.object(fuzz.main, "program", fault),
        mock.patch.object(fuzz, "CPU_S", 0.1),
        fuzz.workshop(checks_augmentations=False),
    ):
        assert fuzz.run(["submit", "s.yaml"]).problem.startswith(problem)


def test_a_sweep_that_is_read_back_as_another_one_is_found() -> None:
    with mock.patch("unetsweep.app.prepare.checked_yaml", lambda spec, **_: fuzz.as_yaml(spec).replace("8", "9")):
        counts, _ = fuzz.fuzz(40, checks_augmentations=False)
    assert counts["read back as another sweep"] > 0


def test_a_sweep_that_cannot_be_read_again_is_found() -> None:
    with mock.patch("unetsweep.app.prepare.checked_yaml", return_value="not: a sweep"):
        counts, _ = fuzz.fuzz(40, checks_augmentations=False)
    assert counts["traceback"] + counts["refused, although the dry run was not"] > 0
