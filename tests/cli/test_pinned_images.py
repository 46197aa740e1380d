"""A sweep pins its images: a leak is refused or said in every report, and a changed file is named."""

import csv
import io
import json
from pathlib import Path

import pytest
from local_sweeps import Place

LEAKY = """
data: {root: eyes, image_size: 32, split: {groups: none, allow_leak: ALLOW}}
space: {epochs: [1], batch_size: [4], learning_rate: [1e-2]}
model: {base: 4, depth: 2}
"""


def eyes_of(place: Place) -> dict[str, str]:
    """Image -> eye, as the sample itself says."""
    rows = csv.DictReader((place.folder / "eyes/groups.csv").read_text().splitlines())
    return {row["file"].removesuffix(".png"): row["group"] for row in rows}


def by_group(groups: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(name for name in groups if groups[name] == group) for group in groups.values()}


def written(place: Place, text: str) -> Path:
    path = place.folder / "s.yaml"
    path.write_text(text)
    return path


def test_a_random_split_is_refused_with_the_reason_and_nothing_is_written(place: Place) -> None:
    said = place.submit(written(place, LEAKY.replace("ALLOW", "false")), status=None).stderr

    assert "data.split: 4 of 4 validation images have a duplicate in training (as " in said
    assert "`groups: auto` keeps duplicates together (found: none)" in said
    assert "`allow_leak: true`" in said
    assert not (place.folder / "results").exists()


@pytest.mark.train
def test_where_it_is_allowed_every_report_says_so(place: Place) -> None:
    submitted = place.submit(written(place, LEAKY.replace("ALLOW", "true")), "--watch")
    assert "warning: LEAKED: 4 of 4 validation images have a duplicate in training" in submitted.stderr

    pinned, eyes = json.loads((place.folder / "results/s/data.json").read_text()), eyes_of(place)
    assert by_group(pinned["val_groups"]) == by_group({name: eyes[name] for name in pinned["manifest"]["val"]})
    texts = {form: place.run("report", "s", "--format", form).stdout for form in ("table", "markdown", "latex")}
    texts["json"] = place.run("report", "s", "--format", "json").stdout
    texts["csv"] = place.run("report", "s", "--format", "csv", "--columns", "val_iou").stdout

    assert all("4 of 4 validation images have a duplicate in training" in text for text in texts.values()), texts
    assert "val_IoU (leaked)" in texts["table"]
    assert "| val_IoU (leaked) |" in texts["markdown"]
    assert r"val\_IoU (leaked)" in texts["latex"]
    assert "test_IoU (leaked)" not in texts["table"]
    assert json.loads(texts["json"])["best"]["leaked"] == ["val"]
    (row,) = csv.DictReader(io.StringIO(texts["csv"]))
    assert float(row["val_iou"]) >= 0


def test_each_config_holds_the_split_and_a_second_submit_holds_on_to_it(place: Place) -> None:
    text = LEAKY.replace("groups: none, allow_leak: ALLOW", "seed: 3")
    place.submit(written(place, text))
    place.run("cancel", "s")

    pinned = json.loads((place.folder / "results/s/data.json").read_text())
    config = json.loads((place.folder / "results/s/trials/0000/config.json").read_text())
    assert config["data"]["manifest"] == pinned["manifest"]
    assert pinned["leak"] == {}
    eyes = eyes_of(place)
    sides = [{eyes[name] for name in pinned["manifest"][part]} for part in ("train", "val")]
    assert sides[0] | sides[1] == set(eyes.values())
    assert not sides[0] & sides[1]
    assert by_group(pinned["val_groups"]) == by_group({name: eyes[name] for name in pinned["manifest"]["val"]})

    (place.folder / "eyes/train/image/03.png").write_bytes((place.folder / "eyes/train/image/07.png").read_bytes())
    said = place.submit(place.folder / "s.yaml", status=None)
    assert "changed since the split was pinned: 03" in said.stderr


def test_a_corrupt_split_is_rebuilt_from_a_config(place: Place) -> None:
    place.submit(written(place, LEAKY.replace("ALLOW", "true")))
    place.run("cancel", "s")
    path = place.folder / "results/s/data.json"
    whole = json.loads(path.read_text())
    path.write_text(path.read_text()[:50])

    assert "LEAKED" in place.run("report", "s").stdout  # it cannot be read, so it is not taken to be fine
    said = place.run("repair", "s").stdout

    assert "data.json: not readable as JSON" in said
    repaired = json.loads(path.read_text())
    assert repaired["manifest"] == whole["manifest"]
    assert set(repaired["leak"]) == {"val", "test"}
    assert (path.parent / "data.json.corrupt").exists()


def test_other_groups_are_another_sweep(place: Place) -> None:
    place.submit(written(place, LEAKY.replace("ALLOW", "true")))
    place.run("cancel", "s")
    other = written(place, LEAKY.replace("none, allow_leak: ALLOW", "auto, allow_leak: true"))
    said = place.submit(other, status=None).stderr
    assert "data.split.groups: 'none' -> 'auto'" in said
