"""Virtual environments of the other tools under build/peers, each made once."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path("build/peers")
PINS = {
    "hydra": (
        "hydra-core==1.3.2",
        "hydra-submitit-launcher==1.2.0",
        "hydra-optuna-sweeper==1.3.0",
        "submitit==1.5.4",
    ),
    "submitit": ("submitit==1.5.4",),
}
LISTED = ("hydra-core", "hydra-submitit-launcher", "hydra-optuna-sweeper", "optuna", "submitit")


def python(name: str) -> Path:
    """Return the interpreter of a tool's environment; make the environment if it is missing or incomplete."""
    folder = (FOLDER / name).absolute()
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", *PINS[name]], check=True)
        (folder / "complete").touch()
    return folder / "bin/python"


def versions(name: str) -> str:
    """Return the installed versions: `hydra-core 1.3.2, …`."""
    listed = subprocess.run(
        [python(name), "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True
    )
    found = {each["name"].lower(): each["version"] for each in json.loads(listed.stdout)}
    return ", ".join(f"{each} {found[each]}" for each in LISTED if each in found)
