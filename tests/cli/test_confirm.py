"""`unetsweep confirm`: it trains leaders with new seeds, repeats nothing, changes no study, and is in every report."""

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import forks
import pytest
from local_sweeps import Finished, Workspace, environment

from unetsweep.config.load import load
from unetsweep.config.written import as_yaml

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
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.trainer(SCORED)
    return made


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A workspace in which the sweep `s` of four trials has ended."""
    made = Workspace(tmp_path_factory.mktemp("ended") / "here")
    made.trainer(SCORED)
    made.submit(made.sweep(SPEC), "--watch")
    return Finished(made)


@pytest.fixture
def swept(ended: Finished) -> Workspace:
    return ended.restore()


def trained(root: Path) -> list[tuple[float, int]]:
    """(learning rate, seed) of each confirmation run, in order."""
    found = []
    for path in sorted((root / "confirm/trials").glob("*/config.json")):
        config = json.loads(path.read_text())
        found.append((config["learning_rate"], config["seed"]))
    return found


def test_the_leaders_are_trained_with_new_seeds_and_the_sweep_does_not_change(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    before = {path: path.read_bytes() for path in (root / "study.journal", *root.glob("trials/*/*.json"))}

    output = workspace.run("confirm", "s", "--top", "2", "--seeds", "3", "--watch").stdout

    output = output.replace("0003, 0002", "0002, 0003")
    assert "6 trainings, 6 of them new: trials 0002, 0003 with 3 seeds each" in output
    assert sorted(trained(root)) == [(rate, seed) for rate in (0.003, 0.004) for seed in (1, 2, 3)]
    assert {path: path.read_bytes() for path in before} == before
    assert not [path for path in root.glob("trials/*") if path.name > "0003"]
    status = json.loads(workspace.run("status", "s/confirm", "--json").stdout)
    assert status["sweep"] == "s/confirm"


def test_a_repeated_confirm_trains_nothing_twice_and_adds_what_is_new(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    workspace.run("confirm", "s", "--top", "2", "--seeds", "2", "--watch")
    first = trained(root)

    assert "4 trainings, 0 of them new" in workspace.run("confirm", "s", "--top", "2", "--seeds", "2", "--watch").stdout
    assert trained(root) == first
    assert "9 trainings, 5 of them new" in workspace.run("confirm", "s", "--seeds", "3", "--dry-run").stdout
    assert trained(root) == first
    workspace.run("confirm", "s", "--seeds", "3", "--watch")
    assert trained(root)[:4] == first
    assert len(trained(root)) == len(set(trained(root))) == 9


def test_a_dry_run_has_the_exit_status_of_the_confirmation(swept: Workspace) -> None:
    spec = swept.root() / "sweep.yaml"
    spec.write_text(spec.read_text().replace("gpus: 0", "gpus: 1"))
    without_gpus = {**environment(), "CUDA_VISIBLE_DEVICES": ""}
    refused = swept.run("confirm", "s", status=2, env=without_gpus)
    assert "the sweep asks for 1 GPU a training" in refused.stderr
    previewed = swept.run("confirm", "s", "--dry-run", status=2, env=without_gpus)
    assert previewed.stderr == refused.stderr
    assert "15 trainings" in previewed.stdout


def test_every_report_says_which_leaders_are_not_worse_than_the_best(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    assert "onfirmed" not in workspace.run("report", "s").stdout
    workspace.run("confirm", "s", "--top", "3", "--watch")

    confirmed = json.loads(workspace.run("report", "s", "--format", "json").stdout)["confirmed"]
    assert {row["trial"]: row["in_best"] for row in confirmed["leaders"]} == {1: False, 2: True, 3: True}
    assert all(row["runs"] == 5 and row["val_sd"] > 0 for row in confirmed["leaders"])
    assert all(abs(row["gap"] - 0.02) < 1e-9 for row in confirmed["leaders"])
    sentence = "cannot be distinguished by val_IoU of the validation images over new seeds (paired, Holm, 5%)"
    for form in ("table", "markdown", "latex", "json"):
        assert sentence in workspace.run("report", "s", "--format", form).stdout, form
    rows = list(csv.DictReader(io.StringIO(workspace.run("report", "s", "--format", "csv").stdout)))
    assert [row["confirmed_in_best"] for row in rows] == ["", "False", "True", "True"]
    assert (root / "report/results.md").read_text().count("±") == 6


def test_confirm_is_refused_without_a_complete_trial_and_for_a_confirmation(workspace: Workspace) -> None:
    workspace.trainer("sys.exit(3)")
    two = SPEC.replace("1e-3, 2e-3, ", "")  # a third equal failure would pause the sweep
    workspace.submit(workspace.sweep(two), "--watch", status=None)
    assert "no trial of s is complete yet" in workspace.run("confirm", "s", status=2).stderr

    workspace.trainer(SCORED)
    workspace.run("retry", "s", "--failed")
    workspace.submit(workspace.folder / "s.yaml", "--watch")
    workspace.run("confirm", "s", "--seeds", "1", "--watch")
    assert "s/confirm is a confirmation already" in workspace.run("confirm", "s/confirm", status=2).stderr


def test_the_report_on_disk_has_a_confirmation_that_ended_without_a_command(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    workspace.run("confirm", "s", "--top", "2", "--seeds", "2")
    workspace.wait(lambda: (root / "report/results.md").read_text().count("±") == 4)


def repeats(workspace: Workspace) -> dict[int, dict[str, object]]:
    """The confirmed leaders in the report's JSON, by trial."""
    confirmed = json.loads(workspace.run("report", "s", "--format", "json").stdout)["confirmed"]
    return {row["trial"]: row for row in confirmed["leaders"]}


