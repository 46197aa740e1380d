"""The keys of a terminal whose keys are read one by one."""

import os
import re
import select
import time

_KEYS = {
    **dict.fromkeys((b"\x1b[A", b"\x1bOA", b"k"), "up"),
    **dict.fromkeys((b"\x1b[B", b"\x1bOB", b"j"), "down"),
    **dict.fromkeys((b"\x1b[H", b"\x1bOH", b"\x1b[1~", b"\x1b[7~"), "first"),
    **dict.fromkeys((b"\x1b[F", b"\x1bOF", b"\x1b[4~", b"\x1b[8~"), "last"),
    **dict.fromkeys((b"\r", b"\n"), "open"),
    **dict.fromkeys((b"\x1b", b"q", b"Q"), "back"),
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
}
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|.", re.DOTALL)
_REST_S = 0.05
"""How long after Esc the rest of a sequence may arrive: an arrow key sends Esc first."""


class Keyboard:
    """The keys that a terminal sends. `descriptor` None: there is no keyboard."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def read(self, seconds: float) -> list[str]:
        """The keys that were pressed, after so many seconds or as soon as there is one."""
        if self._descriptor is None:
            time.sleep(seconds)
            return []
        data = self._bytes(seconds)
        if data.endswith(b"\x1b") or re.search(rb"\x1b[\[O][0-9;]*\Z", data):
            data += self._bytes(_REST_S)
        return [key for found in _SEQUENCE.findall(data) if (key := _KEYS.get(found)) is not None]

    def _bytes(self, seconds: float) -> bytes:
        if self._descriptor is None or not select.select([self._descriptor], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self._descriptor, 1024)
        except OSError:  # the terminal is gone
            data = b""
        if not data:
            self._descriptor = None
        return data
