"""What stands above a conversation: where one is, and who can read along.

The state of a session with a peer has a line of its own, on a colour, with words. It is made of
arguments only: what others have written stands in the line above, without any character that looks
like a lock, so that no topic and no name can pass for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from securechat.client.chat.buffers import BufferKind
from securechat.client.chat.routing import SessionState
from securechat.client.words.peer_wording import LOCK
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop, ngettext
from securechat.peer.known_peers import Safety

__all__ = [
    "WARNING",
    "Connection",
    "Header",
    "HeaderState",
    "SafetyLine",
    "without_signs",
]

Connection = Literal["online", "connecting", "offline"]
"""How it is with a network."""

WARNING: Final = "\N{WARNING SIGN}"
"""Stands where ``LOCK`` would, and must not."""

_SIGNS: Final = re.compile(
    "[\N{LOCK}\N{OPEN LOCK}\N{LOCK WITH INK PEN}\N{CLOSED LOCK WITH KEY}\N{KEY}\N{OLD KEY}"
    "\N{SQUARED KEY}\N{SHIELD}\N{WARNING SIGN}\N{CHECK MARK}\N{HEAVY CHECK MARK}"
    "\N{WHITE HEAVY CHECK MARK}\N{BALLOT BOX WITH CHECK}\N{BALLOT BOX WITH BOLD CHECK}]"
)
"""What says "safe" or "not safe" on this screen, or looks as if it did."""

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_Level = Literal["safe", "caution", "danger", "readable"]
_LEVELS: Final[tuple[_Level, ...]] = get_args(_Level)

_SAFETY_TEXTS: Final[dict[tuple[SessionState, Safety], tuple[_Level, str]]] = {
    ("direct", Safety.VERIFIED): (
        "safe",
        gettext_noop("DIRECT, VERIFIED: end to end, from your device to that of {nick}"),
    ),
    ("relayed", Safety.VERIFIED): (
        "safe",
        gettext_noop("RELAYED, VERIFIED: end to end; the relay passes it on and cannot read it"),
    ),
    ("direct", Safety.KNOWN): (
        "caution",
        gettext_noop("DIRECT, NOT VERIFIED: end to end; compare the safety code: /verify {nick}"),
    ),
    ("relayed", Safety.KNOWN): (
        "caution",
        gettext_noop(
            "RELAYED, NOT VERIFIED: end to end through the relay; "
            "compare the safety code: /verify {nick}"
        ),
    ),
    ("direct", Safety.CHANGED): (
        "danger",
        gettext_noop(
            "DIRECT, BUT ANOTHER DEVICE THAN BEFORE: compare the safety code: /verify {nick}"
        ),
    ),
    ("relayed", Safety.CHANGED): (
        "danger",
        gettext_noop(
            "RELAYED, BUT ANOTHER DEVICE THAN BEFORE: compare the safety code: /verify {nick}"
        ),
    ),
}
"""How a session reads that has a path; a new device reads as one that is known."""

_BLOCKED: Final = gettext_noop(
    "NOT THE VERIFIED DEVICE: nothing is sent to it until you accept it: /trust {nick} new-device"
)
_NO_PATH: Final = gettext_noop("NO PATH: what you say waits until there is one again")


@dataclass(frozen=True, slots=True)
class SafetyLine:
    """An open session with a peer. Immutable. ``path`` is how it runs, ``lost``: not at all now."""

    path: SessionState
    safety: Safety
    nick: str


@dataclass(frozen=True, slots=True)
class HeaderState:
    """What the header shows. Immutable.

    ``members`` counts those of a room. ``safety``: ``None`` where there is no session.
    ``retry_in_s``: until the next attempt to connect; ``None``: nothing is known of one.
    ``reason``: why it is offline. ``network`` is empty where there is only one. ``in_past``: what
    is shown is not the newest. ``silent_s``: for how long the relay owes us an answer, if that is
    too long.
    """

    title: str
    topic: str
    kind: BufferKind
    members: int = 0
    safety: SafetyLine | None = None
    connection: Connection = "online"
    retry_in_s: int | None = None
    reason: str = ""
    network: str = ""
    in_past: bool = False
    silent_s: int | None = None


class Header(Widget):
    """One to five lines: title and topic; the session; the connection, unless it is there.

    Everything from others is made safe here.
    """

    DEFAULT_CSS = """
    Header {
        height: auto;
        background: $surface;
        color: $foreground;
        & > Horizontal { height: 1; }
        & Static { text-wrap: nowrap; text-overflow: ellipsis; }
        & #header-title { width: auto; max-width: 50%; text-style: bold; }
        & #header-topic { width: 1fr; padding: 0 1; }
        & #header-place { width: auto; color: $muted; text-style: $muted-style; }
        & > #header-safety {
            text-wrap: wrap;
            max-height: 2;
            background: $background;
            text-style: bold reverse;
            &.-safe { color: $safe; }
            &.-caution { color: $caution; }
            &.-danger { color: $danger; }
            &.-readable { color: $muted; text-style: $muted-style; background: $surface; }
        }
        & > #header-connection {
            text-wrap: wrap;
            max-height: 2;
            color: $caution;
            background: $background;
            text-style: bold;
        }
    }
    """

    class TopicClicked(Message):
        """The user wants to see the whole topic."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._state: HeaderState | None = None

    def compose(self) -> ComposeResult:
        """Make the lines, empty."""
        with Horizontal():
            yield Static(id="header-title", markup=False)
            yield Static(id="header-topic", markup=False)
            yield Static(id="header-place", markup=False)
        yield Static(id="header-safety", markup=False)
        yield Static(id="header-connection", markup=False)

    def on_mount(self) -> None:
        """Show no line that has nothing to say."""
        self._say("#header-safety", "")
        self._say("#header-connection", "")

    def show(self, state: HeaderState) -> None:
        """Show ``state`` from now on. The header must be mounted."""
        if state == self._state:
            return
        self._state = state
        topic = without_signs(state.topic)
        self._say("#header-title", without_signs(state.title))
        self._say("#header-topic", topic, keep=True)
        self.query_one("#header-topic").tooltip = Content(topic) if topic else None
        self._say("#header-place", _place(state))
        level, text = _safety_text(state)
        line = self.query_one("#header-safety")
        for name in _LEVELS:
            line.set_class(name == level, f"-{name}")
        self._say("#header-safety", text)
        self._say("#header-connection", _connection_text(state))

    def on_click(self, event: events.Click) -> None:
        """Ask for the whole topic, which has room for its start only."""
        if event.widget is not None and event.widget.id in ("header-title", "header-topic"):
            event.stop()
            self.post_message(self.TopicClicked())

    def _say(self, line: str, text: str, *, keep: bool = False) -> None:
        widget = self.query_one(line, Static)
        widget.display = keep or bool(text)
        widget.update(Content(text))


