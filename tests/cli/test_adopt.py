"""A copy of a sweep's folder, or one that was moved, does nothing in the sweep's name until the user adopts it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import AT_ONCE, UNTIL_TOLD, Place, environment

ACTING = ("cancel", "retry", "status", "confirm")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A sweep of three trials, two of which are being trained until the file `go` is there."""
    made = Place(tmp_path)
    made.trainer(UNTIL_TOLD)
    made.submit(made.grid(3))
    made.wait(lambda: len(made.notes("begin")) == 2)
    yield made
    made.end()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copied(place: Place, name: str) -> Path:
    return Path(shutil.copytree(place.root("s"), place.root(name), symlinks=True))


def refused(place: Place, name: str, *words: str) -> None:
    """Every command that acts, or that says how the jobs are doing."""
    before, at_work = files_of(place.root(name)), place.processes("trainer.py")
    for command in ACTING:
        said = place.run(command, name, status=2).stderr
        assert f"`unetsweep adopt {place.root(name)}`" in said
        assert all(word in said for word in words), said
    assert files_of(place.root(name)) == before
    assert place.processes("trainer.py") == at_work


def test_a_copy_leaves_the_jobs_of_the_original_alone_until_it_is_adopted_and_after(place: Place) -> None:
    root = copied(place, "copy")
    text = (root / "sweep.yaml").read_text()
    (place.folder / "copy.yaml").write_text(text.replace("name: s\n", "name: copy\n"))
    for file in ("copy.yaml", "results/copy/sweep.yaml"):
        said = place.run("submit", file, "--dry-run", status=2).stderr
        assert f"{root} is a copy of the sweep in {place.root('s')}." in said
    refused(place, "copy", "is a copy of the sweep in", str(place.root("s")))
    report = place.run("report", "copy")
    assert "2 running, 1 waiting" in report.stdout
    assert f"warning: {root} was copied from {place.root('s')}; unfinished trials are shown" in report.stderr
    assert "training at" in place.run("logs", "copy", "0").stdout

    said = place.run("adopt", "copy").stdout
    assert f"copy now belongs to {root}" in said
    assert f"the sweep in {place.root('s')} and its jobs are left alone" in said
    assert f"3 trainings are unfinished; to continue: unetsweep submit {root / 'sweep.yaml'}" in said
    assert len(place.notes("begin")) == 2

    done = place.run("submit", root / "sweep.yaml")
    assert done.stdout.startswith(f"sweep copy on local, in {root}")
    place.wait(lambda: len(place.notes("begin")) == 4)
    (place.folder / "go").touch()
    for name in ("s", "copy"):
        place.wait_ended(3, name)
        found = [(row["state"], row["val_iou"]) for row in place.results(name)]
        assert found == [("complete", 0.5001), ("complete", 0.5002), ("complete", 0.5003)]
    assert sorted(run for run, *_ in place.notes("begin")) == ["0000", "0000", "0001", "0001", "0002", "0002"]
    assert place.run("adopt", "copy").stdout == f"copy belongs to {root} already; there is nothing to adopt\n"
    assert place.submit(place.folder / "copy.yaml").stdout.count("submit") == 0


@pytest.mark.parametrize("target", ["elsewhere/results/s", "results/my copy"])
def test_a_moved_sweep_ends_its_jobs_when_it_is_adopted_and_goes_on_from_there(target: str, place: Place) -> None:
    moved, file = place.folder / target, place.folder / target / "sweep.yaml"
    moved.parent.mkdir(parents=True, exist_ok=True)
    place.root("s").rename(moved)
    for command in (*ACTING, "submit"):
        said = place.run(command, file if command == "submit" else moved, status=2).stderr
        assert f"{moved} was moved from {place.root('s')}" in said
    assert len(place.processes("trainer.py")) == 2
    said = place.run("adopt", moved).stdout
    assert f"{moved.name} now belongs to {moved}\ncancelled its jobs: 1 2\n" in said
    place.wait(lambda: not place.processes("trainer.py"))
    (place.folder / "go").touch()
    assert place.run("submit", file).stdout.startswith(f"sweep {moved.name} on local, in {moved}\n")
    place.wait(lambda: len(list(moved.glob("trials/*/result.json"))) == 3)
    place.wait_quiet()
    assert not place.root("s").exists()
    assert len(place.notes("end")) == 3


def test_a_sweep_whose_place_another_one_took_was_moved(place: Place) -> None:
    place.root("s").rename(place.root("old"))
    (place.folder / "go").touch()
    place.submit(place.folder / "s.yaml")
    place.wait_ended(3)
    refused(place, "old", f"{place.root('old')} was moved from {place.root('s')}")
    place.run("adopt", "old")
    assert json.loads((place.root("old") / "sweep.json").read_bytes())["adopted"]["folder"] == str(place.root("s"))
    assert len(place.results("s")) == 3


