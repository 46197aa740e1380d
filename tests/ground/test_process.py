"""A process is identified by boot, pid and start time together."""

import ast
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from unetsweep import package, process
from unetsweep.cli import main
from unetsweep.process import Identity, _start, boot_id
from unetsweep.worker import supervisor


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def identity(pid: int) -> Identity:
    return Identity(boot_id(), pid, _start(pid) or 0)


def test_the_identity_of_this_process_is_alive():
    me = Identity.of_this_process()
    assert me.pid == os.getpid()
    assert me.is_alive()
    assert Identity.of(me.pid) == me


def test_a_killed_process_is_not_alive_even_as_a_zombie(sleeper: "subprocess.Popen[bytes]"):
    known = identity(sleeper.pid)
    assert known.is_alive()
    sleeper.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not known.is_alive()
    sleeper.wait()
    assert not known.is_alive()


def test_a_process_with_the_same_pid_is_not_the_same_process(sleeper: "subprocess.Popen[bytes]"):
    known = identity(sleeper.pid)
    assert not replace(known, start_ticks=known.start_ticks - 1).is_alive()
    assert not replace(known, boot="0" * 36).is_alive()


def test_a_process_name_with_spaces_and_parentheses_is_parsed():
    script = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) R (b'); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as named:
        assert named.stdout is not None
        named.stdout.readline()
        known = identity(named.pid)
        assert known.is_alive()
        named.kill()
        os.waitid(os.P_PID, named.pid, os.WEXITED | os.WNOWAIT)
        assert not known.is_alive()


def test_an_empty_identity_is_not_alive():
    assert not Identity("", 0, 0).is_alive()


def test_a_child_is_killed_with_its_parent():
    script = (
        "import subprocess, sys; from unetsweep.process import die_with_parent;"
        "p = subprocess.Popen(['sleep', '60'], preexec_fn=die_with_parent(), stdout=subprocess.DEVNULL);"
        "print(p.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = identity(int(parent.stdout.readline()))
        assert child.is_alive()
        parent.kill()
    until = time.monotonic() + 10
    while child.is_alive():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_our_programs_import_nothing_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("unetsweep", "numpy", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('code of the working directory')\n")
    started: list[list[str]] = []
    monkeypatch.setattr(process, "start", lambda command, **_: started.append(command) or subprocess.Popen(["true"]))
    assert supervisor.train_ranks_by_hand(tmp_path / "config.json", tmp_path / "out", 2) == 0
    assert len(started) == 2
    for command in (started[0], process.program("unetsweep", "--version")):
        done = subprocess.run([*command[:4], "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "code of the working directory" not in done.stderr + done.stdout
        assert "unetsweep" in done.stderr + done.stdout


def test_every_python_that_the_package_starts_gets_the_safe_path_option():
    """`-P` follows the interpreter wherever one is started. The doctor's payload is exempt: its Python may be too old
    for the option, and it runs in a folder that contains only its own files."""
    for path in sorted(set(package.folder().rglob("*.py")) - set(package.folder().rglob("payload.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.List) and ast.unparse(node.elts[0] if node.elts else node) == "sys.executable":
                assert ast.unparse(node.elts[1]) == "'-P'", f"{path}:{node.lineno}"


@pytest.mark.parametrize("given", [":/lib", "/lib::/opt"])
def test_an_empty_element_of_pythonpath_does_not_add_the_working_directory(
    given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", given)
    monkeypatch.setattr(sys, "path", ["/lib", str(tmp_path), "/usr"])
    monkeypatch.setattr(main, "program", lambda: None)
    main.main()
    assert str(tmp_path) not in sys.path
    assert os.environ["PYTHONPATH"] == given.strip(":").replace("::", ":")
