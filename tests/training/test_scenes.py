"""The processes of `training_scenes` have one thread, and so has the server that they are forked from."""

import os
from pathlib import Path
from typing import Any

import training_scenes as scenes


def count_threads(context: Any, out: Path) -> None:
    """Write the number of threads of this process and of the server."""
    for name, pid in (("own", os.getpid()), ("the server's", os.getppid())):
        (out / name).write_text(str(len(os.listdir(f"/proc/{pid}/task"))))


def test_a_scene_starts_with_one_thread_and_its_server_has_one_thread(tmp_path: Path) -> None:
    assert scenes.run(count_threads, tmp_path) == [0]
    assert [(tmp_path / name).read_text() for name in ("own", "the server's")] == ["1", "1"]
