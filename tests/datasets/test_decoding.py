"""Odd image files are read right, or named: bits, orientation tags, damage, text formats, tiny images."""

import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from images_drawn import make_set, write

from unetsweep.contract import DataConfig, Split
from unetsweep.datasets.decoding import decode_image, decode_mask
from unetsweep.datasets.exif import orientation
from unetsweep.datasets.inspection import inspect
from unetsweep.datasets.prepare import prepare
from unetsweep.datasets.reading import read_image
from unetsweep.errors import DataError

COLOURS = np.random.default_rng(1).integers(0, 256, (40, 48, 3)).astype(np.uint8)
COLOURS[0, 0] = 255


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_16_bit_images_are_read_with_the_bits_that_they_hold(tmp_path: Path, suffix: str, bits: int) -> None:
    file = write(tmp_path / f"i{suffix}", COLOURS.astype(np.uint16) << (bits - 8))
    assert decode_image(file, 3).bits == bits
    assert (decode_image(file, 3).pixels == COLOURS).all()
    assert (read_image(file) == COLOURS[:, :, ::-1]).all()


def test_grey_16_bit_and_float_images(tmp_path: Path) -> None:
    grey = COLOURS[:, :, 0]
    assert (decode_image(write(tmp_path / "g.png", grey.astype(np.uint16)), 1).pixels == grey).all()
    with pytest.raises(DataError, match="not a complete TIF image"):
        decode_image(write(tmp_path / "f.tif", grey.astype(np.float32) / 255), 3)


def test_a_few_bright_pixels_that_make_an_image_dark_are_named(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    for file in root.glob("train/image/*.png"):
        pixels = cv2.imread(str(file)).astype(np.uint16) * 16
        pixels[0, 0] = 65535
        write(file, pixels)
    (found,) = [each for each in inspect(root).file_findings if each.kind == "bit-depth"]
    assert found.level == "warning"
    assert "read dark" in found.message


def test_bits_are_a_note_and_several_depths_a_warning(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    images = sorted(root.glob("*/image/*.png"))
    for file in images:
        write(file, cv2.imread(str(file)).astype(np.uint16))
    notes = [(f.level, f.message) for f in inspect(root).file_findings]
    assert notes == [("note", "16-bit images that hold less are read with the bits that their brightest pixel needs: "
                      "6 of 8 bits")]  # fmt: skip
    write(images[0], cv2.imread(str(images[0]), cv2.IMREAD_UNCHANGED) << 4)
    warnings = prepare(DataConfig(str(root), Split(groups="none"))).warnings
    assert any("5 of 8 bits, 1 of 12 bits (for example test/image/01.png)" in warning for warning in warnings)


def exif(tag: int, order: str = "<") -> bytes:
    """A TIFF block whose only entry is the orientation."""
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, tag, 0)
    return (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, 1) + entry + bytes(4)


def tagged(content: bytes, tag: int, order: str = "<") -> bytes:
    """Insert an Exif block into a JPEG or PNG."""
    block = exif(tag, order)
    if content[:2] == b"\xff\xd8":
        return content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + content[2:]
    chunk = b"eXIf" + block
    return content[:33] + struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tag", [1, 3, 6, 8])
def test_orientation_tags_are_read_and_not_applied(tmp_path: Path, suffix: str, order: str, tag: int) -> None:
    file = write(tmp_path / f"i{suffix}", COLOURS)
    plain = decode_image(file, 3).pixels
    file.write_bytes(tagged(file.read_bytes(), tag, order))
    decoded = decode_image(file, 3)
    assert decoded.orientation == tag
    assert (decoded.pixels == plain).all()
    assert decode_mask(file)[0].shape == (40, 48)


def test_the_tag_of_a_tiff_is_not_applied(tmp_path: Path) -> None:
    plain = write(tmp_path / "t.tif", COLOURS).read_bytes()
    (first,) = struct.unpack_from("<I", plain, 4)
    (count,) = struct.unpack_from("<H", plain, first)
    entries = plain[first + 2 : first + 2 + 12 * count]
    rows = [entries[12 * n : 12 * n + 12] for n in range(count)]
    kept = [row for row in rows if struct.unpack_from("<H", row)[0] != 0x0112]
    table = sorted([*kept, struct.pack("<HHIHH", 0x0112, 3, 1, 3, 0)])
    table.sort(key=lambda row: struct.unpack_from("<H", row)[0])
    moved = plain[:4] + struct.pack("<I", len(plain)) + plain[8:]
    moved += struct.pack("<H", len(table)) + b"".join(table) + bytes(4)
    (tmp_path / "t.tif").write_bytes(moved)
    assert orientation(moved) == 3
    assert (decode_image(tmp_path / "t.tif", 3).pixels == COLOURS).all()


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"II*\0\xff\xff\xff\xff", b"\x89PNG\r\n\x1a\n\0\0"])
def test_a_damaged_block_has_no_tag(content: bytes) -> None:
    assert orientation(content) == 1


