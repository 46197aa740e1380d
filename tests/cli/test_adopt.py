"""A copied or moved folder of a sweep submits and cancels nothing until the user adopts it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, UNTIL_RELEASED, Workspace, environment

ACTING = ("cancel", "retry", "status", "confirm")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A sweep of three trials; two of them train until the file `go` exists."""
    made = Workspace(tmp_path)
    made.trainer(UNTIL_RELEASED)
    made.submit(made.grid(3))
    made.wait(lambda: len(made.notes("begin")) == 2)
    yield made
    made.end()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copy_sweep(workspace: Workspace, name: str) -> Path:
    """Copy the sweep `s` as a user would."""
    return Path(shutil.copytree(workspace.root("s"), workspace.root(name), symlinks=True))


def assert_refused(workspace: Workspace, name: str, *messages: str) -> None:
    """Every command that acts or asks about jobs refuses the sweep, and changes nothing."""
    before, trainings = files_of(workspace.root(name)), workspace.processes("trainer.py")
    for command in ACTING:
        output = workspace.run(command, name, status=2).stderr
        assert f"`unetsweep adopt {workspace.root(name)}`" in output
        assert all(message in output for message in messages), output
    assert files_of(workspace.root(name)) == before
    assert workspace.processes("trainer.py") == trainings


def test_a_copy_never_touches_the_jobs_of_the_original_and_continues_once_it_is_adopted(workspace: Workspace) -> None:
    root = copy_sweep(workspace, "copy")
    text = (root / "sweep.yaml").read_text()
    (workspace.folder / "copy.yaml").write_text(text.replace("name: s\n", "name: copy\n"))
    for file in ("copy.yaml", "results/copy/sweep.yaml"):
        output = workspace.run("submit", file, "--dry-run", status=2).stderr
        assert f"{root} is a copy of the sweep in {workspace.root('s')}." in output
    assert_refused(workspace, "copy", "is a copy of the sweep in", str(workspace.root("s")))
    report = workspace.run("report", "copy")
    assert "2 running, 1 waiting" in report.stdout
    assert f"warning: {root} was copied from {workspace.root('s')}; unfinished trials are shown" in report.stderr
    assert "training at" in workspace.run("logs", "copy", "0").stdout

    output = workspace.run("adopt", "copy").stdout
    assert f"copy now belongs to {root}" in output
    assert f"the sweep in {workspace.root('s')} and its jobs are left alone" in output
    assert f"3 runs are unfinished; to continue: unetsweep submit {root / 'sweep.yaml'}" in output
    assert len(workspace.notes("begin")) == 2

    done = workspace.run("submit", root / "sweep.yaml")
    assert done.stdout.startswith(f"sweep copy on local, in {root}")
    workspace.wait(lambda: len(workspace.notes("begin")) == 4)
    (workspace.folder / "go").touch()
    for name in ("s", "copy"):
        workspace.wait_ended(3, name)
        found = [(row["state"], row["val_iou"]) for row in workspace.results(name)]
        assert found == [("complete", 0.5001), ("complete", 0.5002), ("complete", 0.5003)]
    assert sorted(run for run, *_ in workspace.notes("begin")) == ["0000", "0000", "0001", "0001", "0002", "0002"]
    assert workspace.run("adopt", "copy").stdout == f"copy belongs to {root} already; there is nothing to adopt\n"
    assert workspace.submit(workspace.folder / "copy.yaml").stdout.count("submit") == 0


@pytest.mark.parametrize("target", ["elsewhere/results/s", "results/my copy"])
def test_adopting_a_moved_sweep_cancels_its_jobs_and_it_continues_there(target: str, workspace: Workspace) -> None:
    moved, file = workspace.folder / target, workspace.folder / target / "sweep.yaml"
    moved.parent.mkdir(parents=True, exist_ok=True)
    workspace.root("s").rename(moved)
    for command in (*ACTING, "submit"):
        output = workspace.run(command, file if command == "submit" else moved, status=2).stderr
        assert f"{moved} was moved from {workspace.root('s')}" in output
    assert len(workspace.processes("trainer.py")) == 2
    output = workspace.run("adopt", moved).stdout
    assert f"{moved.name} now belongs to {moved}\ncancelled its jobs: 1 2\n" in output
    workspace.wait(lambda: not workspace.processes("trainer.py"))
    (workspace.folder / "go").touch()
    assert workspace.run("submit", file).stdout.startswith(f"sweep {moved.name} on local, in {moved}\n")
    workspace.wait(lambda: len(list(moved.glob("trials/*/result.json"))) == 3)
    workspace.wait_quiet()
    assert not workspace.root("s").exists()
    assert len(workspace.notes("end")) == 3


def test_a_sweep_counts_as_moved_if_another_one_has_its_old_path(workspace: Workspace) -> None:
    workspace.root("s").rename(workspace.root("old"))
    (workspace.folder / "go").touch()
    workspace.submit(workspace.folder / "s.yaml")
    workspace.wait_ended(3)
    assert_refused(workspace, "old", f"{workspace.root('old')} was moved from {workspace.root('s')}")
    workspace.run("adopt", "old")
    adopted = json.loads((workspace.root("old") / "sweep.json").read_bytes())["adopted"]
    assert adopted["folder"] == str(workspace.root("s"))
    assert len(workspace.results("s")) == 3


