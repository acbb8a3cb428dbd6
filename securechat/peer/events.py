"""What peers tell: one kind of value for each kind of news.

``account`` names the other side, ``nick`` is how it was called last. Names, texts and reasons are
as they came from the network: show them on a terminal only after they were made safe.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from securechat.peer.known_peers import Safety
from securechat.values import value

__all__ = [
    "FileAccepted",
    "FileEnded",
    "FileEvent",
    "FileFinished",
    "FileOffered",
    "FileProgress",
    "FileSending",
    "PathKind",
    "PeerAsked",
    "PeerClosed",
    "PeerDelivered",
    "PeerEvent",
    "PeerIdentityChanged",
    "PeerLost",
    "PeerNotDelivered",
    "PeerOpened",
    "PeerReachable",
    "PeerSnapshot",
    "PeerState",
    "PeerText",
    "PeerTyping",
]

PathKind = Literal["direct", "relayed"]
"""How a session runs: by a connection of its own, or end to end encrypted through the relay."""

PeerState = Literal["reachable", "asking", "asked", "connecting", "open", "lost"]
"""``asking``: we ask; ``asked``: we are asked; ``lost``: without a path, and looking for one."""


@value
class PeerSnapshot:
    """Somebody who can be reached, or with whom there is something. Immutable.

    ``path`` and ``address`` are of an open session, ``safety`` is of any; rates are of lately.
    """

    account: str
    nick: str
    state: PeerState
    path: PathKind | None
    address: str
    safety: Safety | None
    sent_bytes_per_s: float
    received_bytes_per_s: float


# ---- sessions ----


@value
class PeerReachable:
    """Somebody can be reached as a peer from now on, or (not ``now``) no longer."""

    account: str
    nick: str
    now: bool


@value
class PeerAsked:
    """Somebody asks for a session, and waits for ``accept`` or ``decline``.

    ``safety`` says how far the device is known.
    """

    account: str
    nick: str
    fingerprint: str
    safety: Safety


@value
class PeerIdentityChanged:
    """The device of a contact is another than those that are known.

    ``blocked``: one of them was verified, so nothing is sent to this one until it is accepted.
    """

    account: str
    nick: str
    fingerprint: str
    blocked: bool


@value
class PeerOpened:
    """A session has a path: it is open, or (``again``) open again after it was lost."""

    account: str
    nick: str
    fingerprint: str
    path: PathKind
    address: str
    safety: Safety
    again: bool


@value
class PeerLost:
    """A session has lost its path. It tries to get another; texts wait meanwhile."""

    account: str
    nick: str
    reason: str


@value
class PeerClosed:
    """A session is over, or did not come about."""

    account: str
    nick: str
    reason: str
    was_open: bool


@value
class PeerText:
    """The other side, or (``own``) we ourselves, said something inside a session."""

    account: str
    nick: str
    text: str
    kind: Literal["message", "notice", "action"]
    time: datetime
    own: bool
    path: PathKind


@value
class PeerTyping:
    """The other side is typing, pauses, or has stopped."""

    account: str
    nick: str
    state: Literal["active", "paused", "done"]


@value
class PeerDelivered:
    """The device of the other side has the text of that ``delivery``."""

    delivery: int


@value
class PeerNotDelivered:
    """The text was not sent, or it is not known whether it arrived; it will not be sent again."""

    delivery: int
    account: str
    nick: str
    code: str
    reason: str


# ---- files ----


@value
class FileOffered:
    """The other side offers a file. ``name`` is its own, ``safe_name`` the one it would get here.

    ``had_bytes`` of it are here already, from an earlier try; ``accepted_before``: of this very
    offer, which was accepted then.
    """

    transfer: int
    account: str
    nick: str
    name: str
    safe_name: str
    size: int
    had_bytes: int
    accepted_before: bool


@value
class FileSending:
    """We offer a file; the other side is asked."""

    transfer: int
    account: str
    nick: str
    name: str
    size: int


@value
class FileAccepted:
    """A transfer begins (or goes on) at ``offset``."""

    transfer: int
    account: str
    nick: str
    name: str
    size: int
    outgoing: bool
    offset: int


@value
class FileProgress:
    """How far a transfer is; about once a second. ``left_s`` is ``None`` where nothing moves."""

    transfer: int
    account: str
    name: str
    outgoing: bool
    done_bytes: int
    size: int
    rate_bytes_per_s: float
    left_s: float | None


@value
class FileFinished:
    """A file has arrived whole: both sides have the same SHA-256. ``path`` is where it is here."""

    transfer: int
    account: str
    nick: str
    name: str
    outgoing: bool
    path: Path
    size: int
    sha256: str


@value
class FileEnded:
    """A transfer ended without the whole file: declined, cancelled, failed.

    ``kept_bytes`` of a received one stay, so that another offer of it can go on from there.
    """

    transfer: int
    account: str
    nick: str
    name: str
    outgoing: bool
    reason: str
    by_us: bool
    kept_bytes: int


FileEvent = FileOffered | FileSending | FileAccepted | FileProgress | FileFinished | FileEnded

PeerEvent = (
    PeerReachable
    | PeerAsked
    | PeerIdentityChanged
    | PeerOpened
    | PeerLost
    | PeerClosed
    | PeerText
    | PeerTyping
    | PeerDelivered
    | PeerNotDelivered
    | FileEvent
)
