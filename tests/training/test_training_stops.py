"""Trainings that stop to continue later, or are pruned: all ranks agree, and nothing is lost or trained twice."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import training_scenes as scenes
from training_scenes import FOUR, MILESTONES, left_behind, trained

from unetsweep.training import run as training_run
from unetsweep.training.checkpoints import LAST

pytestmark = pytest.mark.train

SIX: dict[str, Any] = {"epochs": 6}
THREE_MILESTONES = (2, 4, 6)
PRUNE_6 = {"milestones": (6,)}
PRUNE_4_AND_6 = {"milestones": (4, 6)}


def lines(out: Path) -> dict[str, list[int]]:
    """The epochs that each claim has finished."""
    files = sorted(out.glob("progress-*.jsonl"))
    return {f.stem: [json.loads(line)["epoch"] for line in f.read_text().splitlines()] for f in files}


@pytest.fixture(scope="module")
def six(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("six") / "out"
    return trained(out, scenes.config(root, **SIX), milestones=THREE_MILESTONES)


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.thorough), 2])
def test_a_training_stopped_after_every_epoch_and_resumed_equals_an_uninterrupted_one(
    size: int, root: Path, tmp_path: Path, request: Any
) -> None:
    config, out = scenes.config(root, **FOUR, processes=size), tmp_path / "out"
    options = {"milestones": MILESTONES, "save_every_s": 60.0}  # only the stop saves a checkpoint
    for restart in range(3):
        trained(out, config, size, stop_after=1, claim=f"1-{restart}", **options)
        requeue = json.loads((out / f"requeue-1-{restart}.json").read_text())
        assert (requeue["schema"], requeue["reason"], requeue["epoch"]) == (1, "the end is near", restart + 1)
        assert not (out / "milestones/4.json").exists()
    trained(out, config, size, stop_after=1, claim="1-3", **options)
    assert not (out / "requeue-1-3.json").exists()
    assert lines(out) == {f"progress-1-{n}": [n + 1] for n in range(4)}
    assert left_behind(out) == left_behind(request.getfixturevalue("whole" if size == 1 else "pair"))


def test_a_training_with_all_its_milestones_never_stops_to_continue_later(root: Path, tmp_path: Path) -> None:
    out = trained(tmp_path / "out", scenes.config(root, epochs=1), stop_after=1)
    assert scenes.row(out, 1)["state"] == "complete"
    assert not list(out.glob("requeue-*"))


@pytest.mark.parametrize("size", [1, 2])
def test_pruning_during_a_training_ends_the_later_milestones(size: int, root: Path, tmp_path: Path) -> None:
    config, out = scenes.config(root, **SIX, processes=size), tmp_path / "out"
    trained(out, config, size, milestones=THREE_MILESTONES, prune={"milestones": (4, 6)}, save_every_s=60.0)
    assert lines(out) == {"progress-1-0": [1, 2]}
    assert scenes.row(out, 2)["state"] == "complete"
    best = max(line[1] for line in scenes.progress(out).values())
    for milestone in (4, 6):
        row = scenes.row(out, milestone)
        assert (row["state"], row["epochs"], row["epochs_run"], row["message"]) == ("pruned", milestone, 2, "too slow")
        assert row["val_iou"] == best
        assert row["test_iou"] is not None
        assert (out / row["checkpoint"]).exists()


@pytest.mark.parametrize("size", [1, 2])
def test_milestones_that_are_not_pruned_are_still_trained(size: int, root: Path, tmp_path: Path, six: Path) -> None:
    config, out = scenes.config(root, **SIX, processes=size), tmp_path / "out"
    trained(out, config, size, milestones=THREE_MILESTONES, prune=PRUNE_6, save_every_s=60.0)
    assert lines(out) == {"progress-1-0": [1, 2, 3, 4]}
    assert [scenes.row(out, h)["state"] for h in THREE_MILESTONES] == ["complete", "complete", "pruned"]
    assert scenes.row(out, 6)["epochs_run"] == 2
    if size == 1:
        assert scenes.row(out, 4) == scenes.row(six, 4)


@pytest.mark.parametrize(
    ("prune", "step"),
    [
        (PRUNE_6, 3),
        pytest.param(PRUNE_6, 1, marks=pytest.mark.thorough),
        pytest.param(PRUNE_4_AND_6, 1, marks=pytest.mark.thorough),
    ],
)
def test_a_pruned_training_killed_at_any_point_and_resumed_ends_the_same(
    prune: dict[str, Any], step: int, root: Path, tmp_path: Path, six: Path
) -> None:
    """`step`: 1 tries every point, 3 every third one."""
    config, keep = scenes.config(root, **SIX), {"milestones": THREE_MILESTONES}
    calm = trained(tmp_path / "calm", config, prune=prune, snapshots=True, **keep)
    ends = [scenes.row(calm, h)["state"] for h in THREE_MILESTONES]
    points = int((calm / "checks-0").read_text())
    states = {point: out for point, out in scenes.states_of(calm).items() if point >= points // 3}
    assert len(states) > 9
    for point, out in list(states.items())[::step]:
        if not (out / "prune.json").exists():
            scenes.write_prune_file(out, **prune)
        trained(out, config, claim="1-1", **keep)
        assert [scenes.row(out, h)["state"] for h in THREE_MILESTONES[1:]] == ends[1:], point
        assert scenes.row(out, 2) == scenes.row(six, 2)
        assert max(scenes.progress(out)) == max(scenes.progress(calm))


def test_a_stop_file_at_the_start_is_obeyed_before_any_epoch(root: Path, tmp_path: Path) -> None:
    config, out = scenes.config(root, **SIX), tmp_path / "out"
    out.mkdir()
    scenes.write_prune_file(out, (2, 4, 6))
    trained(out, config, milestones=THREE_MILESTONES)
    assert not (out / LAST).exists()
    row = scenes.row(out, 6)
    assert (row["state"], row["epochs_run"], row["val_iou"], row["checkpoint"]) == ("pruned", 0, None, None)


def test_a_stop_file_of_another_attempt_or_a_corrupt_one_prunes_nothing(root: Path, tmp_path: Path, six: Path) -> None:
    config, out = scenes.config(root, **SIX), tmp_path / "out"
    trained(out, config, milestones=THREE_MILESTONES, prune={**PRUNE_4_AND_6, "attempt": 2}, stop_after=3)
    (out / "prune.json").write_text('{"schema": 1, "atte')
    trained(out, config, milestones=THREE_MILESTONES, claim="1-1", stop_after=1)
    (out / "prune.json").write_text('{"schema": 1, "attempt": 1}')
    trained(out, config, milestones=THREE_MILESTONES, claim="1-2")
    assert left_behind(out, THREE_MILESTONES) == left_behind(six, THREE_MILESTONES)


class Malicious:
    """An object that creates a folder when its pickle is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def resume_from_malicious_checkpoint(context: Any, out: Path, config: Any) -> None:
    """Skip our own check of the file, so that Lightning loads it."""
    training_state = training_run.read_training_state(out)
    raw = torch.load(out / LAST, weights_only=True)
    torch.save({**raw, "planted": Malicious(out / "planted")}, out / LAST)
    training_run.read_training_state = lambda *_: training_state  # type: ignore[assignment]
    scenes.train(context, out, config)


