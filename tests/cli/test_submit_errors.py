"""Every mistake of a user is reported with what to do next, and nothing is written."""

import json
import os
from pathlib import Path

import pytest
from local_sweeps import GRID, Workspace, environment

pytestmark = pytest.mark.train

BUILT_IN = "data: {root: images}\n" + GRID.replace("RATES", "1e-4")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.trainer("pass")
    return made


def refused(workspace: Workspace, text: str, *options: str, status: int = 2) -> str:
    """The message with which `submit` refuses a sweep; it writes no file and prints nothing else.

    The dry run ends with the same message and exit status, perhaps after the plan.
    """
    (workspace.folder / "s.yaml").write_text(text)
    if "data:" in text:  # our own trainer: the checks of such a sweep import PyTorch, so they fork with it
        (workspace.folder / "trainer.py").unlink(missing_ok=True)
    before = sorted(workspace.folder.rglob("*"))
    command = ("submit", "s.yaml", *(options or ("--executor", "local")))
    done = workspace.run(*command, status=status)
    assert done.stdout == ""
    assert workspace.run(*command, "--dry-run", status=status).stderr == done.stderr
    assert sorted(workspace.folder.rglob("*")) == before
    return done.stderr


def test_every_problem_of_a_sweep_file_is_reported_with_its_line(workspace: Workspace):
    output = refused(workspace, "space: {epochs: [], batch_size: [4], learning_rate: [1e-4]}\nrun: {paralel: 2}\n")
    assert output.startswith("unetsweep: s.yaml:")
    assert "s.yaml:1:9: space.epochs: found an empty list" in output
    assert "s.yaml:2:7: run.paralel: unknown key 'paralel'; did you mean 'parallel'?" in output


def test_a_file_that_is_not_yaml_is_reported_with_the_line(workspace: Workspace):
    assert "s.yaml:2:" in refused(workspace, "space: {epochs: [8]\nrun: ]\n")


def test_for_a_missing_file_an_example_to_start_from_is_named(workspace: Workspace):
    output = workspace.run("submit", "none.yaml", status=2).stderr
    assert "none.yaml: there is no such file; start from `sweeps/quickstart.yaml`" in output


def test_images_that_this_machine_cannot_hold_are_refused_before_one_is_read(workspace: Workspace, eyes: Path):
    (workspace.folder / "images").symlink_to(eyes)
    output = refused(workspace, BUILT_IN.replace("images", "images, image_size: 2000000"))
    found = (
        "s.yaml:1:22: data.image_size: found 2000000; reading an image of 2000000x2000000 needs 29,802 GiB of memory"
    )
    assert output.startswith(f"unetsweep: {found}, and this machine has ")
    assert len(output.splitlines()) == 1


def test_a_network_that_this_machine_cannot_hold_is_refused_with_numbers(workspace: Workspace, eyes: Path):
    (workspace.folder / "images").symlink_to(eyes)
    output = refused(workspace, BUILT_IN + "model: {base: 200000, depth: 1}\n")
    assert output.startswith("unetsweep: s.yaml:4:9: model.base: found 200000; a training needs at least ")
    assert len(output.splitlines()) == 1


MISSING = ("abdallahwagih/retina-blood-vessel", "kaggle", "unetsweep data sample", "train/", "test/", "mask")


def test_missing_images_are_reported_with_the_layout_the_download_and_the_sample(workspace: Workspace):
    output = refused(workspace, BUILT_IN)
    assert str(workspace.folder / "images") in output
    for text in MISSING:
        assert text in output


def test_arguments_that_optunas_pruner_refuses_are_reported_before_anything_is_written(workspace: Workspace):
    workspace.sweep(GRID.replace("RATES", "1e-4"))
    text = (workspace.folder / "s.yaml").read_text()
    output = refused(workspace, text + "study: {pruner: {name: PercentilePruner, percentile: 101}}\n")
    assert "study.pruner: Optuna's PercentilePruner cannot be made with {'percentile': 101.0}" in output


def test_a_dry_run_of_a_refused_sweep_prints_the_plan_and_has_the_exit_status_of_a_submit(workspace: Workspace):
    (workspace.folder / "s.yaml").write_text(BUILT_IN)
    done = workspace.run("submit", "s.yaml", "--executor", "local", "--dry-run", status=2)
    assert "trials 1" in done.stdout
    assert "unetsweep data sample" in done.stderr
    done = workspace.run("submit", "s.yaml", "--executor", "local", "--dry-run", "--json", status=2)
    assert "unetsweep data sample" in json.loads(done.stdout)["refused"][0]


def test_everything_that_prevents_a_submit_is_reported_at_once(workspace: Workspace):
    text = BUILT_IN.replace("batch_size: [4]", "batch_size: [64]") + "slurm: {gpus: 64, processes: 64}\n"
    output = refused(workspace, text + "study: {pruner: {name: PercentilePruner, percentile: 101}}\n")
    for found in ("the sweep asks for 64 GPUs", *MISSING, "study.pruner: Optuna's PercentilePruner cannot be made"):
        assert found in output


def test_more_gpus_than_this_machine_has_are_refused_with_what_to_set(workspace: Workspace):
    text = workspace.sweep(GRID.replace("RATES", "1e-4")).read_text() + "slurm: {gpus: 64, processes: 64}\n"
    text = text.replace("batch_size: [4]", "batch_size: [64]")
    output = refused(workspace, text)
    assert "the sweep asks for 64 GPUs a training and this machine has" in output
    assert "train on the CPU: `--set slurm.gpus=0`" in output


