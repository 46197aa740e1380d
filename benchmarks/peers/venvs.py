"""An environment for each peer, made once, under build/peers."""

import json
import subprocess
import sys
from pathlib import Path

PLACE = Path("build/peers")
PINS = {
    "hydra": (
        "hydra-core==1.3.2",
        "hydra-submitit-launcher==1.2.0",
        "hydra-optuna-sweeper==1.3.0",
        "submitit==1.5.4",
    ),
    "submitit": ("submitit==1.5.4",),
}
SHOWN = ("hydra-core", "hydra-submitit-launcher", "hydra-optuna-sweeper", "optuna", "submitit")


def python(name: str) -> Path:
    """The interpreter of a peer's environment, which is made where it is not whole."""
    place = (PLACE / name).absolute()
    if not (place / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        subprocess.run([place / "bin/pip", "install", "--quiet", *PINS[name]], check=True)
        (place / "made").touch()
    return place / "bin/python"


def versions(name: str) -> str:
    """`hydra-core 1.3.2, …` as they are installed."""
    listed = subprocess.run(
        [python(name), "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True
    )
    found = {each["name"].lower(): each["version"] for each in json.loads(listed.stdout)}
    return ", ".join(f"{each} {found[each]}" for each in SHOWN if each in found)
