"""A full screen on a terminal, of which only what has changed is written again.

rich's `Live` writes all lines of the screen for each change. On a large terminal that is more than 2 KB per second,
which is slow over ssh, so rich only measures the texts here.

Rule 1: the terminal is as before when the screen is left, for whatever reason.
"""

import contextlib
import os
import signal
import termios
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from rich.cells import cell_len

from unetsweep.report.terminal_text import Line, plain

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""The second screen, without a cursor; a line that reaches the edge does not wrap."""
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_ATTRIBUTES = {"bold": "1", "dim": "2", "reverse": "7"}
_Cell = tuple[str, str]
"""A character and its style."""


class Screen:
    """The lines that a terminal shows now."""

    def __init__(self, descriptor: int, *, colours: bool) -> None:
        self._descriptor = descriptor
        self._codes = {**_ATTRIBUTES, **(_COLOURS if colours else {})}
        self._lines: tuple[Line, ...] | None = None
        self._width = 0
        self.written = 0
        """Bytes that were written so far."""

    def draw(self, lines: Sequence[Line], width: int) -> bool:
        """Show these lines, for a terminal that is so many cells wide; return whether anything was written."""
        known = self._lines
        is_new = known is None or len(known) != len(lines) or self._width != width
        before: Sequence[Line] = [()] * len(lines) if known is None or is_new else known
        changes = [self._change(at, new, old) for at, (new, old) in enumerate(zip(lines, before, strict=True))]
        text = ("\x1b[0m\x1b[2J" if is_new else "") + "".join(changes)
        self._lines, self._width = tuple(lines), width
        if text:
            self._write(text)
        return bool(text)

    def _change(self, at: int, new: Line, old: Line) -> str:
        """What turns one line into another one; empty: they are equal."""
        if new == old:
            return ""
        cells, before = _cells(new), _cells(old)
        start, end = 0, len(cells)
        if all(cell_len(plain(line)) == len(plain(line)) for line in (new, old)):
            start = _equal(cells, before)
            if len(cells) == len(before):
                end -= _equal(cells[start:][::-1], before[start:][::-1])
        else:  # a character takes two cells or none, so the cells are not counted
            before = [*cells, ("", "")]
        rest = "\x1b[K" if len(before) > len(cells) else ""
        return f"\x1b[{at + 1};{start + 1}H{self._styled(cells[start:end])}{rest}"

    def _styled(self, cells: Sequence[_Cell]) -> str:
        found, style = [], ""
        for character, wanted in cells:
            code = self._codes.get(wanted, "")
            if code != style:
                found.append(f"\x1b[0;{code}m" if code else "\x1b[0m")
                style = code
            found.append(character)
        return "".join(found) + ("\x1b[0m" if style else "")

    def _write(self, text: str) -> None:
        left = text.encode("utf-8", "replace")
        self.written += len(left)
        while left:
            left = left[os.write(self._descriptor, left) :]


def _cells(line: Line) -> list[_Cell]:
    return [(character, span.style) for span in line for character in span.text]


def _equal(some: Sequence[_Cell], others: Sequence[_Cell]) -> int:
    """How many cells at the beginning are equal."""
    count = 0
    for one, other in zip(some, others, strict=False):
        if one != other:
            break
        count += 1
    return count


@contextlib.contextmanager
def full_screen(output: int, keyboard: int | None, *, colours: bool) -> Iterator[Screen]:
    """A screen on the terminal `output`, whose keys are read one by one from `keyboard` (None: there is none).

    The signals that end the process end the block first, with SystemExit.
    """
    before = None if keyboard is None else termios.tcgetattr(keyboard)
    handlers = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    screen = Screen(output, colours=colours)
    try:
        if keyboard is not None and before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, _raw(before))
        screen._write(_ENTER)
        yield screen
    finally:
        with contextlib.suppress(OSError):  # the terminal is gone
            screen._write(_LEAVE)
        if keyboard is not None and before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _raw(settings: list[Any]) -> list[Any]:
    """The settings of a terminal whose keys are read one by one and not printed. Ctrl-C is still a signal, Ctrl-Z is
    none: a shell would show its prompt on our screen."""
    found = [*settings[:6], list(settings[6])]
    found[3] &= ~(termios.ICANON | termios.ECHO)
    found[6][termios.VMIN], found[6][termios.VTIME], found[6][termios.VSUSP] = 1, 0, b"\0"
    return found


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
