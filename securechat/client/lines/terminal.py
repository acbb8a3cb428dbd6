"""The user's terminal: keys to the line interface, its lines to the screen.

``Terminal`` needs ``termios``; it edits the line itself, so that what comes in meanwhile never
destroys it. ``PlainTerminal`` is for where that is missing, or the screen is not a terminal: it
reads whole lines as the system hands them over.
"""

from __future__ import annotations

import codecs
import contextlib
import enum
import os
import queue
import selectors
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final, Protocol, TextIO

from securechat.client.lines.line_editor import Editor, View
from securechat.client.words.translation import _
from securechat.net.threads import start_thread

try:
    import termios
except ImportError:  # Windows
    HAS_TERMIOS = False
else:
    HAS_TERMIOS = True

__all__ = ["HAS_TERMIOS", "Interface", "PlainTerminal", "Terminal", "is_ansi", "open_terminal"]

_READ_BYTES: Final = 4096


class Interface(Protocol):
    """What a terminal shows: ``LineMode``. All calls come on the terminal's thread."""

    @property
    def finished(self) -> bool:
        """Whether it is over."""

    @property
    def prompt(self) -> str:
        """What stands before the line being typed."""

    @property
    def question(self) -> object | None:
        """What the next line answers, another object for each question; ``None``: the chat."""

    @property
    def secret(self) -> bool:
        """Whether what is typed must not be shown."""

    def take_output(self) -> list[str]:
        """Return the lines to show, and forget them."""

    def handle_line(self, line: str) -> None:
        """Take a line of the user."""

    def handle_events(self) -> None:
        """Look what has happened; called after each ``wake``."""

    def leave(self) -> None:
        """The user has gone."""


def is_ansi(term: str | None) -> bool:
    """Whether a terminal of this ``TERM`` understands escape sequences."""
    return bool(term) and term != "dumb"


class Terminal:
    """A terminal with line editing. Owned by the main thread; ``wake`` is safe from any thread."""

    def __init__(self, input_fd: int, screen: TextIO, *, ansi: bool) -> None:
        self._input_fd = input_fd
        self._screen = screen
        self._editor = Editor()
        self._view = View(ansi=ansi)
        self._receiver, self._waker = socket.socketpair()
        self._receiver.setblocking(False)
        self._waker.setblocking(False)

    def wake(self) -> None:
        """Have ``handle_events`` called soon."""
        with contextlib.suppress(OSError):  # full: it will wake anyhow; closed: it is over
            self._waker.send(b"\0")

    def close(self) -> None:
        """Give up what the terminal holds."""
        self._receiver.close()
        self._waker.close()

    def run(self, ui: Interface) -> None:
        """Serve ``ui`` until it is finished. The terminal is as before when this returns or raises.

        :raises KeyboardInterrupt: Ctrl-C, or the process was asked to end.
        """
        with selectors.DefaultSelector() as selector, self._cbreak():
            selector.register(self._input_fd, selectors.EVENT_READ)
            selector.register(self._receiver, selectors.EVENT_READ)
            try:
                self._handle_events(ui)
                self._refresh(ui)
                while not ui.finished:
                    for key, _mask in selector.select():
                        if key.fd == self._input_fd:
                            self._read(ui)
                        else:
                            with contextlib.suppress(BlockingIOError):
                                self._receiver.recv(_READ_BYTES)
                            self._handle_events(ui)
                    self._refresh(ui)
            finally:
                self._put(self._view.erase())

    def _handle_events(self, ui: Interface) -> None:
        ui.handle_events()
        self._editor.attend(ui.question, secret=ui.secret)

    def _read(self, ui: Interface) -> None:
        try:
            data = os.read(self._input_fd, _READ_BYTES)
        except OSError:  # the terminal is gone
            data = b""
        if not data:
            ui.leave()
        for line in self._editor.feed(data):
            ui.handle_line(line)
            self._editor.attend(ui.question, secret=ui.secret)
            if ui.finished:
                break
        if self._editor.left:
            ui.leave()

    def _refresh(self, ui: Interface) -> None:
        lines = ui.take_output()
        out = self._view.erase() if lines else ""
        out += "".join(f"{line}\n" for line in lines)
        if not ui.finished:
            columns = shutil.get_terminal_size().columns
            out += self._view.draw(ui.prompt, self._editor, columns)
        self._put(out)

    def _put(self, text: str) -> None:
        self._screen.write(text)
        self._screen.flush()

    # ---- modes of the terminal ----

    @contextlib.contextmanager
    def _cbreak(self) -> Iterator[None]:
        before = termios.tcgetattr(self._input_fd)
        wanted = termios.tcgetattr(self._input_fd)
        # Keys one by one and not echoed; Ctrl-C and Ctrl-Z keep their meaning. IEXTEN would take
        # away Ctrl-V and Ctrl-O.
        wanted[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        wanted[6][termios.VMIN] = 1
        wanted[6][termios.VTIME] = 0

        def set_mode(mode: list[object]) -> None:
            termios.tcsetattr(self._input_fd, termios.TCSADRAIN, mode)  # type: ignore[arg-type]

        def stop(number: int, frame: FrameType | None) -> None:
            self._put(self._view.erase())
            set_mode(before)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)  # the process stops here, and goes on here
            signal.signal(signal.SIGTSTP, stop)
            set_mode(wanted)
            self.wake()

        with _handlers(
            {
                signal.SIGTSTP: stop,
                signal.SIGTERM: _interrupt,
                signal.SIGHUP: _interrupt,
                signal.SIGWINCH: lambda number, frame: self.wake(),
            }
        ):
            set_mode(wanted)
            try:
                yield
            finally:
                set_mode(before)


