"""How sessions with peers, and their files, read as lines of text.

Everything from others is made safe for the terminal here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from securechat.client.events import Event
from securechat.client.peers import DeviceTrust, Trust
from securechat.client.safe_text import make_safe
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    FileProgress,
    FileSending,
    PeerAsked,
    PeerClosed,
    PeerIdentityChanged,
    PeerLost,
    PeerOpened,
    PeerSnapshot,
    PeerState,
)
from securechat.peer.known_peers import Policy, Safety
from securechat.peer.safety_code import grouped
from securechat.peer.transfers import TransferSnapshot

__all__ = [
    "FURTHER_LINE",
    "LOCK",
    "PROGRESS_EVERY",
    "PeerWording",
    "describe_device",
    "describe_peer",
    "describe_progress",
    "describe_transfer",
    "describe_trust",
    "person",
    "size",
]

LOCK: Final = "\N{LOCK}"
"""Stands before ``direct`` or ``relayed`` where the relay cannot read along, and nowhere else."""

FURTHER_LINE: Final = "\n      | "
"""What stands before the second and further lines of one event: none can pass for another."""

PROGRESS_EVERY: Final = timedelta(seconds=5)
"""How often the progress of a file is shown; of one that takes no longer, never."""

_FINGERPRINT_DIGITS: Final = 16
"""Of a fingerprint or hash, enough to tell one from another; what proves is the safety code."""

_ASKED: Final = {
    Safety.NEW: "for the first time: the device is not known",
    Safety.KNOWN: "from a device that is known, but not verified",
    Safety.VERIFIED: "from a verified device",
    Safety.CHANGED: "WARNING: from another device than before",
    Safety.BLOCKED: "WARNING: from a device that is not the verified one",
}

_SAFETY: Final = {
    Safety.NEW: "not verified",
    Safety.KNOWN: "not verified",
    Safety.VERIFIED: "verified",
    Safety.CHANGED: "another device than before",
    Safety.BLOCKED: "not the verified device",
}

_STATES: Final[dict[PeerState, str]] = {
    "reachable": "can be reached",
    "asking": "is asked for a session",
    "asked": "asks for a session",
    "connecting": "is being connected",
    "open": "session",
    "lost": "session without a path, looking for one",
}

_POLICIES: Final = {
    Policy.ASK: "you are asked before each session",
    Policy.ALWAYS: "sessions with a known device are accepted unasked",
    Policy.NEVER: "sessions are declined unasked",
}

_ADDRESSES: Final = {
    True: "your addresses are shown: if theirs are too, the next session can be direct",
    False: "your addresses are not shown: sessions are relayed",
}

_FILES: Final = {
    True: "files are taken unasked",
    False: "you are asked about each file",
}


class PeerWording:
    """Turns events of peers into words. Owned by the user interface's thread.

    :param clock: the local time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._reported: dict[int, datetime] = {}  # transfer → when its progress was shown last

    def words(self, event: Event) -> str:
        """Return how ``event`` reads, empty when there is nothing to say."""
        return self._of_session(event) or self._of_file(event)

    def _of_session(self, event: Event) -> str:
        match event:
            case PeerAsked():
                nick = make_safe(event.nick)
                answers = f"/accept {nick} or /decline {nick}"
                # Nicks pass from one to another: what is trusted is the account, so it is named.
                who = f"{nick} (account {make_safe(event.account)})"
                return f"* {who} asks for a session, {_ASKED[event.safety]}; {answers}"
            case PeerIdentityChanged():
                return _identity_changed(event)
            case PeerOpened():
                how = f"{event.path}, {make_safe(event.address)}" if event.address else event.path
                safety = _SAFETY[event.safety]
                if event.safety is not Safety.VERIFIED:
                    safety += f": /verify {make_safe(event.nick)} shows what to compare"
                again = " again" if event.again else ""
                return f"* session with {person(event.nick, event.account)}{again}: {how}; {safety}"
            case PeerLost():
                who, reason = person(event.nick, event.account), make_safe(event.reason)
                return f"! the session with {who} has lost its path: {reason}; it looks for another"
            case PeerClosed():
                who, reason = person(event.nick, event.account), make_safe(event.reason)
                over = f"the session with {who} is over" if event.was_open else f"no session: {who}"
                return f"! {over}: {reason}"
            case _:
                return ""

    def _of_file(self, event: Event) -> str:
        match event:
            case FileOffered():
                return _file_offered(event)
            case FileSending():
                what = f"{make_safe(event.name)} ({size(event.size)})"
                return f"* file {event.transfer} is offered to {make_safe(event.nick)}: {what}"
            case FileAccepted():
                self._reported[event.transfer] = self._clock()
                way = "being sent to" if event.outgoing else "being received from"
                begins = f" from {size(event.offset)} on" if event.offset else ""
                return f"* {_file(event)} is {way} {make_safe(event.nick)}{begins}"
            case FileProgress():
                now = self._clock()
                if now - self._reported.setdefault(event.transfer, now) < PROGRESS_EVERY:
                    return ""
                self._reported[event.transfer] = now
                return f"* {describe_progress(event)}"
            case FileFinished():
                self._reported.pop(event.transfer, None)
                what = make_safe(event.name if event.outgoing else str(event.path))
                at = f" at {make_safe(event.nick)}" if event.outgoing else ""
                proof = f"{size(event.size)}, SHA-256 {event.sha256[:_FINGERPRINT_DIGITS]}"
                return f"* file {event.transfer} has arrived whole{at}: {what} ({proof})"
            case FileEnded():
                self._reported.pop(event.transfer, None)
                way = "sent" if event.outgoing else "received"
                kept = ""
                if event.kept_bytes:
                    kept = f"; {size(event.kept_bytes)} of it stay, and another try goes on there"
                return f"! {_file(event)} was not {way}: {make_safe(event.reason)}{kept}"
            case _:
                return ""