def test_code_in_a_checkpoint_does_not_run(root: Path, tmp_path: Path) -> None:
    out = trained(tmp_path / "out", scenes.config(root, epochs=1))
    longer = scenes.config(root, epochs=2)
    assert scenes.run(resume_from_malicious_checkpoint, out, longer) == [1]
    assert "weights_only" in scenes.error(out)["message"] or "WeightsUnpickler" in scenes.error(out)["message"]
    assert scenes.run(scenes.train, out, longer) == [1]
    assert "is no checkpoint of a run" in scenes.error(out)["message"]
    assert not (out / "planted").exists()
    torch.load(out / LAST, weights_only=False)  # shows that the file would run code
    assert (out / "planted").exists()


def test_a_pruned_milestone_is_ended_once_and_never_trained_later(root: Path, tmp_path: Path) -> None:
    config, out = scenes.config(root, **SIX), tmp_path / "out"
    trained(out, config, milestones=THREE_MILESTONES, prune=PRUNE_6, stop_after=3)
    before = (out / "milestones/6.json").read_bytes()
    trained(out, config, milestones=THREE_MILESTONES, claim="1-1", stop_after=2)
    (out / "prune.json").unlink(missing_ok=True)
    trained(out, config, milestones=THREE_MILESTONES, claim="1-2")
    assert (out / "milestones/6.json").read_bytes() == before
    assert max(scenes.progress(out)) == 4
