"""All problems of a sweep file are reported at once, in the order of the file; an unreadable file is one problem."""

import os
from pathlib import Path

import pytest

from unetsweep.config.load import load, spec_from
from unetsweep.errors import Problem, SpecError

GOOD = """\
data: {root: images}
space:
  epochs: [4, 8]
  batch_size: [4]
  learning_rate: [1e-3]
"""


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "study: {sampler: gird, seed: -1}\n"
        "space: {epochs: [0], batch_size: [], learning_rate: ['1e-4']}\n"
        "slurm: {gpus: 2, time: soon}\n"
        "model: {base: 0, dept: 4}\n"
        "data: {root: images, image_size: 3}\n"
    )

    with pytest.raises(SpecError) as error:
        spec_from(text, "s.yaml", working=tmp_path, home=tmp_path)
    fields = [line.split(": ")[:2] for line in str(error.value).splitlines()]

    assert fields == [
        ["s.yaml:1:9", "study.sampler"],
        ["s.yaml:1:24", "study.seed"],
        ["s.yaml:2:18", "space.epochs"],
        ["s.yaml:2:22", "space.batch_size"],
        ["s.yaml:2:54", "space.learning_rate"],
        ["s.yaml:3:18", "slurm.time"],
        ["s.yaml:4:9", "model.base"],
        ["s.yaml:4:18", "model.dept"],
        ["s.yaml:5:22", "data.image_size"],
    ]


def test_problems_that_the_training_package_finds_in_augmentations_are_listed(tmp_path: Path) -> None:
    def check(augment: object) -> list[Problem]:
        return [Problem("no Flop", "trainer.augment[1]"), Problem("nor this", "trainer.augment[1]")]

    text = GOOD + "trainer: {augment: [VerticalFlip, Flop]}\n"
    with pytest.raises(SpecError) as error:
        spec_from(text, "s.yaml", working=tmp_path, home=tmp_path, check_augment=check)

    assert str(error.value) == "s.yaml:6:35: trainer.augment: no Flop\ns.yaml:6:35: trainer.augment: nor this"


def test_an_unreadable_file_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")

    with pytest.raises(SpecError, match=r"gone\.yaml: there is no such file"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(SpecError, match="cannot be read: found a folder, not a file"):
        load(tmp_path)
    with pytest.raises(SpecError, match="it is not UTF-8 text"):
        load(tmp_path / "latin.yaml")


def test_of_many_problems_the_first_ten_and_their_number_are_reported(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        spec_from(GOOD + "".join(f"key{n}: 1\n" for n in range(5000)), "s.yaml", working=tmp_path, home=tmp_path)
    lines = str(error.value).splitlines()

    assert len(lines) == 11
    assert lines[0].startswith("s.yaml:6:1: key0: unknown key 'key0'; allowed are name, data")
    assert lines[-1] == "s.yaml: and 4990 more problems"


def test_a_message_shows_no_control_character_and_is_never_long(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        spec_from(GOOD + f'"\\e[31m": 1\nname: {"x" * 9999}\n', "s.yaml", working=tmp_path, home=tmp_path)

    assert str(error.value).isprintable() is False  # two lines
    assert all(line.isprintable() and len(line) < 2100 for line in str(error.value).splitlines())


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.yaml")

    with pytest.raises(SpecError, match=r"s\.yaml: cannot be read: found a pipe, not a file"):
        load(tmp_path / "s.yaml")


def test_a_file_with_an_invalid_sweep_name_asks_for_a_name(tmp_path: Path) -> None:
    (tmp_path / "my sweep.yaml").write_text(GOOD)

    with pytest.raises(SpecError, match=r"name: the file's name 'my sweep' cannot be the sweep's"):
        load(tmp_path / "my sweep.yaml")


@pytest.mark.parametrize(
    ("limits", "gpus", "problem"),
    [
        (
            "{gpu_hours: 200}",
            0,
            "study.limits.gpu_hours: found 200, but the sweep has no GPUs (slurm.gpus is 0); use cpu_hours",
        ),
        ("{cpu_hours: 200}", 1, "study.limits.cpu_hours: found 200, but the sweep has GPUs; use gpu_hours"),
        ("{cpu_hours: 0}", 0, "study.limits.cpu_hours: found 0; a number above 0, at most 1000000000"),
        ("{cpu_hours: .inf}", 0, "study.limits.cpu_hours: found"),
        ("{gpu_hours: soon}", 1, "study.limits.gpu_hours: found the text 'soon'"),
        ("{gpu_hour: 200}", 1, "study.limits.gpu_hour: unknown key 'gpu_hour'; did you mean 'gpu_hours'?"),
        ("200", 1, "study.limits: found 200; a mapping with keys gpu_hours, cpu_hours is expected"),
    ],
)
def test_a_limit_that_means_nothing_is_a_problem(limits: str, gpus: int, problem: str, tmp_path: Path) -> None:
    text = f"study: {{limits: {limits}}}\nslurm: {{gpus: {gpus}}}\n{GOOD}"
    with pytest.raises(SpecError) as error:
        spec_from(text, "s.yaml", working=tmp_path, home=tmp_path)
    assert problem in str(error.value)
    assert str(error.value).startswith("s.yaml:1:")


@pytest.mark.parametrize(("text", "hours"), [("{gpu_hours: 1.5}", 1.5), ("{}", None), ("null", None)])
def test_a_sweep_may_have_a_limit(text: str, hours: float | None, tmp_path: Path) -> None:
    source = f"study: {{limits: {text}}}\nslurm: {{gpus: 1}}\n{GOOD}"
    limits = spec_from(source, "s.yaml", working=tmp_path, home=tmp_path).study.limits
    assert (limits.hours, limits.gpu_hours) == (hours, hours)
