"""The Comet key is read from the environment and is written nowhere."""

import secrets
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import Workspace

pytestmark = pytest.mark.train

SWEEP = """\
data: {root: images, split: {val: 0.25}, image_size: 16}
space: {epochs: [1], batch_size: [4], learning_rate: [1e-3]}
model: {base: 2, depth: 1}
trainer: {augment: none, comet: offline}
run: {reconcile_interval: 5}
"""


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file, and of every file in an archive."""
    for path in folder.rglob("*"):
        yield str(path), str(path).encode()
        if path.is_file():
            yield str(path), path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{path}/{name}", archive.read(name)) for name in archive.namelist())


class CommandLineRecorder(threading.Thread):
    """Reads the command lines of all processes repeatedly, and records those with the secret."""

    def __init__(self, secret: str) -> None:
        super().__init__(daemon=True)
        self.secret, self.done = secret.encode(), threading.Event()
        self.found, self.arguments = set[bytes](), set[bytes]()

    def run(self) -> None:
        while not self.done.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                self.arguments |= set(line.split(b"\0"))
                if self.secret in line:
                    self.found.add(line)


def test_a_key_is_in_no_file_no_log_no_table_and_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secret = secrets.token_hex(16)
    workspace = Workspace(tmp_path / "here")
    workspace.run("data", "sample", "images", "--size", 32, "--eyes", 3)
    (workspace.folder / "s.yaml").write_text(SWEEP)
    monkeypatch.setenv("COMET_API_KEY", secret)
    recorder = CommandLineRecorder(secret)
    recorder.start()
    finished = [workspace.submit(workspace.folder / "s.yaml", "--watch")]
    finished += [workspace.run("report", "s", "--format", form) for form in ("markdown", "csv", "json", "latex")]
    finished += [workspace.run("status", "s"), workspace.run("logs", "s", 0)]
    workspace.wait_quiet()
    recorder.done.set()
    recorder.join()
    assert [result["state"] for result in workspace.results()] == ["complete"], workspace.logs()
    assert list(workspace.root().glob("runs/*/comet/*.zip"))
    assert b"supervise" in recorder.arguments
    assert not recorder.found
    assert not any(secret in done.stdout + done.stderr for done in finished)
    assert not [name for name, content in contents(workspace.folder) if secret.encode() in content]
