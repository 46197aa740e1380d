"""`unetsweep init DATA_DIR`: a sweep file that is submitted as it is, or the errors of `data check` and no file."""

import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from chase import CHASE, needs_chase
from click.testing import CliRunner, Result
from images_drawn import make_set, write

from unetsweep.app.data import check_dataset
from unetsweep.cli import init as init_command
from unetsweep.cli import submit as submit_command
from unetsweep.cli import validate as validate_command
from unetsweep.config.load import load
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import DataError

MASKS = "train/mask", "test/mask"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory on a machine without SLURM."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("unetsweep.schedulers.slurm.commands.has_slurm", lambda timeout=0: False)
    return tmp_path


@pytest.fixture
def eyes(sample: Path, folder: Path) -> Path:
    """A copy of the sample: three training eyes with four images each, and three test eyes, of 128x128."""
    return Path(shutil.copytree(sample, folder / "eyes"))


def init(*arguments: str) -> Result:
    return CliRunner().invoke(init_command.command, list(arguments))


def submitted(file: str) -> SweepSpec:
    """The sweep of a file, after `validate` and the checks of a submit have found nothing."""
    assert CliRunner().invoke(validate_command.command, [file]).output.startswith(f"{file}: fine: ")
    done = CliRunner().invoke(submit_command.command, [file, "--dry-run", "--executor", "local"])
    assert done.exit_code == 0, (done.output, done.exception)
    return load(Path(file))


def comments(file: str) -> str:
    """The comments of a file as one line."""
    lines = [line.partition("# ")[2] for line in Path(file).read_text().splitlines()]
    return " ".join(" ".join(lines).split())


def masks_with(root: Path, vessel: int) -> None:
    """Give the masks two levels, 0 and `vessel`."""
    for part in MASKS:
        for file in (root / part).iterdir():
            levels = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            assert levels is not None
            write(file, np.where(levels > 127, vessel, 0).astype(np.uint8))


@pytest.mark.parametrize("vessel", [255, 1])
def test_images_in_train_val_and_test_with_masks_of_two_levels(eyes: Path, vessel: int) -> None:
    masks_with(eyes, vessel)
    shutil.copytree(eyes / "test", eyes / "val")
    done = init("eyes")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "warning  val: holds images and masks, and is not read" in done.stderr
    spec, text = submitted("eyes.yaml"), comments("eyes.yaml")
    assert (spec.data.image_size, spec.model.depth, spec.model.base) == (128, 4, 8)
    assert spec.data.split.groups == "groups.csv"
    assert "Found: 12 training images, 3 test images (only scored)" in text
    assert f"15 masks with the levels 0 and {vessel}; " in text
    assert "stay together (from groups.csv): 12 images in 3 groups. 8 of them train, 4 validate." in text
    assert "validate. The size of the images. " in text


def test_a_sample_with_grey_masks_and_without_a_table_of_groups(eyes: Path) -> None:
    (eyes / "groups.csv").unlink()
    done = init("eyes", "--metric", "val_dice", "-o", "first.yaml")

    assert done.exit_code == 0
    assert "warning" not in done.stderr, "the file keeps duplicates together, and cuts grey edges at half"
    assert "no SLURM here, so no profile" in done.stderr
    spec, text = submitted("first.yaml"), comments("first.yaml")
    assert (spec.name, spec.data.split.groups, spec.study.metric) == ("first", "auto", "val_dice")
    assert "15 masks, 15 of them with grey edges" in text
    assert "stay together (found by pixels and names): 12 images in 3 groups. 8 of them train, 4 validate." in text
    assert not Path("home").exists()


def test_a_table_of_groups_that_cannot_be_used_is_named(eyes: Path) -> None:
    (eyes / "groups.csv").write_text("file,group\n01.png,a\n")
    done = init("eyes")

    assert "groups.csv: is not used: no row for 02.png, " in done.stderr
    assert submitted("eyes.yaml").data.split.groups == "auto"


