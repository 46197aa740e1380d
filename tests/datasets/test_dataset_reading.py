"""A mask means the same in every file format; unusable files are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.datasets.layout import Pair, find_pairs
from unetsweep.datasets.reading import Images, manifest, read_image, read_mask, read_pairs
from unetsweep.errors import DataError

BAR = np.zeros((32, 32), np.uint8)
BAR[:, 10:14] = 1


@pytest.mark.parametrize(
    "levels",
    [
        pytest.param(BAR, id="0 and 1"),
        pytest.param(BAR * 255, id="0 and 255"),
        pytest.param(BAR * 250 + 3, id="3 and 253, a GIF's palette"),
        pytest.param(BAR.astype(np.uint16), id="16 bit, 0 and 1"),
        pytest.param(BAR.astype(np.uint16) * 65535, id="16 bit, 0 and 65535"),
    ],
)
def test_half_is_half_of_the_masks_own_range(tmp_path: Path, levels: np.ndarray) -> None:
    assert (read_mask(write(tmp_path / "m.png", levels)) == BAR).all()


def test_half_of_a_grey_edged_mask_is_above_127(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (read_mask(write(tmp_path / "m.png", grey)) == (grey > 127)).all()


@pytest.mark.parametrize("level", [0.0, 32.0, 127.0, 254.0])
def test_a_number_is_a_grey_level_that_vessel_is_above(tmp_path: Path, level: float) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (read_mask(write(tmp_path / "m.png", grey), None, level) == (grey > level)).all()


@pytest.mark.parametrize(("value", "vessel"), [(0, 0), (1, 0), (127, 0), (128, 1), (255, 1)])
def test_a_mask_of_one_value_is_vessel_from_the_middle_grey_up(tmp_path: Path, value: int, vessel: int) -> None:
    assert (read_mask(write(tmp_path / "m.png", np.full((8, 8), value, np.uint8))) == vessel).all()


def test_a_1_bit_png_and_a_gif_are_read(tmp_path: Path) -> None:
    one_bit = tmp_path / "m.png"
    ok, content = cv2.imencode(".png", BAR * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    assert ok
    one_bit.write_bytes(content.tobytes())
    assert one_bit.read_bytes()[24] == 1  # the header's bit depth
    assert (read_mask(one_bit) == BAR).all()
    assert (read_mask(write(tmp_path / "m.gif", cv2.cvtColor(BAR * 255, cv2.COLOR_GRAY2BGR))) == BAR).all()


def test_a_mask_is_resized_as_grey_levels_and_thresholded_afterwards(tmp_path: Path) -> None:
    fine = np.zeros((4, 4), np.uint8)
    fine[0, :3] = 1  # 2 of 4 pixels in the first quarter, 1 of 4 in the second
    fine[1, 0] = 1
    assert read_mask(write(tmp_path / "m.png", fine), 2).tolist() == [[1, 0], [0, 0]]


def test_images_are_rgb_and_shrink_by_area_means(tmp_path: Path) -> None:
    bgr = np.zeros((32, 32, 3), np.uint8)
    bgr[:, :, 2] = 200
    bgr[::2, :, 1] = 100
    image = read_image(write(tmp_path / "i.png", bgr), 16)
    assert image.shape == (16, 16, 3)
    assert image[3, 3].tolist() == [200, 50, 0]
    assert read_image(tmp_path / "i.png", channels=1).shape == (32, 32, 1)


def test_every_unusable_file_is_named_with_what_was_found(tmp_path: Path) -> None:
    root = make_set(tmp_path, train=5, test=1)
    image = root / "train" / "image"
    (image / "01.png").write_bytes((image / "01.png").read_bytes()[:-300])
    (image / "02.png").write_bytes(b"")
    write(root / "train" / "mask" / "03.png", np.zeros((30, 31), np.uint8))
    broken = bytearray((image / "04.png").read_bytes())
    broken[len(broken) // 2] ^= 0xFF
    (image / "04.png").write_bytes(bytes(broken))
    with pytest.raises(DataError) as caught:
        read_pairs(find_pairs(root)["train"], 16, "half")
    message = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "01.png" in message
    assert "not a complete PNG image" in message
    assert "02.png: found an empty file" in message
    assert "03.png: is 31x30, its image 03.png is 48x48" in message
    assert "04.png" in message


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".ppm"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_refused_in_every_format(tmp_path: Path, suffix: str, share: float) -> None:
    whole = write(tmp_path / f"i{suffix}").read_bytes()
    (tmp_path / f"i{suffix}").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match="not a complete"):
        read_image(tmp_path / f"i{suffix}")


def test_a_missing_file_is_not_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_pairs([Pair("x", tmp_path / "a/b/c/x.png", tmp_path / "a/b/d/x.png")], None, "half")


def test_the_manifest_depends_on_each_pixel_and_the_part(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    parts = find_pairs(root)
    train, test = (read_pairs(parts[part], None, "half") for part in ("train", "test"))
    first = manifest(train, test, test)
    assert first["train"] == ["01", "02", "03", "04"]
    assert first == manifest(train, test, test)
    changed = train.images[0].copy()
    changed[0, 0, 0] ^= 1
    other = Images(train.names, (changed, *train.images[1:]), train.masks)
    assert manifest(other, test, test)["sha256"] != first["sha256"]
    assert manifest(test, train, test)["sha256"] != first["sha256"]
