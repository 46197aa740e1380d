"""All faults, in the order of the campaign; and what is put back after one."""

import subprocess

import causes_cluster  # noqa: F401
import causes_files  # noqa: F401
import causes_kills  # noqa: F401
import causes_passes  # noqa: F401
import causes_torch  # noqa: F401
from kinds import fault
from scene import Scene


@fault("nothing goes wrong")
def nothing(scene: Scene) -> None:
    scene.submit()
    scene.caused += 1


def tidy(scene: Scene) -> None:
    """What lies outside the case's folder: a mounted file system."""
    if (scene.folder / "results").is_mount():
        subprocess.run(["umount", "-l", scene.folder / "results"], check=False)