def _identity_changed(event: PeerIdentityChanged) -> str:
    nick = make_safe(event.nick)
    device = event.fingerprint[:_FINGERPRINT_DIGITS]
    if event.blocked:
        what = f"{person(event.nick, event.account)} comes with a device that is NOT VERIFIED"
        then = f"Nothing is sent to it until you accept it: /trust {nick} new-device"
    else:
        what = f"{person(event.nick, event.account)} comes with ANOTHER DEVICE than before"
        then = f"In a session, /verify {nick} compares the safety code."
    doubt = f"It may be a new one ({device}), or somebody in between: ask {nick} by another way."
    return FURTHER_LINE.join((f"!!! WARNING: {what}", doubt, then))


def _file_offered(event: FileOffered) -> str:
    name = make_safe(event.safe_name)
    if event.name != event.safe_name:
        name += f", called {make_safe(event.name)} there"
    had = f"; {size(event.had_bytes)} of it are here" if event.had_bytes else ""
    number = event.transfer
    then = "; it goes on" if event.accepted_before else f"; /accept {number} or /decline {number}"
    who = person(event.nick, event.account)
    return f"* {who} offers file {number}: {name} ({size(event.size)}){had}{then}"


def _file(event: FileAccepted | FileProgress | FileEnded) -> str:
    return f"file {event.transfer} ({make_safe(event.name)})"


# ---- what commands show ----


def person(nick: str, account: str) -> str:
    """Return the nick, and the account where that is called otherwise."""
    other = "" if nick == account else f" (account {make_safe(account)})"
    return make_safe(nick) + other


def describe_peer(peer: PeerSnapshot) -> str:
    """Return who it is, and what there is with them."""
    nick = make_safe(peer.nick)
    parts = [f"{person(peer.nick, peer.account)}: {_STATES[peer.state]}"]
    if peer.state == "reachable":
        parts.append(f"/peer {nick} asks for a session")
    elif peer.state == "asked":
        parts.append(f"/accept {nick} or /decline {nick}")
    elif peer.path is not None:
        parts.append(f"{LOCK} {peer.path}")
        parts += [make_safe(peer.address)] if peer.address else []
    if peer.safety is not None:
        parts.append(_SAFETY[peer.safety])
    if peer.path is not None:
        sent, received = size(peer.sent_bytes_per_s), size(peer.received_bytes_per_s)
        parts.append(f"{sent}/s out, {received}/s in")
    return ", ".join(parts)


def describe_trust(name: str, trust: Trust) -> list[str]:
    """Return what is set for somebody whom the user calls ``name``."""
    return [
        f"{person(name, trust.account)}: {_POLICIES[trust.policy]}",
        f"    {_ADDRESSES[trust.show_addresses]}",
        f"    {_FILES[trust.take_files]}",
    ]


def describe_device(name: str, found: DeviceTrust) -> list[str]:
    """Return the safety code of a device of somebody whom the user calls ``name``."""
    device = found.device
    seen = datetime.fromtimestamp(device.last_seen_ms / 1000)
    when = "of this session" if found.in_session else f"last seen {seen:%Y-%m-%d %H:%M}"
    state = "verified" if device.verified else "not verified"
    if device.accepted and not device.verified:
        state += ", accepted"
    fingerprint = device.fingerprint[:_FINGERPRINT_DIGITS]
    title = f"{person(name, found.account)}, device {fingerprint}, {when}, {state}:"
    return [title, *(f"    {line}" for line in grouped(found.safety_code))]


def describe_transfer(transfer: TransferSnapshot) -> str:
    """Return one line on a file."""
    way = "to" if transfer.outgoing else "from"
    done = f"{_percent(transfer.done_bytes, transfer.size)} of {size(transfer.size)}"
    state = "offered, " + size(transfer.size) if transfer.state == "offered" else done
    name, nick = make_safe(transfer.name), make_safe(transfer.nick)
    return f"{transfer.transfer}  {way} {nick}: {name}, {state}"


def describe_progress(event: FileProgress) -> str:
    """Return how far a file is."""
    done = f"{_percent(event.done_bytes, event.size)} of {size(event.size)}"
    if event.left_s is None:
        return f"{_file(event)}: {done}, nothing moves"
    left = _duration(event.left_s)
    return f"{_file(event)}: {done}, {size(event.rate_bytes_per_s)}/s, {left} left"


def size(count: float) -> str:
    """Return a number of bytes as people read it, ``1.2 MB``."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def _percent(done: int, whole: int) -> str:
    return f"{100 * done // whole if whole else 100} %"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
