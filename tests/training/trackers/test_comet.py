"""Comet: the archive of a run, its upload, and that no failure of Comet stops a training."""

import json
import os
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import comet_server
import pytest
import training_scenes as scenes

from unetsweep.contract import DataConfig, Result, TrialConfig, dumps, encode, run_key
from unetsweep.errors import TrackerError, UsageError
from unetsweep.training.trackers import comet, comet_upload, export, mirror
from unetsweep.training.trackers.comet import Comet
from unetsweep.training.trackers.export import read_export

COMET = Comet()
KEY = "aSecretApiKeyOfNobody0123"
TWO_MILESTONES = (2, 3)
OFFLINE = {"trainer": {"comet": "offline", "val_every": 2}}


@pytest.fixture(autouse=True)
def _comet_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a key, and an address at which no server listens."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COMET_API_KEY", KEY)
    monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://127.0.0.1:{scenes.free_port()}")


def offline(root: Path) -> TrialConfig:
    return scenes.config(root, processes=2, data=DataConfig(str(root), also_score_at=(200.0,)), **OFFLINE)


def train_and_record_imports(context: Any, out: Path, config: TrialConfig, broken: bool = False, **more: Any) -> None:
    """Train; each rank writes into `imported-<rank>` whether it has imported comet_ml."""
    if broken:
        sys.modules["comet_ml"] = None  # type: ignore[assignment] # importing it raises ImportError
    scenes.train(context, out, config, **more)
    (out / f"imported-{context.rank}").write_text(str(sys.modules.get("comet_ml") is not None))


