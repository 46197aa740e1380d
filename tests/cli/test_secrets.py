"""A key of Comet's is read from the environment and stands nowhere else."""

import secrets
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_sweeps import Place

SWEEP = """\
data: {root: images, split: {val: 0.25}, image_size: 16}
space: {epochs: [1], batch_size: [4], learning_rate: [1e-3]}
model: {base: 2, depth: 1}
trainer: {augment: none, comet: offline}
run: {reconcile_interval: 5}
"""


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below, and what is packed into those that are archives."""
    for path in folder.rglob("*"):
        yield str(path), str(path).encode()
        if path.is_file():
            yield str(path), path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{path}/{name}", archive.read(name)) for name in archive.namelist())


class Listener(threading.Thread):
    """Looks at the command lines of all processes, again and again."""

    def __init__(self, secret: str) -> None:
        super().__init__(daemon=True)
        self.secret, self.done = secret.encode(), threading.Event()
        self.looks, self.seen, self.words = 0, set[bytes](), set[bytes]()

    def run(self) -> None:
        while not self.done.wait(0.05):
            self.looks += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                self.words |= set(line.split(b"\0"))
                if self.secret in line:
                    self.seen.add(line)


def test_a_key_is_in_no_file_no_log_no_table_and_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secret = secrets.token_hex(16)
    place = Place(tmp_path / "here")
    place.run("data", "sample", "images", "--size", 32, "--eyes", 3)
    (place.folder / "s.yaml").write_text(SWEEP)
    monkeypatch.setenv("COMET_API_KEY", secret)
    listener = Listener(secret)
    listener.start()
    said = [place.submit(place.folder / "s.yaml", "--watch")]
    said += [place.run("report", "s", "--format", form) for form in ("markdown", "csv", "json", "latex")]
    said += [place.run("status", "s"), place.run("logs", "s", 0)]
    place.wait_quiet()
    listener.done.set()
    listener.join()
    assert [result["state"] for result in place.results()] == ["complete"], place.account()
    assert list(place.root().glob("runs/*/comet/*.zip"))
    assert b"supervise" in listener.words
    assert not listener.seen
    assert not any(secret in done.stdout + done.stderr for done in said)
    assert not [name for name, content in contents(place.folder) if secret.encode() in content]
