"""The examples of the documentation run, or use what exists; links have targets."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import pytest
from pages import DOCS, PAGES, ROOT, Block, anchors, blocks, name_of, prose
from workspace import Workspace, smaller

from unetsweep import contract
from unetsweep.cli.main import program
from unetsweep.config.load import load, spec_from

START = DOCS / "get-started.md"
PYTHON = DOCS / "python.md"
ON_SLURM = DOCS / "tutorials" / "kill.md"
"""tests/slurm/test_slurm_tutorial.py runs this page."""
SHELL = [block for block in blocks("sh") if block.page != ON_SLURM or block.not_run]
RUNNABLE = list(dict.fromkeys(block.page for block in SHELL if not block.not_run))
YAML = blocks("yaml")
GRID = "data: {root: data/sample}\nspace: {epochs: 1, batch_size: 4, learning_rate: 1e-3}\n"


@pytest.mark.train
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_examples_of_a_page_run_in_their_order(page: Path, workspace: Workspace) -> None:
    examples = [block.text for block in SHELL if block.page == page and not block.not_run]
    for number, text in enumerate(examples):
        workspace.bash(smaller(text), cold=page == START and not number)  # new users begin with these commands


@pytest.mark.train
def test_the_example_in_python_runs(workspace: Workspace) -> None:
    (example,) = (block.text for block in blocks("python") if block.page == PYTHON)
    (workspace.folder / "example.py").write_text(example)
    printed = workspace.bash("python example.py").splitlines()

    assert [line.split()[:2] for line in printed[:2]] == [["0", "complete"], ["1", "complete"]]
    assert printed[2].startswith("val_iou 0.")
    assert printed[2].endswith(".ckpt")
    assert "learning_rate" in printed[3]


@pytest.mark.parametrize("block", [block for block in SHELL if block.not_run], ids=str)
def test_an_example_that_is_not_run_uses_existing_options_targets_and_files(block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name, *arguments in _commands(block.text):
        if name == "unetsweep":
            _parse(program, arguments)
        elif name == "make":
            assert {each for each in arguments if not each.startswith("-")} <= targets, arguments
        for each in (name, *arguments):
            assert not each.startswith(("sweeps/", "slurm/", "tests/")) or (ROOT / each).exists(), each


def _commands(text: str) -> Iterator[list[str]]:
    """Yield each command of a script, split into its arguments."""
    for line in text.splitlines():
        for part in line.split("&&"):
            command = shlex.split(part, comments=True)
            if command:
                yield command


def _parse(command: click.Command, arguments: list[str], parent: click.Context | None = None) -> None:
    """Parse the arguments and run nothing; click's UsageError if the command would refuse them."""
    if not isinstance(command, click.Group) or arguments[0].startswith("-"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(click.Context, "exit", lambda *_: None)
            command.make_context(command.name, arguments, parent)
        return
    with click.Context(command, parent=parent, **command.context_settings) as context:
        subcommand = command.get_command(context, arguments[0])
        assert subcommand is not None, arguments
        _parse(subcommand, arguments[1:], context)


@pytest.mark.parametrize("block", YAML, ids=str)
def test_an_example_in_yaml_loads(block: Block, tmp_path: Path) -> None:
    if block.text.startswith("# profile"):
        profile = tmp_path / "example.yaml"
        profile.write_text(block.text)
        spec_from(GRID.replace("batch_size: 4", "batch_size: 8"), "example", profile=str(profile), working=tmp_path)
    else:
        spec_from(block.text, "example", working=ROOT, home=tmp_path)


def test_an_example_in_json_is_a_config() -> None:
    found = blocks("json")

    assert found
    for block in found:
        contract.config_from(json.loads(block.text), str(block))


@pytest.mark.parametrize("sweep", sorted((ROOT / "sweeps").glob("*.yaml")), ids=lambda path: path.name)
def test_a_sweep_of_the_checkout_loads(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    assert load(sweep).name == sweep.stem


def test_the_seed_sweep_has_the_network_and_the_rotation_of_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    spec_of_seed = load(ROOT / "sweeps" / "seed.yaml")
    model, trainer = spec_of_seed.model, spec_of_seed.trainer

    assert [model.base << level for level in range(model.depth + 1)] == [64, 128, 256, 512, 1024]
    assert (model.padding, model.output_resize, model.norm, model.dropout) == ("valid", "bilinear", "none", 0)
    assert (trainer.optimizer, trainer.loss, trainer.schedule, trainer.precision) == ("adam", "bce", "constant", "32")
    assert cv2.BORDER_REFLECT_101 == 4
    assert {"Rotate": {"limit": [-30, 30], "border_mode": 4}} in trainer.augment
    assert {"HorizontalFlip", "VerticalFlip"} <= {each for each in trainer.augment if isinstance(each, str)}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "slurm" / "testbed" / "README.md"], ids=name_of)
def test_every_link_leads_to_an_existing_file_and_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target
