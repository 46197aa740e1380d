"""`import unetsweep`: what Python shows of a sweep, also while it runs and when files of it are damaged."""

import ast
import dataclasses
import json
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import unetsweep
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, Result, TrainerConfig, TrialConfig
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import StudySpec, SweepSpec
from unetsweep.search.journal import export
from unetsweep.store.sweep_dir import SweepDir

RATES = (1e-3, 3e-3, 1e-2)
PROGRAM = TrainerConfig(command="python train.py {config} {out}")


def made(root: Path, metric: str = "val_iou", **scores: Result) -> SweepDir:
    """A sweep of a program with three trials. `scores`: the results of the first ones, by any names."""
    data = DataConfig(root=str(root))
    study = StudySpec(metric=metric, direction=None if metric == "val_iou" else "minimize")
    space = Space.of(epochs=Choices((8,)), batch_size=Choices((4,)), learning_rate=Choices(RATES))
    spec = SweepSpec(root.name, data, space, study, trainer=PROGRAM)
    directory = SweepDir(root)
    directory.create(as_yaml(spec), "local")
    directory.add_trials([TrialConfig(data, 8, 4, rate, trainer=PROGRAM, metric=metric) for rate in RATES])
    for number, result in enumerate(scores.values()):
        directory.end_trial(number, dataclasses.replace(result, trial=number))
    export(root / "study.journal", spec, directory.trials())
    return directory


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    """Trials 0 and 1 are complete, 2 was not submitted."""
    first = Result(val_iou=0.5, val_loss=0.25, job_id="17", checkpoint="best.ckpt", extra={"kappa": 0.75, "note": "x"})
    return made(tmp_path / "results" / "grid", first=first, second=Result(val_iou=0.75, job_id="18"))


def snapshot(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_sweep_has_its_settings_its_trials_and_the_best(sweep: SweepDir) -> None:
    found = unetsweep.open(sweep.root)

    assert (found.name, found.folder, found.metric, found.direction) == ("grid", sweep.root, "val_iou", "maximize")
    assert found.spec.space.paths == ("epochs", "batch_size", "learning_rate")
    assert [(trial.number, trial.state, trial.value) for trial in found.trials] == [
        (0, "complete", 0.5),
        (1, "complete", 0.75),
        (2, "waiting", None),
    ]
    assert found.best is found.trials[1]
    first = found.trials[0]
    assert first.params == {"epochs": 8, "batch_size": 4, "learning_rate": 1e-3}
    assert first.scores == {"val_iou": 0.5, "val_loss": 0.25, "kappa": 0.75}
    assert (first.job_id, first.seed, first.problem) == ("17", 0, None)
    assert first.result is not None
    assert first.result.extra["note"] == "x"
    assert first.run_folder == sweep.root / "runs" / "0000"
    assert first.checkpoint == sweep.root / "runs" / "0000" / "best.ckpt"
    assert (found.trials[2].scores, found.trials[2].result, found.trials[2].checkpoint) == ({}, None, None)


def test_a_relative_path_and_a_text_name_the_folder(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sweep.root.parent.parent)
    assert unetsweep.open("results/grid") == unetsweep.open(sweep.root)


def test_the_best_has_the_least_of_a_metric_that_is_minimized(tmp_path: Path) -> None:
    scores = {name: Result(extra={"rmse": value}) for name, value in (("a", 0.2), ("b", 0.1), ("c", 0.3))}
    found = unetsweep.open(made(tmp_path / "s", "rmse", **scores).root)

    assert (found.metric, found.direction) == ("rmse", "minimize")
    assert [trial.value for trial in found.trials] == [0.2, 0.1, 0.3]
    assert found.best is not None
    assert found.best.scores == {"rmse": 0.1}


def test_nothing_is_best_before_a_trial_is_complete(tmp_path: Path) -> None:
    assert unetsweep.open(made(tmp_path / "s").root).best is None


def test_the_study_is_a_copy_of_the_journal_in_memory(sweep: SweepDir) -> None:
    (sweep.root / "study.journal").chmod(0o400)
    before = snapshot(sweep.root)
    study = unetsweep.open(sweep.root).study

    assert study.best_params == {"epochs": 8, "batch_size": 4, "learning_rate": 3e-3}
    assert [trial.user_attrs["trial"] for trial in study.trials] == [0, 1]
    study.enqueue_trial({"learning_rate": 1.0})
    assert snapshot(sweep.root) == before


def test_a_journal_that_is_being_written_is_read_up_to_its_last_whole_line(sweep: SweepDir) -> None:
    with (sweep.root / "study.journal").open("ab") as journal:
        journal.write(b'{"op_code": 4, "wor')
    assert len(unetsweep.open(sweep.root).study.trials) == 2


@pytest.mark.parametrize(
    ("content", "message"), [(None, "is missing; it is written when"), (b"{]\n", "repair grid` rebuilds it")]
)
def test_a_study_that_cannot_be_read_is_an_error_with_advice(
    content: bytes | None, message: str, sweep: SweepDir
) -> None:
    path = sweep.root / "study.journal"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    found = unetsweep.open(sweep.root)

    with pytest.raises(unetsweep.UnetsweepError, match=message):
        _ = found.study
    assert path.exists() == (content is not None)


def test_a_data_frame_has_the_columns_of_the_csv_report(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=lambda columns: columns))
    columns = unetsweep.open(sweep.root).to_dataframe()

    assert list(columns)[:5] == ["trial", "state", "job_id", "epochs", "batch_size"]
    assert columns["learning_rate"] == [*RATES]
    assert columns["val_iou"] == [0.5, 0.75, None]
    assert columns["kappa"] == [0.75, None, None]


