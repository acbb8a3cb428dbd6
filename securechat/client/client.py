"""``Client``: the public API, for bots and for every user interface.

Its parts: the caller's threads, which ask; one I/O thread, which owns the connection and the
protocol; a short-lived thread that looks up the name and dials. What callers ask for is posted to
the I/O thread; what happens comes back as events through one queue.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from securechat.client.connector import Connector, Endpoint, Policy
from securechat.client.event_queue import EventQueue
from securechat.client.events import Event, MemberSnapshot, NotDelivered, RequestFailed
from securechat.client.interpret import REACT_TAG, REPLY_TAG, UNREACT_TAG
from securechat.client.link import Timing
from securechat.client.peers import Peers
from securechat.client.protocol import (
    ClientProtocol,
    SentKind,
    TypingState,
    check_command,
    check_line,
    check_reaction,
    check_target,
    check_text,
    encode,
    text_tags,
)
from securechat.client.relays import DEFAULT_PORT, RelayAddress, check_host
from securechat.client.requests import (
    ANSWERED,
    Question,
    format_time,
    history_page,
    history_targets,
    search,
)
from securechat.client.session import Credentials, Identity
from securechat.client.srv import require_package as require_srv
from securechat.client.words.translation import explain
from securechat.errors import ConnectionLost, LocalProtocolError, NetworkError, gettext_noop
from securechat.irc.names import clean_username
from securechat.irc.sasl import prepare_password
from securechat.peer.hub import Settings as PeerSettings
from securechat.peer.identity import load_device
from securechat.peer.port_mapping import require_package as require_upnp

__all__ = ["DEFAULT_PORT", "Client"]

_USERNAME_LENGTH: Final = 10


class Client:
    """A chat client. Safe from any thread, except that one thread at a time reads the events.

    ::

        with Client("localhost", nick="echo", ca=Path("certs/ca.pem")) as client:
            client.connect()
            for event in client:
                ...

    Once it has been welcomed, a client that loses its connection comes back by itself: it waits
    (longer each time), connects, logs in and joins its channels again, and says so by
    ``Disconnected`` and ``Welcome``. Where the chat has several relays, it comes back at the next
    one. What must be mended by a person is not retried: a certificate that fails verification, a
    refused login.

    :param host: of the relay; may be empty where there are ``relays`` or ``srv``.
    :param relays: further relays of the same chat. They are tried in their order when there is no
        way in, and the next one when a relay is lost; what was said meanwhile is caught up with.
    :param srv: a domain whose relays are looked up, as SRV records of ``_ircs._tcp``; needs ``ca``.
    :param learned: what an earlier ``RelaysAnnounced`` has told; tried last, and only with ``ca``.
    :param ca: PEM; trust this CA and no other. ``None`` trusts what the system trusts. There is no
        way not to verify.
    :param account: to log in to; with a ``password`` and no ``account``, the nick.
    :param certificate: PEM, shown to the server, with ``key``; logs in by SASL EXTERNAL.
    :param channels: joined after each welcome.
    :param other_nick: try ``nick_`` when somebody else uses the nick.
    :param reconnect: whether to come back after a lost connection.
    :param patient: whether to go on trying also before the first welcome, where waiting may help.
    :param interactive: a refused nick or login is an event, and a person can answer it with
        ``set_nick`` or ``login``; otherwise it ends the connection with ``LoginFailed``.
    :param peers: be found as a peer, and find others, where the server knows of that; ``None``: no.
    :param history: the caller asks for history itself (``history``, ``search``); otherwise a server
        that keeps one plays back by itself what was missed.
    :param on_event: called on the I/O thread when there is something to ``poll``; must not block,
        nor call ``connect``, ``members``, ``close`` or anything of ``peers``.
    :param timing: how long to wait for what.
    :param chance: returns a number from 0 to 1, for the jitter of the retries.
    :raises LocalProtocolError: a name or the password cannot be used.
    :raises ConfigError: UPnP is wanted for peers, or ``srv``, and its package is not installed; or
        ``srv`` is no domain.
    :raises PkiError, StoreError: the device's own key, or what is known of others, cannot be used.
    """

    def __init__(
        self,
        host: str = "",
        port: int = DEFAULT_PORT,
        *,
        nick: str,
        relays: Sequence[RelayAddress] = (),
        srv: str = "",
        learned: Sequence[RelayAddress] = (),
        ca: Path | None = None,
        account: str | None = None,
        password: str | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        realname: str = "",
        channels: Sequence[str] = (),
        other_nick: bool = False,
        reconnect: bool = True,
        patient: bool = False,
        interactive: bool = False,
        peers: PeerSettings | None = None,
        history: bool = False,
        on_event: Callable[[], None] | None = None,
        timing: Timing | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if not host and not relays and not srv:
            raise LocalProtocolError("the host has no name")
        if srv and ca is None:
            raise LocalProtocolError("a look-up needs a CA of the chat's own: the DNS may lie")
        if srv:
            srv = check_host(srv)
            require_srv()
        check_command("NICK", nick)
        check_command("USER", "user", "0", "*", realname)
        for channel in channels:
            check_command("JOIN", channel)
        if peers is not None and peers.upnp:
            require_upnp()
        credentials = None
        if password is not None or certificate is not None:
            credentials = _credentials(account or nick, password, certificate is not None)
        username = clean_username(nick, _USERNAME_LENGTH)[1:]
        self._certificate = certificate is not None
        first = (RelayAddress(host, port),) if host else ()
        self._endpoint = Endpoint((*first, *relays), srv, tuple(learned), ca, certificate, key)
        self._numbers = itertools.count(1)  # of texts and questions
        self._events = EventQueue(on_event)
        self._connector = Connector(
            self._endpoint,
            Identity(nick, username, realname, credentials, peers is not None, other_nick, history),
            Policy(reconnect, patient, interactive, timing or Timing(), chance),
            self._events,
            (load_device(peers.folder), peers) if peers is not None else None,
        )
        self.peers = Peers(self._connector, self._numbers)
        self._connector.channels.update((name.lower(), (name, "")) for name in channels)

    # ---- coming and going ----

    def start(self) -> None:
        """Begin to connect, and return; all news come as events. Does nothing the second time."""
        self._connector.start()

    def connect(self, timeout_s: float = 30.0) -> None:
        """Connect, log in, and return when the server has said welcome. Blocks.

        On an error the client is closed.

        :raises CertificateRejected: the server's certificate failed verification.
        :raises LoginFailed: the server did not accept nick, account or password.
        :raises NetworkError: no such host, nobody listens, no welcome in time, …
        """
        self.start()
        if not self._connector.settled.wait(timeout_s):
            self.close()
            raise NetworkError(
                "no welcome from {host} within {timeout_s:g} seconds",
                host=self._endpoint.name,
                timeout_s=timeout_s,
            )
        if not self._connector.welcomed:
            self.close()
            raise self._connector.error or ConnectionLost("the client was closed")

    def close(self, reason: str = "leaving") -> None:
        """Say goodbye and end; the iteration over the events ends too.

        Blocks for a few seconds at most. Does nothing the second time.
        """
        self._connector.close(reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ---- events ----

    def __iter__(self) -> Iterator[Event]:
        """Yield the events as they come, until the client is closed or has given up."""
        while (event := self.next_event()) is not None:
            yield event

    def next_event(self, timeout_s: float | None = None) -> Event | None:
        """Return the next event, waiting for it; ``None`` when there will be no more.

        :raises TimeoutError: there was none in time.
        """
        return self._events.get(timeout_s)

    def poll(self) -> Event | None:
        """Return the next event if there is one now, without waiting."""
        return self._events.poll()

    # ---- where we are ----

    @property
    def relay(self) -> str:
        """What the chat is known by: its first relay as ``HOST:PORT``, or its domain."""
        return self._endpoint.name

    @property
    def relays(self) -> frozenset[str]:
        """The relays that the user has named, those found at the domain, and the one that we are
        connected to, as ``HOST:PORT`` in lower case.
        """
        link = self._connector.link
        here = (RelayAddress(link.host, link.port),) if link is not None else ()
        return frozenset(str(one).lower() for one in (*self._connector.itinerary.named, *here))

    @property
    def nick(self) -> str:
        """Our nick; before the welcome, the one we ask for."""
        link = self._connector.link
        return link.protocol.session.nick if link else self._connector.identity.nick

    @property
    def account(self) -> str | None:
        """The account that we are logged in to."""
        link = self._connector.link
        return link.protocol.session.account if link else None

    @property
    def online(self) -> bool:
        """Whether we are welcomed and connected now."""
        return self._connector.online

    def offers(self, capability: str) -> bool:
        """Whether the server has this capability and we use it."""
        link = self._connector.link
        return link is not None and capability in link.protocol.session.enabled

    def passes(self, tag: str) -> bool:
        """Whether the server passes this client-only tag (``+typing``) of ours on to others."""
        link = self._connector.link
        return link is not None and link.protocol.session.passes(tag)

    @property
    def email_required(self) -> bool:
        """Whether an account cannot be made without an e-mail address (or what stands for it)."""
        link = self._connector.link
        value = link.protocol.session.offered.get("draft/account-registration", "") if link else ""
        return "email-required" in value.split(",")

    def same_name(self, left: str, right: str) -> bool:
        """Whether the server takes two nicks, or two channel names, for the same."""
        link = self._connector.link
        if link is None:
            return left.lower() == right.lower()
        fold = link.protocol.session.isupport.fold
        return fold(left) == fold(right)

    def is_channel(self, target: str) -> bool:
        """Whether ``target`` names a channel and not a person."""
        link = self._connector.link
        return link.protocol.session.isupport.is_channel(target) if link else target[:1] == "#"

    def members(self, channel: str) -> tuple[MemberSnapshot, ...]:
        """Return who is in a channel, by rank and nick; empty when we are not. Blocks shortly."""

        def look() -> tuple[MemberSnapshot, ...]:
            link = self._connector.link
            return link.protocol.session.roster.snapshot(channel) if link else ()

        try:
            return self._connector.ask(look)
        except NetworkError:  # not started, or closed
            return ()

    # ---- saying things ----

    def send(
        self, target: str, text: str, *, reply_to: str | None = None, mark: str | None = None
    ) -> int:
        """Say ``text`` to a channel or nick; return the number that its ``Delivered`` or
        ``NotDelivered`` will carry. A long text or one with line ends is one message of several
        lines where the server knows such, and several messages elsewhere.

        :param reply_to: the msgid of the text that this one answers.
        :param mark: comes back as ``TextReceived.mark``, out of the history too: so one can look
            whether a text has arrived whose acknowledgement was lost. Others see it; it must be
            hard to guess. Of several messages the first has it. A server without tags drops both.
        :raises LocalProtocolError: the target is not one name, or there is no text.
        :raises NetworkError: we are not connected now; nothing was sent.
        """
        return self._send(target, text, "message", reply_to, mark)

    def notice(
        self, target: str, text: str, *, reply_to: str | None = None, mark: str | None = None
    ) -> int:
        """Say ``text`` as a notice, which no program answers; otherwise like ``send``."""
        return self._send(target, text, "notice", reply_to, mark)

    def action(
        self, target: str, text: str, *, reply_to: str | None = None, mark: str | None = None
    ) -> int:
        """Say what we do (``/me``); otherwise like ``send``."""
        return self._send(target, text, "action", reply_to, mark)

    def react(self, target: str, msgid: str, reaction: str, *, remove: bool = False) -> None:
        """React to the text ``msgid`` of a conversation, or take that back; ``Reacted`` follows.

        :raises LocalProtocolError: the server passes no reactions on, or this is none.
        :raises NetworkError: we are not connected now; nothing was sent.
        """
        check_reaction(target, msgid, reaction)
        passed = self.passes(REPLY_TAG) and self.passes(UNREACT_TAG if remove else REACT_TAG)
        self._require_online()
        if not passed:
            raise LocalProtocolError("this server takes no reactions")
        self._do(lambda protocol: protocol.react(target, msgid, reaction, remove=remove))

    def redact(self, target: str, msgid: str, reason: str = "") -> None:
        """Delete the text ``msgid`` of a conversation; ``Redacted`` follows, or a ``Failure``.

        :raises LocalProtocolError: the server deletes nothing.
        :raises NetworkError: we are not connected now.
        """
        check_target(target)
        self._require("draft/message-redaction")
        self.command("REDACT", target, msgid, *([reason] if reason else []))

    def typing(self, target: str, state: TypingState) -> None:
        """Tell that we are typing, pause, or have stopped. Nothing happens where that cannot be
        told. The caller sees to it that it is not told too often: "MUST be throttled so that any
        typing notification is not sent within 3 seconds of another one for a given target".

        :raises LocalProtocolError: the target is not one name.
        """
        check_target(target)
        self._tell(lambda protocol: protocol.typing(target, state))

    def mark_read(self, conversation: str, time: datetime) -> None:
        """Note that we have read a conversation up to the text of that time; ``ReadMarked`` follows
        here and on our other devices. Nothing happens where the server keeps no such notes.

        :raises LocalProtocolError: the conversation is not one name.
        """
        check_target(conversation)
        check_command("MARKREAD", conversation, f"timestamp={format_time(time)}")
        self._tell(lambda protocol: protocol.mark_read(conversation, time))

    # ---- asking ----

    def history(
        self,
        target: str,
        *,
        before: str | None = None,
        after: str | None = None,
        around: str | None = None,
        limit: int = 100,
    ) -> int:
        """Ask for a page of a conversation, the latest or as seen from a message; return the number
        that its ``HistoryReceived`` or ``RequestFailed`` will carry. For this and the following two
        the client must have been made with ``history=True``.

        :param before: a reference (``msgid=…`` or ``timestamp=…``) as in ``HistoryReceived``; so
            are ``after`` and ``around``. At most one is given.
        :param limit: most messages; a server may allow fewer.
        :raises LocalProtocolError: the server does not offer that, or it cannot be asked so.
        :raises NetworkError: we are not connected now.
        """
        check_target(target)
        return self._ask(
            history_page(target, before=before, after=after, around=around, limit=limit)
        )

    def history_targets(self, after: datetime, before: datetime, limit: int = 100) -> int:
        """Ask for the conversations whose latest text is between two times; otherwise like
        ``history``. ``TargetsReceived`` follows.
        """
        return self._ask(history_targets(after, before, limit=limit))

    def search(
        self, text: str, *, conversation: str = "", sender: str = "", limit: int = 50
    ) -> int:
        """Ask for texts with these words, in one conversation or all, of one person or all;
        otherwise like ``history``. ``Found`` follows.
        """
        return self._ask(search(text, conversation=conversation, sender=sender, limit=limit))

    def ask_presence(self, channel: str) -> None:
        """Ask who of a channel is away; ``PresenceReceived`` follows, if we are there. The members
        in later events and in ``members`` know it too.

        :raises LocalProtocolError: the channel is not one name.
        :raises NetworkError: we are not connected now.
        """
        check_target(channel)
        self._do(lambda protocol: protocol.ask_presence(channel))

    # ---- commands ----

    def join(self, channel: str, key: str | None = None) -> None:
        """Join a channel; ``Joined`` and ``NamesReceived`` follow, or a ``Failure``.

        This and the following: raise as ``send`` does, answer by events.
        """
        check_command("JOIN", channel, *([key] if key else []))

        def intent(protocol: ClientProtocol) -> None:
            if key:
                self._connector.keys[channel.lower()] = key
            protocol.command("JOIN", channel, *([key] if key else []))

        self._do(intent)

    def part(self, channel: str, reason: str = "") -> None:
        """Leave a channel."""
        self.command("PART", channel, *([reason] if reason else []))

    def set_topic(self, channel: str, topic: str) -> None:
        """Set the topic of a channel, or clear it with an empty one."""
        self.command("TOPIC", channel, topic)

    def away(self, message: str = "") -> None:
        """Be away, or with an empty message, be back."""
        self.command("AWAY", *([message] if message else []))

    def command(self, command: str, *params: str) -> None:
        """Say any command with its parameters, ``command("KICK", "#room", "eve", "spam")``."""
        check_command(command, *params)
        self._do(lambda protocol: protocol.command(command, *params))

    def raw(self, line: str) -> None:
        """Say a line as it is; for what this API does not know."""
        check_line(line)
        self._do(lambda protocol: protocol.raw(line))

    def register(self, password: str, *, account: str = "*", email: str = "*") -> None:
        """Make an account (``*``: named as our nick); ``Registered`` follows, or a ``Failure``.

        May be said before the welcome, where the server allows it.
        """
        prepare_password(password)
        check_command("REGISTER", account, email, password)

        def intent(protocol: ClientProtocol) -> None:
            name = protocol.session.nick if account == "*" else account
            self._connector.proposed = Credentials(name, password, self._certificate)
            protocol.command("REGISTER", account, email, password)

        self._do(intent, registered=False)

    def login(self, account: str, password: str) -> None:
        """Log in; ``LoggedIn`` follows, or ``LoginRejected``. May be said before the welcome."""
        credentials = _credentials(account, password, self._certificate)

        def intent(protocol: ClientProtocol) -> None:
            self._connector.proposed = credentials
            protocol.login(credentials)

        self._do(intent, registered=False)

    def set_nick(self, nick: str) -> None:
        """Ask for another nick. May be said before the welcome."""
        check_command("NICK", nick)
        self._do(lambda protocol: protocol.set_nick(nick), registered=False)

    def _send(
        self, target: str, text: str, kind: SentKind, reply_to: str | None, mark: str | None
    ) -> int:
        check_text(target, text)
        text_tags(reply_to, mark)
        delivery = next(self._numbers)
        lost = NotDelivered(delivery, target, "NOT_CONNECTED", gettext_noop("not connected"))

        def intent(protocol: ClientProtocol) -> None:
            try:
                protocol.send_text(
                    target, text, delivery=delivery, kind=kind, reply_to=reply_to, mark=mark
                )
            except LocalProtocolError as error:  # what only the server's limits make too long
                self._connector.push(NotDelivered(delivery, target, "TOO_LONG", explain(error)))

        self._do(intent, otherwise=lost)
        return delivery

    def _ask(self, question: Question) -> int:
        check_command(question.command, *question.words())
        self._require(question.capability, *ANSWERED)
        number = next(self._numbers)
        lost = RequestFailed(number, "CONNECTION_LOST", gettext_noop("not connected"))
        self._do(lambda protocol: protocol.ask(number, question), otherwise=lost)
        return number

    def _require(self, *capabilities: str) -> None:
        missing = [capability for capability in capabilities if not self.offers(capability)]
        self._require_online()  # afterwards: a connection that has just ended offers nothing
        if missing:
            raise LocalProtocolError("the server does not offer {what}", what=", ".join(missing))

    def _require_online(self) -> None:
        if not self._connector.online:
            raise NetworkError("not connected")

    def _tell(self, intent: Callable[[ClientProtocol], None]) -> None:
        """Have the protocol do what does not matter when it cannot be done."""
        with contextlib.suppress(NetworkError):
            self._do(intent)

    def _do(
        self,
        intent: Callable[[ClientProtocol], None],
        *,
        registered: bool = True,
        otherwise: Event | None = None,
    ) -> None:
        if self._connector.link is None or (registered and not self._connector.online):
            raise NetworkError("not connected")

        def work() -> None:
            if self._connector.link is not None:
                self._connector.link.do(intent)
            elif otherwise is not None:
                self._connector.push(otherwise)

        if not self._connector.post(work):
            raise NetworkError("not connected")


def _credentials(account: str, password: str | None, certificate: bool) -> Credentials:
    encode(account)
    if password is not None:
        prepare_password(password)  # so that a bad one is told now and not in the middle
    return Credentials(account, password, certificate)
