"""A trainer of the user's own: what it publishes counts, whatever an earlier start left."""

import json
import sys
from pathlib import Path

import pytest

from unetsweep.errors import StateError
from unetsweep.worker.command import Errand, run_command


def train(folder: Path, said: str) -> dict[str, object]:
    """The horizon of a program that writes `said`."""
    program = folder / "trainer.py"
    program.write_text("import sys; open(sys.argv[2], 'a').write('x'); open(sys.argv[1], 'w').write(sys.argv[3])")
    words = [sys.executable, "-I", "-S", str(program), "{out}/result.json", "{out}/begins", repr(said)]
    errand = Errand(folder / "config.json", folder, (8,), "1-0", "1", str(folder))
    run_command(" ".join(words), errand, lambda: True)
    horizon: dict[str, object] = json.loads((folder / "horizons/8.json").read_bytes())
    return horizon


def test_a_result_that_a_killed_program_left_torn_is_made_again(tmp_path: Path):
    (tmp_path / "result.json").write_text('{"val_')
    assert train(tmp_path, '{"val_iou": 0.5}')["val_iou"] == 0.5
    assert (tmp_path / "begins").read_text() == "x"


def test_a_result_that_is_there_is_not_made_again(tmp_path: Path):
    (tmp_path / "result.json").write_text('{"val_iou": 0.25}')
    assert train(tmp_path, '{"val_iou": 0.5}')["val_iou"] == 0.25
    assert not (tmp_path / "begins").exists()


def test_a_number_that_is_none_is_no_value(tmp_path: Path):
    assert train(tmp_path, '{"state": "diverged", "val_iou": NaN, "val_loss": Infinity}')["val_loss"] is None


def test_a_complete_result_without_a_number_is_refused_with_the_field(tmp_path: Path):
    with pytest.raises(StateError, match="val_iou: found None; a complete result needs a number"):
        train(tmp_path, '{"val_iou": NaN}')


def test_words_instead_of_a_result_are_an_error_of_the_command(tmp_path: Path):
    with pytest.raises(StateError, match="the trainer command wrote it"):
        train(tmp_path, "fine")