def test_a_copy_made_of_hard_links_counts_as_a_copy(workspace: Workspace) -> None:
    shutil.copytree(workspace.root("s"), workspace.root("copy"), symlinks=True, copy_function=os.link)
    assert_refused(workspace, "copy", "is a copy of the sweep in", str(workspace.root("s")))


def test_the_same_folder_by_another_path_is_no_copy(workspace: Workspace) -> None:
    (workspace.folder / "link").symlink_to(workspace.root("s").parent)
    output = workspace.run("cancel", "s", "--results", "link").stdout
    assert output.startswith("cancelled 3 trials of s")
    workspace.wait_quiet()


def test_a_folder_counts_as_a_copy_if_the_recorded_one_cannot_be_read(workspace: Workspace) -> None:
    root = copy_sweep(workspace, "copy")
    about = json.loads((root / "sweep.json").read_bytes())
    (workspace.folder / "round").symlink_to("round")
    for home, message in (("nowhere", "was moved from"), ("s.yaml", "is a copy of"), ("round", "is a copy of")):
        (root / "sweep.json").write_text(json.dumps({**about, "folder": str(workspace.folder / home)}))
        assert message in workspace.run("cancel", "copy", status=2).stderr
    (workspace.root("s") / "sweep.json").write_text("corrupt")
    (root / "sweep.json").write_text(json.dumps(about))
    assert "is a copy" in workspace.run("cancel", "copy", status=2).stderr


@pytest.mark.parametrize("damage", ["corrupt", "{}", None])
def test_repair_does_not_make_a_copy_belong_to_its_new_folder(damage: str | None, workspace: Workspace) -> None:
    path = copy_sweep(workspace, "copy") / "sweep.json"
    about = json.loads(path.read_bytes())
    if damage is None:
        path.write_text(json.dumps({name: value for name, value in about.items() if name != "folder"}))
    else:
        path.write_text(damage)
    output = workspace.run("cancel", "copy", status=70).stderr
    assert "sweep.json" in output
    assert "unetsweep repair" in output
    workspace.run("repair", "copy")
    repaired = json.loads(path.read_bytes())
    assert repaired["folder"] == str(workspace.root("s"))
    assert damage is not None or repaired == about
    assert_refused(workspace, "copy", str(workspace.root("s")))


def test_local_jobs_of_another_machine_are_named_and_not_reported_as_cancelled(workspace: Workspace) -> None:
    for path in workspace.root("s").glob("submissions/*/*.process.json"):
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "boot": "another", "host": "elsewhere"}))
    workspace.root("s").rename(workspace.root("moved"))
    output = workspace.run("adopt", "moved").stdout
    assert "these jobs may still run on another machine; cancel them there: 1 2" in output
    assert "cancelled its jobs" not in output
    assert len(workspace.processes("trainer.py")) == 2


def test_a_confirmation_is_adopted_with_its_sweep(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.trainer(AT_ONCE)
    workspace.submit(workspace.grid(2), "--watch")
    workspace.run("confirm", "s", "--seeds", "2", "--top", "1")
    workspace.wait_quiet()
    workspace.root("s").rename(workspace.root("moved"))
    assert "was moved from" in workspace.run("status", "moved/confirm", status=2).stderr
    workspace.run("adopt", "moved")
    assert workspace.run("status", "moved/confirm").stdout.startswith("moved/confirm on local")


COMMANDS = {
    "sbatch": "cat >/dev/null; echo Submitted batch job 7",
    "squeue": "echo 'unetsweep|JOBID|unetsweep'",
    "scancel": "exit 0",
    "sinfo": "echo gpu",
    "scontrol": "echo MaxArraySize = 1001; echo ClusterName = $(cat cluster)",
}


def test_on_another_cluster_no_job_is_submitted_cancelled_or_listed(tmp_path: Path) -> None:
    workspace, programs = Workspace(tmp_path / "workspace"), tmp_path / "bin"
    programs.mkdir()
    for name, script in COMMANDS.items():
        (programs / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/calls\n{script}\n")
        (programs / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(command: str, *arguments: str, status: int = 0) -> str:
        calls.write_text("")
        done = workspace.run(
            command, *arguments, status=status, env={**environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
        )
        return done.stdout if status == 0 else done.stderr

    workspace.trainer(AT_ONCE)
    workspace.grid(2)
    (workspace.folder / "cluster").write_text("alpha")
    run("submit", "s.yaml", "--executor", "slurm")
    assert "sbatch" in calls.read_text()
    (workspace.folder / "cluster").write_text("beta")
    for command in (["cancel", "s"], ["status", "s"], ["submit", "s.yaml"], ["retry", "s"]):
        output = run(*command, status=2)
        assert "the sweep's jobs are on the cluster alpha, and SLURM's commands here submit to beta" in output
        assert not {"sbatch", "scancel", "squeue"} & set(calls.read_text().split())
    output = run("adopt", "s")
    assert (
        "and to the cluster beta\nthese jobs may still run on the cluster alpha; cancel them there: 7_0 7_1\n" in output
    )
    assert not {"sbatch", "scancel"} & set(calls.read_text().split())
    assert "jobs: 7_0 7_1" in run("submit", "s.yaml")
    assert "sbatch" in calls.read_text()
