"""The full-screen view of a sweep: draws what a thread observes, and follows the keys.

Rule 1: it is drawn only if something has changed, and so rarely that fewer than `BYTES_PER_S` are written per second.
        A key is answered at once.
Rule 2: a scheduler that does not answer delays the next observation, but neither the keys nor the end of the view.
"""

import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime

from unetsweep.app.trial_peek import TrialPeek, peek
from unetsweep.app.watch import watch
from unetsweep.cli.echo import echo
from unetsweep.cli.keys import Keyboard
from unetsweep.cli.screen import Screen, full_screen
from unetsweep.cli.terminal import has_colours, this_terminal
from unetsweep.clock import utc_now
from unetsweep.core.live import LiveSweep
from unetsweep.report.live_frame import live_frame, neighbour, rows_of
from unetsweep.report.terminal_text import Line, Span, Terminal, fitted_line
from unetsweep.report.trial_frame import TrialPage, trial_frame
from unetsweep.store.sweep_dir import SweepDir

BYTES_PER_S = 1800
"""Slow connections still follow. An answer to a key may exceed it."""
DRAW_S = 1.0
"""Least time between two drawings without a key."""
KEY_S = 0.2
"""How long to wait for a key before looking whether there is something new."""
QUIET_S, END_S = 1.0, 10.0
"""How long the end of a reconciliation is waited for after the end of the view: without a message, then with one. One
that is killed would be repeated."""
_STEPS = {"up": -1, "down": 1, "page up": -10, "page down": 10, "first": -(10**9), "last": 10**9}


class _Stopped(Exception):
    """The view has ended, so no further observation is wanted."""


class Feed:
    """Observes a sweep in a thread of its own. `latest` is what it knows."""

    def __init__(self, directory: SweepDir, *, reconciles: bool) -> None:
        self.latest: LiveSweep | None = None
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._directory, self._reconciles = directory, reconciles
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Observe no more. A reconciliation in progress may end first."""
        self._stop.set()
        if self._reconciles:
            self._thread.join(QUIET_S)
            if self._thread.is_alive():
                echo("waiting for the end of a reconciliation …", err=True)
                self._thread.join(END_S)

    @property
    def has_ended(self) -> bool:
        """Whether the sweep is over. Raises the error that has ended the observation, if one has."""
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def _run(self) -> None:
        try:
            for found in watch(self._directory, reconciles=self._reconciles, wait=self._wait):
                self.latest = found
        except _Stopped:
            pass
        except BaseException as error:
            self._error = error

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped


class View:
    """What is on the screen, and what was drawn when."""

    def __init__(self, directory: SweepDir, screen: Screen) -> None:
        self._directory, self._screen = directory, screen
        self._selected: int | None = None
        self._opened: TrialPeek | None = None
        self._has_data = False
        self._drawn_at = 0.0
        self._pause = 0.0

    def press(self, key: str, sweep: LiveSweep | None) -> bool:
        """Do what a key asks for; return False if it ends the view."""
        if key == "back":
            was_open, self._opened = self._opened is not None, None
            return was_open
        if sweep is not None and self._opened is None:
            if key in _STEPS:
                self._selected = neighbour(rows_of(sweep), self._selected, _STEPS[key])
            elif key == "open":
                self._open(sweep)
        return True

    def _open(self, sweep: LiveSweep) -> None:
        selected = self._selected
        if selected not in {row.trial for row in rows_of(sweep)}:
            selected = self._selected = neighbour(rows_of(sweep), None, 0)
        if selected is not None:
            self._opened = peek(self._directory, sweep, selected)

    def update(self, sweep: LiveSweep | None, terminal: Terminal, now: datetime, *, at_once: bool) -> None:
        """Draw what has changed, if it is time to. `at_once`: a key was pressed."""
        clock = time.monotonic()
        if sweep is not None and not self._has_data:
            self._has_data = at_once = True
        if not at_once and clock - self._drawn_at < self._pause:
            return
        if self._opened is not None and sweep is not None and not at_once:
            self._opened = peek(self._directory, sweep, self._opened.number)
        before = self._screen.written
        self._screen.draw(self._lines(sweep, terminal, now), terminal.width)
        self._drawn_at = clock
        self._pause = max(DRAW_S, (self._screen.written - before) / BYTES_PER_S)

    def _lines(self, sweep: LiveSweep | None, terminal: Terminal, now: datetime) -> Sequence[Line]:
        if sweep is None:
            name = Span(self._directory.name, "bold")
            first = fitted_line([name, "  reading the state of its trials …"], terminal)
            return [first, *[()] * (terminal.height - 1)]
        if self._opened is not None:
            return trial_frame(_page(sweep.name, self._opened), terminal)
        return live_frame(sweep, terminal, now, self._selected)


def _page(sweep: str, opened: TrialPeek) -> TrialPage:
    facts = f", {opened.facts}" if opened.facts else ""
    title = f"trial {opened.number} of {sweep}: {opened.state}{facts}"
    reason = opened.reason if opened.reason != opened.state else ""
    return TrialPage(title, reason, opened.metric, opened.curve, opened.log, opened.lines)


def show_live(directory: SweepDir, *, reconciles: bool) -> LiveSweep | None:
    """Show the sweep until it is over, or the user ends the view with a key; then KeyboardInterrupt, as for Ctrl-C.

    Return what was known last.
    """
    feed = Feed(directory, reconciles=reconciles)
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    try:
        with full_screen(sys.stdout.fileno(), keyboard, colours=has_colours()) as screen:
            feed.start()
            _follow(feed, View(directory, screen), Keyboard(keyboard))
    finally:
        feed.stop()
    return feed.latest


def _follow(feed: Feed, view: View, keyboard: Keyboard) -> None:
    """Draw until the sweep is over."""
    keys: list[str] = ["start"]
    while True:
        view.update(feed.latest, this_terminal(), utc_now(), at_once=bool(keys))
        if feed.has_ended:
            return
        keys = keyboard.read(KEY_S)
        if not all(view.press(key, feed.latest) for key in keys):
            raise KeyboardInterrupt
