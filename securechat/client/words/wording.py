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
    PeopleBack,
    PeopleLost,
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
from securechat.client.words.peer_wording import FURTHER_LINE, LOCK, PeerWording, describe_path
from securechat.client.words.refusals import reason, refusal
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain, gettext_noop, ngettext

__all__ = ["Wording", "people", "split_words", "why_disconnected"]

_REPLIES: Final = {
    "221": gettext_noop("your modes: {0}"),
    "276": "{0} {text}",
    "301": gettext_noop("{0} is away: {text}"),
    "311": gettext_noop("{0} is {1}@{2} ({text})"),
    "312": gettext_noop("{0} is on {1} ({text})"),
    "313": "{0} {text}",
    "315": "",
    "317": gettext_noop("{0} has been idle for {1} seconds"),
    "318": "",
    "319": gettext_noop("{0} is in {text}"),
    "321": "",
    "322": "{0} ({1}): {text}",
    "323": gettext_noop("that is the whole list"),
    "324": gettext_noop("{0} has the modes {rest}"),
    "329": "",
    "330": gettext_noop("{0} is logged in as {1}"),
    "333": "",
    "341": gettext_noop("{0} has been invited to {1}"),
    "352": gettext_noop("{0}: {4} is {1}@{2} ({text})"),
    "353": "{1}: {text}",
    "366": "",
    "367": gettext_noop("{0} bans {1}"),
    "368": "",
    "375": "",
    "376": "",
    "671": "{0} {text}",
}
"""How the answers read that are more than their text; an empty one is not shown. The numbers stand
for the parameters behind our nick, ``text`` for the last, ``rest`` for all but the first."""

