"""A sweep that prunes, on processes of this machine; its trainer implements the whole contract in a few lines."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import Workspace

BODY = """
from datetime import UTC, datetime
claim = os.environ.get("UNETSWEEP_CLAIM") or max(os.listdir(f"{out}/claims"))
def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w") as stream:
        json.dump({"schema": 1, **content}, stream)
    os.replace(path + ".tmp", path)
def stop():
    try:
        decision = json.load(open(f"{out}/prune.json"))
    except FileNotFoundError:
        return None
    return decision if decision["attempt"] == int(claim.split("-")[0]) else None
best = rate < 2e-4
while not best and not os.path.exists(f"{out}/../0000/milestones/8.json"):
    time.sleep(0.05)  # the first at a rung is never pruned, so that must be the best
for epoch in range(1, 9):
    time.sleep(0.02)
    value = 0.9 if best else rate * epoch * 100
    line = {"epoch": epoch, "train_loss": 0.1, "val_iou": value, "val_loss": 1 - value, "learning_rate": rate,
            "seconds": 0.1, "at": datetime.now(UTC).isoformat(), "schema": 1}
    with open(f"{out}/progress-{claim}.jsonl", "a") as stream:
        stream.write(json.dumps(line) + "\\n")
    for _ in range(1500 if epoch == 4 and not best else 0):  # the others wait at the rung for the decision
        if stop(): break
        time.sleep(0.02)
    if stop():
        ended = {"state": "pruned", "epochs_run": epoch, "best_epoch": epoch, "val_iou": value, "val_loss": 1 - value,
                 "message": stop()["reason"]}
        break
else:
    ended = {"state": "complete", "epochs_run": 8, "best_epoch": 8, "val_iou": value, "val_loss": 1 - value,
             "test_iou": 0.4, "test_loss": 0.2}
write(f"{out}/milestones/8.json", ended)
write(f"{out}/result.json", ended)
note("end")
sys.exit(0)
"""
SWEEP = """\
space: {epochs: [8], batch_size: [4], learning_rate: [1e-4, 3e-4, 4e-4]}
study: {pruner: {name: asha, min_epochs: 4, reduction_factor: 2}}
run: {parallel: 3}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "sweeps")
    made.trainer(BODY)
    yield made
    made.end()


def test_a_grid_is_pruned_while_it_runs_and_status_report_and_results_give_the_reason(workspace: Workspace):
    sweep = workspace.sweep(SWEEP)
    workspace.submit(sweep)
    workspace.wait(lambda: len(list(workspace.root().glob("runs/0000/milestones/8.json"))))
    workspace.submit(sweep, "--watch")
    results = workspace.wait_ended(3)
    assert [result["state"] for result in results] == ["complete", "pruned", "pruned"]
    assert [result["epochs_run"] for result in results] == [8, 4, 4]
    reason = "at epoch 4 is not among the best 1/2 of"
    assert all(reason in result["message"] for result in results[1:])
    rows = workspace.status()["trials"]
    assert [row["state"] for row in rows] == ["complete", "pruned", "pruned"]
    assert reason in rows[1]["reason"]
    assert "1 complete, 2 pruned; 3 trials wanted" in workspace.run("status").stdout
    table = json.loads(workspace.run("report", "s", "--format", "json").stdout)
    assert [trial["state"] for trial in table["rows"]] == ["complete", "pruned", "pruned"]
    notes = [json.loads(line) for line in (workspace.root() / "ledger.jsonl").read_text().splitlines()]
    assert sorted(note["trial"] for note in notes if note["action"] == "Prune") == [1, 2]
    assert workspace.run("report", "s").stdout.count("pruned") >= 1
