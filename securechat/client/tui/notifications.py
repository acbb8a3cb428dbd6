"""Calling the user who looks elsewhere: by the bell, or by a notification of the desktop.

A terminal shows notifications by an escape sequence, so that it works from a far machine as well::

    OSC 777    ESC ] 777 ; notify ; title ; body BEL     urxvt, foot, ghostty, WezTerm, VTE
    OSC 99     ESC ] 99 ; i=id:d=0 ; title ST            kitty, foot
               ESC ] 99 ; i=id:p=body ; body ST

What does not know them ignores them. tmux keeps them to itself unless they are wrapped, and then
passes them on where the user has set ``allow-passthrough``.

Nothing here knows a user interface. What others have written is made safe for the sequence it goes
into.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Final, Literal

from securechat.client.chat.buffers import Notify, safe_lines

__all__ = [
    "ANY_EVERY_S",
    "BODY_CHARACTERS",
    "EVERY_S",
    "TITLE_CHARACTERS",
    "Notifier",
    "NotifyMode",
    "best_mode",
    "wants",
]

NotifyMode = Literal["off", "bell", "osc777", "osc99"]
"""How the user is called: not at all, by the bell, by a notification of the desktop."""

EVERY_S: Final = 3.0
"""At most one notification in that time for a conversation: the first calls the user, the others
would only disturb."""

ANY_EVERY_S: Final = 0.5
"""At most one in that time for all together: many strangers are no reason to ring without end."""

TITLE_CHARACTERS: Final = 60
"""Longest title; desktops show one line."""

BODY_CHARACTERS: Final = 200
"""Longest body: enough to know what it is about, and within what a terminal takes in a sequence."""

_BELL: Final = "\a"
_ST: Final = "\x1b\\"


def wants(notify: Notify, *, mention: bool, private: bool, focused_here: bool) -> bool:
    """Return whether a text of somebody else calls the user.

    :param notify: what the user has chosen for the conversation.
    :param mention: it mentions the user.
    :param private: it is for nobody else.
    :param focused_here: the user has the conversation before the eyes.
    """
    if focused_here or notify == "none":
        return False
    return notify == "all" or mention or private


def best_mode(environ: Mapping[str, str] = os.environ) -> NotifyMode:
    """Return the way of the desktop that the terminal is most likely to know."""
    kitty = environ.get("TERM") == "xterm-kitty" or "KITTY_WINDOW_ID" in environ
    return "osc99" if kitty else "osc777"


class Notifier:
    """Calls the user, but not too often. Owned by the user interface's thread.

    :param write: sends characters to the terminal, between two frames of what is drawn.
    :param mode: how; it can be changed at any time.
    :param environ: tells whether this runs within tmux.
    :param clock: the monotonic time in seconds.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        mode: NotifyMode,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mode: NotifyMode = mode
        self._write = write
        self._in_tmux = bool(environ.get("TMUX"))
        self._clock = clock
        self._called: dict[Hashable, float] = {}  # conversation → when last, of the newest ones
        self._number = 0

    def notify(self, conversation: Hashable, title: str, body: str) -> bool:
        """Call the user; return whether that was done, or would have been too often.

        Title and body may be of others: they need not be safe. The bell says neither.
        """
        now = self._clock()
        self._called = {one: at for one, at in self._called.items() if now - at < EVERY_S}
        if self.mode == "off" or conversation in self._called:
            return False
        if any(now - at < ANY_EVERY_S for at in self._called.values()):
            return False
        self._called[conversation] = now
        self._number += 1
        self._write(self._sequence(_fit(title, TITLE_CHARACTERS), _fit(body, BODY_CHARACTERS)))
        return True

    def _sequence(self, title: str, body: str) -> str:
        if self.mode == "bell":
            return _BELL  # tmux has a use for it of its own
        if self.mode == "osc777":
            return self._passed_on(f"\x1b]777;notify;{title};{body}{_BELL}")
        # The number joins the two parts; another one is another notification.
        number = f"i=securechat-{self._number}"
        parts = f"\x1b]99;{number}:d=0;{title}{_ST}", f"\x1b]99;{number}:p=body;{body}{_ST}"
        return "".join(self._passed_on(part) for part in parts)

    def _passed_on(self, sequence: str) -> str:
        if not self._in_tmux:
            return sequence
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{doubled}{_ST}"


def _fit(text: str, limit: int) -> str:
    """Return ``text`` as one safe line for a part of a sequence, which ``;`` would end."""
    line = " ".join(safe_lines(text).split()).replace(";", ",")
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