def test_pandas_makes_a_row_of_each_trial(sweep: SweepDir) -> None:
    pytest.importorskip("pandas", reason="the optional extra unetsweep[pandas] is not installed")
    frame = unetsweep.open(sweep.root).to_dataframe()

    assert frame.shape[0] == 3
    assert frame["val_iou"].max() == 0.75


def test_without_pandas_the_error_says_how_to_install_it(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(unetsweep.UnetsweepError, match=r"needs pandas .*pip install 'unetsweep\[pandas\]'"):
        unetsweep.open(sweep.root).to_dataframe()


def test_reading_changes_no_file(sweep: SweepDir) -> None:
    before = snapshot(sweep.root)
    unetsweep.open(sweep.root)
    assert snapshot(sweep.root) == before


# ---- what is not there, and what is damaged


def test_a_folder_without_a_sweep_is_an_error_that_names_those_beside_it(sweep: SweepDir) -> None:
    with pytest.raises(unetsweep.UnetsweepError, match=r"results/gird: there is no sweep; sweeps beside it: .*/grid$"):
        unetsweep.open(sweep.root.with_name("gird"))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(b"\x00\xff{"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": _truncate,
    "other type": lambda path: path.write_bytes(b"[1]"),
    "missing": Path.unlink,
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", ["trial.json", "result.json"])
def test_a_damaged_trial_is_listed_with_its_problem(name: str, kind: str, sweep: SweepDir) -> None:
    path = sweep.root / "trials" / "0001" / name
    DAMAGE[kind](path)
    first, damaged, last = unetsweep.open(sweep.root).trials

    assert (first.state, first.problem, last.problem) == ("complete", None, None)
    if (name, kind) != ("result.json", "missing"):  # then its run may still publish one
        assert damaged.problem is not None
        assert damaged.problem.startswith(str(path))
        assert damaged.problem.count("unetsweep repair grid") == 1
        assert (damaged.state, damaged.number) == ("waiting", 1)
        assert damaged.value == (0.75 if name == "trial.json" else None)


def test_a_trial_whose_attempt_cannot_be_read_has_that_problem(sweep: SweepDir) -> None:
    attempts = sweep.root / "runs" / "0002" / "attempts"
    attempts.mkdir(parents=True)
    (attempts / "1.json").write_text("{}")
    problem = unetsweep.open(sweep.root).trials[2].problem

    assert problem is not None
    assert problem.startswith(f"{attempts / '1.json'}: found schema None")
    assert problem.count("unetsweep repair grid") == 1


@pytest.mark.parametrize("kind", DAMAGE)
def test_whatever_file_is_damaged_the_sweep_opens_or_the_error_is_ours(kind: str, sweep: SweepDir) -> None:
    kept = sweep.root.with_name("kept")
    shutil.copytree(sweep.root, kept)
    for file in [path.relative_to(kept) for path in kept.rglob("*") if path.is_file()]:
        shutil.rmtree(sweep.root)
        shutil.copytree(kept, sweep.root)
        DAMAGE[kind](sweep.root / file)
        try:
            assert len(unetsweep.open(sweep.root).trials) == 3, file
        except unetsweep.UnetsweepError as error:
            found = str(error)
            assert (file.name, found.startswith(str(sweep.root / file))) == ("sweep.yaml", True), found


# ---- the names, and what importing them costs


def test_the_import_is_cheap_and_the_names_are_imported_when_they_are_used() -> None:
    code = (
        "import json, sys, unetsweep; early = sorted(sys.modules); unetsweep.open; "
        "print(json.dumps([early, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    early, late = json.loads(done.stdout)

    assert [name for name in early if name.startswith("unetsweep")] == ["unetsweep"]
    assert not {"torch", "optuna", "numpy", "scipy", "yaml", "pandas"} & {*early}
    assert "unetsweep.api" in late
    assert not {"torch", "optuna", "pandas", "cv2"} & {*late}


def test_the_types_are_those_of_the_names() -> None:
    stub = ast.parse(Path(unetsweep.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in ast.walk(stub) if isinstance(node, ast.ImportFrom)]
    typed = {alias.name: node.module for node in imports for alias in node.names}

    assert typed == {name: f"unetsweep.{module}" for name, module in unetsweep._API.items()}
    assert {*typed} <= {*dir(unetsweep)}
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = unetsweep.opne
