"""A SLURM testbed that the faults damage, and that is repaired after each of them."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
TESTBED = HERE.parents[1] / "slurm" / "testbed"
SBIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"
NODES = ("n1", "n2", "n3", "n4")


def clean_environment() -> dict[str, str]:
    """The environment of this process, without the variables that change what SLURM's commands do."""
    prefixes = ("SLURM", "SBATCH", "SQUEUE", "TESTBED")
    env = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return {**env, "PATH": SBIN}


_reserved: list[IO[bytes]] = []
"""Locks on our port ranges, held until this process ends."""


def free_port() -> int:
    """The first of 105 ports, of which a testbed uses some, all free. They are reserved until this process ends."""
    for base in range(26000, 60000, 110):
        lock = (Path(tempfile.gettempdir()) / f"faults-port-{base}.{os.getuid()}.lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _reserved.append(lock)
        if all(_is_free(base + offset) for offset in (0, 1, 2, 101, 102, 103, 104)):
            return base
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until `condition` holds, at most so many seconds; return whether it did."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@dataclass(frozen=True)
class Bed:
    """One testbed: a SLURM cluster of processes on this machine."""

    variant: str
    """`none`: no accounting; `dbd`: sacct works."""
    dir: Path
    port: int

    @property
    def env(self) -> dict[str, str]:
        return {**clean_environment(), "SLURM_CONF": f"{self.dir}/etc/slurm.conf"}

    def start(self) -> None:
        self._script("start")

    def stop(self) -> None:
        self._script("stop")

    def _script(self, name: str) -> None:
        variables = {"TESTBED_VARIANT": self.variant, "TESTBED_DIR": str(self.dir), "TESTBED_PORT": str(self.port)}
        self.dir.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [TESTBED / name],
            env=clean_environment() | variables,
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
        )
        if done.returncode:
            raise RuntimeError(f"testbed {name}: {done.stderr}")

    def run(self, *command: str, check: bool = True) -> str:
        """The output of a client command. With `check` a failure raises RuntimeError."""
        done = subprocess.run(command, env=self.env, check=False, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    def pid(self, daemon: str) -> int:
        """The pid of `slurmctld`, `slurmdbd`, `slurmd-n1`, …; 0 if it does not run."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.dir / "pid" / f"{daemon}.pid").read_text())
            if "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
                return pid
        return 0

    def kill(self, daemon: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a daemon; after SIGKILL wait until it is gone."""
        os.kill(self.pid(daemon), number)
        if number == signal.SIGKILL and not until(lambda: not self.pid(daemon), 10):
            raise RuntimeError(f"{daemon} does not die")

    def boot(self, daemon: str) -> None:
        """Start a killed daemon again."""
        name, _, node = daemon.partition("-")
        command = [name, *(["-N", node] if node else [])]
        subprocess.run(command, env=self.env, check=True, capture_output=True, timeout=30)
        if not until(lambda: self.pid(daemon), 10):
            raise RuntimeError(f"{daemon} does not start")

    def queue(self, form: str = "%i", *more: str) -> list[str]:
        """The queue, one line per array element in squeue's format `form`."""
        return self.run("squeue", "-h", "-r", "--me", "-o", form, *more).splitlines()

    def processes(self) -> Iterator[tuple[int, str]]:
        """Pid and command line of every process of this cluster's jobs."""
        mine = f"SLURM_CONF={self.dir}/etc/slurm.conf".encode()
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                env = (path / "environ").read_bytes().split(b"\0")
                if mine in env and any(each.startswith(b"SLURM_JOB_ID=") for each in env):
                    command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    yield int(path.name), command

    def heal(self) -> None:
        """Bring the testbed back to its initial state: daemons run, nodes are idle, nothing of a job is left."""
        self._restore_daemons()
        for state in ("resume", "idle"):
            self.run("scontrol", "update", f"nodename={','.join(NODES)}", f"state={state}", check=False)
        self.run("scancel", "--quiet", "--me", check=False)
        if not until(lambda: not self.queue(), 20):
            raise RuntimeError(f"jobs do not leave the queue: {self.queue('%i %j %T %r')}")
        for pid, _ in list(self.processes()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._restart_old_slurmds()
        if not until(self._are_nodes_idle, 30):
            raise RuntimeError(f"nodes are not idle: {self.run('sinfo', '-N', '-h', check=False)}")

    def _restart_old_slurmds(self) -> None:
        """Restart each slurmd that is older than the controller. A killed controller may give out a job id again, and
        an old slurmd applies the memory limit of the first job with that id (observed: 400M instead of 3G)."""
        began = {name: (self.dir / "pid" / f"{name}.pid").stat().st_mtime for name in self._daemon_names()}
        for daemon in (name for name in began if began[name] < began["slurmctld"]):
            self.kill(daemon)
            self.boot(daemon)

    @staticmethod
    def _daemon_names() -> list[str]:
        return ["slurmctld", *(f"slurmd-{node}" for node in NODES)]

    def _restore_daemons(self) -> None:
        for daemon in ["slurmdbd"] * (self.variant == "dbd") + self._daemon_names():
            pid = self.pid(daemon)
            if pid:
                os.kill(pid, signal.SIGCONT)
            else:
                self.boot(daemon)
        if not until(lambda: self.run("squeue", "-h", check=False) is not None and self._answers(), 30):
            raise RuntimeError("the controller does not answer")

    def _answers(self) -> bool:
        done = subprocess.run(["sinfo", "-h"], env=self.env, check=False, capture_output=True, timeout=60)
        return done.returncode == 0

    def _are_nodes_idle(self) -> bool:
        idle = self.run("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N", check=False).split()
        if len(set(idle)) < len(NODES):
            self.run("scontrol", "update", f"nodename={','.join(NODES)}", "state=resume", check=False)
        return len(set(idle)) == len(NODES)