@pytest.fixture(scope="module")
def ended(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of three epochs on two processes, milestones 2 and 3, `comet: offline`."""
    out = tmp_path_factory.mktemp("comet") / "out"
    config = offline(root)
    assert scenes.run(train_and_record_imports, out, config, size=2, milestones=TWO_MILESTONES) == [0, 0], scenes.error(
        out
    )["trace"]
    return out


def messages(archive: Path) -> list[dict[str, Any]]:
    with zipfile.ZipFile(archive) as opened:
        return [json.loads(line) for line in opened.read("messages.json").splitlines()]


def metrics(archive: Path) -> set[tuple[str, int, float]]:
    """(name, step, value) of all metrics except comet's own."""
    payloads = [m["payload"]["metric"] for m in messages(archive) if m["type"] == "metric_msg"]
    assert all(m["epoch"] == m["step"] for m in payloads)
    return {(m["metricName"], m["step"], m["metricValue"]) for m in payloads if m["metricName"] != "process duration"}


def parameters(archive: Path) -> dict[str, Any]:
    payloads = [m["payload"] for m in messages(archive) if m["type"] == "parameter_msg"]
    found = [m.get("param") or m["params"] for m in payloads]
    return {p["paramName"]: p["paramValue"] for p in found if p["source"] == "manual"}


def only(out: Path) -> Path:
    """The only archive of a run."""
    [archive] = (out / comet.FOLDER).iterdir()
    return archive


def progress_line(epoch: int, **changes: Any) -> str:
    line = {"epoch": epoch, "train_loss": 0.5, "val_iou": 0.25, "val_loss": 0.75, "learning_rate": 1e-3,
            "seconds": 1.0, "at": "2026-01-01T00:00:00+00:00", "schema": 1}  # fmt: skip
    return json.dumps({**line, **changes}) + "\n"


@pytest.mark.train
def test_an_archive_contains_every_number_of_the_progress_and_of_each_milestone(ended: Path) -> None:
    expected: set[tuple[str, int, float]] = set()
    for epoch, values in scenes.progress(ended).items():
        for name, value in zip(("train_loss", "val_iou", "val_loss", "learning_rate"), values, strict=True):
            expected |= {(name, epoch, value)} if value is not None else set()
    for milestone in TWO_MILESTONES:
        result = scenes.result(ended, milestone)
        expected |= {(name, milestone, result[name]) for name in ("test_iou", "test_loss", "best_epoch")}
        expected |= {(f"best_{name}", milestone, result[name]) for name in ("val_iou", "val_loss")}
        expected |= {(f"best_val_{name}", milestone, value) for name, value in result["val_scores"].items()}
        expected |= {(f"test_{name}", milestone, value) for name, value in result["test_scores"].items()}
        expected |= {(f"{name}_above_200", milestone, value) for name, value in result["also_scored"]["200"].items()}
    assert metrics(only(ended)) == expected
    assert len(expected) == 3 * 2 + 2 * 2 + 2 * (5 + 5 + 5 + 4)


@pytest.mark.train
def test_an_archive_contains_the_flat_config_and_nothing_about_the_machine(ended: Path, root: Path) -> None:
    found = parameters(only(ended))
    config = offline(root)
    whole = encode(config)
    data, model, trainer = (whole.pop(part) for part in ("data", "model", "trainer"))
    assert whole.pop("params") == {}, "only a trainer command has parameters of its own"
    expected = {**whole, **{f"data.split.{name}": value for name, value in data.pop("split").items()}}
    data |= {"also_score_at": "[200.0]", "mask_values": "[]"}
    for part, values in (("data", data), ("model", model), ("trainer", trainer)):
        expected |= {f"{part}.{name}": value for name, value in values.items()}
    assert found == expected
    with zipfile.ZipFile(only(ended)) as opened:
        everything = b"".join(opened.read(name) for name in opened.namelist())
        about = json.loads(opened.read("experiment.json"))
    assert KEY.encode() not in everything
    assert socket.gethostname().encode() not in everything
    assert about["resume_strategy"] == "get_or_create"
    assert about["offline_id"] == read_export(config, ended, "out").key


@pytest.mark.train
def test_only_rank_0_imports_comet(ended: Path) -> None:
    assert [(ended / f"imported-{rank}").read_text() for rank in (0, 1)] == ["True", "False"]


@pytest.mark.train
def test_with_comet_off_nothing_is_imported_or_written(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert scenes.run(train_and_record_imports, out, scenes.config(root, epochs=1)) == [0]
    assert (out / "imported-0").read_text() == "False"
    assert not (out / comet.FOLDER).exists()


@pytest.mark.train
def test_a_broken_comet_changes_no_result(root: Path, tmp_path: Path) -> None:
    plain, broken = tmp_path / "plain", tmp_path / "broken"
    assert scenes.run(train_and_record_imports, plain, scenes.config(root, epochs=2)) == [0]
    config = scenes.config(root, epochs=2, trainer={"comet": "offline"})
    assert scenes.run(train_and_record_imports, broken, config, broken=True) == [0]
    assert scenes.row(broken, 2) == scenes.row(plain, 2)
    assert list((broken / comet.FOLDER).iterdir()) == []


def mirror_with_output(context: Any, out: Path, config: TrialConfig) -> None:
    """Call `mirror` with the modules in `out` first on the path; its stderr goes to the file `output`."""
    sys.path.insert(0, str(out))
    os.dup2(os.open(out / "output", os.O_WRONLY | os.O_CREAT), 2)
    mirror.mirror(config, out, "s/0000")


@pytest.mark.train
def test_a_comet_that_exits_on_import_becomes_one_line_in_the_log(root: Path, tmp_path: Path) -> None:
    (tmp_path / "progress-1-0.jsonl").write_text(progress_line(1))
    (tmp_path / "comet_ml").mkdir()
    (tmp_path / "comet_ml" / "__init__.py").write_text("raise SystemExit('gone')")
    assert scenes.run(mirror_with_output, tmp_path, scenes.config(root, trainer={"comet": "offline"})) == [0]
    [warning] = (tmp_path / "output").read_text().splitlines()
    assert "SystemExit: gone" in warning
    assert "unetsweep sync" in warning


def test_the_later_claim_wins_and_incomplete_lines_are_skipped(root: Path, tmp_path: Path) -> None:
    (tmp_path / "progress-2-1.jsonl").write_text(progress_line(1) + progress_line(2, val_iou=0.1) + progress_line(3))
    (tmp_path / "progress-10-0.jsonl").write_text(progress_line(2, val_iou=0.2, val_loss=None) + '{"epoch": 3, "tra')
    found = read_export(scenes.config(root), tmp_path, "s/0000")
    assert list(found.curves) == [1, 2, 3]
    assert found.curves[2] == {"train_loss": 0.5, "val_iou": 0.2, "learning_rate": 1e-3}


def test_an_experiment_key_depends_on_name_and_training_and_not_on_the_milestone(root: Path, tmp_path: Path) -> None:
    config = scenes.config(root)
    key = read_export(config, tmp_path, "s/0000").key
    assert len(key) == 40
    assert read_export(replace(config, epochs=99), tmp_path, "s/0000").key == key
    other_run = read_export(config, tmp_path, "s/0001").key
    other_training = read_export(replace(config, seed=1), tmp_path, "s/0000").key
    assert len({key, other_run, other_training}) == 3
    assert run_key(config) == run_key(replace(config, epochs=99))


def test_an_equal_archive_is_not_written_twice_and_new_numbers_replace_it(root: Path, tmp_path: Path) -> None:
    config, lines = scenes.config(root), tmp_path / "progress-1-0.jsonl"
    lines.write_text(progress_line(1))
    first = COMET.write_archive(read_export(config, tmp_path, "s/0000"), tmp_path)
    written_at = first.stat().st_mtime_ns
    assert COMET.write_archive(read_export(config, tmp_path, "s/0000"), tmp_path) == first
    assert first.stat().st_mtime_ns == written_at
    (tmp_path / "milestones").mkdir()
    result = Result(val_iou=0.5, best_epoch=1, val_scores={"dice": None}, also_scored={"0": {}})
    (tmp_path / "milestones" / "1.json").write_text(dumps(encode(result)))
    second = COMET.write_archive(read_export(config, tmp_path, "s/0000"), tmp_path)
    assert only(tmp_path) == second != first
    assert {("best_epoch", 1, 1), ("best_val_iou", 1, 0.5), ("val_iou", 1, 0.25)} < metrics(second)


def test_online_without_a_server_leaves_the_archive_and_warns_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(comet_upload, "PROBE_S", 0.6)
    (tmp_path / "progress-1-0.jsonl").write_text(progress_line(1))
    mirror.mirror(scenes.config(root, trainer={"comet": "online"}), tmp_path, "s/0000")
    [warning] = [record.getMessage() for record in caplog.records if record.name == mirror.__name__]
    assert "did not answer within 1 s" in warning
    assert not COMET.is_uploaded(only(tmp_path))


def test_online_uploads_the_archive_with_comets_command_and_marks_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = scenes.config(root, trainer={"comet": "online"})
    (tmp_path / "progress-1-0.jsonl").write_text(progress_line(1) + progress_line(2, val_iou=1 / 3))
    with comet_server.serving() as (address, received):
        monkeypatch.setenv("COMET_URL_OVERRIDE", address)
        mirror.mirror(config, tmp_path, "s/0000")
        mirror.mirror(config, tmp_path, "s/0000")
    assert caplog.records == []
    [archive] = (tmp_path / comet.FOLDER).glob("*.zip")
    assert COMET.is_uploaded(archive)
    assert received.keys == [read_export(config, tmp_path, "s/0000").key]
    assert {one for one in received.metrics if one[0] in export.CURVES} == metrics(archive)


def test_nothing_is_sent_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMET_API_KEY")
    with pytest.raises(UsageError, match="COMET_API_KEY is not set"):
        comet_upload.check_reachable()


def test_a_server_that_answers_is_reachable_directly_and_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://{here}/clientlib/")
        comet_upload.check_reachable()
        monkeypatch.setenv("COMET_URL_OVERRIDE", "https://comet.invalid")
        with monkeypatch.context() as patch:
            patch.setattr(comet_upload, "PROBE_S", 0.1)
            with pytest.raises(TrackerError, match=r"comet\.invalid:443"):
                comet_upload.check_reachable()
        monkeypatch.setenv("HTTPS_PROXY", f"http://{here}")
        comet_upload.check_reachable()


def test_a_failed_upload_leaves_no_mark_and_prints_no_key(tmp_path: Path) -> None:
    archive = tmp_path / "s-0000-0123456789ab.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("experiment.json", "{}")
    with pytest.raises(TrackerError, match="not uploaded") as caught:
        comet_upload.upload(archive, timeout_s=60)
    assert KEY not in str(caught.value)
    assert not COMET.is_uploaded(archive)
    assert archive.exists()


def test_reading_a_run_needs_neither_torch_nor_comet() -> None:
    code = "import sys, unetsweep.app.sync; print({'torch', 'comet_ml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
