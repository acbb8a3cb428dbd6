"""How events read as lines of text. Everything from others is made safe for the terminal here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from securechat.client.client import Client
from securechat.client.events import (
    AccountChanged,
    AccountRequired,
    AwayChanged,
    ChannelRenamed,
    Connected,
    Disconnected,
    Event,
    Failure,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    LoggedIn,
    LoggedOut,
    LoginRejected,
    ModeChanged,
    NamesReceived,
    NickChanged,
    NickRejected,
    NotDelivered,
    Parted,
    Quit,
    RawReceived,
    RealnameChanged,
    Redacted,
    Registered,
    Reply,
    TextReceived,
    TopicChanged,
    VerificationRequired,
    Welcome,
)
from securechat.client.peer_wording import FURTHER_LINE, LOCK, PeerWording
from securechat.client.safe_text import make_safe

__all__ = ["Wording", "people"]

_REPLIES: Final = {
    "221": "your modes: {0}",
    "276": "{0} {text}",
    "301": "{0} is away: {text}",
    "311": "{0} is {1}@{2} ({text})",
    "312": "{0} is on {1} ({text})",
    "313": "{0} {text}",
    "315": "",
    "317": "{0} has been idle for {1} seconds",
    "318": "",
    "319": "{0} is in {text}",
    "321": "",
    "322": "{0} ({1}): {text}",
    "323": "that is the whole list",
    "324": "{0} has the modes {rest}",
    "329": "",
    "330": "{0} is logged in as {1}",
    "333": "",
    "341": "{0} has been invited to {1}",
    "352": "{0}: {4} is {1}@{2} ({text})",
    "353": "{1}: {text}",
    "366": "",
    "367": "{0} bans {1}",
    "368": "",
    "375": "",
    "376": "",
    "671": "{0} {text}",
}
"""How the answers read that are more than their text; an empty one is not shown. The numbers stand
for the parameters behind our nick, ``text`` for the last, ``rest`` for all but the first."""

_BEFORE_WELCOME: Final = frozenset({"372", "NOTE", "WARN"})
"""The replies that are shown before the welcome: the rest is the small talk of servers."""


class Wording:
    """Turns events into lines. Owned by the user interface's thread.

    :param clock: the local time.
    """

    def __init__(self, client: Client, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._peers = PeerWording(clock)
        self._welcomed = False  # as far as we have read

    def line(self, event: Event, target: str = "") -> str:
        """Return how ``event`` reads, empty when there is nothing to say.

        :param target: where the user is now; what happens there needs no name.
        """
        if isinstance(event, Welcome | Disconnected):
            self._welcomed = isinstance(event, Welcome)
        if isinstance(event, TextReceived):
            return f"{self._when(event)} {self._text(event, target)}"
        words = (
            self._connection(event)
            or self._people(event)
            or self._peers.words(event)
            or self._answer(event)
        )
        return f"{self._clock():%H:%M} {words}" if words else ""

    def note(self, text: str) -> str:
        """Return a line of our own, which is safe already."""
        return f"{self._clock():%H:%M} * {text}"

    def _when(self, event: TextReceived) -> str:
        """Return the time of a text; of history with the day, unless it is this one."""
        local = event.time.astimezone()
        other_day = event.replayed and local.date() != self._clock().astimezone().date()
        return f"{local:%Y-%m-%d %H:%M}" if other_day else f"{local:%H:%M}"

    def _text(self, event: TextReceived, target: str) -> str:
        sender = make_safe(event.sender)
        # Further lines are marked: none can pass for a message of somebody else.
        text = FURTHER_LINE.join(map(make_safe, event.text.split("\n")))
        mark = ""
        if event.direct:
            to = f" to {make_safe(event.conversation)}" if event.own else ""
            mark = f"[private{to}, {LOCK} {event.via}] " if event.via else f"[private{to}] "
        elif event.conversation and not self._client.same_name(event.conversation, target):
            mark = f"[{make_safe(event.conversation)}] "
        match event.kind:
            case "action":
                return f"{mark}* {sender} {text}"
            case "notice":
                return f"{mark}-{sender}- {text}"
            case "ctcp":
                return f"{mark}* {sender} asks by CTCP, and is not answered: {text}"
            case _:
                return f"{mark}<{sender}> {text}"

    def _connection(self, event: Event) -> str:
        match event:
            case Connected():
                return f"* connected to {event.host} ({event.tls_version}, certificate verified)"
            case Welcome():
                login = f", logged in as {make_safe(event.account)}" if event.account else ""
                where = make_safe(event.network) or "the network"
                return f"* welcome to {where}: you are {make_safe(event.nick)}{login}"
            case Disconnected(will_retry=True):
                wait = f"trying again in {event.retry_in_s:.0f} s"
                return f"! connection lost: {make_safe(event.reason)}; {wait}"
            case Disconnected():
                return f"* disconnected: {make_safe(event.reason)}"
            case NickRejected():
                return f"! the nick {make_safe(event.nick)}: {make_safe(event.text)}"
            case AccountRequired():
                return f"! {make_safe(event.text)}"
            case LoggedIn():
                return f"* logged in as {make_safe(event.account)}"
            case LoggedOut():
                return "* logged out"
            case LoginRejected():
                return f"! login as {make_safe(event.account)} failed: {make_safe(event.text)}"
            case Registered():
                return f"* the account {make_safe(event.account)} is yours now"
            case VerificationRequired():
                return f"* {make_safe(event.text)}"
            case NotDelivered():
                return f"! not delivered to {make_safe(event.target)}: {make_safe(event.text)}"
            case _:
                return ""

    def _people(self, event: Event) -> str:
        match event:
            case Joined(own=False):
                who = f"--> {make_safe(event.nick)} joined {make_safe(event.channel)}"
                return f"{who} ({people(event.people)})"
            case NamesReceived():
                where = make_safe(event.channel)
                names = " ".join(make_safe(member.marks + member.nick) for member in event.members)
                who = f"--> you joined {where}" if event.joined else f"* {where}"
                return f"{who} ({people(len(event.members))}): {names}"
            case Parted(own=True):
                return f"<-- you left {make_safe(event.channel)}"
            case Parted():
                return self._left(f"{event.nick} left {event.channel}", event.people, event.reason)
            case Kicked():
                who = "you were" if event.own else f"{event.nick} was"
                words = f"{who} thrown out of {event.channel} by {event.by}"
                return self._left(words, None if event.own else event.people, event.reason)
            case Quit():
                where = ", ".join(f"{name}: {people(count)}" for name, count in event.channels)
                words = f"{event.nick} quit" + (f" ({where})" if where else "")
                return self._left(words, None, event.reason)
            case ChannelRenamed():
                by, old, new = map(make_safe, (event.by, event.old, event.new))
                because = f": {make_safe(event.reason)}" if event.reason else ""
                return f"* {by} has renamed {old} to {new}{because}"
            case NickChanged():
                who = "you are" if event.own else f"{make_safe(event.old)} is"
                return f"* {who} now known as {make_safe(event.new)}"
            case Invited(own=True):
                by, where = make_safe(event.by), make_safe(event.channel)
                return f"* {by} invites you to {where}; /join {where} accepts"
            case Invited():
                who, where = make_safe(event.nick), make_safe(event.channel)
                return f"* {make_safe(event.by)} has invited {who} to {where}"
            case AwayChanged():
                away = f"is away: {make_safe(event.message)}" if event.message else "is back"
                return f"* {make_safe(event.nick)} {away}"
            case AccountChanged() if self._client.same_name(event.nick, self._client.nick):
                return ""  # LoggedIn and LoggedOut have told it
            case AccountChanged():
                account = event.account
                change = f"logged in as {make_safe(account)}" if account else "logged out"
                return f"* {make_safe(event.nick)} {change}"
            case RealnameChanged():
                return f"* {make_safe(event.nick)} is {make_safe(event.realname)}"
            case HostChanged():
                where = make_safe(f"{event.user}@{event.host}")
                return f"* {make_safe(event.nick)} is now seen at {where}"
            case _:
                return ""

    def _answer(self, event: Event) -> str:
        match event:
            case Redacted():
                by, where = make_safe(event.by), make_safe(event.conversation)
                because = f": {make_safe(event.reason)}" if event.reason else ""
                return f"* {by} has deleted a message in {where}{because}"
            case TopicChanged():
                where, topic = make_safe(event.channel), make_safe(event.topic)
                if event.by is None:
                    return f"* topic of {where}: {topic}" if topic else f"* {where} has no topic"
                by = make_safe(event.by)
                return f"* {by} set the topic of {where}: {topic}"
            case ModeChanged():
                modes = make_safe(" ".join(event.modes))
                return f"* {make_safe(event.by)} set modes {modes} on {make_safe(event.target)}"
            case Reply():
                return self._reply(event)
            case Failure():
                context = " ".join(event.context) or event.command.strip("*")
                return f"! {make_safe(f'{context}: {event.text}' if context else event.text)}"
            case RawReceived():
                message = event.message
                return f"? {make_safe(' '.join((message.command, *message.params)))}"
            case _:
                return ""

    def _reply(self, event: Reply) -> str:
        if not self._welcomed and event.numeric not in _BEFORE_WELCOME:
            return ""
        template = _REPLIES.get(event.numeric)
        params = [make_safe(param) for param in event.params]
        text = make_safe(event.text)
        if event.numeric in ("NOTE", "WARN"):
            return f"* {text}"
        try:
            if template is not None:
                words = template.format(*params, text=text, rest=" ".join(params[1:]))
                return f"* {words}" if words else ""
        except IndexError:
            pass  # a server that says less than is usual
        return f"* {' '.join(params)}"

    def _left(self, words: str, count: int | None, reason: str) -> str:
        counted = f" ({people(count)})" if count is not None else ""
        because = f": {make_safe(reason)}" if reason else ""
        return f"<-- {make_safe(words)}{counted}{because}"


def people(count: int) -> str:
    """Return ``1 person``, ``3 people``."""
    return "1 person" if count == 1 else f"{count} people"
