"""The full screen: what is written for each change, and that the terminal is restored. On a real pseudo-terminal."""

import os
import re
import signal
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from live_models import HOSTILE, NOW, make_live, running, usual

from unetsweep.cli import live_view
from unetsweep.cli.keys import Keyboard
from unetsweep.cli.live_view import BYTES_PER_S, View, show_live
from unetsweep.cli.screen import Screen, full_screen
from unetsweep.core.live import LiveSweep
from unetsweep.errors import StateError
from unetsweep.report.live_frame import live_frame
from unetsweep.report.terminal_text import Line, Span, Terminal, plain
from unetsweep.store.sweep_dir import SweepDir

SMALL, LARGE = Terminal(80, 24), Terminal(160, 50)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal: that of the terminal and that of the program."""
    ends = os.openpty()
    yield ends
    for each in ends:
        os.close(each)


def read_all(descriptor: int) -> str:
    """What the terminal has received so far."""
    os.set_blocking(descriptor, False)
    found = b""
    try:
        while chunk := os.read(descriptor, 65536):
            found += chunk
    except BlockingIOError:
        pass
    return found.decode()


def displayed(text: str, terminal: Terminal) -> list[str]:
    """The lines that a terminal shows after it has received a text of `Screen`."""
    rows = [[" "] * terminal.width for _ in range(terminal.height)]
    row = column = 0
    for found in re.finditer(r"\x1b\[([?0-9;]*)([A-Za-z])|([^\x1b])", text):
        numbers, command, character = found.groups()
        if character is not None:
            rows[row][column] = character
            column += 1
        elif command == "H":
            row, column = (int(each) - 1 for each in numbers.split(";"))
        elif command == "K":
            rows[row][column:] = [" "] * (terminal.width - column)
        elif command == "J":
            rows = [[" "] * terminal.width for _ in range(terminal.height)]
    return ["".join(each).rstrip() for each in rows]


def frames_of_a_minute(epoch_s: int = 10) -> list[LiveSweep]:
    """A sweep in which each of 40 trainings finishes an epoch in so many seconds, and a trial ends every 15 s."""
    found = []
    for second in range(60):
        trials = [running(number, 300) for number in range(40)]
        moved = [
            replace(
                each, curve=(*each.curve, *((each.epoch + i, 0.7 + i / 1e4) for i in range((second + n) // epoch_s)))
            )
            for n, each in enumerate(trials)
        ]
        moved = [replace(each, epoch=len(each.curve)) for each in moved]
        found.append(make_live(*moved, complete=9 + second // 15, at=NOW + timedelta(seconds=second)))
    return found


def test_a_sequence_of_frames_shows_the_last_one(pipe: tuple[int, int]) -> None:
    screen, text = Screen(pipe[1], colours=True), ""
    for selected, sweep in enumerate([usual(), *frames_of_a_minute()[:9], make_live()]):
        frame = live_frame(sweep, SMALL, NOW, selected)
        screen.draw(frame, SMALL.width)
        text += read_all(pipe[0])
        assert displayed(text, SMALL) == [plain(line).rstrip() for line in frame]


def test_nothing_is_written_for_an_equal_frame_and_little_for_a_small_change(pipe: tuple[int, int]) -> None:
    screen = Screen(pipe[1], colours=True)
    first, second = frames_of_a_minute()[:2]
    assert screen.draw(live_frame(first, LARGE, NOW), LARGE.width)
    before = screen.written
    assert not screen.draw(live_frame(first, LARGE, NOW), LARGE.width)
    assert screen.written == before
    assert screen.draw(live_frame(second, LARGE, NOW), LARGE.width)
    assert 0 < screen.written - before < 1500


def test_another_size_of_the_terminal_draws_everything_again(pipe: tuple[int, int]) -> None:
    screen = Screen(pipe[1], colours=False)
    for terminal in (SMALL, Terminal(60, 20), LARGE):
        frame = live_frame(usual(), terminal, NOW)
        screen.draw(frame, terminal.width)
        assert displayed(read_all(pipe[0]), terminal) == [plain(line) for line in frame]


def test_lines_with_wide_characters_are_written_as_a_whole(pipe: tuple[int, int]) -> None:
    screen = Screen(pipe[1], colours=False)
    frames: list[list[Line]] = [[(Span("画像 one"),)], [(Span("画像 two"),)], [(Span("x"),)]]
    texts = []
    for frame in frames:
        screen.draw(frame, 20)
        texts.append(read_all(pipe[0]))
    assert texts[1].startswith("\x1b[1;1H画像 two")
    assert texts[2] == "\x1b[1;1Hx\x1b[K"


def test_without_colours_attributes_are_left(pipe: tuple[int, int]) -> None:
    for colours, code in ((True, "31"), (False, None)):
        Screen(pipe[1], colours=colours).draw([(Span("a", "red"), Span("b", "bold"))], 9)
        codes = re.findall(r"\x1b\[0;(\d+)m", read_all(pipe[0]))
        assert codes == [*([code] if code else []), "1"]


@pytest.mark.parametrize("terminal", [SMALL, LARGE])
@pytest.mark.parametrize("epoch_s", [10, 1])
def test_less_than_2_kb_per_second_are_written(
    terminal: Terminal, epoch_s: int, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    screen = Screen(pipe[1], colours=True)
    view, written = View(SweepDir(tmp_path / "grid"), screen), []
    for sweep in frames_of_a_minute(epoch_s):
        for _ in range(5):  # as often as keys are looked for
            view.update(sweep, terminal, sweep.at, at_once=False)
            clock[0] += 0.2
        read_all(pipe[0])
        written.append(screen.written)
    assert written[-1] - written[9] > 1000  # it does follow
    assert (written[-1] - written[9]) / 50 < 2000
    assert written[-1] / 60 < BYTES_PER_S + written[0] / 60


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"\x1b[A\x1b[Bjk", ["up", "down", "down", "up"]),
        (b"\x1bOA\r", ["up", "open"]),
        (b"\x1b", ["back"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[F", ["page up", "page down", "first", "last"]),
        (b"q", ["back"]),
        (b"\x1b[200~x\xff\x1b[1;5C", []),
    ],
)
def test_keys_are_recognised(sent: bytes, keys: list[str]) -> None:
    reading, writing = os.pipe()
    os.write(writing, sent)
    keyboard = Keyboard(reading)
    assert keyboard.read(0.0) == keys
    os.close(writing)
    assert keyboard.read(0.0) == keyboard.read(0.0) == []  # the terminal is gone
    os.close(reading)


# ---- the whole view, with keys from a real pseudo-terminal


class Person:
    """Presses keys when a text is on the screen."""

    def __init__(self, terminal: int, steps: list[tuple[str, bytes | Callable[[], None]]]) -> None:
        self.seen = ""
        self._terminal, self._steps = terminal, steps
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        deadline = time.monotonic() + 20
        for text, step in self._steps:
            since = len(self.seen)
            while text not in self.seen[since:] and time.monotonic() < deadline:
                self.seen += read_all(self._terminal)
                time.sleep(0.01)
            step() if callable(step) else os.write(self._terminal, step)

    def end(self) -> str:
        """Everything that the terminal has received."""
        self._thread.join()
        return self.seen + read_all(self._terminal)


@pytest.fixture
def view(pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SweepDir]:
    """A sweep whose view is on the pseudo-terminal."""
    with open(pipe[1], closefd=False) as keys, open(pipe[1], "w", closefd=False) as lines:
        monkeypatch.setattr(live_view, "sys", SimpleNamespace(stdin=keys, stdout=lines))
        for name, value in (("COLUMNS", "80"), ("LINES", "24"), ("TERM", "xterm"), ("LC_ALL", "C.UTF-8")):
            monkeypatch.setenv(name, value)
        yield SweepDir(tmp_path / "grid")


def watched(monkeypatch: pytest.MonkeyPatch, *models: LiveSweep, error: Exception | None = None) -> None:
    """Let the view get these models; after the last one an error, or nothing any more."""

    def watch(_: SweepDir, *, reconciles: bool, wait: Callable[[float], object]) -> Iterator[LiveSweep]:
        for model in models:
            yield model
            if not model.is_over and error is None:
                wait(30.0)
        if error is not None:
            raise error

    monkeypatch.setattr(live_view, "watch", watch)


def settings(descriptor: int) -> list[object]:
    return termios.tcgetattr(descriptor)


def check_restored(text: str, before: list[object], pipe: tuple[int, int]) -> None:
    assert text.startswith("\x1b[?1049h")
    assert text.endswith("\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l")
    assert settings(pipe[1]) == before


def test_arrows_select_a_row_enter_opens_it_and_esc_and_q_go_back(
    view: SweepDir, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(monkeypatch, usual())
    before = settings(pipe[1])
    person = Person(
        pipe[0],
        [
            ("0008", b"\x1b[B\x1b[B\x1b[B"),
            ("0005", b"\r"),
            ("trial 5 of grid: running", b"\x1b"),
            ("best: trial 3", b"q"),
        ],
    )
    with pytest.raises(KeyboardInterrupt):
        show_live(view, reconciles=False)
    text = person.end()
    assert "val_IoU by epoch" in text
    assert "the log cannot be found" in text
    check_restored(text, before, pipe)


def test_a_sweep_that_ends_leaves_the_screen_and_returns_its_last_state(
    view: SweepDir, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, last = settings(pipe[1]), make_live(is_over=True)
    watched(monkeypatch, last)
    assert show_live(view, reconciles=True) is last
    check_restored(read_all(pipe[0]), before, pipe)


@pytest.fixture
def with_interrupts() -> Iterator[None]:
    """Ctrl-C as for a command in the foreground: it is ignored if the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("with_interrupts")
@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)],
)
def test_the_terminal_is_restored_after_a_signal(
    number: signal.Signals,
    raised: type[BaseException],
    view: SweepDir,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, handlers = settings(pipe[1]), [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)]
    watched(monkeypatch, usual())
    person = Person(pipe[0], [("0008", lambda: os.kill(os.getpid(), number))])
    with pytest.raises(raised):
        show_live(view, reconciles=False)
    check_restored(person.end(), before, pipe)
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)] == handlers


def test_an_error_of_the_observation_ends_the_view_and_is_raised(
    view: SweepDir, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = settings(pipe[1])
    watched(monkeypatch, usual(), error=StateError("trials: this folder is missing"))
    with pytest.raises(StateError, match="this folder is missing"):
        show_live(view, reconciles=False)
    check_restored(read_all(pipe[0]), before, pipe)


def test_without_a_keyboard_the_view_only_shows(pipe: tuple[int, int]) -> None:
    with full_screen(pipe[1], None, colours=False) as screen:
        screen.draw([(Span(HOSTILE.encode("ascii", "replace").decode().split("\x1b")[0].replace("\n", " ")),)], 80)
    assert "boom 0009" in read_all(pipe[0])
