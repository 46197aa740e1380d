"""Imports all faults, in the order of the campaign; and cleans up after one."""

import subprocess

import causes_cluster  # noqa: F401
import causes_files  # noqa: F401
import causes_kills  # noqa: F401
import causes_reconciliations  # noqa: F401
import causes_torch  # noqa: F401
from kinds import fault
from scene import Scene


@fault("nothing goes wrong")
def nothing(scene: Scene) -> None:
    scene.submit()
    scene.caused += 1


def clean_up(scene: Scene) -> None:
    """Unmount what a fault mounted: it is not removed with the folder of the case."""
    if (scene.folder / "results").is_mount():
        subprocess.run(["umount", "-l", scene.folder / "results"], check=False)
