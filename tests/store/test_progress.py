"""The progress of a run is read correctly, whatever claims and kills left in its files."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unetsweep.atomic import link_json, write_json
from unetsweep.core.actions import Prune
from unetsweep.errors import StateError
from unetsweep.store.progress import read_progress, read_prune_decision
from unetsweep.store.sweep_dir import SweepDir

AT = "2026-01-01T00:0{}:00+00:00"


def line(epoch: int, value: float | None = 0.5, minute: int = 0, **more: object) -> str:
    content = {"epoch": epoch, "val_iou": value, "val_loss": 0.1, "at": AT.format(minute), "seconds": 2.0, **more}
    return json.dumps(content) + "\n"


def epochs(folder: Path) -> list[tuple[int, float | None]]:
    return [(point.epoch, point.values.get("val_iou")) for point in read_progress(folder, os.listdir(folder)).points]


def test_all_claims_make_one_curve_with_the_values_of_the_latest_claim(tmp_path: Path):
    (tmp_path / "progress-2-0.jsonl").write_text(line(2, 0.25, 7) + line(3, 0.3, 8))
    (tmp_path / "progress-10-0.jsonl").write_text(line(3, 0.35, 9))
    (tmp_path / "progress-1-1.jsonl").write_text(line(1, 0.1, 1) + line(2, 0.2, 2))
    found = read_progress(tmp_path, os.listdir(tmp_path))
    assert epochs(tmp_path) == [(1, 0.1), (2, 0.25), (3, 0.35)]
    assert [point.at and point.at.minute for point in found.points] == [1, 2, 8], "an epoch keeps its first time"
    assert found.last_at == datetime(2026, 1, 1, 0, 9, tzinfo=UTC)
    assert found.current_epoch is None


def test_a_program_that_began_again_is_at_the_epoch_that_its_latest_start_reported(tmp_path: Path):
    (tmp_path / "progress-1-0.jsonl").write_text(line(1) + line(2) + line(3))
    (tmp_path / "progress-2-0.jsonl").write_text(line(1) + line(2))
    (tmp_path / "progress-3-0.jsonl").touch()
    found = read_progress(tmp_path, os.listdir(tmp_path))
    assert ([epoch for epoch, _ in epochs(tmp_path)], found.current_epoch) == ([1, 2, 3], 2)


def test_of_an_epoch_with_the_metric_only_its_value_is_read(tmp_path: Path):
    (tmp_path / "progress-1-0.jsonl").write_text(line(1, 0.25) + line(2, None))
    found = read_progress(tmp_path, os.listdir(tmp_path), "val_iou").points
    assert [dict(point.values) for point in found] == [{"val_iou": 0.25}, {"val_loss": 0.1}]


@pytest.mark.parametrize("keep", range(1, 60, 9))
def test_only_a_corrupt_line_is_dropped(tmp_path: Path, keep: int):
    (tmp_path / "progress-1-0.jsonl").write_text(line(1, 0.1) + line(2)[:keep])
    assert epochs(tmp_path) == [(1, 0.1)]
    (tmp_path / "progress-1-0.jsonl").write_text(line(1, 0.1) + line(2)[:keep] + "\n" + line(3, 0.3))
    assert epochs(tmp_path) == [(1, 0.1), (3, 0.3)]


def test_an_invalid_value_is_none_and_an_invalid_epoch_is_dropped(tmp_path: Path):
    odd = ["[1]\n", "5\n", '{"epoch": "x"}\n', "\xff\n"]
    (tmp_path / "progress-1-0.jsonl").write_text("".join(odd) + line(1, float("nan")) + line(2, None) + line(3, at=7))
    assert epochs(tmp_path) == [(1, None), (2, None), (3, 0.5)]
    (tmp_path / "progress-x.jsonl").write_text(line(9))
    assert epochs(tmp_path)[-1] == (3, 0.5)


def test_every_number_of_a_line_is_kept_because_it_may_be_the_metric(tmp_path: Path):
    (tmp_path / "progress-1-0.jsonl").write_text(
        '{"epoch": 1, "rmse": 2, "val/acc": 0.5, "note": "x", "ok": true, "seconds": 3, "learning_rate": 0.1}\n'
    )
    (point,) = read_progress(tmp_path, os.listdir(tmp_path)).points
    assert (point.values, point.seconds) == ({"rmse": 2.0, "val/acc": 0.5}, 3.0)


def test_a_line_needs_only_its_epoch_and_its_times_are_those_of_the_files(tmp_path: Path):
    path, claim = tmp_path / "progress-1-0.jsonl", tmp_path / "claims/1-0"
    claim.parent.mkdir()
    claim.touch()
    path.write_text("".join(f'{{"epoch": {epoch}}}\n' for epoch in (1, 2, 3, 4)))
    os.utime(claim, (1_000_000, 1_000_000))
    os.utime(path, (1_000_040, 1_000_040))
    found = read_progress(tmp_path, os.listdir(tmp_path))
    assert [point.seconds for point in found.points] == [10.0] * 4
    assert [point.at and point.at.timestamp() for point in found.points] == [1_000_010 + 10 * k for k in range(4)]
    assert found.last_at == datetime.fromtimestamp(1_000_040, UTC)
    path.write_text('{"epoch": 1, "seconds": 7}\n{"epoch": 2, "at": "1970-01-12T13:47:30+00:00"}\n')
    os.utime(path, (1_000_060, 1_000_060))
    found = read_progress(tmp_path, os.listdir(tmp_path))
    assert [point.seconds for point in found.points] == [7.0, 20.0], "what a line says counts"


def test_a_file_that_grows_is_progress_even_if_its_last_line_is_no_epoch(tmp_path: Path):
    path = tmp_path / "progress-1-0.jsonl"
    path.write_text(line(1, minute=3))
    assert read_progress(tmp_path, os.listdir(tmp_path)).last_at == datetime(2026, 1, 1, 0, 3, tzinfo=UTC)
    path.write_text(line(1, minute=3) + '{"step": 200}\n')
    os.utime(path, (1_900_000_000, 1_900_000_000))
    assert read_progress(tmp_path, os.listdir(tmp_path)).last_at == datetime.fromtimestamp(1_900_000_000, UTC)


def test_another_schema_is_refused_with_the_name_of_the_file(tmp_path: Path):
    (tmp_path / "progress-1-0.jsonl").write_text(line(1, schema=2))
    with pytest.raises(StateError, match=r"progress-1-0.jsonl: found schema 2"):
        epochs(tmp_path)


def test_a_grown_file_is_read_again(tmp_path: Path):
    path = tmp_path / "progress-1-0.jsonl"
    for epoch in range(1, 4):
        with path.open("a") as stream:
            stream.write(line(epoch))
        assert len(epochs(tmp_path)) == epoch


def test_the_newest_decision_counts_until_the_run_is_retried(tmp_path: Path):
    directory = SweepDir(tmp_path)
    folder = tmp_path / "runs/0003"
    (folder / "attempts").mkdir(parents=True)
    assert directory.read_prune_decision(3) is None
    directory.record_prune(Prune(3, 1, 7, (4, 8), 2, "poor"))
    directory.record_prune(Prune(3, 2, 7, (8,), 5, "poorer"))
    prune = directory.read_prune_decision(3)
    assert prune is not None
    assert (prune.attempt, prune.trial, prune.milestones, prune.epoch) == (2, 7, (8,), 5)
    raw = json.loads((folder / "prune.json").read_text())
    assert set(raw) == {"schema", "attempt", "trial", "milestones", "epoch", "reason", "at"}
    names = os.listdir(folder)
    for attempt, is_lifted in ((1, False), (2, True)):
        link_json(folder / f"attempts/{attempt}.retries-reset.json", {})
        again = read_prune_decision(folder, names, os.listdir(folder / "attempts"))
        assert again is not None
        assert again.is_lifted is is_lifted


def test_a_corrupt_stop_is_an_error(tmp_path: Path):
    write_json(tmp_path / "prune.json", {})
    (tmp_path / "prune.json").write_text('{"schema": 1, "att')
    with pytest.raises(StateError, match=r"prune.json: not readable"):
        read_prune_decision(tmp_path, ["prune.json"], [])


@pytest.mark.parametrize(
    ("line", "points"),
    [
        ('{"epoch": 9000000000000000000}', []),
        ('{"epoch": -1}', []),
        ('{"epoch": true}', []),
        ('{"epoch": 2, "seconds": 1e300}', [(2, None)]),
        ('{"epoch": 2, "seconds": -1}', [(2, None)]),
        ('{"epoch": 2, "seconds": 3}', [(2, 3.0)]),
    ],
)
def test_a_number_that_no_training_reports_is_left_out(tmp_path: Path, line: str, points: list[object]) -> None:
    (tmp_path / "progress-1-0.jsonl").write_text(f"{line}\n")
    found = read_progress(tmp_path, ["progress-1-0.jsonl"]).points
    assert [(point.epoch, point.seconds) for point in found] == points


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"}", b'{"epoch": 2', b"{}]}", b'{"a":[{}', b"\xff{}", b"[1]", b"7", b"{},{}"]
)
def test_a_line_that_is_broken_does_not_change_what_the_others_mean(tmp_path: Path, broken: bytes) -> None:
    lines = [b'{"epoch": 1, "val_iou": 0.5}', broken, b'{"epoch": 3, "val_iou": 1e999}']
    (tmp_path / "progress-1-0.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    points = read_progress(tmp_path, {"progress-1-0.jsonl"}).points
    assert [(point.epoch, dict(point.values)) for point in points] == [(1, {"val_iou": 0.5}), (3, {})]
