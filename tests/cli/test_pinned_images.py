"""A sweep pins its images: a leak is refused or named in every report, and a changed file is named."""

import csv
import io
import json
from pathlib import Path

import pytest
from local_sweeps import Workspace

pytestmark = pytest.mark.train

LEAKY = """
data: {root: eyes, image_size: 32, split: {groups: none, allow_leak: ALLOW}}
space: {epochs: [1], batch_size: [4], learning_rate: [1e-2]}
model: {base: 4, depth: 2}
"""


def eyes_of(workspace: Workspace) -> dict[str, str]:
    """The eye of each image, by the groups.csv of the sample."""
    rows = csv.DictReader((workspace.folder / "eyes/groups.csv").read_text().splitlines())
    return {row["file"].removesuffix(".png"): row["group"] for row in rows}


def by_group(groups: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(name for name in groups if groups[name] == group) for group in groups.values()}


def write_sweep(workspace: Workspace, text: str) -> Path:
    path = workspace.folder / "s.yaml"
    path.write_text(text)
    return path


def test_a_random_split_is_refused_with_the_reason_and_nothing_is_written(workspace: Workspace) -> None:
    output = workspace.submit(write_sweep(workspace, LEAKY.replace("ALLOW", "false")), status=None).stderr

    assert "data.split: 4 of 4 validation images have a duplicate in training (for example " in output
    assert "`groups: auto` keeps duplicates together (found: none)" in output
    assert "`allow_leak: true`" in output
    assert not (workspace.folder / "results").exists()


def test_an_allowed_leak_is_named_in_every_report(workspace: Workspace) -> None:
    submitted = workspace.submit(write_sweep(workspace, LEAKY.replace("ALLOW", "true")), "--watch")
    assert "warning: LEAKED: 4 of 4 validation images have a duplicate in training" in submitted.stderr

    pinned, eyes = json.loads((workspace.folder / "results/s/data.json").read_text()), eyes_of(workspace)
    assert by_group(pinned["val_groups"]) == by_group({name: eyes[name] for name in pinned["manifest"]["val"]})
    texts = {form: workspace.run("report", "s", "--format", form).stdout for form in ("table", "markdown", "latex")}
    texts["json"] = workspace.run("report", "s", "--format", "json").stdout
    texts["csv"] = workspace.run("report", "s", "--format", "csv", "--columns", "val_iou").stdout

    assert all("4 of 4 validation images have a duplicate in training" in text for text in texts.values()), texts
    assert "val_IoU (leaked)" in texts["table"]
    assert "| val_IoU (leaked) |" in texts["markdown"]
    assert r"val\_IoU (leaked)" in texts["latex"]
    assert "test_IoU (leaked)" not in texts["table"]
    assert json.loads(texts["json"])["best"]["leaked"] == ["val"]
    (row,) = csv.DictReader(io.StringIO(texts["csv"]))
    assert float(row["val_iou"]) >= 0


def test_each_config_contains_the_split_and_a_second_submit_keeps_it(workspace: Workspace) -> None:
    text = LEAKY.replace("groups: none, allow_leak: ALLOW", "seed: 3")
    workspace.submit(write_sweep(workspace, text))
    workspace.run("cancel", "s")

    pinned = json.loads((workspace.folder / "results/s/data.json").read_text())
    config = json.loads((workspace.folder / "results/s/trials/0000/config.json").read_text())
    assert config["data"]["manifest"] == pinned["manifest"]
    assert pinned["leak"] == {}
    eyes = eyes_of(workspace)
    sides = [{eyes[name] for name in pinned["manifest"][part]} for part in ("train", "val")]
    assert sides[0] | sides[1] == set(eyes.values())
    assert not sides[0] & sides[1]
    assert by_group(pinned["val_groups"]) == by_group({name: eyes[name] for name in pinned["manifest"]["val"]})

    images = workspace.folder / "eyes/train/image"
    (images / "03.png").write_bytes((images / "07.png").read_bytes())
    done = workspace.submit(workspace.folder / "s.yaml", status=None)
    assert "changed since the split was pinned: 03" in done.stderr


def test_a_corrupt_split_is_rebuilt_from_a_config(workspace: Workspace) -> None:
    workspace.submit(write_sweep(workspace, LEAKY.replace("ALLOW", "true")))
    workspace.run("cancel", "s")
    path = workspace.folder / "results/s/data.json"
    whole = json.loads(path.read_text())
    path.write_text(path.read_text()[:50])

    assert "LEAKED" in workspace.run("report", "s").stdout  # an unreadable split may leak
    output = workspace.run("repair", "s").stdout

    assert "data.json: not readable as JSON" in output
    repaired = json.loads(path.read_text())
    assert repaired["manifest"] == whole["manifest"]
    assert set(repaired["leak"]) == {"val", "test"}
    assert (path.parent / "data.json.corrupt").exists()


def test_other_groups_need_another_sweep(workspace: Workspace) -> None:
    workspace.submit(write_sweep(workspace, LEAKY.replace("ALLOW", "true")))
    workspace.run("cancel", "s")
    other = write_sweep(workspace, LEAKY.replace("none, allow_leak: ALLOW", "auto, allow_leak: true"))
    output = workspace.submit(other, status=None).stderr
    assert "data.split.groups: 'none' -> 'auto'" in output
