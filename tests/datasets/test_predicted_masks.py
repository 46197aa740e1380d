"""The masks that a training keeps for the report are read back as they were, and damage is noticed."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unetsweep.contract import SCHEMA, encode
from unetsweep.datasets.mask_png import decode_mask, encode_mask
from unetsweep.datasets.predicted_masks import MAX_SIDE, MOST, PredictedMask, PredictionsFile, chosen, read_predictions
from unetsweep.errors import StateError

MASK = (np.random.default_rng(0).random((21, 34)) > 0.8).astype(np.uint8)
GOOD = encode_mask("eye", MASK)


def written(folder: Path, *masks: PredictedMask, **more: object) -> Path:
    path = folder / "3.predictions.json"
    path.write_text(json.dumps({"schema": SCHEMA, **encode(PredictionsFile("0" * 64, masks)), **more}))
    return path


def test_a_mask_is_read_back_as_it_was(tmp_path: Path) -> None:
    (found,) = read_predictions(written(tmp_path, GOOD)).masks

    assert (found.image, found.width, found.height) == ("eye", 34, 21)
    assert np.array_equal(decode_mask(found, "x"), MASK)


def test_any_name_of_an_image_is_kept(tmp_path: Path) -> None:
    name = 'a"><script>\u202e\n\udcff'
    assert read_predictions(written(tmp_path, replace(GOOD, image=name))).masks[0].image == name


def test_the_first_and_the_last_image_by_name_are_among_those_that_are_kept() -> None:
    names = [f"{k:03d}" for k in range(100)][::-1]
    found = [names[at] for at in chosen(names)]
    assert found == ["000", "020", "040", "059", "079", "099"]


def test_a_mask_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 8192"):
        encode_mask("eye", np.zeros((1, MAX_SIDE + 1), np.uint8))


@pytest.mark.parametrize(
    "damaged",
    [
        replace(GOOD, png="???"),
        replace(GOOD, png=""),
        replace(GOOD, png=base64.b64encode(b"GIF89a" + bytes(40)).decode()),
        replace(GOOD, width=35),
        replace(GOOD, height=10**6),
        replace(GOOD, width=0),
        replace(GOOD, image=""),
        replace(GOOD, png=GOOD.png[: len(GOOD.png) // 8 * 4] + "A" * 2**23),
    ],
)
def test_a_damaged_mask_is_an_error_that_names_the_file(tmp_path: Path, damaged: PredictedMask) -> None:
    path = written(tmp_path, damaged)
    with pytest.raises(StateError, match=str(path)):
        read_predictions(path)


def test_a_mask_that_is_cut_off_is_an_error_that_names_the_file() -> None:
    cut = replace(GOOD, png=base64.b64encode(base64.b64decode(GOOD.png)[:40]).decode())
    with pytest.raises(StateError, match=r"runs/3: the mask of 'eye' is not a complete PNG"):
        decode_mask(cut, "runs/3")


def test_too_many_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="at most 6"):
        read_predictions(written(tmp_path, *[GOOD] * (MOST + 1)))


def test_the_digest_of_the_weights_is_checked(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="64 hexadecimal digits"):
        read_predictions(written(tmp_path, weights_sha256="../x"))