def test_two_confirms_at_once_train_the_runs_of_both(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    arguments = ("-m", "unetsweep", "confirm", "s", "--top")
    both = [
        forks.start([sys.executable, *arguments, top, "--seeds", seeds], cwd=workspace.folder, env=environment())
        for top, seeds in (("2", "3"), ("3", "2"))
    ]
    assert [each.wait(timeout=90) for each in both] == [0, 0]
    workspace.run("submit", "s.yaml", "--executor", "local")
    workspace.wait(lambda: len(list(root.glob("confirm/trials/*/result.json"))) == 8)
    assert {number: row["runs"] for number, row in repeats(workspace).items()} == {1: 2, 2: 3, 3: 3}


def test_a_confirmation_run_has_the_seed_of_its_trial_in_any_order_of_the_file(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    workspace.run("confirm", "s", "--top", "2", "--seeds", "3", "--watch")
    before = repeats(workspace)
    path = root / "confirm/sweep.yaml"
    text = path.read_text()
    spec = load(path)
    path.write_text(as_yaml(replace(spec, points=tuple(reversed(spec.points)))))
    assert path.read_text() != text
    assert repeats(workspace) == before
    rows = json.loads(workspace.run("report", "s/confirm", "--format", "json").stdout)["rows"]
    assert [(row["learning_rate"], row["seed"]) for row in rows] == trained(root)


def test_runs_without_a_result_and_a_best_trial_that_was_not_confirmed_are_named(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    workspace.trainer('if config["seed"] == 2 and rate == 0.004: sys.exit(3)\n' + SCORED)
    done = workspace.run("confirm", "s", "--top", "2", "--seeds", "3", "--watch", status=None)
    assert "1 of the trainings ended without a result; repeat with: unetsweep retry s/confirm" in done.stderr
    assert (repeats(workspace)[3]["runs"], repeats(workspace)[3]["lost"]) == (2, 1)
    text = workspace.run("report", "s").stdout
    assert "2 of 3" in text
    assert "So far: trial" in text
    assert "Confirmation runs without a result, which are in no mean: 1 of 0003" in text

    better = root / "trials/0000/result.json"
    better.write_text(json.dumps({**json.loads(better.read_text()), "val_iou": 0.99}))
    assert "The best trial, 0000, was not trained again: confirm it too" in workspace.run("report", "s").stdout


def test_the_scores_per_image_of_a_trainer_command_may_have_any_type(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    workspace.run("confirm", "s", "--top", "2", "--seeds", "2", "--watch")
    for number, rows in enumerate(([{"iou": 0.5}], [{"image": "1", "iou": None}], [{"image": "1", "iou": "high"}], [])):
        path = root / f"confirm/runs/{number:04d}/milestones/8.json"
        for each in (path, root / f"confirm/trials/{number:04d}/result.json"):
            each.write_text(json.dumps({**json.loads(each.read_text()), "val_per_image": rows}))
    assert [row["p"] for row in repeats(workspace).values()] == [None, None]
    assert "cannot be distinguished" in workspace.run("report", "s").stdout


def test_an_unreadable_confirmation_stops_no_report_and_repair_says_what_to_do(swept: Workspace) -> None:
    workspace, root = swept, swept.root()
    workspace.run("confirm", "s", "--top", "2", "--seeds", "1", "--watch")
    (root / "confirm/sweep.yaml").write_text("name: [")
    output = workspace.run("report", "s").stdout
    assert "the confirmation cannot be read" in output
    assert "run `unetsweep confirm s`" in output
    workspace.run("status", "s")
    assert "run `unetsweep confirm s` again" in workspace.run("repair", "s/confirm", status=None).stdout
    assert "2 trainings" in workspace.run("confirm", "s", "--top", "2", "--seeds", "1", "--watch").stdout
    assert len(trained(root)) == 2, "a trial was trained twice"


def test_leaders_are_different_configs_and_no_seed_was_used_before(workspace: Workspace) -> None:
    points = [(4e-3, 2), (4e-3, 1), (3e-3, 1), (4e-3, 3)]
    listed = ", ".join(f"{{epochs: 8, batch_size: 4, learning_rate: {rate}, seed: {seed}}}" for rate, seed in points)
    workspace.submit(workspace.sweep(f"run: {{parallel: 2}}\npoints: [{listed}]\n"), "--watch")
    root = workspace.folder / "results" / "s"
    workspace.run("confirm", "s", "--top", "3", "--seeds", "2", "--watch")
    assert sorted(trained(root)) == [(0.003, 4), (0.003, 5), (0.004, 4), (0.004, 5)]
    output = workspace.run("confirm", "s", "--top", "1", "--seeds", "2").stdout
    best = int(output.partition(": trial ")[2][:4])
    assert best == 1, "it is not the first trial of its config"
    assert best in repeats(workspace)


def test_seeds_wrap_around_at_the_largest_allowed_seed(workspace: Workspace) -> None:
    text = SPEC + f"study: {{seed: {2**32 - 2}}}\n"
    workspace.submit(workspace.sweep(text), "--watch")
    workspace.run("confirm", "s", "--top", "1", "--seeds", "3", "--watch")
    assert [seed for _, seed in trained(workspace.folder / "results/s")] == [2**32 - 1, 0, 1]


def test_a_sweep_may_be_called_confirm_and_is_no_confirmation(workspace: Workspace) -> None:
    workspace.submit(workspace.sweep(SPEC, "confirm"), "--watch")
    assert "no sweep 's/confirm'" in workspace.run("status", "s/confirm", status=2).stderr
    output = workspace.run("confirm", "confirm", "--top", "2", "--seeds", "1", "--watch").stdout
    assert "2 trainings, 2 of them new" in output
    assert "is a confirmation already" in workspace.run("confirm", "confirm/confirm", status=2).stderr