_SPLIT_NICKS: Final = 30
"""Most nicks that are named of those who were lost with a relay: a line must stay one."""

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
        if isinstance(event, TextReceived):
            return f"{self._when(event)} {self._text(event, target)}"
        words = self.words(event)
        return f"{self._clock():%H:%M} {words}" if words else ""

    def words(self, event: Event) -> str:
        """Return how an event that is no text reads, without the time."""
        if isinstance(event, Welcome | Disconnected):
            self._welcomed = isinstance(event, Welcome)
        return (
            self._connection(event)
            or self._people(event)
            or self._peers.words(event)
            or self._answer(event)
        )

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
        if not event.conversation and event.kind == "notice":
            return f"-{sender}- {reason(event.text)}"  # of the server itself
        # Further lines are marked: none can pass for a message of somebody else.
        text = FURTHER_LINE.join(map(make_safe, event.text.split("\n")))
        mark = self._mark(event, target)
        match event.kind:
            case "action":
                return f"{mark}* {sender} {text}"
            case "notice":
                return f"{mark}-{sender}- {text}"
            case "ctcp":
                asks = _("{nick} asks by CTCP, and is not answered: {text}", nick=sender, text=text)
                return f"{mark}* {asks}"
            case _:
                return f"{mark}<{sender}> {text}"

    def _mark(self, event: TextReceived, target: str) -> str:
        """Return what tells where a text was said, if it was not said where the user is."""
        where = make_safe(event.conversation)
        if event.direct:
            mark = _("private to {nick}", nick=where) if event.own else _("private")
            return f"[{mark}, {LOCK} {describe_path(event.via)}] " if event.via else f"[{mark}] "
        if event.conversation and not self._client.same_name(event.conversation, target):
            return f"[{where}] "
        return ""

    def _connection(self, event: Event) -> str:
        match event:
            case Connected():
                words = _(
                    "connected to {host} ({version}, certificate verified)",
                    host=event.host,
                    version=event.tls_version,
                )
                return f"* {words}"
            case Welcome():
                return f"* {_welcome(event)}"
            case Disconnected(next_relay=str(relay)) if relay:
                return f"! {_moving(event, relay)}"
            case Disconnected(will_retry=True):
                words = _(
                    "connection lost: {reason}; trying again in {seconds:.0f} s",
                    reason=why_disconnected(event),
                    seconds=event.retry_in_s,
                )
                return f"! {words}"
            case Disconnected():
                return f"* {_('disconnected: {reason}', reason=why_disconnected(event))}"
            case NickRejected():
                nick, why = make_safe(event.nick), reason(event.text)
                return f"! {_('the nick {nick}: {reason}', nick=nick, reason=why)}"
            case AccountRequired():
                return f"! {reason(event.text)}"
            case LoggedIn():
                return f"* {_('logged in as {account}', account=make_safe(event.account))}"
            case LoggedOut():
                return f"* {_('logged out')}"
            case LoginRejected():
                account, why = make_safe(event.account), refusal(event.code, event.text)
                words = _("login as {account} failed: {reason}", account=account, reason=why)
                return f"! {words}"
            case Registered():
                words = _("the account {account} is yours now", account=make_safe(event.account))
                return f"* {words}"
            case VerificationRequired():
                return f"* {make_safe(event.text)}"
            case NotDelivered():
                target, why = make_safe(event.target), refusal(event.code, event.text)
                words = _("not delivered to {target}: {reason}", target=target, reason=why)
                return f"! {words}"
            case _:
                return ""

    def _people(self, event: Event) -> str:
        match event:
            case Joined(own=False):
                nick, room = make_safe(event.nick), make_safe(event.channel)
                words = _("{nick} joined {room}", nick=nick, room=room)
                return f"--> {words} ({people(event.people)})"
            case NamesReceived():
                room = make_safe(event.channel)
                names = " ".join(make_safe(member.marks + member.nick) for member in event.members)
                who = f"--> {_('you joined {room}', room=room)}" if event.joined else f"* {room}"
                return f"{who} ({people(len(event.members))}): {names}"
            case Parted() | Kicked() | Quit():
                return _left(event)
            case PeopleLost():
                return f"<-- {split_words(event)}"
            case PeopleBack():
                return f"--> {split_words(event)}"
            case NickChanged():
                new = make_safe(event.new)
                if event.own:
                    return f"* {_('you are now known as {nick}', nick=new)}"
                words = _("{old} is now known as {new}", old=make_safe(event.old), new=new)
                return f"* {words}"
            case Invited(own=True):
                words = _(
                    "{nick} invites you to {room}; /join {room} accepts",
                    nick=make_safe(event.by),
                    room=make_safe(event.channel),
                )
                return f"* {words}"
            case Invited():
                words = _(
                    "{inviter} has invited {nick} to {room}",
                    inviter=make_safe(event.by),
                    nick=make_safe(event.nick),
                    room=make_safe(event.channel),
                )
                return f"* {words}"
            case AwayChanged() | AccountChanged() | RealnameChanged() | HostChanged():
                words = self._person(event)
                return f"* {words}" if words else ""
            case _:
                return ""

    def _person(self, event: AwayChanged | AccountChanged | RealnameChanged | HostChanged) -> str:
        nick = make_safe(event.nick)
        match event:
            case AwayChanged(message=str(text)) if text:
                return _("{nick} is away: {text}", nick=nick, text=make_safe(text))
            case AwayChanged():
                return _("{nick} is back", nick=nick)
            case AccountChanged() if self._client.same_name(event.nick, self._client.nick):
                return ""  # LoggedIn and LoggedOut have told it
            case AccountChanged(account=str(account)) if account:
                return _("{nick} logged in as {account}", nick=nick, account=make_safe(account))
            case AccountChanged():
                return _("{nick} logged out", nick=nick)
            case RealnameChanged():
                return _("{nick} is {realname}", nick=nick, realname=make_safe(event.realname))
            case HostChanged():
                where = make_safe(f"{event.user}@{event.host}")
                return _("{nick} is now seen at {where}", nick=nick, where=where)

    def _answer(self, event: Event) -> str:
        match event:
            case Redacted():
                by, where = make_safe(event.by), make_safe(event.conversation)
                words = _("{nick} has deleted a message in {room}", nick=by, room=where)
                return f"* {words}{_because(event.reason)}"
            case ChannelRenamed():
                by, old, new = map(make_safe, (event.by, event.old, event.new))
                words = _("{nick} has renamed {old} to {new}", nick=by, old=old, new=new)
                return f"* {words}{_because(event.reason)}"
            case TopicChanged():
                return f"* {_topic(event)}"
            case ModeChanged():
                words = _(
                    "{nick} set modes {modes} on {target}",
                    nick=make_safe(event.by),
                    modes=make_safe(" ".join(event.modes)),
                    target=make_safe(event.target),
                )
                return f"* {words}"
            case Reply():
                return self._reply(event)
            case Failure():
                context = make_safe(" ".join(event.context) or event.command.strip("*"))
                why = refusal(event.code, event.text)
                return f"! {context}: {why}" if context else f"! {why}"
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
                words = _(template).format(*params, text=text, rest=" ".join(params[1:]))
                return f"* {words}" if words else ""
        except IndexError:
            pass  # a server that says less than is usual
        return f"* {' '.join(params)}"


