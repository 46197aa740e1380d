"""The leaders again with new seeds: nothing twice, the study told nothing, and the set in every report."""

import csv
import io
import json
from pathlib import Path

import pytest
from local_sweeps import Place

SPEC = """\
space: {epochs: [8], batch_size: [4], learning_rate: [1e-3, 2e-3, 3e-3, 4e-3]}
run: {parallel: 2}
"""
SCORED = """
gain = {0.001: 0.0, 0.002: 0.05, 0.003: 0.1, 0.004: 0.1}[rate]
noise = [0.001 * ((config["seed"] * (7 + n) + int(rate * 1e3)) % 5) for n in range(8)]
images = [{"image": f"{n:02d}", "iou": 0.5 + gain + 0.01 * n + noise[n]} for n in range(8)]
score = sum(row["iou"] for row in images) / 8
with open(f"{out}/result.tmp", "w") as stream:
    json.dump({"val_iou": score, "val_loss": 0.1, "test_iou": score - 0.02, "val_per_image": images}, stream)
os.replace(f"{out}/result.tmp", f"{out}/result.json")
note("end")
sys.exit()
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.trainer(SCORED)
    return made


def swept(place: Place) -> Path:
    place.submit(place.sweep(SPEC), "--watch")
    return place.folder / "results" / "s"


def trained(root: Path) -> list[tuple[float, int]]:
    """(learning rate, seed) of each confirmation run, in order."""
    found = []
    for path in sorted((root / "confirm/trials").glob("*/config.json")):
        config = json.loads(path.read_text())
        found.append((config["learning_rate"], config["seed"]))
    return found


def test_the_leaders_are_trained_with_new_seeds_and_the_sweep_is_left_alone(place: Place) -> None:
    root = swept(place)
    before = {path: path.read_bytes() for path in (root / "study.journal", *root.glob("trials/*/*.json"))}

    said = place.run("confirm", "s", "--top", "2", "--seeds", "3", "--watch").stdout

    assert "6 trainings, 6 of them new: trials 0002, 0003 with 3 seeds each" in said.replace("0003, 0002", "0002, 0003")
    assert sorted(trained(root)) == [(rate, seed) for rate in (0.003, 0.004) for seed in (1, 2, 3)]
    assert {path: path.read_bytes() for path in before} == before
    assert not [path for path in root.glob("trials/*") if path.name > "0003"]
    status = json.loads(place.run("status", "s/confirm", "--json").stdout)
    assert status["sweep"] == "s/confirm"


def test_it_does_nothing_twice_and_grows(place: Place) -> None:
    root = swept(place)
    place.run("confirm", "s", "--top", "2", "--seeds", "2", "--watch")
    first = trained(root)

    assert "4 trainings, 0 of them new" in place.run("confirm", "s", "--top", "2", "--seeds", "2", "--watch").stdout
    assert trained(root) == first
    assert "9 trainings, 5 of them new" in place.run("confirm", "s", "--seeds", "3", "--dry-run").stdout
    assert trained(root) == first
    place.run("confirm", "s", "--seeds", "3", "--watch")
    assert trained(root)[:4] == first
    assert len(trained(root)) == len(set(trained(root))) == 9


def test_every_report_says_which_cannot_be_told_from_the_best(place: Place) -> None:
    root = swept(place)
    assert "onfirmed" not in place.run("report", "s").stdout
    place.run("confirm", "s", "--top", "3", "--watch")

    told = json.loads(place.run("report", "s", "--format", "json").stdout)["confirmed"]
    assert {row["trial"]: row["in_best"] for row in told["leaders"]} == {1: False, 2: True, 3: True}
    assert all(row["runs"] == 5 and row["val_sd"] > 0 for row in told["leaders"])
    assert all(abs(row["gap"] - 0.02) < 1e-9 for row in told["leaders"])
    said = "cannot be told apart by val_IoU of the validation images over new seeds (paired, Holm, 5%)"
    for form in ("table", "markdown", "latex", "json"):
        assert said in place.run("report", "s", "--format", form).stdout, form
    rows = list(csv.DictReader(io.StringIO(place.run("report", "s", "--format", "csv").stdout)))
    assert [row["confirmed_in_best"] for row in rows] == ["", "False", "True", "True"]
    assert (root / "report/results.md").read_text().count("±") == 6


def test_there_must_be_something_to_confirm(place: Place) -> None:
    place.trainer("sys.exit(3)")
    place.submit(place.sweep(SPEC), "--watch", status=None)
    assert "no trial of s is complete yet" in place.run("confirm", "s", status=2).stderr

    place.trainer(SCORED)
    place.run("retry", "s", "--failed")
    place.submit(place.folder / "s.yaml", "--watch")
    place.run("confirm", "s", "--seeds", "1", "--watch")
    assert "s/confirm is a confirmation already" in place.run("confirm", "s/confirm", status=2).stderr
