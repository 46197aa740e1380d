"""A process is known by boot, pid and start time together."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from unetsweep.adapters.process import Identity, _start, boot_id


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def identity(pid: int) -> Identity:
    return Identity(boot_id(), pid, _start(pid) or 0)


def test_this_process_is_alive_and_reads_itself_back():
    me = Identity.of_this_process()
    assert me.pid == os.getpid()
    assert me.is_alive()
    assert Identity.from_json(me.as_json()) == me


def test_a_killed_process_is_not_alive_even_as_a_zombie(sleeper: "subprocess.Popen[bytes]"):
    known = identity(sleeper.pid)
    assert known.is_alive()
    sleeper.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not known.is_alive()
    sleeper.wait()
    assert not known.is_alive()


def test_another_process_with_the_same_pid_is_another(sleeper: "subprocess.Popen[bytes]"):
    known = identity(sleeper.pid)
    assert not replace(known, start=known.start - 1).is_alive()
    assert not replace(known, boot="0" * 36).is_alive()


def test_a_name_with_spaces_and_brackets_is_no_trap():
    script = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) R (b'); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as named:
        assert named.stdout is not None
        named.stdout.readline()
        known = identity(named.pid)
        assert known.is_alive()
        named.kill()
        os.waitid(os.P_PID, named.pid, os.WEXITED | os.WNOWAIT)
        assert not known.is_alive()


def test_what_is_no_identity_is_nobody():
    assert not Identity.from_json({}).is_alive()


def test_what_is_tied_to_us_dies_with_us():
    script = (
        "import subprocess, sys; from unetsweep.adapters.process import tied_to_us;"
        "p = subprocess.Popen(['sleep', '60'], preexec_fn=tied_to_us(), stdout=subprocess.DEVNULL);"
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