def _welcome(event: Welcome) -> str:
    nick, network = make_safe(event.nick), make_safe(event.network)
    if not network:
        words = _("welcome to the network: you are {nick}", nick=nick)
    else:
        words = _("welcome to {network}: you are {nick}", network=network, nick=nick)
    if event.account:
        return f"{words}, {_('logged in as {account}', account=make_safe(event.account))}"
    return words


def _moving(event: Disconnected, relay: str) -> str:
    why, place = why_disconnected(event), make_safe(relay)
    if event.retry_in_s:
        return _(
            "connection lost: {reason}; trying {relay} in {seconds:.0f} s",
            reason=why,
            relay=place,
            seconds=event.retry_in_s,
        )
    return _("{reason}; going on with {relay}", reason=why, relay=place)


def split_words(event: PeopleLost | PeopleBack, channel: str | None = None) -> str:
    """Return one line, safe, for all people who were lost with a relay, or are back with it.

    :param channel: only those of this one; ``None``: of all.
    """
    relay = make_safe(event.relay)
    nicks = _split_nicks(event, channel)
    shown = ", ".join(map(make_safe, nicks[:_SPLIT_NICKS]))
    if len(nicks) > _SPLIT_NICKS:
        shown += ", …"
    count = len(nicks)
    match event:
        case PeopleLost() if relay:
            return ngettext(
                "{count} person was lost with relay {relay}: {nicks}",
                "{count} people were lost with relay {relay}: {nicks}",
                count,
                relay=relay,
                nicks=shown,
            )
        case PeopleLost():
            return ngettext(
                "{count} person was lost with a relay: {nicks}",
                "{count} people were lost with a relay: {nicks}",
                count,
                nicks=shown,
            )
        case _ if relay:
            return ngettext(
                "{count} person is back with relay {relay}: {nicks}",
                "{count} people are back with relay {relay}: {nicks}",
                count,
                relay=relay,
                nicks=shown,
            )
        case _:
            return ngettext(
                "{count} person is back: {nicks}",
                "{count} people are back: {nicks}",
                count,
                nicks=shown,
            )


def _split_nicks(event: PeopleLost | PeopleBack, channel: str | None) -> list[str]:
    if isinstance(event, PeopleBack):
        found = [one.nick for one in event.joins if channel in (None, one.channel)]
    else:
        found = [
            one.nick
            for one in event.quits
            if channel is None or any(name == channel for name, _people in one.channels)
        ]
    return list(dict.fromkeys(found))


def why_disconnected(event: Disconnected) -> str:
    """Return why a connection is over, made safe."""
    if event.error is not None and str(event.error) == event.reason:
        return make_safe(explain(event.error))
    return reason(event.reason)  # of the server, which says more than that it closes


def _left(event: Parted | Kicked | Quit) -> str:
    if isinstance(event, Parted) and event.own:
        return f"<-- {_('you left {room}', room=make_safe(event.channel))}"
    counted = ""
    match event:
        case Parted():
            nick, room = make_safe(event.nick), make_safe(event.channel)
            words = _("{nick} left {room}", nick=nick, room=room)
            counted = f" ({people(event.people)})"
        case Kicked(own=True):
            room, by = make_safe(event.channel), make_safe(event.by)
            words = _("you were thrown out of {room} by {by}", room=room, by=by)
        case Kicked():
            nick, room, by = map(make_safe, (event.nick, event.channel, event.by))
            words = _("{nick} was thrown out of {room} by {by}", nick=nick, room=room, by=by)
            counted = f" ({people(event.people)})"
        case Quit():
            where = ", ".join(f"{make_safe(name)}: {people(n)}" for name, n in event.channels)
            words = _("{nick} quit", nick=make_safe(event.nick))
            counted = f" ({where})" if where else ""
    return f"<-- {words}{counted}{_because(event.reason)}"


def _topic(event: TopicChanged) -> str:
    room, topic = make_safe(event.channel), make_safe(event.topic)
    if event.by is not None:
        by = make_safe(event.by)
        return _("{nick} set the topic of {room}: {topic}", nick=by, room=room, topic=topic)
    if topic:
        return _("topic of {room}: {topic}", room=room, topic=topic)
    return _("{room} has no topic", room=room)


def _because(words: str) -> str:
    return f": {make_safe(words)}" if words else ""


def people(count: int) -> str:
    """Return ``1 person``, ``3 people``."""
    return ngettext("{count} person", "{count} people", count)
