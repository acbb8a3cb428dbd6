"""How sessions with peers, and their files, read as lines of text.

Everything from others is made safe for the terminal here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from securechat.client.events import Event
from securechat.client.peers import DeviceTrust, Trust
from securechat.client.words.refusals import reason
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop
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
    "describe_path",
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
    Safety.NEW: gettext_noop(
        "{who} asks for a session, for the first time: the device is not known; "
        "/accept {nick} or /decline {nick}"
    ),
    Safety.KNOWN: gettext_noop(
        "{who} asks for a session, from a device that is known, but not verified; "
        "/accept {nick} or /decline {nick}"
    ),
    Safety.VERIFIED: gettext_noop(
        "{who} asks for a session, from a verified device; /accept {nick} or /decline {nick}"
    ),
    Safety.CHANGED: gettext_noop(
        "{who} asks for a session, WARNING: from another device than before; "
        "/accept {nick} or /decline {nick}"
    ),
    Safety.BLOCKED: gettext_noop(
        "{who} asks for a session, WARNING: from a device that is not the verified one; "
        "/accept {nick} or /decline {nick}"
    ),
}

_SAFETY: Final = {
    Safety.NEW: gettext_noop("not verified"),
    Safety.KNOWN: gettext_noop("not verified"),
    Safety.VERIFIED: gettext_noop("verified"),
    Safety.CHANGED: gettext_noop("another device than before"),
    Safety.BLOCKED: gettext_noop("not the verified device"),
}

_STATES: Final[dict[PeerState, str]] = {
    "reachable": gettext_noop("can be reached"),
    "asking": gettext_noop("is asked for a session"),
    "asked": gettext_noop("asks for a session"),
    "connecting": gettext_noop("is being connected"),
    "open": gettext_noop("session"),
    "lost": gettext_noop("session without a path, looking for one"),
}

_PATHS: Final = {
    "direct": gettext_noop("direct"),
    "relayed": gettext_noop("relayed"),
    "lost": gettext_noop("lost"),
}

_POLICIES: Final = {
    Policy.ASK: gettext_noop("you are asked before each session"),
    Policy.ALWAYS: gettext_noop("sessions with a known device are accepted unasked"),
    Policy.NEVER: gettext_noop("sessions are declined unasked"),
}

_ADDRESSES: Final = {
    True: gettext_noop(
        "your addresses are shown: if theirs are too, the next session can be direct"
    ),
    False: gettext_noop("your addresses are not shown: sessions are relayed"),
}

_FILES: Final = {
    True: gettext_noop("files are taken unasked"),
    False: gettext_noop("you are asked about each file"),
}

_UNITS: Final = (gettext_noop("kB"), gettext_noop("MB"), gettext_noop("GB"))


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
                # Nicks pass from one to another: what is trusted is the account, so it is named.
                who = _("{nick} (account {account})", nick=nick, account=make_safe(event.account))
                return f"* {_(_ASKED[event.safety], who=who, nick=nick)}"
            case PeerIdentityChanged():
                return _identity_changed(event)
            case PeerOpened():
                return f"* {_opened(event)}"
            case PeerLost():
                words = _(
                    "the session with {who} has lost its path: {reason}; it looks for another",
                    who=person(event.nick, event.account),
                    reason=reason(event.reason),
                )
                return f"! {words}"
            case PeerClosed():
                who, why = person(event.nick, event.account), reason(event.reason)
                if event.was_open:
                    words = _("the session with {who} is over: {reason}", who=who, reason=why)
                else:
                    words = _("no session: {who}: {reason}", who=who, reason=why)
                return f"! {words}"
            case _:
                return ""

    def _of_file(self, event: Event) -> str:
        match event:
            case FileOffered():
                return f"* {_file_offered(event)}"
            case FileSending():
                words = _(
                    "file {number} is offered to {nick}: {name} ({size})",
                    number=event.transfer,
                    nick=make_safe(event.nick),
                    name=make_safe(event.name),
                    size=size(event.size),
                )
                return f"* {words}"
            case FileAccepted():
                self._reported[event.transfer] = self._clock()
                return f"* {_file_accepted(event)}"
            case FileProgress():
                now = self._clock()
                if now - self._reported.setdefault(event.transfer, now) < PROGRESS_EVERY:
                    return ""
                self._reported[event.transfer] = now
                return f"* {describe_progress(event)}"
            case FileFinished():
                self._reported.pop(event.transfer, None)
                return f"* {_file_finished(event)}"
            case FileEnded():
                self._reported.pop(event.transfer, None)
                return f"! {_file_ended(event)}"
            case _:
                return ""


def _opened(event: PeerOpened) -> str:
    who = person(event.nick, event.account)
    how = describe_path(event.path)
    if event.address:
        how += f", {make_safe(event.address)}"
    if event.again:
        words = _(
            "session with {who} again: {how}; {safety}", who=who, how=how, safety=_safety(event)
        )
    else:
        words = _("session with {who}: {how}; {safety}", who=who, how=how, safety=_safety(event))
    return words


def _safety(event: PeerOpened) -> str:
    safety = _(_SAFETY[event.safety])
    if event.safety is Safety.VERIFIED:
        return safety
    nick = make_safe(event.nick)
    return _("{safety}: /verify {nick} shows what to compare", safety=safety, nick=nick)


def _identity_changed(event: PeerIdentityChanged) -> str:
    nick, who = make_safe(event.nick), person(event.nick, event.account)
    device = event.fingerprint[:_FINGERPRINT_DIGITS]
    if event.blocked:
        what = _("WARNING: {who} comes with a device that is NOT VERIFIED", who=who)
        then = _("Nothing is sent to it until you accept it: /trust {nick} new-device", nick=nick)
    else:
        what = _("WARNING: {who} comes with ANOTHER DEVICE than before", who=who)
        then = _("In a session, /verify {nick} compares the safety code.", nick=nick)
    doubt = _(
        "It may be a new one ({device}), or somebody in between: ask {nick} by another way.",
        device=device,
        nick=nick,
    )
    return FURTHER_LINE.join((f"!!! {what}", doubt, then))


def _file_offered(event: FileOffered) -> str:
    name = make_safe(event.safe_name)
    if event.name != event.safe_name:
        name = _("{name}, called {other} there", name=name, other=make_safe(event.name))
    words = _(
        "{who} offers file {number}: {name} ({size})",
        who=person(event.nick, event.account),
        number=event.transfer,
        name=name,
        size=size(event.size),
    )
    if event.had_bytes:
        words += f"; {_('{size} of it are here', size=size(event.had_bytes))}"
    if event.accepted_before:
        return f"{words}; {_('it goes on')}"
    return f"{words}; {_('/accept {number} or /decline {number}', number=event.transfer)}"


def _file_accepted(event: FileAccepted) -> str:
    file, nick = _file(event), make_safe(event.nick)
    offset = size(event.offset)
    match event.outgoing, bool(event.offset):
        case True, True:
            return _(
                "{file} is being sent to {nick} from {offset} on",
                file=file,
                nick=nick,
                offset=offset,
            )
        case True, False:
            return _("{file} is being sent to {nick}", file=file, nick=nick)
        case False, True:
            return _(
                "{file} is being received from {nick} from {offset} on",
                file=file,
                nick=nick,
                offset=offset,
            )
        case _:
            return _("{file} is being received from {nick}", file=file, nick=nick)


def _file_finished(event: FileFinished) -> str:
    what = make_safe(event.name if event.outgoing else str(event.path))
    proof = f"{size(event.size)}, SHA-256 {event.sha256[:_FINGERPRINT_DIGITS]}"
    if event.outgoing:
        return _(
            "file {number} has arrived whole at {nick}: {what} ({proof})",
            number=event.transfer,
            nick=make_safe(event.nick),
            what=what,
            proof=proof,
        )
    return _(
        "file {number} has arrived whole: {what} ({proof})",
        number=event.transfer,
        what=what,
        proof=proof,
    )


def _file_ended(event: FileEnded) -> str:
    file, why = _file(event), reason(event.reason)
    if event.outgoing:
        words = _("{file} was not sent: {reason}", file=file, reason=why)
    else:
        words = _("{file} was not received: {reason}", file=file, reason=why)
    if not event.kept_bytes:
        return words
    kept = _("{size} of it stay, and another try goes on there", size=size(event.kept_bytes))
    return f"{words}; {kept}"


def _file(event: FileAccepted | FileProgress | FileEnded) -> str:
    return _("file {number} ({name})", number=event.transfer, name=make_safe(event.name))


# ---- what commands show ----


def person(nick: str, account: str) -> str:
    """Return the nick, and the account where that is called otherwise."""
    if nick == account:
        return make_safe(nick)
    return _("{nick} (account {account})", nick=make_safe(nick), account=make_safe(account))


def describe_path(path: str) -> str:
    """Return how a session runs (``routing.SessionState``)."""
    return _(_PATHS[path])


def describe_peer(peer: PeerSnapshot) -> str:
    """Return who it is, and what there is with them."""
    nick = make_safe(peer.nick)
    parts = [f"{person(peer.nick, peer.account)}: {_(_STATES[peer.state])}"]
    if peer.state == "reachable":
        parts.append(_("/peer {nick} asks for a session", nick=nick))
    elif peer.state == "asked":
        parts.append(_("/accept {nick} or /decline {nick}", nick=nick))
    elif peer.path is not None:
        parts.append(f"{LOCK} {describe_path(peer.path)}")
        parts += [make_safe(peer.address)] if peer.address else []
    if peer.safety is not None:
        parts.append(_(_SAFETY[peer.safety]))
    if peer.path is not None:
        sent, received = size(peer.sent_bytes_per_s), size(peer.received_bytes_per_s)
        parts.append(_("{sent}/s out, {received}/s in", sent=sent, received=received))
    return ", ".join(parts)


def describe_trust(name: str, trust: Trust) -> list[str]:
    """Return what is set for somebody whom the user calls ``name``."""
    return [
        f"{person(name, trust.account)}: {_(_POLICIES[trust.policy])}",
        f"    {_(_ADDRESSES[trust.show_addresses])}",
        f"    {_(_FILES[trust.take_files])}",
    ]


def describe_device(name: str, found: DeviceTrust) -> list[str]:
    """Return the safety code of a device of somebody whom the user calls ``name``."""
    device = found.device
    if found.in_session:
        when = _("of this session")
    else:
        seen = datetime.fromtimestamp(device.last_seen_ms / 1000)
        when = _("last seen {time:%Y-%m-%d %H:%M}", time=seen)
    state = _("verified") if device.verified else _("not verified")
    if device.accepted and not device.verified:
        state = _("not verified, accepted")
    title = _(
        "{who}, device {device}, {when}, {state}:",
        who=person(name, found.account),
        device=device.fingerprint[:_FINGERPRINT_DIGITS],
        when=when,
        state=state,
    )
    return [title, *(f"    {line}" for line in grouped(found.safety_code))]


def describe_transfer(transfer: TransferSnapshot) -> str:
    """Return one line on a file."""
    whole = size(transfer.size)
    if transfer.state == "offered":
        state = _("offered, {size}", size=whole)
    else:
        state = _done(transfer.done_bytes, transfer.size)
    name, nick = make_safe(transfer.name), make_safe(transfer.nick)
    if transfer.outgoing:
        words = _("to {nick}: {name}, {state}", nick=nick, name=name, state=state)
    else:
        words = _("from {nick}: {name}, {state}", nick=nick, name=name, state=state)
    return f"{transfer.transfer}  {words}"


def describe_progress(event: FileProgress) -> str:
    """Return how far a file is."""
    done = f"{_file(event)}: {_done(event.done_bytes, event.size)}"
    if event.left_s is None:
        return f"{done}, {_('nothing moves')}"
    rate, left = size(event.rate_bytes_per_s), _duration(event.left_s)
    return f"{done}, {_('{rate}/s, {time} left', rate=rate, time=left)}"


def size(count: float) -> str:
    """Return a number of bytes as people read it, ``1.2 MB``."""
    if count < 1000:
        return f"{count:.0f} {_('B')}"
    for unit in _UNITS:
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {_(unit)}"
    return f"{count / 1000:.1f} {_('TB')}"


def _done(done: int, whole: int) -> str:
    percent = 100 * done // whole if whole else 100
    return _("{percent} % of {size}", percent=percent, size=size(whole))


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return _("{seconds} s", seconds=whole)
    if whole < 3600:
        return _("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60)
    return _("{hours} h {minutes} min", hours=whole // 3600, minutes=whole % 3600 // 60)