class _Signal(enum.Enum):
    EVENTS = enum.auto()
    GONE = enum.auto()


class PlainTerminal:
    """Whole lines in, whole lines out. Owned by the main thread; ``wake`` is safe from any thread.

    The system echoes what is typed, passwords too; the question says so.
    """

    def __init__(self, input_fd: int, encoding: str, screen: TextIO) -> None:
        self._input_fd = input_fd
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._screen = screen
        self._inbox: queue.SimpleQueue[str | _Signal] = queue.SimpleQueue()

    def wake(self) -> None:
        """Have ``handle_events`` called soon."""
        self._inbox.put(_Signal.EVENTS)

    def close(self) -> None:
        """Give up what the terminal holds: nothing."""

    def run(self, ui: Interface) -> None:
        """Serve ``ui`` until it is finished.

        :raises KeyboardInterrupt: Ctrl-C.
        """
        start_thread("keyboard", self._read, daemon=True)  # it may stay blocked on the terminal
        asked: object | None = None
        while not ui.finished:
            ui.handle_events()
            for line in ui.take_output():
                print(line, file=self._screen, flush=True)
            if ui.secret and ui.question is not asked:
                visible = _("(it will be visible)")
                print(f"{ui.prompt}{visible}", file=self._screen, flush=True)
            asked = ui.question
            item = _Signal.EVENTS if ui.finished else self._inbox.get()
            if item is _Signal.GONE:
                ui.leave()
            elif isinstance(item, str):
                ui.handle_line(item)

    def _read(self) -> None:
        # Not through sys.stdin: a thread blocked inside of it breaks the interpreter's end.
        tail = ""
        with contextlib.suppress(OSError):  # the terminal is gone
            while data := os.read(self._input_fd, _READ_BYTES):
                *lines, tail = (tail + self._decoder.decode(data)).split("\n")
                for line in lines:
                    self._inbox.put(line.rstrip("\r"))
        self._inbox.put(_Signal.GONE)


_SignalHandler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def _handlers(wanted: dict[signal.Signals, _SignalHandler]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def open_terminal() -> Terminal | PlainTerminal:
    """Return what fits the standard input, which is a terminal, and the standard output."""
    if HAS_TERMIOS and sys.stdout.isatty():
        return Terminal(sys.stdin.fileno(), sys.stdout, ansi=is_ansi(os.environ.get("TERM")))
    return PlainTerminal(sys.stdin.fileno(), sys.stdin.encoding, sys.stdout)
