"""One reconciliation at a time: a lease in the sweep's directory. It saves work; safety comes from link().

Rule 1: the lease is held while its file's mtime is younger than 30 s by the file server's clock
(the mtime of a probe file written now), or until its holder is seen dead on this host.
Rule 2: who finds it held leaves a mark and goes; the holder looks for marks before and after it lets go.
"""

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from unetsweep.errors import StateError
from unetsweep.process import Identity, boot_id
from unetsweep.records import LeaseFile, link_record, read_record

RENEW_S = 5.0
EXPIRE_S = 30.0


class Lease:
    """The right to reconcile one sweep's directory."""

    def __init__(self, path: Path, *, renew_s: float = RENEW_S, expire_s: float = EXPIRE_S) -> None:
        self._path = path
        self._renew_s = renew_s
        self._expire_s = expire_s
        self._name = secrets.token_hex(8)

    def run(self, turn: Callable[[], None], *, patience_s: float = 0.0) -> bool:
        """Make `turn` under the lease, once more for each mark left meanwhile; False when another
        pass holds it and did not let go within `patience_s`: then a mark was left for it."""
        while True:
            if not self._taken(patience_s):
                self._leave_mark()
                # the holder may have looked for marks just before ours was there
                if not self._taken(0.0):
                    return False
            self._hold(turn)
            if not self._marks():
                return True

    def _hold(self, turn: Callable[[], None]) -> None:
        done = threading.Event()
        renewer = threading.Thread(target=self._renew, args=(done,), daemon=True)
        renewer.start()
        try:
            while True:
                for mark in self._marks():
                    mark.unlink(missing_ok=True)
                turn()
                if not self._marks():
                    return
        finally:
            done.set()
            renewer.join()
            if self._is_ours():
                self._path.unlink(missing_ok=True)

    def _renew(self, done: threading.Event) -> None:
        while not done.wait(self._renew_s):
            with contextlib.suppress(OSError):
                if self._is_ours():
                    os.utime(self._path)

    def _taken(self, patience_s: float) -> bool:
        until = time.monotonic() + patience_s
        while True:
            if self._create() or (self._is_stale() and self._steal() and self._create()):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.2)

    def _create(self) -> bool:
        me = Identity.of_this_process()
        return link_record(self._path, LeaseFile(self._name, socket.gethostname(), me.boot, me.pid, me.start))

    def _is_ours(self) -> bool:
        try:
            return read_record(LeaseFile, self._path).name == self._name
        except (OSError, StateError):
            return False

    def _is_stale(self) -> bool:
        try:
            written = self._path.stat().st_mtime
        except FileNotFoundError:
            return False
        if not self._holder_lives(self._path):
            return True
        return file_server_time(self._path) - written > self._expire_s

    def _steal(self) -> bool:
        """Move the stale lease away; if what we moved turns out to be a fresh one, put it back."""
        loot = self._path.with_name(f".{self._path.name}.{self._name}.stale")
        try:
            os.rename(self._path, loot)
        except FileNotFoundError:
            return True
        try:
            fresh = file_server_time(self._path) - loot.stat().st_mtime <= self._expire_s and self._holder_lives(loot)
            if fresh:
                with contextlib.suppress(FileExistsError):
                    os.link(loot, self._path)
            return not fresh
        finally:
            loot.unlink(missing_ok=True)

    def _holder_lives(self, path: Path) -> bool:
        """False only where the holder is seen dead. A lease that cannot be read may be a fresh one that is not
        there whole yet, on a network file system: its age alone tells."""
        try:
            holder = read_record(LeaseFile, path)
        except (StateError, FileNotFoundError):
            return True
        return holder.boot != boot_id() or Identity(holder.boot, holder.pid, holder.start).is_alive()

    def _leave_mark(self) -> None:
        self._path.with_name(f"{self._path.name}.mark-{self._name}").touch()

    def _marks(self) -> list[Path]:
        return list(_glob(self._path))


def file_server_time(beside: Path) -> float:
    """Now, by the clock that stamps the files beside this one: seconds since 1970."""
    probe = beside.with_name(f".{beside.name}.{secrets.token_hex(4)}.probe")
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _glob(path: Path) -> Iterator[Path]:
    return path.parent.glob(f"{path.name}.mark-*")