def test_a_flat_folder_is_refused_with_the_commands_of_data_check_and_accepted_after_them(eyes: Path) -> None:
    for kind in ("image", "mask"):
        shutil.move(eyes / "train" / kind, eyes / kind)
    for left in ("train", "test"):
        shutil.rmtree(eyes / left)
    refused = init("eyes")

    assert isinstance(refused.exception, DataError)
    (finding,) = check_dataset(Path("eyes")).findings
    assert str(refused.exception) == f"eyes: {finding.message}"
    assert not list(Path().glob("*.yaml"))
    commands = str(refused.exception).partition("run in it: ")[2]
    assert commands == "mkdir -p train && mv image train/image && mv mask train/mask"
    subprocess.run(["bash", "-c", commands], cwd=eyes, check=True)
    assert init("eyes").exit_code == 0
    assert "12 training images, no test images" in comments("eyes.yaml")
    submitted("eyes.yaml")


@pytest.mark.parametrize(
    ("size", "expected"), [(40, (40, 2)), (100, (96, 3)), (64, (64, 3))], ids=["small", "odd", "even"]
)
def test_small_images_stay_small_and_need_no_border(size: int, expected: tuple[int, int]) -> None:
    make_set(Path("small"), size=size)
    assert init("small").exit_code in (0, 1)
    spec = load(Path("small.yaml"))

    assert (spec.data.image_size, spec.model.depth) == expected


def test_few_images_get_a_smaller_batch() -> None:
    make_set(Path("few"), train=3, test=0, size=48)
    init("few")
    assert submitted("few.yaml").space.domain("batch_size").values == (2,)  # type: ignore[union-attr]


def test_images_of_several_sizes_get_one(eyes: Path) -> None:
    for name in ("05", "06", "07", "08"):
        for kind in ("image", "mask"):
            file = eyes / "train" / kind / f"{name}.png"
            pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            assert pixels is not None
            write(file, cv2.resize(pixels, (320, 256)))
    assert init("eyes").exit_code == 0

    assert submitted("eyes.yaml").data.image_size == 128
    expected = "The images have 2 sizes, 128x128 to 320x256. All are resized to this square, because a batch needs"
    assert expected in comments("eyes.yaml")


def test_errors_of_the_images_are_printed_and_the_file_says_what_to_settle(eyes: Path) -> None:
    three = np.zeros((128, 128), np.uint8)
    three[:, 20:30], three[:, 60:70] = 1, 2
    write(eyes / "train" / "mask" / "03.png", three)
    (eyes / "train" / "mask" / "07.png").unlink()
    done = init("eyes")

    assert done.exit_code == 1
    assert "error    train/image/07.png: no mask; " in done.stderr
    text = comments("eyes.yaml")
    assert "SETTLE THIS FIRST, or `submit` refuses the sweep. `unetsweep data check eyes`" in text
    assert "- train/image/07.png: no mask; " in text
    assert re.search(r"- train/mask/03.png: holds 3 levels: .*data.mask_threshold: 0", text)
    assert CliRunner().invoke(validate_command.command, ["eyes.yaml"]).exit_code == 0


@pytest.mark.parametrize("name", ["gone", "empty", "one eye"])
def test_images_that_cannot_be_used_get_no_file(eyes: Path, name: str) -> None:
    if name == "empty":
        Path(name).mkdir()
    if name == "one eye":
        root = make_set(Path(name), train=1, test=0)
        assert root.is_dir()
    done = init(name, "-o", "s.yaml")

    assert isinstance(done.exception, DataError)
    assert str(done.exception).startswith(f"{name}: ")
    assert not Path("s.yaml").exists()


def test_the_name_of_a_folder_is_only_text(eyes: Path) -> None:
    name = "my 'eyes': {a} #1"
    eyes.rename(name)
    assert init(name).exit_code == 0
    assert submitted("sweep.yaml").data.root == str(Path(name).absolute())


@needs_chase
def test_photographs_of_chase_db1() -> None:
    assert init(str(CHASE), "-o", "chase.yaml").exit_code == 0
    spec, text = submitted("chase.yaml"), comments("chase.yaml")

    assert (spec.data.image_size, spec.model.depth, spec.data.split.groups) == (512, 4, "auto")
    assert "20 images in 10 groups. 16 of them train, 4 validate." in text
    assert "The images are 999x960, and are shrunk to this square." in text
