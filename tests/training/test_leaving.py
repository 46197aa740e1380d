"""Every rank ends its process group: a thread of it that is left when the interpreter ends may abort the process
(status 134) after the result was written."""

from pathlib import Path
from typing import Any

import pytest
import training_scenes as scenes

pytestmark = pytest.mark.train


def threads() -> list[str]:
    """The names of this process's threads."""
    return sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))


def train(context: Any, out: Path, config: Any, how: str) -> None:
    """Run a training that ends in this way; then write the names of the threads into a file."""
    from unetsweep.errors import SupersededError
    from unetsweep.training.run import train

    checks = 0

    def owns() -> bool:
        nonlocal checks
        checks += 1
        return how != "superseded" or checks < 5

    more: dict[str, Any] = {"stop_check": lambda _: "a test"} if how == "stopped" else {}
    try:
        train(config, out, context=context, owns=owns, **more)
    except SupersededError:
        assert how == "superseded"
    (out / f"threads-{context.rank}").write_text("\n".join(threads()))


@pytest.mark.parametrize(
    ("size", "how"),
    [
        (2, "complete"),
        pytest.param(4, "complete", marks=pytest.mark.thorough),
        (2, "stopped"),
        (2, "superseded"),
        (2, "pruned"),
    ],
)
def test_no_thread_of_the_process_group_is_left(root: Path, tmp_path: Path, size: int, how: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if how == "pruned":
        scenes.write_prune_file(out, (2,))
    assert scenes.run(train, out, scenes.config(root, epochs=2, processes=size), how, size=size) == [0] * size
    assert (out / "requeue-1-0.json").exists() == (how == "stopped")
    assert (out / "milestones/2.json").exists() == (how in ("complete", "pruned"))
    for rank in range(size):
        left = (out / f"threads-{rank}").read_text().splitlines()
        assert not [name for name in left if "gloo" in name or "tcpstore" in name], left
