"""`run.keep_checkpoints: best` on processes of this machine, with our trainer."""

from pathlib import Path

import pytest
from local_sweeps import Place

pytestmark = pytest.mark.train

SWEEP = """\
data: {root: eyes, image_size: 32}
space: {epochs: [1, 2], batch_size: [4], learning_rate: [1e-3]}
model: {base: 2, depth: 1}
run: {parallel: 2, keep_checkpoints: KEEP}
"""


def checkpoints(place: Place) -> set[str]:
    return {path.name for path in place.root().glob("runs/*/checkpoints/*")}


def swept(place: Place, keep: str) -> Path:
    path = place.folder / "s.yaml"
    path.write_text(SWEEP.replace("KEEP", keep))
    place.submit(path)
    place.wait_ended(2)
    return path


def test_when_all_has_ended_each_trials_best_checkpoint_is_left_and_works(place: Place):
    swept(place, "best")
    assert checkpoints(place) == {"best-1.ckpt", "best-2.ckpt"}
    assert list((place.root() / "collectable").iterdir()) == []
    assert "CollectCheckpoints" in (place.root() / "ledger.jsonl").read_text()
    best = place.root() / "runs/0000/checkpoints/best-2.ckpt"
    place.run("predict", best, "eyes/test/image", "--out", "masks")


def test_what_an_earlier_submit_kept_goes_when_the_sweep_says_so(place: Place):
    sweep = swept(place, "all")
    before = checkpoints(place)
    assert {"last.ckpt", "best-1.ckpt", "best-2.ckpt"} < before
    sweep.write_text(sweep.read_text().replace("keep_checkpoints: all", "keep_checkpoints: best"))
    assert "last checkpoints of 1 run:" in place.submit(sweep).stdout
    assert checkpoints(place) == {"best-1.ckpt", "best-2.ckpt"}
    assert "clear" not in place.submit(sweep).stdout


def test_a_longer_trial_that_joins_a_cleared_run_trains_it_anew(place: Place):
    sweep = swept(place, "best")
    sweep.write_text(sweep.read_text().replace("[1, 2]", "[1, 2, 3]"))
    place.submit(sweep)
    place.wait_ended(3)
    assert checkpoints(place) == {"best-1.ckpt", "best-2.ckpt", "best-3.ckpt"}
    assert [result["epochs_run"] for result in place.results()] == [1, 2, 3]
