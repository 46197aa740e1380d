"""The processes in which trainings are tested start with one thread."""

import os
from pathlib import Path
from typing import Any

import training_scenes as scenes


def look_around(context: Any, out: Path) -> None:
    for name, pid in (("own", os.getpid()), ("the server's", os.getppid())):
        (out / name).write_text(str(len(os.listdir(f"/proc/{pid}/task"))))


def test_a_scene_begins_with_one_thread_forked_from_a_server_with_one(tmp_path: Path) -> None:
    assert scenes.run(look_around, tmp_path) == [0]
    assert [(tmp_path / name).read_text() for name in ("own", "the server's")] == ["1", "1"]
