"""`unetsweep predict`: masks, panels and scores of images by a checkpoint."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import training_scenes as scenes
from click.testing import CliRunner

from unetsweep.cli.predict import command
from unetsweep.contract import DataConfig, TrialConfig
from unetsweep.datasets.panels import confusion
from unetsweep.datasets.scores import iou
from unetsweep.errors import DataError, UsageError
from unetsweep.texts import score_text
from unetsweep.training import predict as predict_module
from unetsweep.training.checkpoints import ArtifactWriter, BestEpoch, load_unet
from unetsweep.training.predict import Case, find_cases, find_device, predict
from unetsweep.training.unet import UNet


def checkpoint(folder: Path, config: TrialConfig) -> Path:
    """A best checkpoint of an untrained network, written like that of a training."""
    torch.manual_seed(0)
    ArtifactWriter(folder, "1-0", lambda: True).save_weights(
        "checkpoints/best-3.ckpt", UNet(config.model).state_dict(), config, BestEpoch(1, 0.5, 0.5)
    )
    return folder / "checkpoints" / "best-3.ckpt"


def pixels(path: Path) -> np.ndarray[Any, Any]:
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read is not None
    return read


def write(path: Path, height: int, width: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(height).integers(0, 255, (height, width, 3), np.uint8))
    return path


@pytest.fixture
def native(root: Path, tmp_path: Path) -> Path:
    """A checkpoint of a config without resizing."""
    return checkpoint(tmp_path, scenes.config(root))


@pytest.mark.train
def test_the_scores_of_a_trained_checkpoint_equal_those_of_its_result(root: Path, tmp_path: Path) -> None:
    assert scenes.run(scenes.train, tmp_path / "run", scenes.config(root, epochs=2)) == [0]
    done = list(predict(tmp_path / "run/checkpoints/best-2.ckpt", root, tmp_path / "out"))
    result = scenes.result(tmp_path / "run", 2)
    found = [dict(zip(("tp", "fp", "fn"), one.counts or (), strict=True)) for one in done]
    assert found == [{name: row[name] for name in ("tp", "fp", "fn")} for row in result["test_per_image"]]
    scores = [score_text(row["iou"]) for row in result["test_per_image"]]
    assert [one.panel.name for one in done] == [f"iou{score}_{n:02d}.png" for n, score in enumerate(scores)]
    totals = np.sum([one.counts for one in done], axis=0)
    assert iou(*totals.tolist()) == result["test_iou"]


@pytest.mark.parametrize("image_size", [None, 48])
def test_a_mask_has_the_size_of_its_image_and_two_values(image_size: int | None, root: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(scenes.config(root), data=DataConfig(str(root), image_size=image_size))
    image = write(tmp_path / "in" / "wide.png", 37, 101)
    [done] = predict(checkpoint(tmp_path, config), image, tmp_path / "out")
    mask = pixels(done.mask)
    assert mask.shape == (37, 101)
    assert set(np.unique(mask)) == {0, 255}
    assert (done.mask.name, done.size, done.iou, done.image_size) == ("wide_mask.png", "101x37", None, image_size)
    assert done.panel == tmp_path / "out" / "panels" / "unscored_wide.png"


def test_an_image_is_resized_for_the_network_as_in_training(root: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(scenes.config(root), data=DataConfig(str(root), image_size=48))
    unet, _, _ = load_unet(checkpoint(tmp_path, config))
    path = write(tmp_path / "big.png", 96, 144)
    image = predict_module.read_image(path)
    found = predict_module.vessel_probability(unet, config, path, image)
    small = cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA)
    with torch.no_grad():
        logits = unet(torch.from_numpy(small.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1)
    expected = cv2.resize(torch.sigmoid(logits)[0, 0].numpy(), (144, 96), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_higher_threshold_keeps_a_subset_of_the_vessels(root: Path, native: Path, tmp_path: Path) -> None:
    kept: list[Any] = []
    for threshold in (0.4, 0.5, 0.6):
        done = next(predict(native, root, tmp_path / str(threshold), threshold=threshold))
        kept.append(pixels(done.mask) > 0)
    assert (kept[2] <= kept[1]).all()
    assert (kept[1] <= kept[0]).all()
    assert kept[2].sum() < kept[1].sum() < kept[0].sum()


def test_a_repeated_prediction_gives_the_same_bytes(root: Path, native: Path, tmp_path: Path) -> None:
    first, second = (list(predict(native, root, tmp_path / name)) for name in ("a", "b"))
    for one, two in zip(first, second, strict=True):
        assert one.mask.read_bytes() == two.mask.read_bytes()
        assert one.panel.read_bytes() == two.panel.read_bytes()


def test_a_panel_has_the_colours_of_the_image(root: Path, native: Path, tmp_path: Path) -> None:
    red = tmp_path / "in" / "red.png"
    red.parent.mkdir()
    cv2.imwrite(str(red), np.full((64, 128, 3), (0, 0, 255), np.uint8))  # OpenCV's order is BGR
    [done] = predict(native, red, tmp_path / "out")
    sheet = pixels(done.panel)
    assert sheet[sheet.shape[0] - 30, 40].tolist() == [0, 0, 255]


def test_truths_are_found_for_a_dataset_for_a_part_and_for_one_image(root: Path) -> None:
    of = {part: tuple(Case(root / part / "image" / f"{n:02d}.png", root / part / "mask" / f"{n:02d}.png")
                      for n in range(count)) for part, count in (("test", 3), ("train", 8))}  # fmt: skip
    assert find_cases(root).cases == of["test"]
    assert find_cases(root, "train").cases == of["train"]
    assert find_cases(root / "test").cases == find_cases(root / "test" / "image").cases == of["test"]
    assert find_cases(root / "test" / "image" / "01.png").cases == of["test"][1:2]


def test_a_mask_with_a_suffix_is_found_for_its_image(tmp_path: Path) -> None:
    for name in ("image/1.png", "image/1_x.png", "mask/1_hand.png", "mask/1_x_hand.png"):
        write(tmp_path / name, 8, 8)
    for name in ("1", "1_x"):
        image = tmp_path / "image" / f"{name}.png"
        assert find_cases(image).cases == (Case(image, tmp_path / "mask" / f"{name}_hand.png"),)


def test_a_folder_of_images_has_no_truth(tmp_path: Path) -> None:
    image = write(tmp_path / "a.jpg", 8, 8)
    assert find_cases(tmp_path).cases == (Case(image, None),)


def test_the_images_of_a_test_part_without_masks_are_found(root: Path, tmp_path: Path) -> None:
    """A set whose test masks are not public: DRIVE has only the fields of view there today."""
    copy = Path(shutil.copytree(root, tmp_path / "set"))
    (copy / "train" / "mask").rename(copy / "train" / "1st_manual")
    for part in ("train", "test"):
        (copy / part / "mask").mkdir(exist_ok=True)
        for image in (copy / part / "image").iterdir():
            (copy / part / "mask" / image.name).unlink(missing_ok=True)
            write(copy / part / "mask" / f"{image.stem}_mask.png", 8, 8)
    images = sorted((copy / "test" / "image").iterdir())
    for source in (copy, copy / "test", copy / "test" / "image"):
        assert find_cases(source).cases == tuple(Case(image, None) for image in images)
    assert find_cases(images[1]).cases == (Case(images[1], None),)
    shutil.rmtree(copy / "train")
    assert len(find_cases(copy).cases) == len(images)
    with pytest.raises(DataError, match="has no train images; use --part test"):
        find_cases(copy, "train")


def test_files_beside_the_images_that_are_not_read_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 8, 8)
    for name in ("b.png.gz", ".c.png", "README.txt"):
        (tmp_path / name).write_bytes(b"x")
    found = find_cases(tmp_path)
    assert [problem.message.partition(";")[0] for problem in found.lost] == [
        "1 file was not read: b.png.gz (compressed)"
    ]
    assert [problem.message.partition(";")[0] for problem in found.unread] == ["1 file was not read: .c.png (hidden)"]


def test_an_image_with_several_masks_is_not_scored_by_one_of_them(tmp_path: Path) -> None:
    for name in ("image/1.png", "mask/1_a.png", "mask/1_b.png"):
        write(tmp_path / name, 8, 8)
    found = find_cases(tmp_path / "image")
    assert found.cases == (Case(tmp_path / "image" / "1.png", None),)
    assert [problem.message for problem in found.lost] == ["not scored: it has 2 masks (1_a.png, 1_b.png)"]


def test_a_file_that_is_no_checkpoint_of_a_unet_is_named(root: Path, tmp_path: Path) -> None:
    for content in ({"state_dict": {}}, [1, 2]):
        torch.save(content, tmp_path / "last.ckpt")
        with pytest.raises(
            UsageError, match=r"last\.ckpt is not a checkpoint of an unetsweep U-Net.*best-<epochs>\.ckpt"
        ):
            next(predict(tmp_path / "last.ckpt", root, tmp_path / "out"))
    (tmp_path / "text.ckpt").write_text("no weights")
    for name in ("text.ckpt", "absent.ckpt", "."):
        with pytest.raises(UsageError):
            next(predict(tmp_path / name, root, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_a_training_resumes_from_names_those_to_use(root: Path, native: Path, tmp_path: Path) -> None:
    last = native.with_name("last.ckpt")
    torch.save({"state_dict": {}, "unetsweep": {}}, last)
    with pytest.raises(UsageError, match=rf"last\.ckpt is not .* \(a training resumes from it\); give {native}$"):
        next(predict(last, root, tmp_path / "out"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_predict_nothing(value: float, root: Path, native: Path, tmp_path: Path) -> None:
    raw = torch.load(native, weights_only=True)
    name = next(iter(raw["weights"]))
    raw["weights"][name].view(-1)[0] = value
    torch.save(raw, native)
    with pytest.raises(UsageError, match=rf"best-3\.ckpt: {name} has values that are not finite"):
        next(predict(native, root, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_without_images_is_an_error(native: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, message in (("empty", "holds no image file"), ("absent", "does not exist")):
        with pytest.raises(DataError, match=message):
            next(predict(native, tmp_path / name, tmp_path / "out"))


def test_two_images_with_one_name_and_the_folder_of_the_images_as_output_are_refused(
    native: Path, tmp_path: Path
) -> None:
    write(tmp_path / "in" / "a.png", 8, 8)
    with pytest.raises(UsageError, match="give --out another folder"):
        next(predict(native, tmp_path / "in", tmp_path / "in"))
    write(tmp_path / "panels" / "a.png", 8, 8)
    with pytest.raises(UsageError, match="panels holds the images; give --out another folder"):
        next(predict(native, tmp_path / "panels", tmp_path))
    write(tmp_path / "in" / "a.jpg", 8, 8)
    with pytest.raises(UsageError, match="rename one"):
        next(predict(native, tmp_path / "in", tmp_path / "out"))


def test_an_unreadable_image_does_not_stop_the_others(native: Path, tmp_path: Path) -> None:
    write(tmp_path / "image" / "a.png", 32, 32)
    write(tmp_path / "image" / "c.png", 32, 32)
    (tmp_path / "image" / "b.png").write_bytes(b"corrupt")
    write(tmp_path / "mask" / "c.png", 16, 16)
    with pytest.raises(DataError) as caught:
        list(predict(native, tmp_path / "image", tmp_path / "out"))
    assert [p.message.count("size") for p in caught.value.problems] == [0, 1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_mask.png", "panels"]
    assert [path.name for path in (tmp_path / "out" / "panels").iterdir()] == ["unscored_a.png"]


def test_the_confusion_counts_only_vessels() -> None:
    predicted, true = np.array([[1, 1, 0, 0]], np.uint8), np.array([[1, 0, 1, 0]], np.uint8)
    assert confusion(predicted, true) == (1, 1, 1)


def test_the_command_prints_one_line_per_image_and_the_iou_of_the_set(root: Path, native: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(command, [str(native), str(root), "--out", str(out)])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == [str(out / f"{n:02d}_mask.png") for n in range(3)]
    found, truth = (
        np.concatenate([pixels(folder / f"{n:02d}{end}") > 0 for n in range(3)])
        for folder, end in ((out, "_mask.png"), (root / "test/mask", ".png"))
    )
    assert lines[3:] == [
        f"IoU {(found & truth).sum() / (found | truth).sum():.4f} over 3 images at their own size",
        f"the worst: {out / 'worst.png'}",
    ]
    assert len(list((out / "panels").iterdir())) == 3


def test_the_command_says_why_its_iou_is_not_that_of_the_report(root: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(scenes.config(root), data=DataConfig(str(root), image_size=48))
    arguments = [str(checkpoint(tmp_path, config)), str(root), "--out", str(tmp_path / "out"), "--threshold", "0.4"]
    done = CliRunner().invoke(command, arguments)
    assert "the report of its sweep scores at 48x48 and with threshold 0.5, so its IoU differs\n" in done.stdout


def test_a_corrupt_image_does_not_prevent_the_overview_of_the_others(root: Path, native: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(root / "test", tmp_path / "test"))
    (copy / "image" / "01.png").write_bytes(b"corrupt")
    done = CliRunner().invoke(command, [str(native), str(copy / "image"), "--out", str(tmp_path / "out")])
    assert done.exit_code != 0
    assert (tmp_path / "out" / "worst.png").exists()


def test_a_device_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for gpus, devices in ((0, {"auto": "cpu", "cpu": "cpu"}), (2, {"auto": "cuda", "cuda:1": "cuda:1", "cpu": "cpu"})):
        _with_gpus(monkeypatch, gpus)
        assert {name: str(find_device(name)) for name in devices} == devices


@pytest.mark.parametrize(
    ("gpus", "name", "message"),
    [
        (0, "cuda", "this machine has no GPU that PyTorch can use; use --device cpu or auto"),
        (1, "cuda:1", "this machine has cuda:0; use --device cuda or auto"),
        (2, "cuda:2", "this machine has cuda:0 to cuda:1; use --device cuda or auto"),
        (2, "gpu", "no such device; give cpu, cuda, cuda:1"),
        (2, "cuda:", "no such device"),
        (2, "cuda:-1", "no such device"),
        (2, "cpu:0", "no such device"),
        (2, "", "no such device"),
    ],
)
def test_a_device_that_is_not_here_is_refused(
    gpus: int, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_gpus(monkeypatch, gpus)
    with pytest.raises(UsageError, match=f"--device {name}: {message}"):
        find_device(name)


def _with_gpus(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
