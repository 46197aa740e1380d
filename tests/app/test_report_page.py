"""What a page shows of a sweep's files, and that no file of it prevents the page."""

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.written_sweep import write_sweep
from unetsweep.analysis.records import read_sweep_record
from unetsweep.app import reconcile, report_page
from unetsweep.app.report import ReportRequest, refresh_page, report
from unetsweep.cli.repair import command as repair
from unetsweep.core import paths
from unetsweep.datasets.predicted_masks import file_name
from unetsweep.datasets.sample import draw_sample
from unetsweep.report.formats import Format
from unetsweep.report.page.content import PageContent
from unetsweep.store.sweep_dir import SweepDir

TRIALS, EPOCHS = 5, 8


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of images, and a sweep of five trials on it of which the second was pruned."""
    folder = tmp_path_factory.mktemp("written")
    draw_sample(folder / "images", 64, 4, 1)
    write_sweep(folder / "eyes", folder / "images", TRIALS, EPOCHS, pruned=(1,))
    return folder


@pytest.fixture
def sweep(written: Path, tmp_path: Path) -> SweepDir:
    """A copy of that sweep."""
    shutil.copytree(written / "eyes", tmp_path / "eyes")
    return SweepDir(tmp_path / "eyes")


def content_of(sweep: SweepDir) -> PageContent:
    return report_page.read_content(read_sweep_record(sweep.root), sweep)


def page_of(sweep: SweepDir) -> str:
    return report(sweep.root, ReportRequest(Format.HTML)).text


def masks_of(sweep: SweepDir, trial: int) -> Path:
    return sweep.root / paths.run_dir(trial) / file_name(EPOCHS)


def test_pictures_have_the_iou_of_the_results_and_the_worst_comes_first(sweep: SweepDir) -> None:
    record, pictures = read_sweep_record(sweep.root), content_of(sweep).pictures
    assert pictures is not None
    assert (len(pictures.cases), pictures.images, pictures.notes) == (6, 8, ())
    assert set(pictures.predictions) == {0, 2, 3, 4}
    for number, predictions in pictures.predictions.items():
        result = record.trials[number].result
        assert result is not None
        expected = {row["image"]: row["iou"] for row in result.val_per_image}
        found = [(pictures.cases[each.case].name, each.difference.iou) for each in predictions]
        assert found == sorted(found, key=lambda pair: pair[1])
        assert dict(found) == {name: expected[name] for name, _ in found}
    assert all(each.mask is not None for each in pictures.predictions[pictures.best or 0])


def test_the_best_and_the_median_trial_are_beside_each_other(sweep: SweepDir) -> None:
    pictures = content_of(sweep).pictures
    assert pictures is not None
    scores = {
        t.number: t.result.val_iou or 0 for t in read_sweep_record(sweep.root).trials if t.result and t.number != 1
    }
    order = sorted(scores, key=lambda number: -scores[number])
    assert (pictures.best, pictures.other) == (order[0], order[2])


def test_curves_cost_and_provenance_are_read(sweep: SweepDir) -> None:
    found = content_of(sweep)
    assert [(curve.trials, len(curve.points), curve.epochs_done) for curve in found.curves] == [
        ((number,), 2 if number == 1 else EPOCHS, 2 if number == 1 else EPOCHS) for number in range(TRIALS)
    ]
    assert found.cost is not None
    epochs = (TRIALS - 1) * EPOCHS + 2
    assert (found.cost.waiting, found.cost.training) == (TRIALS * 60, epochs * 30)
    assert (found.cost.repeated, found.cost.idle) == (0, TRIALS * 60)
    assert found.state == "complete"
    facts = dict(found.facts)
    assert facts["images"].startswith("8 training, 8 validation, 1 test images of ")
    assert facts["leak"].startswith("none was found")
    assert facts["versions"] == "torch 2.13.0, unetsweep 1.0.0, python 3.11"
    assert "learning_rate" in found.config
    assert found.warnings == ()


def test_a_damaged_file_of_masks_is_named_and_the_page_has_the_other_pictures(sweep: SweepDir) -> None:
    best = content_of(sweep).pictures
    assert best is not None
    assert best.best is not None
    masks_of(sweep, best.best).write_text("{")
    text = page_of(sweep)
    assert f"Warning: {masks_of(sweep, best.best)}: not readable as JSON" in text
    assert "unetsweep repair eyes" in text
    assert "has kept no masks that can be shown" in text
    assert text.count("data:image/png") > 10


def test_repair_quarantines_a_damaged_file_of_masks(sweep: SweepDir) -> None:
    masks_of(sweep, 0).write_text(masks_of(sweep, 0).read_text().replace('"width": 64', '"width": 65'))
    done = CliRunner().invoke(repair, ["eyes", "--results", str(sweep.root.parent)])
    assert "8.predictions.json: the mask of '02' is no PNG of one bit and 65x64: quarantined" in done.output
    assert "the report shows no pictures of this trial; its numbers stay" in done.output
    assert "Warning" not in page_of(sweep)


def test_masks_of_other_weights_are_left_out(sweep: SweepDir) -> None:
    for trial in range(TRIALS):
        raw = json.loads(masks_of(sweep, trial).read_text())
        masks_of(sweep, trial).write_text(json.dumps({**raw, "weights_sha256": "0" * 64}))
    text = page_of(sweep)
    assert "its masks are of other weights than those of the result" in text
    assert "data:image/png" not in text


def test_a_mask_of_another_size_is_named(sweep: SweepDir) -> None:
    path = masks_of(sweep, 0)
    raw = json.loads(path.read_text())
    _, png = cv2.imencode(".png", np.zeros((8, 8), np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])
    raw["masks"][0] |= {"width": 8, "height": 8, "png": base64.b64encode(png.tobytes()).decode()}
    path.write_text(json.dumps(raw))
    assert "is 8x8, its truth 64x64" in page_of(sweep).replace("&#39;", "'")


def test_a_sweep_without_masks_says_so(sweep: SweepDir) -> None:
    for trial in range(TRIALS):
        masks_of(sweep, trial).unlink()
    assert "The trainings of this sweep have kept no masks, so there are no pictures." in page_of(sweep)


def test_images_that_were_moved_are_named(written: Path, sweep: SweepDir) -> None:
    moved = written / "moved"
    (written / "images").rename(moved)
    try:
        text = page_of(sweep)
    finally:
        moved.rename(written / "images")
    assert text.count("Not shown: ") == 1
    assert str(written / "images") in text
    assert "data:image/png" not in text
    assert 'id="table"' in text


def test_an_image_that_has_changed_is_named_and_the_page_has_the_others(written: Path, sweep: SweepDir) -> None:
    image = written / "images/train/image/02.png"
    before = image.read_bytes()
    image.write_bytes(before + b"x")
    try:
        text = page_of(sweep)
    finally:
        image.write_bytes(before)
    assert "Not shown: 02: " in text
    assert "changed since the split was pinned: 02" in text
    assert "data:image/png" in text


@pytest.mark.parametrize(
    "name", ["data.json", "code.json", "trials/0000/config.json", "runs/0000/progress-1-0.jsonl", "sweep.json"]
)
@pytest.mark.parametrize("damage", ["{", "[]", None])
def test_damage_never_prevents_the_page(sweep: SweepDir, name: str, damage: str | None) -> None:
    path = sweep.root / name
    path.unlink(missing_ok=True)
    if damage is None:
        path.mkdir()
    else:
        path.write_text(damage)
    text = page_of(sweep)
    assert 'id="table"' in text
    is_log = name.endswith("jsonl") and damage is not None  # a line that cannot be read is skipped
    assert is_log or str(path) in text


def test_the_page_of_a_sweep_that_ended_is_made_once_and_again_after_a_new_result(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    read = report_page.read_content
    monkeypatch.setattr(report_page, "read_content", lambda *given: made.append(1) or read(*given))
    page, record = sweep.root / paths.PAGE, read_sweep_record(sweep.root)
    refresh_page(record, sweep.root)
    assert page.read_text().startswith("<!doctype html>")
    assert page.stat().st_mode & 0o077 == 0
    refresh_page(record, sweep.root)
    assert len(made) == 1
    later = page.stat().st_mtime + 10
    os.utime(sweep.root / paths.trial_dir(0) / paths.RESULT, (later, later))
    refresh_page(record, sweep.root)
    assert len(made) == 2


def test_a_page_that_cannot_be_made_is_noted_and_is_no_error(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr(report_page, "read_content", fail)
    refresh_page(read_sweep_record(sweep.root), sweep.root)
    assert not (sweep.root / paths.PAGE).exists()
    last = json.loads((sweep.root / paths.LEDGER).read_text().splitlines()[-1])
    assert (last["action"], last["trouble"]) == ("page", "ZeroDivisionError: nothing to divide by")


@pytest.mark.parametrize(
    ("is_over", "most", "is_made"), [(True, TRIALS, True), (True, 1, False), (False, TRIALS, False)]
)
def test_a_reconciliation_makes_the_page_when_the_sweep_has_ended_unless_it_is_large(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch, is_over: bool, most: int, is_made: bool
) -> None:
    monkeypatch.setattr(reconcile, "PAGED", most)
    reconcile._refresh_report(sweep.root, is_over=is_over)
    assert (sweep.root / paths.PAGE).exists() == is_made


def test_report_stores_the_page_and_says_where(sweep: SweepDir) -> None:
    found = report(sweep.root, ReportRequest(Format.HTML))
    assert found.page == sweep.root / paths.PAGE
    assert found.page.read_text() == found.text
    assert report(sweep.root, ReportRequest(Format.CSV)).page is None


def test_a_folder_that_cannot_be_written_prevents_no_report(sweep: SweepDir) -> None:
    (sweep.root / paths.REPORT).write_text("in the way")
    found = report(sweep.root, ReportRequest(Format.HTML))
    assert found.page is None
    assert "<!doctype html>" in found.text


def test_a_program_of_the_user_has_no_pictures(sweep: SweepDir) -> None:
    record = read_sweep_record(sweep.root)
    own = replace(record.spec, trainer=replace(record.spec.trainer, command="python t.py"))
    assert report_page.read_content(replace(record, spec=own), sweep).pictures is None


def test_the_page_is_made_without_torch(sweep: SweepDir) -> None:
    code = (
        "import sys\n"
        "from unetsweep.app.report import ReportRequest, report\n"
        "from unetsweep.report.formats import Format\n"
        "from pathlib import Path\n"
        "assert 'data:image/png' in report(Path(sys.argv[1]), ReportRequest(Format.HTML)).text\n"
        "print(sorted({'torch', 'pytorch_lightning', 'albumentations', 'plotly'} & {*sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, sweep.root], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