def test_a_pair_of_which_only_one_is_tagged_is_named(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    image = root / "train" / "image" / "01.png"
    image.write_bytes(tagged(image.read_bytes(), 3))
    (finding,) = inspect(root).file_findings
    assert finding.level == "warning"
    start = "1 file (train/image/01.png) is shown turned by 180 degrees by an orientation tag (EXIF), its mask is not"
    assert finding.message.startswith(start)


def test_sizes_that_differ_by_a_turn_name_the_tag(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    image = root / "train" / "image" / "01.png"
    write(image, np.zeros((30, 48, 3), np.uint8))
    image.write_bytes(tagged(image.read_bytes(), 6))
    with pytest.raises(DataError, match=r"is 48x48, its image 01.png is 48x30; .*orientation tags \(EXIF\) are not ap"):
        prepare(DataConfig(str(root), image_size=32))


@pytest.mark.parametrize("damage", ["zeroed", "random"])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_with_a_damaged_middle_is_named_and_nothing_is_written_to_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: str, progressive: int
) -> None:
    smooth = cv2.resize(COLOURS, (480, 400), interpolation=cv2.INTER_CUBIC)
    _, encoded = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])
    content = bytearray(encoded.tobytes())
    middle = slice(len(content) // 2, len(content) // 2 + 400)
    content[middle] = bytes(400) if damage == "zeroed" else np.random.default_rng(0).bytes(400)
    (tmp_path / "i.jpg").write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"i.jpg: (is damaged \(|found .* not a complete)"):
        decode_image(tmp_path / "i.jpg", 3)
    assert capfd.readouterr().err == ""


def test_padding_at_the_end_of_a_jpeg_is_no_damage(tmp_path: Path) -> None:
    content = write(tmp_path / "i.jpg", COLOURS).read_bytes()
    (tmp_path / "i.jpg").write_bytes(content[:-2] + b"\0\0\0" + content[-2:])
    assert decode_image(tmp_path / "i.jpg", 3).pixels.shape == COLOURS.shape


@pytest.mark.parametrize("kind", ["P2", "P3"])
def test_text_formats_with_comments_are_read(tmp_path: Path, kind: str) -> None:
    pixels = COLOURS[:, :, 0] if kind == "P2" else COLOURS[:, :, ::-1]
    numbers = [str(level) for level in pixels.ravel().tolist()]
    head = f"{kind}\n# made by hand\n48 40 # size\n# most\n255\n"
    text = f"{head}{' '.join(numbers[:50])} # first\n{' '.join(numbers[50:])}"
    (tmp_path / "i.ppm").write_text(text)
    found = decode_image(tmp_path / "i.ppm", 1 if kind == "P2" else 3).pixels
    assert (found == (COLOURS[:, :, 0] if kind == "P2" else COLOURS)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 15)])
def test_tiny_images_are_one_line(tmp_path: Path, shape: tuple[int, int]) -> None:
    root = make_set(tmp_path)
    write(root / "train" / "image" / "01.png", np.zeros((*shape, 3), np.uint8))
    write(root / "train" / "mask" / "01.png", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match=rf"01.png: is {shape[1]}x{shape[0]}; an image needs at least 16 pixels a side"):
        prepare(DataConfig(str(root), image_size=32))
    assert [f.kind for f in inspect(root).file_findings if f.level == "error"] == ["unreadable"]


def test_images_of_at_most_32_pixels_are_not_compared(tmp_path: Path) -> None:
    root = make_set(tmp_path, size=32)
    same = np.full((32, 32, 3), 90, np.uint8)
    same[8:12] = 30
    for number in (1, 2):
        write(root / "train" / "image" / f"{number:02d}.png", same + np.uint8(number))
    shutil.copy(root / "train" / "image" / "03.png", root / "train" / "image" / "04.png")
    inspection = inspect(root)
    assert [{m.a, m.b} for m in inspection.duplicates.matches] == [{"train/03", "train/04"}]
    (finding,) = [f for f in inspection.file_findings if f.kind == "too-small"]
    assert "6 images (" in finding.message
    assert "too small (at most 32 pixels) to tell whether images show the same eye" in finding.message


def test_images_of_one_colour_are_named_and_refused_if_all_are(tmp_path: Path) -> None:
    root = make_set(tmp_path)
    images = sorted(root.glob("*/image/*.png"))
    write(images[0], np.full((48, 48, 3), 7, np.uint8))
    warnings = prepare(DataConfig(str(root), Split(groups="none"))).warnings
    assert any("1 image (test/image/01.png) is of nearly one colour" in warning for warning in warnings)
    for file in images:
        write(file, np.zeros((48, 48, 3), np.uint8))
    with pytest.raises(DataError, match=r"6 images .* are of nearly one colour"):
        prepare(DataConfig(str(root), Split(groups="none", allow_leak=True)))
