"""A lease in the sweep's directory, so that one reconciliation runs at a time.

The lease only avoids duplicate work. Without it link() still keeps two reconciliations from doing the same twice.

Rule 1: the lease is held while the mtime of its file is less than 30 s from now by the file server's clock (the mtime
        of a probe file written now), unless its holder is known to have died on this host. A time that is further in
        the future would otherwise block the sweep until then.
Rule 2: a process that finds the lease held leaves a mark and gives up. The holder checks for marks before and after it
        releases the lease, and reconciles once more for them.
"""

import contextlib
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from unetsweep.errors import LeaseError, StateError
from unetsweep.process import Identity, boot_id
from unetsweep.record_files import link_record, read_record
from unetsweep.records import LeaseFile
from unetsweep.regular_files import quarantine_file

RENEW_S = 5.0
"""How often the holder renews the lease: several times before it expires, even if a file server is slow."""
EXPIRE_S = 30.0
"""Age at which a lease counts as abandoned, even if its holder may be alive."""
RETRY_S = 0.2
"""Time between two attempts to acquire the lease, as long as the caller waits for it."""


class Lease:
    """The right to reconcile one sweep."""

    def __init__(self, path: Path, *, renew_s: float = RENEW_S, expire_s: float = EXPIRE_S) -> None:
        self._path = path
        self._renew_s = renew_s
        self._expire_s = expire_s
        self._name = secrets.token_hex(8)

    def run(self, action: Callable[[], None], *, patience_s: float = 0.0) -> bool:
        """Run `action` under the lease, and once more if marks are left while it runs.

        Returns False if another reconciliation holds the lease for longer than `patience_s`, and leaves a mark for it.
        """
        while True:
            if not self._acquire(patience_s):
                self._leave_mark()
                # the holder may have checked for marks just before ours existed
                if not self._acquire(0.0):
                    return False
            self._run_and_release(action)
            if not self._marks():
                return True

    def seems_held(self) -> bool:
        """Whether a process may hold the lease now. By this machine's clock: nothing is written to find out more."""
        try:
            written = self._path.stat().st_mtime
        except FileNotFoundError:
            return False
        return abs(time.time() - written) <= self._expire_s and self._may_be_held(self._path)

    def _run_and_release(self, action: Callable[[], None]) -> None:
        done = threading.Event()
        renewer = threading.Thread(target=self._renew, args=(done,), daemon=True)
        try:
            renewer.start()
        except RuntimeError as error:
            self._path.unlink(missing_ok=True)
            raise LeaseError(
                f"{self._path} cannot be held: {error} on {socket.gethostname()}. End some processes there, or raise "
                "their limit (ulimit -u), then try again"
            ) from None
        try:
            while True:
                for mark in self._marks():
                    mark.unlink(missing_ok=True)
                action()
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

    def _acquire(self, patience_s: float) -> bool:
        until = time.monotonic() + patience_s
        while True:
            if self._create() or (self._is_stale() and self._remove_stale() and self._create()):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(RETRY_S)

    def _create(self) -> bool:
        me = Identity.of_this_process()
        return link_record(self._path, LeaseFile(self._name, socket.gethostname(), me.boot, me.pid, me.start_ticks))

    def _is_ours(self) -> bool:
        try:
            return read_record(LeaseFile, self._path).name == self._name
        except (OSError, StateError):
            return False

    def _is_stale(self) -> bool:
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):  # not a lease: nobody holds it
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                quarantine_file(self._path)
            return False
        if not self._may_be_held(self._path):
            return True
        return abs(file_server_time(self._path) - found.st_mtime) > self._expire_s

    def _remove_stale(self) -> bool:
        """Remove the stale lease and return True. Keep a fresh one that has replaced it, and return False."""
        moved = self._path.with_name(f".{self._path.name}.{self._name}.stale")
        try:
            os.rename(self._path, moved)
        except FileNotFoundError:
            return True
        try:
            age = file_server_time(self._path) - moved.stat().st_mtime
            is_fresh = abs(age) <= self._expire_s and self._may_be_held(moved)
            if is_fresh:
                with contextlib.suppress(FileExistsError):
                    os.link(moved, self._path)
            return not is_fresh
        finally:
            moved.unlink(missing_ok=True)

    def _may_be_held(self, path: Path) -> bool:
        """Return False only if the holder is known to be dead.

        On a network file system, an unreadable lease may be a new one with incomplete content: only its age counts.
        """
        try:
            holder = read_record(LeaseFile, path)
        except (StateError, FileNotFoundError):
            return True
        return holder.boot != boot_id() or Identity(holder.boot, holder.pid, holder.start_ticks).is_alive()

    def _leave_mark(self) -> None:
        self._path.with_name(f"{self._path.name}.mark-{self._name}").touch()

    def _marks(self) -> list[Path]:
        return list(_glob(self._path))


def file_server_time(beside: Path) -> float:
    """Return the current time by the clock that stamps the files in the folder of `beside`, in seconds since 1970."""
    probe = beside.with_name(f".{beside.name}.{secrets.token_hex(4)}.probe")
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _glob(path: Path) -> Iterator[Path]:
    return (mark for mark in path.parent.glob(f"{path.name}.mark-*") if mark.is_file())
