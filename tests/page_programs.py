"""The programs of the pages about trainers, for tests that run them."""

import hashlib
import json
import re
from pathlib import Path

from unetsweep import client

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "trainers.md", DOCS / "tutorials" / "pytorch-script.md")
KILLED = """
import os, runpy, sys, unetsweep_client
report = unetsweep_client.Run.report
def report_and_die(self, epoch, **values):
    report(self, epoch, **values)
    mark = self.out / "was-killed"
    if epoch == 3 and 0.01 in self.params.values() and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
unetsweep_client.Run.report = report_and_die
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""Runs a program that kills itself (SIGKILL) at epoch 3, once, and only with this learning rate."""


def write_programs(folder: Path) -> None:
    """Write the programs of the pages, the client and the callback into a folder."""
    text = "\n".join(page.read_text() for page in PAGES)
    for suffix, marker in (("py", "PYTHON"), ("sh", "BASH")):
        pattern = rf"^cat > (\w+\.{suffix}) <<'{marker}'\n(.*?)^{marker}$"
        for name, program in re.findall(pattern, text, re.MULTILINE | re.DOTALL):
            (folder / name).write_text(program)
    for name in ("client", "lightning"):
        (folder / f"unetsweep_{name}.py").write_bytes((Path(client.__file__).parent / f"{name}.py").read_bytes())
    (folder / "killed.py").write_text(KILLED)


def digest(run: Path) -> str:
    """A digest of the weights in the last checkpoint of a run."""
    import torch

    found = torch.load(run / "checkpoints" / "last.ckpt", weights_only=False)
    total = hashlib.sha256()
    for name, tensor in sorted((found.get("model") or found["state_dict"]).items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    return total.hexdigest()


def epochs_of(run: Path, claim: str) -> list[int]:
    """The epochs that a start of a run reported."""
    return [json.loads(line)["epoch"] for line in (run / f"progress-{claim}.jsonl").read_text().splitlines()]
