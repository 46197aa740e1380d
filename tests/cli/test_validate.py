"""`unetsweep validate` finds what `submit` would find without images or a cluster, and writes nothing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from unetsweep.cli import submit as submit_command
from unetsweep.cli import validate as validate_command
from unetsweep.errors import UnetsweepError, UsageError

THREE = "space: {epochs: [4, 8], batch_size: [4], learning_rate: [1e-3, 1e-2]}\n"
IMAGES = "data: {root: nowhere}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def validated(text: str, *options: str, status: int = 0) -> str:
    """What `validate` prints about a sweep; it writes nothing."""
    Path("s.yaml").write_text(text)
    done = CliRunner().invoke(validate_command.command, ["s.yaml", *options])
    assert done.exit_code == status, done.output
    assert [path.name for path in Path().iterdir()] == ["s.yaml"]
    return done.stdout


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (THREE, "4 points, 4 trials, 2 trainings"),
        (THREE + "trainer: {schedule: cosine}\n", "4 points, 4 trials, 4 trainings"),
        (THREE + "exclude: [{epochs: 4, learning_rate: 1e-3}]\n", "3 points, 3 trials, 2 trainings"),
        (THREE + "study: {sampler: random, trials: 3}\n", "4 points, 3 trials, at most 3 trainings"),
        (
            THREE.replace("[1e-3, 1e-2]", "{low: 1e-4, high: 1e-2}") + "study: {sampler: tpe, trials: 1}\n",
            "infinitely many points, 1 trial, at most 1 training",
        ),
        (
            THREE + "study: {sampler: none}\npoints: [{epochs: 4, learning_rate: 1e-3}]\n",
            "1 point, 1 trial, 1 training",
        ),
    ],
)
def test_a_valid_file_is_fine_without_its_images_and_its_size_is_printed(text: str, size: str) -> None:
    assert validated(IMAGES + text) == f"s.yaml: fine: {size}\n"


def test_every_problem_is_printed_with_its_line_and_column() -> None:
    wrong = IMAGES + "space: {epochs: [], batch_size: [4], learning_rate: [1e-4], dropuot: 2}\nrun: {paralel: 2}\n"
    lines = validated(wrong, status=2).splitlines()

    assert [line.split(": ")[:2] for line in lines] == [
        ["s.yaml:2:9", "space.epochs"],
        ["s.yaml:2:61", "space.dropuot"],
        ["s.yaml:3:7", "run.paralel"],
    ]
    assert "did you mean 'model.dropout'?" in lines[1]


def test_more_problems_are_printed_than_a_message_of_submit_lists() -> None:
    many = "".join(f"  wrong_{number}: 1\n" for number in range(12))
    assert len(validated(f"{IMAGES}{THREE}run:\n{many}", status=2).splitlines()) == 12


def test_problems_that_are_found_after_the_file_was_read_are_printed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_study(_: object) -> None:
        raise UsageError("the sampler needs a package")

    monkeypatch.setattr("unetsweep.app.validate.check_study", check_study)
    lines = validated(IMAGES + THREE + "trainer: {precision: 16-mixed}\n", status=2).splitlines()

    assert lines[0].startswith("s.yaml:3:11: trainer.precision: found 16-mixed")
    assert lines[1:] == ["s.yaml: the sampler needs a package"]


@pytest.mark.parametrize(
    "text",
    [
        "space: {epochs: [8]\nrun: ]\n",
        "",
        "space: {epochs: 0, batch_size: [4], learning_rate: [1e-4]}\n",
        THREE + "trainer: {precision: 16-mixed}\n",
        THREE + "study: {trials: 3}\n",
    ],
)
def test_submit_finds_the_same(text: str) -> None:
    found = validated(text, status=2)
    done = submit("s.yaml", "--dry-run", "--executor", "local")

    assert isinstance(done.exception, UnetsweepError)
    assert str(done.exception).startswith(found.strip())


def submit(*arguments: str) -> Result:
    return CliRunner().invoke(submit_command.command, list(arguments))


def test_a_file_that_is_not_there_or_not_text_is_a_problem(folder: Path) -> None:
    (folder / "other.yaml").write_bytes(b"\xff\xfe\x00")
    for name, problem in (("none.yaml", "there is no such file"), (".", "a folder"), ("other.yaml", "not UTF-8")):
        done = CliRunner().invoke(validate_command.command, [name])
        assert done.exit_code == 2
        assert done.stdout.startswith(name)
        assert problem in done.stdout


def test_json_has_the_size_or_the_problems() -> None:
    assert json.loads(validated(IMAGES + THREE, "--json")) == {
        "file": "s.yaml",
        "sweep": "s",
        "size": {"points": 4, "trials": 4, "trainings": 2, "is_exact": True},
        "problems": [],
        "warnings": [],
    }
    found = json.loads(validated(IMAGES + THREE + "run: {paralel: 2}\n", "--json", status=2))
    assert (found["sweep"], found["size"]) == (None, None)
    (problem,) = found["problems"]
    assert (problem["line"], problem["column"], problem["field"]) == (3, 7, "run.paralel")
    assert problem["text"] == f"s.yaml:3:7: run.paralel: {problem['message']}"


PROGRAM = "study: {sampler: random, trials: 3, metric: rmse, direction: minimize}\n"
RATE = "space: {rate: {low: 0, high: 1.0}, hidden: [1, 2]}\n"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "trainer: {command: 'x {x}'}\nspace: {x: {low: 0, high: 1}}\n",
            "3:26: study.trials: 3 are asked for, and the space has 2 points; x takes whole numbers only: for others "
            "write low or high with a point, as in 1.0",
        ),
        (
            "trainer: {command: 'x {rate}'}\n" + RATE,
            "2:36: space.hidden: is in space, but trainer.command has no {hidden}; right if the program reads it "
            "itself (parameters.json, the client)",
        ),
        (
            "trainer: {command: 'x {rate} {hidden} && y > $HOME/log'}\n" + RATE,
            "1:11: trainer.command: found &&, >, $HOME/log, but no shell runs the command, so the program gets it as "
            "it is; if you need a shell, name a script of yours",
        ),
        (
            "trainer: {command: x}\nmodel: {base: 8}\n" + RATE,
            "2:1: model: is of the built-in trainer, which trainer.command replaces; right if the program "
            "reads config.json itself",
        ),
        (
            "trainer: {command: x}\ndata: {root: /nowhere}\n" + RATE,
            "2:8: data.root: found /nowhere, which is not there; with trainer.command leave it out",
        ),
    ],
)
def test_what_is_probably_a_mistake_is_a_warning_of_validate_and_submit(text: str, warning: str) -> None:
    text += PROGRAM
    assert validated(text).splitlines()[1:] == [f"warning: s.yaml:{warning}"]
    (found,) = json.loads(validated(text, "--json"))["warnings"]
    assert found["text"] == f"s.yaml:{warning}"
    done = submit("s.yaml", "--dry-run", "--executor", "local")
    assert done.exit_code == 0
    assert done.stderr.count(f"warning: s.yaml:{warning}\n") == 1


@pytest.mark.parametrize(
    "command", ["x", "x {config} {rate}", "x --seed {seed}", "x {rate} {hidden}", "bash -c 'x {rate} {hidden} | y $A'"]
)
def test_a_program_that_can_read_its_parameters_gives_no_warning(command: str) -> None:
    assert len(validated(f'trainer: {{command: "{command}"}}\n{RATE}{PROGRAM}').splitlines()) == 1


def test_values_of_the_command_line_are_checked_as_submit_checks_them() -> None:
    text = IMAGES + THREE
    assert validated(text, "--set", "space.epochs=[4, 8, 12]") == "s.yaml: fine: 6 points, 6 trials, 2 trainings\n"
    wrong = ("--set", "slurm.time=soon", "--set", "trainer.precision=16-mixed")
    assert validated(text, *wrong, status=2).startswith("--set: slurm.time: found 'soon'; write 10m, ")
    precise = validated(text, *wrong[2:], status=2)
    assert precise.startswith("--set: trainer.precision: found 16-mixed, and the training has no GPU")
    (problem,) = json.loads(validated(text, *wrong[2:], "--json", status=2))["problems"]
    assert (problem["line"], problem["text"]) == (None, precise.strip())
    assert str(submit("s.yaml", "--dry-run", "--executor", "local", *wrong[2:]).exception).startswith(precise.strip())


def test_a_profile_of_the_command_line_replaces_that_of_the_file(folder: Path) -> None:
    profiles = folder.parent / f"{folder.name}-profiles"
    profiles.mkdir()
    (profiles / "three.yaml").write_text("gpus: 3\n")
    (profiles / "wrong.yaml").write_text("tiem: 2h\n")
    text = IMAGES + THREE + "slurm: {profile: default}\n"

    assert "3 processes cannot share" in validated(text, "--profile", str(profiles / "three.yaml"), status=2)
    assert "did you mean 'time'?" in validated(text, "--profile", str(profiles / "wrong.yaml"), status=2)
    assert "slurm.profile: found 'nowhere'" in validated(text, "--profile", "nowhere", status=2)