def test_a_copy_of_hard_links_is_a_copy(place: Place) -> None:
    shutil.copytree(place.root("s"), place.root("copy"), symlinks=True, copy_function=os.link)
    refused(place, "copy", "is a copy of the sweep in", str(place.root("s")))


def test_another_way_to_the_same_folder_is_no_copy(place: Place) -> None:
    (place.folder / "link").symlink_to(place.root("s").parent)
    said = place.run("cancel", "s", "--results", "link").stdout
    assert said.startswith("cancelled 3 trials of s")
    place.wait_quiet()


def test_where_the_home_cannot_be_looked_at_the_folder_counts_as_a_copy(place: Place) -> None:
    root = copied(place, "copy")
    about = json.loads((root / "sweep.json").read_bytes())
    (place.folder / "round").symlink_to("round")
    for home, said in (("nowhere", "was moved from"), ("s.yaml", "is a copy of"), ("round", "is a copy of")):
        (root / "sweep.json").write_text(json.dumps({**about, "folder": str(place.folder / home)}))
        assert said in place.run("cancel", "copy", status=2).stderr
    (place.root("s") / "sweep.json").write_text("torn")
    (root / "sweep.json").write_text(json.dumps(about))
    assert "is a copy" in place.run("cancel", "copy", status=2).stderr


@pytest.mark.parametrize("damage", ["torn", "{}", None])
def test_repair_makes_no_stray_a_home(damage: str | None, place: Place) -> None:
    path = copied(place, "copy") / "sweep.json"
    about = json.loads(path.read_bytes())
    if damage is None:
        path.write_text(json.dumps({name: value for name, value in about.items() if name != "folder"}))
    else:
        path.write_text(damage)
    said = place.run("cancel", "copy", status=70).stderr
    assert "sweep.json" in said
    assert "unetsweep repair" in said
    place.run("repair", "copy")
    repaired = json.loads(path.read_bytes())
    assert repaired["folder"] == str(place.root("s"))
    assert damage is not None or repaired == about
    refused(place, "copy", str(place.root("s")))


def test_local_jobs_of_another_machine_are_named_and_not_said_to_be_ended(place: Place) -> None:
    for path in place.root("s").glob("submissions/*/*.process.json"):
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "boot": "another", "host": "elsewhere"}))
    place.root("s").rename(place.root("moved"))
    said = place.run("adopt", "moved").stdout
    assert "these jobs may still run on another machine; cancel them there: 1 2" in said
    assert "cancelled its jobs" not in said
    assert len(place.processes("trainer.py")) == 2


def test_a_confirmation_is_adopted_with_its_sweep(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.trainer(AT_ONCE)
    place.submit(place.grid(2), "--watch")
    place.run("confirm", "s", "--seeds", "2", "--top", "1")
    place.wait_quiet()
    place.root("s").rename(place.root("moved"))
    assert "was moved from" in place.run("status", "moved/confirm", status=2).stderr
    place.run("adopt", "moved")
    assert place.run("status", "moved/confirm").stdout.startswith("moved/confirm on local")


COMMANDS = {
    "sbatch": "cat >/dev/null; echo Submitted batch job 7",
    "squeue": "exit 0",
    "scancel": "exit 0",
    "sinfo": "echo gpu",
    "scontrol": "echo MaxArraySize = 1001; echo ClusterName = $(cat cluster)",
}


def test_another_cluster_is_told_nothing_and_asked_nothing(tmp_path: Path) -> None:
    place, programs = Place(tmp_path / "place"), tmp_path / "bin"
    programs.mkdir()
    for name, script in COMMANDS.items():
        (programs / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/calls\n{script}\n")
        (programs / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(command: str, *words: str, status: int = 0) -> str:
        calls.write_text("")
        done = place.run(
            command, *words, status=status, env={**environment(), "PATH": f"{programs}:{os.environ['PATH']}"}
        )
        return done.stdout if status == 0 else done.stderr

    place.trainer(AT_ONCE)
    place.grid(2)
    (place.folder / "cluster").write_text("alpha")
    run("submit", "s.yaml", "--executor", "slurm")
    assert "sbatch" in calls.read_text()
    (place.folder / "cluster").write_text("beta")
    for words in (["cancel", "s"], ["status", "s"], ["submit", "s.yaml"], ["retry", "s"]):
        said = run(*words, status=2)
        assert "the sweep's jobs are on the cluster alpha, and SLURM's commands here submit to beta" in said
        assert not {"sbatch", "scancel", "squeue"} & set(calls.read_text().split())
    said = run("adopt", "s")
    assert (
        "and to the cluster beta\nthese jobs may still run on the cluster alpha; cancel them there: 7_0 7_1\n" in said
    )
    assert not {"sbatch", "scancel"} & set(calls.read_text().split())
    assert "jobs: 7_0 7_1" in run("submit", "s.yaml")
    assert "sbatch" in calls.read_text()
