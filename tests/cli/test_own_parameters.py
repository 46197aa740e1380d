"""A sweep of a program's own parameters, from the file to the table: trained, retried, grown, repaired, confirmed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_sweeps import Workspace

TRAINER = """
import json, os, sys
params, out = json.loads(os.environ["UNETSWEEP_PARAMS"]), os.environ["UNETSWEEP_OUT"]
assert "batch_size" not in params and "learning_rate" not in params
assert sys.argv[1:] == [str(params["sigma"]), json.dumps(params["layers.0"]), params.get("degree", "")]
if params["sigma"] == 9 and not os.path.exists("repaired"):
    sys.exit("sigma is too large")
rmse = abs(params["sigma"] - 5) + len(params["layers.0"] or []) + int(os.environ["UNETSWEEP_SEED"]) / 100
json.dump({"rmse": rmse}, open(out + "/result.json", "w"))
"""
SWEEP = """\
trainer: {{command: "{python} -I -S {folder}/trainer.py {{sigma}} {{layers.0}} {{degree}}"}}
space:
  sigma: [{sigmas}]
  layers.0: [null, {{name: deep, value: [64, 64]}}]
  degree: {{values: [a b], when: {{sigma: 3}}}}
exclude: [{{sigma: 9, layers.0: deep}}]
study: {{metric: rmse, direction: minimize}}
run: {{parallel: 2}}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "sweeps")
    (made.folder / "trainer.py").write_text(TRAINER)
    yield made
    made.end()


def submit(workspace: Workspace, sigmas: str, status: int) -> None:
    path = workspace.folder / "s.yaml"
    path.write_text(SWEEP.format(sigmas=sigmas, python=sys.executable, folder=workspace.folder))
    workspace.submit(path, "--watch", status=status)


def rows(workspace: Workspace) -> list[tuple[Any, ...]]:
    found = json.loads(workspace.run("report", "s", "--format", "json", "--sort", "trial").stdout)["rows"]
    return [tuple(row[name] for name in ("sigma", "layers.0", "degree", "state", "rmse")) for row in found]


def test_a_programs_own_parameters_go_from_the_file_to_the_table(workspace: Workspace) -> None:
    submit(workspace, "3, 9", status=1)
    expected = [(3, None, "a b", "complete", 2.0), (3, "deep", "a b", "complete", 4.0), (9, None, None, "failed", None)]
    assert rows(workspace) == expected
    (workspace.folder / "repaired").touch()
    workspace.run("retry", "s", "--failed")
    workspace.wait_ended(3)
    submit(workspace, "3, 9, 5", status=0)
    expected[2] = (9, None, None, "complete", 4.0)
    expected += [(5, None, None, "complete", 0.0), (5, "deep", None, "complete", 2.0)]
    assert rows(workspace) == expected
    trial = workspace.root() / "trials" / "0001" / "trial.json"
    before = json.loads(trial.read_text())
    assert before["params"] == {"sigma": 3, "layers.0": "deep", "degree": "a b", "epochs": 1}
    trial.write_text("{")
    workspace.run("repair", "s")
    after = json.loads(trial.read_text())
    assert {key: after[key] for key in ("params", "config_id", "run_key")} == {
        key: before[key] for key in ("params", "config_id", "run_key")
    }
    workspace.run("confirm", "s", "--top", "2", "--seeds", "2", "--watch")
    table = workspace.run("report", "s").stdout
    assert table.splitlines()[0].split()[:7] == ["trial", "state", "Job", "id", "sigma", "layers.0", "rmse"]
    assert not any(name in table.lower() for name in ("batch", "learning", "epochs"))
    confirmed = json.loads(workspace.run("report", "s/confirm", "--format", "json").stdout)["rows"]
    assert sorted(row["rmse"] for row in confirmed) == [0.01, 0.02, 2.01, 2.02]