def without_signs(text: str) -> str:
    """Return what others have written, made safe, and without the characters that say on this
    screen how safe something is: for what stands beside such a sign of ours.
    """
    safe = make_safe(text)
    return safe if safe.isascii() else _SIGNS.sub(_REPLACEMENT, safe)


def _place(state: HeaderState) -> str:
    parts = [ngettext("{count} person", "{count} people", state.members)] if state.members else []
    if state.network:
        parts.append(without_signs(state.network))
    if state.in_past:
        parts.insert(0, _("in the past"))
    return ", ".join(parts)


def _safety_text(state: HeaderState) -> tuple[_Level | None, str]:
    """Return how much there is to fear, and the line that says it."""
    if state.safety is None:
        if state.kind != "person":
            return None, ""
        return "readable", " " + _("private, but the relay can read it")
    level, text = _session_text(state.safety)
    sign = WARNING if level == "danger" else LOCK
    return level, f" {sign} " + _(text, nick=without_signs(state.safety.nick))


def _session_text(session: SafetyLine) -> tuple[_Level, str]:
    if session.safety is Safety.BLOCKED:
        return "danger", _BLOCKED
    if session.path == "lost":
        return "danger", _NO_PATH
    safety = Safety.KNOWN if session.safety is Safety.NEW else session.safety
    return _SAFETY_TEXTS[session.path, safety]


def _connection_text(state: HeaderState) -> str:
    if state.connection == "online":
        if state.silent_s is None:
            return ""
        return " … " + ngettext(
            "slow: no answer for {count} second",
            "slow: no answer for {count} seconds",
            state.silent_s,
        )
    if state.connection == "connecting":
        return " … " + _("connecting")
    reason = without_signs(state.reason)
    if state.retry_in_s is None:
        text = _("offline: {reason}", reason=reason) if reason else _("offline")
    elif reason:
        text = _(
            "offline: trying again in {seconds} s ({reason})",
            seconds=state.retry_in_s,
            reason=reason,
        )
    else:
        text = _("offline: trying again in {seconds} s", seconds=state.retry_in_s)
    return f" ○ {text}"