def test_float16_without_a_gpu_is_refused_with_what_to_use(workspace: Workspace, eyes: Path):
    (workspace.folder / "images").symlink_to(eyes)
    output = refused(workspace, BUILT_IN + "trainer: {precision: 16-mixed}\n")
    line = 2 + GRID.count("\n")
    start = f"unetsweep: s.yaml:{line}:11: trainer.precision: found 16-mixed, and the training has no GPU"
    assert output.startswith(start)
    assert "use 32 or bf16-mixed, or train on GPUs (slurm.gpus)" in output


def test_the_executor_slurm_is_refused_without_slurm(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "--executor local" in refused(workspace, BUILT_IN, "--executor", "slurm")


@pytest.mark.parametrize("character", ["%", "\\"])
def test_a_path_that_slurm_reads_as_a_pattern_is_refused(
    workspace: Workspace, character: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "/nowhere")
    output = refused(workspace, BUILT_IN, "--executor", "slurm", "--results", f"my{character}results")
    assert f"SLURM reads the {character} in it as a part of a pattern" in output


def test_a_results_folder_into_which_others_may_write_is_refused(workspace: Workspace):
    text = workspace.grid(1).read_text()
    workspace.root().mkdir(parents=True)
    workspace.root().chmod(0o777)
    output = refused(workspace, text, status=70)
    assert f"chmod go-w {workspace.root()}" in output
    assert list(workspace.root().iterdir()) == []


@pytest.mark.parametrize("command", ["status", "report", "cancel"])
def test_an_unknown_sweep_is_reported_with_the_existing_ones(workspace: Workspace, command: str):
    output = workspace.run(command, "nope", status=2).stderr
    assert "no sweep 'nope' in" in output
    assert "none yet" in output


def test_without_any_sweep_status_names_the_first_step(workspace: Workspace):
    assert "unetsweep submit sweeps/quickstart.yaml" in workspace.run("status", status=2).stderr


def test_the_profile_of_the_first_submit_stays_that_of_the_sweep(workspace: Workspace):
    (workspace.folder / "site.yaml").write_text("partition: eyes\n")
    sweep = workspace.grid(1)
    workspace.submit(sweep, "--profile", "./site.yaml")
    written = (workspace.root() / "sweep.yaml").read_text()
    assert "partition: eyes" in written
    assert "warning" not in workspace.submit(sweep).stderr
    assert (workspace.root() / "sweep.yaml").read_text() == written
    output = workspace.submit(sweep, "--profile", "default").stderr
    assert "changed since the last submit: slurm.partition: 'eyes' -> none" in output


def test_nothing_is_started_on_this_machine_if_slurm_is_installed_but_does_not_answer(workspace: Workspace) -> None:
    """As on the login node of a cluster while its controller does not answer."""
    sweep, bin_folder = workspace.grid(1), workspace.folder / "bin"
    bin_folder.mkdir()
    for name, script in (("sbatch", "exit 1"), ("sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1")):
        (bin_folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_folder / name).chmod(0o755)
    env = {**environment(), "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    for command in (("submit", sweep.name), ("submit", sweep.name, "--dry-run"), ("submit", sweep.name, "--watch")):
        done = workspace.run(*command, status=75, env=env)
        assert "Unable to contact slurm controller" in done.stderr
        assert "or use --executor local" in done.stderr
    assert not workspace.root().exists()
    assert workspace.run("submit", sweep.name, "--executor", "local", "--dry-run", env=env).returncode == 0


@pytest.mark.parametrize(
    ("sizes", "found"), [("[4, 11]", 11), ("{low: 9, high: 12}", 11), ("[1]", 1)], ids=["list", "range", "ones"]
)
def test_a_batch_size_that_leaves_one_value_per_channel_is_refused(
    sizes: str, found: int, workspace: Workspace, eyes: Path
) -> None:
    (workspace.folder / "images").symlink_to(eyes)  # twelve training images of 64 pixels
    text = BUILT_IN.replace("batch_size: [4]", f"batch_size: {sizes}") + "model: {base: 2, depth: 6}\n"
    output = refused(workspace, text + ("study: {sampler: random, trials: 2}\n" if "low" in sizes else ""))
    assert f"space.batch_size: found {found}, so with 12 training images an epoch has a step with only one" in output
    assert "model.norm: none" in output
    crop = "model: {base: 2, depth: 4}\ntrainer: {augment: [{RandomCrop: {height: 16, width: 16}}]}\n"
    output = refused(workspace, BUILT_IN.replace("batch_size: [4]", "batch_size: [1]") + crop)
    assert "at depth 4 an image of 16 pixels leaves a single value" in output


def test_images_that_do_not_fit_in_a_batch_are_refused(workspace: Workspace, eyes: Path):
    (workspace.folder / "images").symlink_to(eyes)
    augment = "trainer: {augment: [HorizontalFlip, {RandomScale: {scale_limit: 0.3, p: 1}}]}\n"
    output = refused(workspace, BUILT_IN + augment)
    assert "trainer.augment: RandomScale leaves images of different sizes (for example" in output
    assert "add Resize or a crop with p: 1 after it, or use batch_size 1" in output
    assert len(output.splitlines()) == 1
