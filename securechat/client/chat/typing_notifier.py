"""When to tell others that we are typing (https://ircv3.net/specs/client-tags/typing)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["IDLE_S", "INTERVAL_S", "TypingNotifier", "TypingState"]

TypingState = Literal["active", "paused", "done"]

INTERVAL_S: Final = 3.0
"""Shortest time between two notifications to one target, in seconds; the specification asks for it.
Others take somebody for typing for 6 seconds after each ``active``."""

IDLE_S: Final = 5.0
"""Seconds without a change of the text after which typing is paused."""


@dataclass(slots=True)
class _Target:
    """What one target has been told, and is to be told as soon as it may."""

    told: TypingState = "done"
    told_at: float = float("-inf")
    wanted: TypingState | None = None
    edited_at: float = float("-inf")


class TypingNotifier:
    """Decides which notifications to send. Owned by the user interface's thread.

    :param send: is called with the target and the state, on the thread that calls the methods.
    :param clock: the time in seconds, monotonic.
    """

    def __init__(
        self, send: Callable[[str, TypingState], None], clock: Callable[[], float]
    ) -> None:
        self._send = send
        self._clock = clock
        self._targets: dict[str, _Target] = {}

    def edited(self, target: str, text: str) -> None:
        """The text for ``target`` is another one now. Slash-commands are nobody's business."""
        state = self._targets.setdefault(target, _Target())
        if text and (not text.startswith("/") or text.startswith("//")):
            state.wanted, state.edited_at = "active", self._clock()
        else:
            state.wanted = "done" if state.told != "done" else None
        self._flush(target, state)

    def sent(self, target: str) -> None:
        """The text has been sent, which says by itself that nobody is typing it any more."""
        state = self._targets.get(target)
        if state is not None:
            state.told, state.wanted = "done", None

    def tick(self) -> None:
        """Send what is due. To be called about once a second."""
        now = self._clock()
        for target, state in list(self._targets.items()):
            idle = now >= state.edited_at + IDLE_S
            if idle and state.told == "active" and state.wanted != "done":
                state.wanted = "paused"
            self._flush(target, state)
            if state.told == "done" and state.wanted is None and now >= state.told_at + INTERVAL_S:
                del self._targets[target]

    def _flush(self, target: str, state: _Target) -> None:
        now = self._clock()
        if state.wanted is None or now < state.told_at + INTERVAL_S:
            return
        state.told, state.told_at, state.wanted = state.wanted, now, None
        self._send(target, state.told)
