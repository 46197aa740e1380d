"""What a user gets wrong is said in words, with what to do next; nothing is half written."""

import os
from pathlib import Path

import pytest
from local_sweeps import GRID, Place, environment

BUILT_IN = "data: {root: images}\n" + GRID.replace("RATES", "1e-4")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.trainer("pass")
    return made


def refused(place: Place, text: str, *words: str, status: int = 2) -> str:
    (place.folder / "s.yaml").write_text(text)
    before = sorted(place.folder.rglob("*"))
    done = place.run("submit", "s.yaml", *(words or ("--executor", "local")), status=status)
    assert sorted(place.folder.rglob("*")) == before
    assert done.stdout == ""
    return done.stderr


def test_every_problem_of_a_broken_file_is_told_with_its_line(place: Place):
    said = refused(place, "space: {epochs: [], batch_size: [4], learning_rate: [1e-4]}\nrun: {paralel: 2}\n")
    assert said.startswith("unetsweep: s.yaml:")
    assert "s.yaml:1:9: space.epochs: found an empty list" in said
    assert "s.yaml:2:7: run.paralel: unknown key 'paralel'; did you mean 'parallel'?" in said


def test_a_file_that_is_no_yaml_is_told_with_its_line(place: Place):
    assert "s.yaml:2:" in refused(place, "space: {epochs: [8]\nrun: ]\n")


def test_a_file_that_is_not_there_names_one_to_start_from(place: Place):
    said = place.run("submit", "none.yaml", status=2).stderr
    assert "none.yaml: there is no such file; start from `sweeps/quickstart.yaml`" in said


MISSING = ("abdallahwagih/retina-blood-vessel", "kaggle", "unetsweep data sample", "train/", "test/", "mask")


def test_missing_images_are_told_with_the_layout_the_page_the_download_and_the_sample(place: Place):
    said = refused(place, BUILT_IN)
    assert str(place.folder / "images") in said
    for word in MISSING:
        assert word in said


def test_arguments_that_optuna_s_pruner_refuses_are_told_before_anything_is_written(place: Place):
    place.sweep(GRID.replace("RATES", "1e-4"))
    text = (place.folder / "s.yaml").read_text()
    said = refused(place, text + "study: {pruner: {name: MedianPruner, n_startup_trials: -1}}\n")
    assert "study.pruner: Optuna's MedianPruner cannot be made with {'n_startup_trials': -1}" in said


def test_a_dry_run_warns_of_missing_images_and_still_shows_the_plan(place: Place):
    (place.folder / "s.yaml").write_text(BUILT_IN)
    done = place.run("submit", "s.yaml", "--executor", "local", "--dry-run")
    assert "warning: " in done.stderr
    assert "unetsweep data sample" in done.stderr
    assert "trials 1" in done.stdout


def test_more_gpus_than_this_machine_has_are_refused_with_the_quickstart(place: Place):
    text = place.sweep(GRID.replace("RATES", "1e-4")).read_text() + "slurm: {gpus: 64, processes: 64}\n"
    text = text.replace("batch_size: [4]", "batch_size: [64]")
    said = refused(place, text)
    assert "the sweep asks for 64 GPUs a training and this machine has" in said
    assert "sweeps/quickstart.yaml" in said
    (place.folder / "s.yaml").write_text(text)
    assert "64 GPUs" in place.run("submit", "s.yaml", "--executor", "local", "--dry-run").stderr


def test_slurm_where_there_is_none_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "--executor local" in refused(place, BUILT_IN, "--executor", "slurm")


def test_a_results_folder_into_which_others_may_write_is_refused(place: Place):
    place.grid(1)
    place.root().mkdir(parents=True)
    place.root().chmod(0o777)
    said = place.run("submit", "s.yaml", "--executor", "local", status=70).stderr
    assert f"chmod go-w {place.root()}" in said
    assert list(place.root().iterdir()) == []


@pytest.mark.parametrize("command", ["status", "report", "cancel"])
def test_a_sweep_that_is_not_there_is_told_with_those_that_are(place: Place, command: str):
    said = place.run(command, "nope", status=2).stderr
    assert "no sweep 'nope' in" in said
    assert "none yet" in said


def test_without_any_sweep_status_names_the_first_step(place: Place):
    assert "unetsweep submit sweeps/quickstart.yaml" in place.run("status", status=2).stderr


def test_a_profile_that_the_first_submit_named_stays_the_sweep_s(place: Place):
    (place.folder / "site.yaml").write_text("partition: eyes\n")
    sweep = place.grid(1)
    place.submit(sweep, "--profile", "./site.yaml")
    written = (place.root() / "sweep.yaml").read_text()
    assert "partition: eyes" in written
    assert "warning" not in place.submit(sweep).stderr
    assert (place.root() / "sweep.yaml").read_text() == written
    said = place.submit(sweep, "--profile", "default").stderr
    assert "changed since the last submit: slurm.partition: 'eyes' -> none" in said


def test_where_slurm_is_installed_and_does_not_answer_nothing_is_started_here(place: Place) -> None:
    """The login node of a cluster whose controller is away for a minute."""
    sweep, bin_folder = place.grid(1), place.folder / "bin"
    bin_folder.mkdir()
    for name, script in (("sbatch", "exit 1"), ("sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1")):
        (bin_folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_folder / name).chmod(0o755)
    env = {**environment(), "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    for words in (("submit", sweep.name), ("submit", sweep.name, "--dry-run"), ("submit", sweep.name, "--watch")):
        said = place.run(*words, status=75, env=env)
        assert "Unable to contact slurm controller" in said.stderr
        assert "or use --executor local" in said.stderr
    assert not place.root().exists()
    assert place.run("submit", sweep.name, "--executor", "local", "--dry-run", env=env).returncode == 0


@pytest.mark.parametrize(
    ("sizes", "found"), [("[4, 11]", 11), ("{low: 9, high: 12}", 11), ("[1]", 1)], ids=["list", "range", "ones"]
)
def test_a_batch_that_leaves_one_value_a_channel_is_refused(sizes: str, found: int, place: Place, eyes: Path) -> None:
    (place.folder / "images").symlink_to(eyes)  # twelve images of 64 pixels train
    text = BUILT_IN.replace("batch_size: [4]", f"batch_size: {sizes}") + "model: {base: 2, depth: 6}\n"
    said = refused(place, text + ("study: {sampler: random, trials: 2}\n" if "low" in sizes else ""))
    assert f"space.batch_size: found {found}, and of 12 training images an epoch then has a step with one" in said
    assert "model.norm: none" in said
