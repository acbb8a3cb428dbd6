"""Lines from a pipe: each is said and acknowledged; then we leave. For scripts.

What is read is text, whatever it looks like: a path is no command. Only the word ``exit`` on a line
ends the input, as it ends the chat on a terminal. A lost connection is the end: the script sees the
exit code, and knows better than we do whether to say it again.
"""

from __future__ import annotations

import codecs
import enum
import os
import queue
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final, TextIO

from securechat.client.client import Client
from securechat.client.events import (
    Delivered,
    Disconnected,
    Event,
    Failure,
    NamesReceived,
    NotDelivered,
    TextReceived,
    Welcome,
)
from securechat.client.words.refusals import refusal
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain, ngettext
from securechat.client.words.wording import Wording
from securechat.errors import NetworkError, SecureChatError
from securechat.net.threads import start_thread

__all__ = ["PipeMode"]

WINDOW_LINES: Final = 4
"""Most lines said and not acknowledged: enough to hide the round trip, few enough that no server
takes us for a flood."""

LINE_CHARACTERS: Final = 65_536
"""Longest line taken as one; a longer one is cut, so that endless input takes no endless memory."""

_LAST_LINE: Final = "exit"

_READ_BYTES: Final = 65_536


class _Signal(enum.Enum):
    EVENTS = enum.auto()
    END_OF_INPUT = enum.auto()


class PipeMode:
    """Says the lines of a pipe to one target. Owned by the main thread; ``wake`` is safe from any.

    :param target: a channel or nick.
    :param joining: wait until we are in ``target``, which the client joins by itself.
    :param screen: takes what others say.
    :param problems: takes what goes wrong.
    """

    def __init__(
        self,
        input_fd: int,
        target: str,
        *,
        joining: bool,
        screen: TextIO,
        problems: TextIO,
        clock: Callable[[], datetime],
    ) -> None:
        self.error: SecureChatError | None = None
        self._input_fd = input_fd
        self._target = target
        self._joining = joining
        self._screen = screen
        self._problems = problems
        self._clock = clock
        self._inbox: queue.SimpleQueue[str | _Signal | OSError] = queue.SimpleQueue()
        self._room = threading.Semaphore(WINDOW_LINES)
        self._open = 0
        self._failed = 0
        self._ready = False
        self._input_over = False
        self._over = False

    def wake(self) -> None:
        """Look at the events soon."""
        self._inbox.put(_Signal.EVENTS)

    def run(self, client: Client) -> bool:
        """Say all lines; return whether all were acknowledged. Blocks until then."""
        wording = Wording(client, self._clock)
        while not self._over and not (self._input_over and self._open == 0):
            item = self._inbox.get()
            if item is _Signal.EVENTS:
                while not self._over and (event := client.poll()) is not None:
                    self._show(wording, event)
                    self._handle(client, event)
            elif isinstance(item, str):
                self._say(client, item)
            else:
                self._input_over = True
                if isinstance(item, OSError):
                    self._failed += 1
                    self._problem(_("cannot read the input: {reason}", reason=item.strerror))
        if self._open:
            problem = ngettext(
                "{count} line was not acknowledged",
                "{count} lines were not acknowledged",
                self._open,
            )
            self._problem(problem)
        return not self._failed and not self._open and self._input_over

    def _handle(self, client: Client, event: Event) -> None:
        match event:
            case Welcome() if not self._joining:
                self._begin()
            case NamesReceived(joined=True) if client.same_name(event.channel, self._target):
                self._begin()
            case Failure() if not self._ready and self._joining:
                named = [name for name in event.context if client.same_name(name, self._target)]
                if named:
                    self.error = NetworkError(
                        "cannot join {target}: {reason}",
                        target=self._target,
                        reason=refusal(event.code, event.text),
                    )
                    self._over = True
            case Delivered():
                self._settle()
            case NotDelivered():
                self._failed += 1
                self._settle()
            case Disconnected(will_retry=False):
                self.error = event.error
                self._over = True
            case _:
                pass

    def _begin(self) -> None:
        if not self._ready:
            self._ready = True
            start_thread("input", self._read, daemon=True)  # may stay blocked on what feeds it

    def _say(self, client: Client, line: str) -> None:
        try:
            client.send(self._target, line)
        except SecureChatError as error:
            self._failed += 1
            self._problem(_("not sent: {error}", error=explain(error)))
            self._room.release()
        else:
            self._open += 1

    def _settle(self) -> None:
        self._open -= 1
        self._room.release()

    def _show(self, wording: Wording, event: Event) -> None:
        if isinstance(event, NotDelivered | Failure):
            self._problem(wording.line(event, self._target))
        elif isinstance(event, TextReceived) and not event.own:
            print(wording.line(event, self._target), file=self._screen, flush=True)

    def _problem(self, text: str) -> None:
        print(make_safe(text), file=self._problems, flush=True)

    # ---- on the input thread ----

    def _read(self) -> None:
        try:
            self._read_lines()
        except OSError as error:
            self._inbox.put(error)
        else:
            self._inbox.put(_Signal.END_OF_INPUT)

    def _read_lines(self) -> None:
        # Not through sys.stdin: a thread that is blocked inside of it breaks the interpreter's end.
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        tail = ""
        while data := os.read(self._input_fd, _READ_BYTES):
            *lines, tail = (tail + decoder.decode(data)).split("\n")
            for line in lines:
                if line.strip() == _LAST_LINE:
                    return
                self._hand_over(line)
            while len(tail) > LINE_CHARACTERS:
                self._hand_over(tail[:LINE_CHARACTERS])
                tail = tail[LINE_CHARACTERS:]
        tail += decoder.decode(b"", final=True)
        if tail.strip() != _LAST_LINE:
            self._hand_over(tail)

    def _hand_over(self, line: str) -> None:
        line = line.strip("\r")
        if line:
            self._room.acquire()
            self._inbox.put(line)
